//! What a leader hands over, and what a user commits.

use std::time::Duration;

use regrow_ids::{Fence, GroupId};
use regrow_plugin::Mandate;
use regrow_plugin::spi::GroupSpec;
use serde_json::json;

use crate::fakes::{Rig, document, rig};

/// What a leader does with a spec, a pretence or the real thing.
async fn under_a_leader(
    rig: &Rig,
    spec: &GroupSpec,
    pretend: bool,
) -> Result<String, regrow_plugin::PluginError> {
    let mandate = Mandate { fence: Fence::new(8), lineage: 3 };
    Mandate::scope(Some(mandate), rig.api.commit_group(spec, pretend)).await
}

#[tokio::test(start_paused = true)]
async fn a_stored_spec_is_taken_up_although_its_plugins_would_refuse_it_now() {
    let rig = rig().await;
    for bad in [
        json!({"Flavor": {"Plugin": "plain", "Properties": {"Bad": 1}}}),
        json!({"Instance": {"Plugin": "machines", "Properties": {"Bad": 2}}}),
    ] {
        let mut spec = document(1, &bad);
        let mut properties = spec.properties.to_value();
        properties["Allocation"] = json!({"Size": 2});
        spec.properties = properties.into();
        rig.api.commit_group(&spec, false).await.expect_err("a user is told");
        under_a_leader(&rig, &spec, true).await.expect_err("so is a leader that asks for a user");
        under_a_leader(&rig, &spec, false).await.expect("stored before");
        rig.converged().await;
        let lost = rig.machines.live.lock().unwrap().pop_first().expect("a member");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(rig.machines.count(), 2, "{} was replaced", lost.0);
        rig.api.destroy_group(&GroupId::from("g")).await.expect("destroyed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_spec_waits_for_a_flavor_that_is_not_there_yet() {
    let rig = rig().await;
    let spec = document(1, &json!({"Allocation": {"Size": 2}, "Flavor": {"Plugin": "later"}}));
    under_a_leader(&rig, &spec, false).await.expect("stored before");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.machines.count(), 0);
    let blocked = rig.groups.status(&GroupId::from("g")).expect("watched").blocked;
    assert!(blocked.iter().any(|why| why.starts_with("slot 0 waits")), "{blocked:?}");
    let plain = rig.plugins.get("plain").and_then(|p| p.flavors()?.get(".")).expect("a flavor");
    let flavors = regrow_plugin::FixedObjects::single(plain);
    rig.plugins.add(regrow_plugin::Plugin::new("later").with_flavors(flavors));
    rig.converged().await;
    assert_eq!(rig.machines.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_none_is_refused_from_a_leader_too() {
    let rig = rig().await;
    let spec = document(1, &json!({}));
    let fault = under_a_leader(&rig, &spec, false).await.expect_err("no size");
    assert_eq!(fault.to_string(), "Allocation must not be blank");
}
