//! What is shown of groups as trees (InfraKit specification §4.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use regrow_ids::GroupId;
use regrow_plugin::spi::Metadata;
use serde_json::{Value, json};

use crate::fakes::{Rig, rig, sized};

fn tree(rig: &Rig, name: &str) -> Arc<dyn Metadata> {
    rig.plugins.get("group").and_then(|plugin| plugin.metadata()?.get(name)).expect("a tree")
}

async fn get(tree: &Arc<dyn Metadata>, path: &str) -> Option<Value> {
    tree.get(path).await.expect(path).map(|value| value.to_value())
}

#[tokio::test(start_paused = true)]
async fn specs_and_groups_are_shown_as_trees() {
    let rig = rig().await;
    let (specs, groups) = (tree(&rig, "specs"), tree(&rig, "groups"));
    assert_eq!(groups.keys("").await.expect("keys"), Vec::<String>::new());
    rig.commit(&sized(1, 2)).await;
    rig.converged().await;
    assert_eq!(specs.keys("").await.expect("keys"), ["g"]);
    assert_eq!(specs.keys("g").await.expect("keys"), ["ID", "Properties"]);
    assert_eq!(get(&specs, "g/Properties/Allocation/Size").await, Some(json!(2)));
    assert_eq!(get(&specs, "g/Properties/Instance/Plugin").await, Some(json!("machines")));
    let names = ["Blocked", "Converged", "Instances", "StepsOpen"];
    assert_eq!(groups.keys("g").await.expect("keys"), names);
    assert_eq!(get(&groups, "g/Converged").await, Some(json!(true)));
    assert_eq!(groups.keys("g/Instances").await.expect("keys"), ["[0]", "[1]"]);
    let ids: Vec<_> = rig.machines.ids().iter().map(|id| json!(id.as_str())).collect();
    for (at, id) in ids.iter().enumerate() {
        for path in [format!("g/Instances/[{at}]/ID"), format!("g/Instances[{at}]/ID")] {
            assert_eq!(get(&groups, &path).await.as_ref(), Some(id), "{path}");
        }
    }
    // Taken anew at each question.
    rig.api.set_size(&GroupId::from("g"), 3).await.expect("size");
    assert_eq!(get(&specs, "g/Properties/Allocation/Size").await, Some(json!(3)));
    assert_eq!(get(&groups, "g/Converged").await, Some(json!(false)));
    for path in ["h", "g/Nothing", "g/Instances/[7]"] {
        assert_eq!(get(&groups, path).await, None, "{path}");
        assert_eq!(groups.keys(path).await.expect("keys"), Vec::<String>::new(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_about_the_state_of_a_group_asks_no_provider() {
    let rig = rig().await;
    rig.commit(&sized(1, 1)).await;
    let mut odd = sized(1, 1);
    odd.id = GroupId::from("a[b");
    rig.commit(&odd).await;
    rig.converged().await;
    let groups = tree(&rig, "groups");
    rig.machines.lists_fail.store(true, Ordering::Relaxed);
    assert_eq!(groups.keys("").await.expect_err("all of them").to_string(), "the cloud is down");
    groups.get("g/Instances").await.expect_err("its members");
    for path in ["g/StepsOpen", "'a[b'/StepsOpen", "./g//StepsOpen"] {
        assert_eq!(get(&groups, path).await, Some(json!(0)), "{path}");
    }
    rig.machines.lists_fail.store(false, Ordering::Relaxed);
    assert_eq!(groups.keys("").await.expect("keys"), ["'a[b'", "g"]);
    assert_eq!(groups.keys("'a[b'/Instances").await.expect("keys"), ["[0]"]);
}
