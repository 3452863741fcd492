//! State that InfraKit wrote is taken over without replacing anybody.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use e2e::{Stack, StackOptions};
use regrow_ids::{GroupId, PluginName};
use regrow_plugin::Lookup;
use serde_json::json;

use super::WITHIN;

/// Hash that InfraKit computed for this configuration.
const HASH: &str = "jwc4vmxxqwrpp72ce36c4tbzgfganbao";

/// The layout of InfraKit's file store and file instances, as it was captured.
fn infrakit_state(home: &Path) -> Result<()> {
    let properties = json!({
        "Allocation": {"Size": 2},
        "Instance": {"Plugin": "file", "Properties": {"Note": "v1"}},
        "Flavor": {"Plugin": "vanilla", "Properties": {
            "Init": ["echo hello"], "Tags": {"tier": "web"},
            "Attachments": [{"ID": "attachid", "Type": "attachtype"}]}},
    });
    let stored = json!([{
        "Key": {"Kind": "group", "Name": "cattle"},
        "Record": {"Handler": "group-stateless", "Spec": {
            "kind": "group", "version": "",
            "metadata": {"name": "cattle", "tags": null}, "properties": properties}},
    }]);
    fs::create_dir_all(home.join("configs"))?;
    fs::write(home.join("configs/global.config"), serde_json::to_string_pretty(&stored)?)?;
    fs::write(home.join("configs/vars.vars"), r#"{"cluster":{"size":5}}"#)?;
    fs::write(home.join("leader"), "manager1\n")?;
    fs::create_dir_all(home.join("instances"))?;
    for number in [2_996_529_747_050_757_360_u64, 5_210_000_000_000_000_001] {
        let id = format!("instance-{number}");
        let tags = json!({"infrakit.config.hash": HASH, "infrakit.group": "cattle", "tier": "web"});
        let instance = json!({"ID": id, "LogicalID": null, "Tags": tags, "Spec": {
            "Properties": {"Note": "v1"}, "Tags": tags, "Init": "echo hello", "LogicalID": null,
            "Attachments": [{"ID": "attachid", "Type": "attachtype"}]}});
        fs::write(home.join("instances").join(&id), instance.to_string())?;
    }
    Ok(())
}

fn instances(home: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(home.join("instances"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("instance-") {
            found.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_running_estate_of_infrakit_goes_on_unchanged() -> Result<()> {
    let home = tempfile::tempdir()?;
    infrakit_state(home.path())?;
    let before = instances(home.path())?;
    let options = StackOptions::of(&["manager:mystack", "group", "vanilla", "file", "vars"])
        .with("INFRAKIT_MUX_LISTEN", "127.0.0.1:0")
        .with("INFRAKIT_GROUP_POLL_INTERVAL", "1s")
        .at(home);
    let stack = Stack::start(options).await?;
    let mystack = stack.plugins().group(&PluginName::from("mystack/groups")).await?;
    let cattle = GroupId::from("cattle");
    let end = std::time::Instant::now() + WITHIN;
    while !mystack.describe_group(&cattle).await.is_ok_and(|group| group.converged) {
        assert!(std::time::Instant::now() < end, "not taken over: {}", stack.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Some polls later still the same files, byte for byte.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(instances(stack.home())?, before, "{}", stack.log());
    let vars = stack.plugins().updatable(&PluginName::from("mystack/vars")).await?;
    let size = vars.get("cluster/size").await?.map(|value| value.as_text().to_owned());
    assert_eq!(size.as_deref(), Some("5"));

    // And it is alive: a lost member comes back.
    let lost = before.keys().next().cloned().unwrap_or_default();
    fs::remove_file(stack.home().join("instances").join(lost))?;
    while instances(stack.home())?.len() < 2 {
        assert!(std::time::Instant::now() < end, "not healed: {}", stack.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
