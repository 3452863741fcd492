use regrow_codec::Any;

use crate::spi::{Allocation, Description, Flavor, Health, Index, InstanceSpec};

super::service! {
    Flavor: flavors, dyn Flavor, typed;
    "Flavor.Drain" Slow
        Drain { kind: String = "Type", properties: Any = "Properties", instance: Description = "Instance" }
        -> Drained { kind: String = "Type", ok: bool = "OK" }
        = |object, request| {
            object.drain(&request.properties, &request.instance).await?;
            Ok(Drained { kind: request.kind, ok: true })
        };
    "Flavor.Healthy" Read
        Healthy { kind: String = "Type", properties: Any = "Properties", instance: Description = "Instance" }
        -> HealthOf { kind: String = "Type", health: Health = "Health" }
        = |object, request| {
            let health = object.healthy(&request.properties, &request.instance).await?;
            Ok(HealthOf { kind: request.kind, health })
        };
    "Flavor.Prepare" Read
        Prepare {
            kind: String = "Type", properties: Any = "Properties", spec: InstanceSpec = "Spec",
            allocation: Allocation = "Allocation", index: Index = "Index",
        }
        -> Prepared { kind: String = "Type", spec: InstanceSpec = "Spec" }
        = |object, request| {
            let Prepare { kind, properties, spec, allocation, index } = request;
            let spec = object.prepare(&properties, spec, &allocation, &index).await?;
            Ok(Prepared { kind, spec })
        };
    "Flavor.Validate" Read
        Validate { kind: String = "Type", properties: Any = "Properties", allocation: Allocation = "Allocation" }
        -> Validated { kind: String = "Type", ok: bool = "OK" }
        = |object, request| {
            object.validate(&request.properties, &request.allocation).await?;
            Ok(Validated { kind: request.kind, ok: true })
        };
}
