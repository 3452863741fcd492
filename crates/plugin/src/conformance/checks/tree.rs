use serde::Deserialize;
use serde_json::{Value, json};

use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, not_applicable};
use crate::spi::Interface;

/// Children of the root that are read.
const SAMPLE: usize = 10;

/// Place for probes; nothing is ever stored there.
const PROBE: &str = "regrow-check/probe";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    name: String,
    nodes: Vec<String>,
    value: Value,
    original: Value,
    proposed: Value,
    cas: String,
}

/// The interface that reads: the plain one, else the changeable one.
fn readable(site: &Site) -> Verdict<Interface> {
    match site.offers(Interface::Metadata) {
        Ok(()) => Ok(Interface::Metadata),
        Err(_) => site.offers(Interface::Updatable).map(|()| Interface::Updatable),
    }
}

async fn read(site: &Site, method: &str, path: &str) -> Verdict<Answer> {
    let interface = readable(site)?;
    let name = site.name(interface)?;
    let method = format!("{}.{method}", interface.service());
    site.result(&method, &json!({"Name": name, "Path": path})).await
}

async fn keys(site: &Site) -> Verdict {
    let nodes = read(site, "Keys", "").await?.nodes;
    ensure(nodes.is_sorted(), || format!("the children are not sorted: {nodes:?}"))?;
    ensure(nodes.iter().all(|node| !node.is_empty()), || "a child has no name".to_owned())
}

async fn values(site: &Site) -> Verdict {
    for node in read(site, "Keys", "").await?.nodes.into_iter().take(SAMPLE) {
        read(site, "Get", &node).await?;
    }
    Ok(())
}

async fn missing(site: &Site) -> Verdict {
    let value = read(site, "Get", "regrow-check/no/such/path").await?.value;
    ensure(value.is_null(), || format!("a path that is not there has the value {value}"))?;
    let nodes = read(site, "Keys", "regrow-check/no/such/path").await?.nodes;
    ensure(nodes.is_empty(), || format!("a path that is not there has the children {nodes:?}"))
}

async fn echoes(site: &Site) -> Verdict {
    let name = site.name(readable(site)?)?;
    let answer = read(site, "Keys", "").await?;
    ensure(answer.name == name.as_str(), || format!("asked {name}, {:?} answers", answer.name))
}

async fn propose(site: &Site) -> Verdict<Answer> {
    let name = site.name(Interface::Updatable)?;
    let changes = json!([{"Path": PROBE, "Value": 5}]);
    let params = json!({"Name": name, "Changes": changes});
    let answer = site.call("Updatable.Changes", &params).await?;
    match answer.error {
        Some(error) if error.message == "readonly" => not_applicable("it is read-only"),
        _ => site.result("Updatable.Changes", &params).await,
    }
}

async fn proposes(site: &Site) -> Verdict {
    let answer = propose(site).await?;
    let probe = answer.proposed.pointer(&format!("/{PROBE}"));
    ensure(probe == Some(&json!(5)), || format!("{PROBE} = 5 is proposed as {probe:?}"))?;
    ensure(answer.original.pointer(&format!("/{PROBE}")).is_none(), || {
        "the change is in the original".to_owned()
    })?;
    ensure(!answer.cas.is_empty(), || "the proposal has no hash".to_owned())
}

async fn stores_nothing(site: &Site) -> Verdict {
    let first = propose(site).await?;
    let second = propose(site).await?;
    ensure(first.original == second.original, || "a proposal was stored".to_owned())?;
    ensure(first.cas == second.cas, || {
        format!("the same change has hash {}, then {}", first.cas, second.cas)
    })
}

async fn compares(site: &Site) -> Verdict {
    let before = propose(site).await?;
    let name = site.name(Interface::Updatable)?;
    let params = json!({"Name": name, "Proposed": before.proposed, "Cas": "regrow-check"});
    let refused = site.refusal("Updatable.Commit", &params).await;
    let after = propose(site).await?;
    ensure(before.original == after.original, || {
        "a commit with a wrong hash was stored".to_owned()
    })?;
    refused.map(drop)
}

super::checks! {
    "metadata.keys" Must "lists the children of the root, sorted" = keys;
    "metadata.get" Must "reads the children that it lists" = values within 12;
    "metadata.missing" Must "has nothing at a path that is not there" = missing;
    "metadata.echo" Should "returns the Name of the request" = echoes;
    "updatable.changes" Must "says what a change would do" = proposes;
    "updatable.no-store" Must "stores nothing when it proposes" = stores_nothing;
    "updatable.compare" Must "refuses a commit with a wrong hash" = compares;
}
