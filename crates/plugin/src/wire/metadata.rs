use regrow_codec::Any;
use regrow_ids::PluginName;

use crate::spi::Metadata;

super::service! {
    Metadata: metadata, dyn Metadata, keyed;
    "Metadata.Get" Read
        Get { name: PluginName = "Name", path: String = "Path" }
        -> Got { name: PluginName = "Name", value: Any = "Value" }
        = |object, Get { name, path }| {
            let value = object.get(&path).await?.unwrap_or_default();
            Ok(Got { name, value })
        };
    "Metadata.Keys" Read
        Keys { name: PluginName = "Name", path: String = "Path" }
        -> Nodes { name: PluginName = "Name", nodes: Vec<String> = "Nodes" }
        = |object, Keys { name, path }| {
            let nodes = object.keys(&path).await?;
            Ok(Nodes { name, nodes })
        };
}
