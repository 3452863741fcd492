//! A plugin of another language, driven by our group controller.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{Stack, StackOptions};
use regrow_ids::GroupId;
use regrow_plugin::spi::{DestroyReason, Tags};
use serde_json::json;

use super::{WITHIN, group};

struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_python_plugin_is_driven_and_healed() -> Result<()> {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("not run, promise untested: P4 with a Python plugin under groups (needs python3)");
        return Ok(());
    }
    let options = StackOptions::of(&["group", "vanilla"]);
    let stack = Stack::start(options.with("INFRAKIT_GROUP_POLL_INTERVAL", "1s")).await?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/plugins/python/instance_plugin.py");
    let _python = Python(
        Command::new("python3")
            .arg(script)
            .arg("snakes")
            .env("INFRAKIT_PLUGINS_DIR", stack.home().join("plugins"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start python3")?,
    );
    while !stack.home().join("plugins/snakes").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let spec = group(
        "nest",
        json!({
            "Instance": {"Plugin": "snakes", "Properties": {"Length": 3}},
            "Flavor": {"Plugin": "vanilla", "Properties": {"Init": ["hiss"]}},
            "Allocation": {"Size": 4},
        }),
    );
    stack.converge(&spec, WITHIN).await?;
    let snakes = stack.instances("snakes").await?;
    let members = snakes.describe_instances(&Tags::new(), true).await?;
    assert_eq!(members.len(), 4);

    let lost = members[0].id.clone();
    snakes.destroy(&lost, DestroyReason::Terminate).await?;
    let end = std::time::Instant::now() + WITHIN;
    loop {
        let now = snakes.describe_instances(&Tags::new(), false).await?;
        if now.len() == 4 && now.iter().all(|d| d.id != lost) {
            break;
        }
        assert!(std::time::Instant::now() < end, "not healed: {}", stack.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    stack.groups().await?.destroy_group(&GroupId::from("nest")).await?;
    assert!(snakes.describe_instances(&Tags::new(), false).await?.is_empty());
    Ok(())
}
