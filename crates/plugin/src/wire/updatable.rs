use regrow_codec::Any;
use regrow_ids::PluginName;

use crate::spi::{Change, Updatable};

super::service! {
    Updatable: updatables, dyn Updatable, keyed;
    "Updatable.Changes" Read
        Changes { name: PluginName = "Name", changes: Vec<Change> = "Changes" }
        -> Proposed {
            name: PluginName = "Name", original: Any = "Original", proposed: Any = "Proposed",
            cas: String = "Cas",
        }
        = |object, Changes { name, changes }| {
            let found = object.changes(&changes).await?;
            Ok(Proposed { name, original: found.original, proposed: found.proposed, cas: found.cas })
        };
    "Updatable.Commit" Write
        Commit { name: PluginName = "Name", proposed: Any = "Proposed", cas: String = "Cas" }
        -> Committed { name: PluginName = "Name" }
        = |object, Commit { name, proposed, cas }| {
            object.commit(&proposed, &cas).await?;
            Ok(Committed { name })
        };
    "Updatable.Get" Read
        Get { name: PluginName = "Name", path: String = "Path" }
        -> Got { name: PluginName = "Name", value: Any = "Value" }
        = |object, Get { name, path }| {
            let value = object.get(&path).await?.unwrap_or_default();
            Ok(Got { name, value })
        };
    "Updatable.Keys" Read
        Keys { name: PluginName = "Name", path: String = "Path" }
        -> Nodes { name: PluginName = "Name", nodes: Vec<String> = "Nodes" }
        = |object, Keys { name, path }| {
            let nodes = object.keys(&path).await?;
            Ok(Nodes { name, nodes })
        };
}
