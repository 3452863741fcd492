use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, not_applicable};
use crate::spi::{Interface, LeaderLocation, Route, Spec, SpecObject};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Objects {
    name: String,
    objects: Vec<SpecObject>,
}

async fn objects(site: &Site, metadata: &Value) -> Verdict<Objects> {
    let name = site.name(Interface::Controller)?;
    let params = json!({"Name": name, "Metadata": metadata});
    site.result("Controller.Describe", &params).await
}

async fn describes(site: &Site) -> Verdict {
    for object in objects(site, &Value::Null).await?.objects {
        ensure(!object.kind.is_empty(), || "an object has no kind".to_owned())?;
    }
    Ok(())
}

async fn echoes(site: &Site) -> Verdict {
    let name = site.name(Interface::Controller)?;
    let answer = objects(site, &Value::Null).await?;
    ensure(answer.name == name.as_str(), || format!("asked {name}, {:?} answers", answer.name))
}

async fn plans(site: &Site) -> Verdict {
    let name = site.name(Interface::Controller)?;
    let count = |found: Objects| found.objects.len();
    let before = objects(site, &Value::Null).await.map(count)?;
    let metadata = json!({"name": "regrow-check/no-such-object", "tags": null});
    let spec =
        json!({"kind": "regrow-check", "version": "", "metadata": metadata, "properties": {}});
    for operation in [0, 1] {
        let params = json!({"Name": name, "Operation": operation, "Spec": spec});
        // Whether it can plan this is its own business.
        let answer = site.call("Controller.Plan", &params).await?;
        ensure(answer.error.is_some() || !answer.result.is_null(), || {
            "it answers neither a result nor an error".to_owned()
        })?;
    }
    let after = objects(site, &Value::Null).await.map(count)?;
    ensure(before == after, || format!("{before} objects before planning, {after} after"))
}

async fn describes_unknown(site: &Site) -> Verdict {
    let name = site.name(Interface::Controller)?;
    let metadata = json!({"name": "regrow-check/no-such-object", "tags": null});
    let params = json!({"Name": name, "Metadata": metadata});
    let answer = site.call("Controller.Describe", &params).await?;
    if answer.error.is_some() {
        return Ok(());
    }
    let found: Objects = answer.result.decode().unwrap_or_default();
    ensure(found.objects.is_empty(), || {
        format!("{} objects for a name that none has", found.objects.len())
    })
}

async fn unknown_object(site: &Site) -> Verdict {
    let keyed = [
        (Interface::Controller, "Controller.Describe"),
        (Interface::Group, "Group.InspectGroups"),
        (Interface::Metadata, "Metadata.Keys"),
        (Interface::Updatable, "Updatable.Keys"),
    ];
    let Some((_, method)) =
        keyed.into_iter().find(|(interface, _)| site.offers(*interface).is_ok())
    else {
        return not_applicable("none of its objects goes by a full name");
    };
    let params = json!({"Name": "regrow-check-x/regrow-check-nobody"});
    site.refusal(method, &params).await.map(drop)
}

async fn leads(site: &Site) -> Verdict {
    site.offers(Interface::Stack)?;
    let answer = site.call("Manager.IsLeader", &json!({})).await?;
    if let Some(error) = answer.error {
        return not_applicable(format!("it does not know: {}", error.message));
    }
    let result = answer.result.to_value();
    ensure(result.get("Leader").is_some_and(Value::is_boolean), || format!("it answers {result}"))
}

async fn location(site: &Site) -> Verdict {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Answer {
        location: Option<LeaderLocation>,
    }
    site.offers(Interface::Stack)?;
    let answer = site.call("Manager.LeaderLocation", &json!({})).await?;
    if let Some(error) = answer.error {
        return not_applicable(format!("it does not know: {}", error.message));
    }
    let found: Answer = site.result("Manager.LeaderLocation", &json!({})).await?;
    let Some(location) = found.location else { return Ok(()) };
    ensure(!location.host.is_empty(), || "the location has no host".to_owned())
}

async fn specs(site: &Site) -> Verdict {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Answer {
        specs: Vec<Spec>,
    }
    site.offers(Interface::Stack)?;
    let found: Answer = site.result("Manager.Specs", &json!({})).await?;
    ensure(found.specs.iter().all(|spec| !spec.kind.is_empty()), || "a spec has no kind".to_owned())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Balancer {
    name: String,
    routes: Vec<Route>,
    #[serde(rename = "IDs")]
    ids: Vec<String>,
}

async fn balancer(site: &Site, method: &str) -> Verdict<Balancer> {
    let kind = site.kind(Interface::L4)?;
    site.result(method, &json!({ "Type": kind })).await
}

async fn balancer_name(site: &Site) -> Verdict {
    let name = balancer(site, "L4.Name").await?.name;
    ensure(!name.is_empty(), || "the load balancer has no name".to_owned())
}

async fn routes(site: &Site) -> Verdict {
    let routes = balancer(site, "L4.Routes").await?.routes;
    let ports: BTreeSet<_> = routes.iter().map(|route| route.load_balancer_port).collect();
    ensure(ports.len() == routes.len(), || "two routes have the same port".to_owned())
}

async fn route_protocols(site: &Site) -> Verdict {
    let kind = site.kind(Interface::L4)?;
    let answer: Value = site.result("L4.Routes", &json!({ "Type": kind })).await?;
    for route in answer.get("Routes").and_then(Value::as_array).into_iter().flatten() {
        for field in ["Protocol", "LoadBalancerProtocol"] {
            let text = route.get(field).and_then(Value::as_str).unwrap_or("");
            ensure(text == text.to_ascii_uppercase(), || format!("{field} is {text:?}"))?;
        }
    }
    Ok(())
}

async fn backends(site: &Site) -> Verdict {
    let ids = balancer(site, "L4.Backends").await?.ids;
    let unique: BTreeSet<_> = ids.iter().collect();
    ensure(unique.len() == ids.len(), || "a backend is listed twice".to_owned())
}

async fn resources(site: &Site) -> Verdict {
    let name = site.name(Interface::Resource)?;
    let spec = json!({"ID": "regrow-check", "Properties": {}});
    let params = json!({"Name": name, "Spec": spec, "Pretend": true});
    for method in ["Resource.Commit", "Resource.Destroy", "Resource.DescribeResources"] {
        let answer = site.call(method, &params).await?;
        ensure(answer.error.is_some() || !answer.result.is_null(), || {
            format!("{method} answers neither a result nor an error")
        })?;
    }
    Ok(())
}

super::checks! {
    "controller.describe" Must "lists its objects with their kinds" = describes;
    "controller.echo" Should "returns the Name of the request" = echoes;
    "controller.plan" Must "changes nothing when it plans" = plans;
    "controller.unknown" Must "lists nothing for a name that no object has" = describes_unknown;
    "names.unknown" Must "refuses a full name that means no object" = unknown_object;
    "stack.leader" Must "says whether it leads" = leads;
    "stack.location" Must "says where the leader is" = location;
    "stack.specs" Must "lists the stored specs" = specs;
    "l4.name" Must "has a name" = balancer_name;
    "l4.routes" Must "lists routes with ports of their own" = routes;
    "l4.protocols" Should "writes protocols in upper case" = route_protocols;
    "l4.backends" Must "lists each backend once" = backends;
    "resource.pretend" Must "answers when it pretends" = resources;
}
