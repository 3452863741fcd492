use regrow_ids::InstanceId;

use crate::spi::{HealthCheck, L4, Route};

// The original answers with an empty `Type`, whatever was asked; so do we.
super::service! {
    L4: l4s, dyn L4, typed;
    "L4.Backends" Read
        Backends { kind: String = "Type" }
        -> BackendIds { kind: String = "Type", ids: Vec<InstanceId> = "IDs" }
        = |object, _| Ok(BackendIds { ids: object.backends().await?, ..Default::default() });
    "L4.ConfigureHealthCheck" Write
        Configure {
            kind: String = "Type", backend_port: u16 = "BackendPort", healthy: u32 = "Healthy",
            unhealthy: u32 = "Unhealthy", interval: u64 = "Interval", timeout: u64 = "Timeout",
        }
        -> Configured { kind: String = "Type", result: String = "Result" }
        = |object, request| {
            let Configure { backend_port, healthy, unhealthy, interval, timeout, .. } = request;
            let check = HealthCheck { backend_port, healthy, unhealthy, interval, timeout };
            let result = object.configure_health_check(&check).await?;
            Ok(Configured { result, ..Default::default() })
        };
    "L4.DeregisterBackends" Write
        Deregister { kind: String = "Type", ids: Vec<InstanceId> = "IDs" }
        -> Deregistered { kind: String = "Type", result: String = "Result" }
        = |object, request| {
            let result = object.deregister_backends(&request.ids).await?;
            Ok(Deregistered { result, ..Default::default() })
        };
    "L4.Name" Read
        Name { kind: String = "Type" }
        -> Named { kind: String = "Type", name: String = "Name" }
        = |object, _| Ok(Named { name: object.name().await?, ..Default::default() });
    "L4.Publish" Write
        Publish { kind: String = "Type", route: Route = "Route" }
        -> Published { kind: String = "Type", result: String = "Result" }
        = |object, request| {
            let result = object.publish(&request.route).await?;
            Ok(Published { result, ..Default::default() })
        };
    "L4.RegisterBackends" Write
        Register { kind: String = "Type", ids: Vec<InstanceId> = "IDs" }
        -> Registered { kind: String = "Type", result: String = "Result" }
        = |object, request| {
            let result = object.register_backends(&request.ids).await?;
            Ok(Registered { result, ..Default::default() })
        };
    "L4.Routes" Read
        Routes { kind: String = "Type" }
        -> RouteList { kind: String = "Type", routes: Vec<Route> = "Routes" }
        = |object, _| Ok(RouteList { routes: object.routes().await?, ..Default::default() });
    "L4.Unpublish" Write
        Unpublish { kind: String = "Type", port: u16 = "ExtPort" }
        -> Unpublished { kind: String = "Type", result: String = "Result" }
        = |object, request| {
            let result = object.unpublish(request.port).await?;
            Ok(Unpublished { result, ..Default::default() })
        };
}
