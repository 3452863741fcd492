use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, fail, not_applicable};
use crate::spi::Interface;
use crate::wire::Hello;

/// How long the head of an event stream may take; the original sends none before the first event.
const STREAM_PAUSE: Duration = Duration::from_secs(5);

async fn hello(site: &Site) -> Verdict {
    site.hello().map(drop)
}

async fn keys(site: &Site) -> Verdict {
    for spec in site.hello()?.objects.keys() {
        let parts: Vec<_> = spec.split('/').collect();
        ensure(
            (2..=3).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty()),
            || format!("{spec:?} is not of the form Interface/Version"),
        )?;
    }
    Ok(())
}

async fn known_interface(site: &Site) -> Verdict {
    let hello = site.hello()?;
    let mut misses = Vec::new();
    for interface in Interface::ALL {
        match hello.require(interface) {
            Ok(()) => return Ok(()),
            Err(error) => misses.push(error.to_string()),
        }
    }
    let versions: Vec<_> = misses.into_iter().filter(|text| text.contains("version")).collect();
    if versions.is_empty() {
        return fail(format!("it offers {:?}, none of which is known", hello.objects.keys()));
    }
    fail(versions.join("; "))
}

async fn object_names(site: &Site) -> Verdict {
    for (spec, objects) in &site.hello()?.objects {
        let names: BTreeSet<_> = objects.iter().map(|object| object.name.as_str()).collect();
        ensure(names.len() == objects.len(), || format!("{spec} lists a name twice"))?;
        ensure(!names.contains(""), || format!("{spec} lists an object without a name"))?;
    }
    Ok(())
}

async fn repeats(site: &Site) -> Verdict {
    let again: Hello = site.result("Handshake.Hello", &json!({})).await?;
    let first = site.hello()?;
    let interfaces = |hello: &Hello| hello.objects.keys().cloned().collect::<Vec<_>>();
    ensure(interfaces(first) == interfaces(&again), || {
        format!("it offers {:?}, then {:?}", interfaces(first), interfaces(&again))
    })
}

/// Every method of an offered interface must be there; calls with params that no object has are
/// enough to see that, and change nothing.
async fn methods(site: &Site) -> Verdict {
    let reads = site.reads();
    if reads.is_empty() {
        return not_applicable("it offers no known interface");
    }
    for row in reads {
        if row.interface() == Interface::Stack {
            // Its requests name no object, so that a call with nothing in it would be real.
            continue;
        }
        let nobody = json!({"Type": "regrow-check-nobody", "Name": "regrow-check/nobody"});
        let answer = site.call(row.method(), &nobody).await?;
        if let Some(error) = answer.error {
            ensure(!error.message.contains("can't find"), || {
                format!("{} is missing: {:?}", row.method(), error.message)
            })?;
        }
    }
    Ok(())
}

async fn document(site: &Site, path: &str) -> Verdict<Value> {
    let http = site.exchange(&site.request("GET", path, &[], b"")).await?;
    ensure(http.status == 200, || format!("/{path}: HTTP status {}", http.status))?;
    serde_json::from_slice(&http.body).or_else(|error| fail(format!("/{path}: {error}")))
}

async fn api(site: &Site) -> Verdict {
    let api = document(site, "info/api.json").await?;
    let implements = api.get("Implements").and_then(Value::as_array).cloned().unwrap_or_default();
    ensure(!implements.is_empty(), || "Implements lists no interface".to_owned())?;
    for named in &implements {
        let part = |key| named.get(key).and_then(Value::as_str).unwrap_or("");
        let spec = format!("{}/{}", part("Name"), part("Version"));
        ensure(site.hello()?.objects.contains_key(&spec), || {
            format!("Implements lists {spec}, the handshake does not")
        })?;
    }
    Ok(())
}

async fn api_methods(site: &Site) -> Verdict {
    let api = document(site, "info/api.json").await?;
    let interfaces = api.get("Interfaces").and_then(Value::as_array).cloned().unwrap_or_default();
    let methods: Vec<String> = interfaces
        .iter()
        .filter_map(|interface| interface.get("Methods")?.as_array())
        .flatten()
        .filter_map(|method| Some(method.pointer("/Request/method")?.as_str()?.to_owned()))
        .collect();
    ensure(!methods.is_empty(), || "no method is described".to_owned())?;
    for method in methods {
        let nobody = json!({"Type": "regrow-check-nobody", "Name": "regrow-check/nobody"});
        if method.starts_with("Manager.") {
            continue;
        }
        let error = site.call(&method, &nobody).await?.error.unwrap_or_default();
        ensure(!error.message.contains("can't find"), || format!("{method} is not there"))?;
    }
    Ok(())
}

async fn functions(site: &Site) -> Verdict {
    let functions = document(site, "info/functions.json").await?;
    ensure(functions.is_object(), || format!("it is not a map: {functions}"))
}

async fn stream(site: &Site) -> Verdict {
    site.offers(Interface::Event)?;
    let mut connection = site.connect().await?;
    let request = site.request("GET", "events?topic=/regrow-check/no-such-topic", &[], b"");
    connection.send(&request).await?;
    match tokio::time::timeout(STREAM_PAUSE, connection.head()).await {
        Err(_) => not_applicable("it sends no head before the first event, as InfraKit does"),
        Ok(head) => {
            let head = head?;
            ensure(head.status == 200, || format!("HTTP status {}", head.status))?;
            let kind = head.header("content-type");
            ensure(kind.starts_with("text/event-stream"), || format!("Content-Type {kind:?}"))
        }
    }
}

async fn stream_does_not_block(site: &Site) -> Verdict {
    site.offers(Interface::Event)?;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut connection = site.connect().await?;
        connection.send(&site.request("GET", "events?topic=/", &[], b"")).await?;
        open.push(connection);
    }
    site.still_well("four subscribers that do not read").await
}

async fn topics(site: &Site) -> Verdict {
    site.offers(Interface::Event)?;
    let found: Value = site.result("Event.List", &json!({"Topic": ""})).await?;
    let nodes = found.get("Nodes").unwrap_or(&Value::Null);
    ensure(nodes.is_array() || nodes.is_null(), || format!("Nodes is {nodes}"))?;
    let names = nodes.as_array().cloned().unwrap_or_default();
    ensure(names.iter().all(Value::is_string), || format!("Nodes is {nodes}"))
}

super::checks! {
    "handshake.hello" Must "answers Handshake.Hello" = hello;
    "handshake.keys" Must "names interfaces as Interface/Version" = keys;
    "handshake.known" Must "offers a known interface in the right version" = known_interface;
    "handshake.objects" Should "gives each object a name of its own" = object_names;
    "handshake.repeats" Must "says the same twice" = repeats;
    "handshake.methods" Must "has every method of its interfaces" = methods within 8;
    "info.api" Should "describes itself at /info/api.json" = api;
    "info.methods" Should "describes methods that it has" = api_methods within 8;
    "info.functions" Should "lists its template functions" = functions;
    "event.list" Must "lists topics" = topics;
    "event.stream" Must "accepts a subscription to any topic" = stream;
    "event.no-block" Must "serves calls while subscribers do not read" = stream_does_not_block;
}
