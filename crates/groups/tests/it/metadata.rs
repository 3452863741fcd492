//! What is shown of groups as a tree (InfraKit specification §4.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use regrow_ids::GroupId;
use regrow_plugin::spi::Metadata;
use serde_json::{Value, json};

use crate::fakes::{Rig, rig, sized};

fn tree(rig: &Rig) -> Arc<dyn Metadata> {
    rig.plugins.get("group").and_then(|plugin| plugin.metadata()?.get(".")).expect("a tree")
}

async fn get(tree: &Arc<dyn Metadata>, path: &str) -> Option<Value> {
    tree.get(path).await.expect(path).map(|value| value.to_value())
}

#[tokio::test(start_paused = true)]
async fn specs_and_groups_are_shown_in_one_tree() {
    let rig = rig().await;
    let tree = tree(&rig);
    // All of it is one object without a name, the root of the plugin.
    let names = rig.plugins.get("group").and_then(|plugin| Some(plugin.metadata()?.names()));
    assert_eq!(names, Some(vec![".".to_owned()]));
    assert_eq!(tree.keys("").await.expect("keys"), ["groups", "specs"]);
    assert_eq!(tree.keys("groups").await.expect("keys"), Vec::<String>::new());
    rig.commit(&sized(1, 2)).await;
    rig.converged().await;
    assert_eq!(tree.keys("specs").await.expect("keys"), ["g"]);
    assert_eq!(tree.keys("specs/g").await.expect("keys"), ["ID", "Properties"]);
    assert_eq!(get(&tree, "specs/g/Properties/Allocation/Size").await, Some(json!(2)));
    assert_eq!(get(&tree, "specs/g/Properties/Instance/Plugin").await, Some(json!("machines")));
    let names = ["Blocked", "Converged", "Instances", "StepsOpen"];
    assert_eq!(tree.keys("groups/g").await.expect("keys"), names);
    assert_eq!(get(&tree, "groups/g/Converged").await, Some(json!(true)));
    assert_eq!(tree.keys("groups/g/Instances").await.expect("keys"), ["[0]", "[1]"]);
    let ids: Vec<_> = rig.machines.ids().iter().map(|id| json!(id.as_str())).collect();
    for (at, id) in ids.iter().enumerate() {
        for path in
            [format!("groups/g/Instances/[{at}]/ID"), format!("groups/g/Instances[{at}]/ID")]
        {
            assert_eq!(get(&tree, &path).await.as_ref(), Some(id), "{path}");
        }
    }
    let whole = get(&tree, "").await.expect("all");
    assert_eq!(whole["groups"]["g"]["Converged"], json!(true));
    assert_eq!(whole["specs"]["g"]["ID"], json!("g"));
    // Taken anew at each question.
    rig.api.set_size(&GroupId::from("g"), 3).await.expect("size");
    assert_eq!(get(&tree, "specs/g/Properties/Allocation/Size").await, Some(json!(3)));
    assert_eq!(get(&tree, "groups/g/Converged").await, Some(json!(false)));
    for path in ["h", "groups/h", "groups/g/Nothing", "groups/g/Instances/[7]", "specs/g/Nothing"] {
        assert_eq!(get(&tree, path).await, None, "{path}");
        assert_eq!(tree.keys(path).await.expect("keys"), Vec::<String>::new(), "{path}");
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
    let tree = tree(&rig);
    rig.machines.lists_fail.store(true, Ordering::Relaxed);
    assert_eq!(
        tree.keys("groups").await.expect_err("all of them").to_string(),
        "the cloud is down"
    );
    tree.get("groups/g/Instances").await.expect_err("its members");
    for path in ["groups/g/StepsOpen", "groups/'a[b'/StepsOpen", "./groups//g/StepsOpen"] {
        assert_eq!(get(&tree, path).await, Some(json!(0)), "{path}");
    }
    assert_eq!(get(&tree, "specs/g/ID").await, Some(json!("g")));
    assert_eq!(tree.keys("").await.expect("keys"), ["groups", "specs"]);
    rig.machines.lists_fail.store(false, Ordering::Relaxed);
    assert_eq!(tree.keys("groups").await.expect("keys"), ["'a[b'", "g"]);
    assert_eq!(tree.keys("groups/'a[b'/Instances").await.expect("keys"), ["[0]"]);
}
