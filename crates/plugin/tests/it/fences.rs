//! Calls under fences, in the process and over sockets.

use std::sync::Arc;

use regrow_ids::{Fence, InstanceId};
use regrow_plugin::spi::{DestroyReason, Instance, InstanceSpec};
use regrow_plugin::{Lookup, Mandate, Plugin, Registry};

use crate::support::{self, Memory};

fn under(fence: u64) -> Option<Mandate> {
    Some(Mandate { fence: Fence::new(fence), lineage: 77 })
}

async fn count(object: &dyn Instance) -> usize {
    object.describe_instances(&support::tags([]), false).await.expect("listed").len()
}

/// An old leader whose actions were queued while another took over.
async fn an_old_leader_is_refused(object: Arc<dyn Instance>) {
    let spec = InstanceSpec::default();
    let made = Mandate::scope(under(5), object.provision(&spec)).await.expect("leads");
    // The new leader only looks; that is enough.
    assert_eq!(Mandate::scope(under(6), count(&*object)).await, 1);
    let fault = Mandate::scope(under(5), object.provision(&spec)).await.expect_err("stale");
    assert!(fault.to_string().contains("under fence 5"), "{fault}");
    assert!(fault.to_string().contains("fence 6"), "{fault}");
    let destroy = object.destroy(&made, DestroyReason::Terminate);
    Mandate::scope(under(5), destroy).await.expect_err("stale");
    let labels = support::tags([("a", "b")]);
    Mandate::scope(under(5), object.label(&made, &labels)).await.expect_err("stale");
    assert_eq!(Mandate::scope(under(5), count(&*object)).await, 1, "looking harms nobody");
    object.provision(&spec).await.expect("a person has no fence");
    let other = Some(Mandate { fence: Fence::new(1), lineage: 1 });
    Mandate::scope(other, object.provision(&spec)).await.expect("not to be compared");
    Mandate::scope(under(6), object.provision(&spec)).await.expect("leads");
    assert_eq!(count(&*object).await, 4);
}

#[tokio::test]
async fn in_the_process() {
    let registry = Registry::default();
    registry.add(Plugin::instance("memory", Memory::default()));
    an_old_leader_is_refused(registry.instance(&support::name("memory")).await.expect("there"))
        .await;
}

#[tokio::test]
async fn over_a_socket() {
    let directory = support::directory();
    let plugin = Plugin::instance("memory", Memory::default());
    let running = support::start(plugin, directory.path()).await;
    let client = support::client(&running);
    an_old_leader_is_refused(client.instance(&support::name("memory")).await.expect("there")).await;
}

#[tokio::test]
async fn both_ways_lead_through_one_gate() {
    let directory = support::directory();
    let plugin = Plugin::instance("memory", Memory::default());
    let (registry, name) = (Registry::default(), support::name("memory"));
    registry.add(plugin.clone());
    let running = support::start(plugin, directory.path()).await;
    let far = support::client(&running).instance(&name).await.expect("there");
    let near = registry.instance(&name).await.expect("there");
    Mandate::scope(under(6), count(&*near)).await;
    let id = InstanceId::from("x");
    let destroy = far.destroy(&id, DestroyReason::Terminate);
    let fault = Mandate::scope(under(5), destroy).await.expect_err("stale");
    assert!(fault.to_string().contains("under fence 5"), "{fault}");
}

#[tokio::test]
async fn a_header_that_is_no_mandate_is_refused_before_any_effect() {
    let directory = support::directory();
    let running = support::start(Plugin::instance("memory", Memory::default()), directory.path());
    let running = running.await;
    for value in ["x", "-1", "", "1;lineage", "99999999999999999999999"] {
        let body = r#"{"jsonrpc":"2.0","method":"Instance.Provision","params":{},"id":1}"#;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nRegrow-Fence: {value}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = support::raw(&directory.path().join("memory"), request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{value:?}: {answer:?}");
    }
    let object = support::client(&running).instance(&support::name("memory")).await;
    assert_eq!(count(&*object.expect("there")).await, 0);
}
