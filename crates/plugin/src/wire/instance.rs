use std::sync::Arc;

use regrow_codec::Any;
use regrow_ids::InstanceId;
use serde::{Deserialize, Serialize};

use crate::spi::{Description, DestroyReason, Instance, InstanceSpec, Tags};

/// Why a destroy is asked for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Context {
    #[serde(deserialize_with = "any_reason")]
    pub(crate) reason: DestroyReason,
}

/// Null, absent and empty mean "no longer wanted"; an unknown word must not make the call fail.
fn any_reason<'de, D: serde::Deserializer<'de>>(from: D) -> Result<DestroyReason, D::Error> {
    let word = Option::<String>::deserialize(from)?.unwrap_or_default();
    Ok(match word.as_str() {
        "" | "terminate" => DestroyReason::Terminate,
        "rolling_update" => DestroyReason::RollingUpdate,
        _ => DestroyReason::Other,
    })
}

super::service! {
    Instance: instances, dyn Instance, typed;
    "Instance.DescribeInstances" Read
        Describe { kind: String = "Type", tags: Tags = "Tags", properties: bool = "Properties" }
        -> Described { kind: String = "Type", descriptions: Vec<Arc<Description>> = "Descriptions" }
        = |object, request| {
            let descriptions =
                object.describe_instances(&request.tags, request.properties).await?;
            Ok(Described { kind: request.kind, descriptions })
        };
    "Instance.Destroy" Slow
        Destroy { kind: String = "Type", instance: InstanceId = "Instance", context: Context = "Context" }
        -> Destroyed { kind: String = "Type", ok: bool = "OK" }
        = |object, request| {
            object.destroy(&request.instance, request.context.reason).await?;
            Ok(Destroyed { kind: request.kind, ok: true })
        };
    "Instance.Label" Write
        Label { kind: String = "Type", instance: InstanceId = "Instance", labels: Tags = "Labels" }
        -> Labelled { kind: String = "Type", ok: bool = "OK" }
        = |object, request| {
            object.label(&request.instance, &request.labels).await?;
            Ok(Labelled { kind: request.kind, ok: true })
        };
    "Instance.Provision" Slow
        Provision { kind: String = "Type", spec: InstanceSpec = "Spec" }
        -> Provisioned { kind: String = "Type", id: InstanceId = "ID" }
        = |object, request| {
            let id = object.provision(&request.spec).await?;
            Ok(Provisioned { kind: request.kind, id })
        };
    "Instance.Validate" Read
        Validate { kind: String = "Type", properties: Any = "Properties" }
        -> Validated { kind: String = "Type", ok: bool = "OK" }
        = |object, request| {
            object.validate(&request.properties).await?;
            Ok(Validated { kind: request.kind, ok: true })
        };
}
