use regrow_ids::PluginName;

use crate::spi::{Resource, ResourceSpec};

super::service! {
    Resource: resources, dyn Resource, keyed;
    "Resource.Commit" Slow
        Commit { name: PluginName = "Name", spec: ResourceSpec = "Spec", pretend: bool = "Pretend" }
        -> Committed { name: PluginName = "Name", details: String = "Details" }
        = |object, Commit { name, spec, pretend }| {
            let details = object.commit(&spec, pretend).await?;
            Ok(Committed { name, details })
        };
    "Resource.DescribeResources" Read
        Describe { name: PluginName = "Name", spec: ResourceSpec = "Spec" }
        -> Described { name: PluginName = "Name", details: String = "Details" }
        = |object, Describe { name, spec }| {
            let details = object.describe_resources(&spec).await?;
            Ok(Described { name, details })
        };
    "Resource.Destroy" Slow
        Destroy { name: PluginName = "Name", spec: ResourceSpec = "Spec", pretend: bool = "Pretend" }
        -> Destroyed { name: PluginName = "Name", details: String = "Details" }
        = |object, Destroy { name, spec, pretend }| {
            let details = object.destroy(&spec, pretend).await?;
            Ok(Destroyed { name, details })
        };
}
