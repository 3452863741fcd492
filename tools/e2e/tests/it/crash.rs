//! I2 on real processes: `kill -9` of the controller in the middle of its work, again and again.

use std::time::Duration;

use anyhow::Result;
use e2e::{Stack, StackOptions};
use regrow_plugin::spi::Tags;
use serde_json::json;

use super::{WITHIN, group};

const KINDS: [&str; 3] = ["group", "vanilla", "file"];
const MEMBERS: u32 = 40;

#[tokio::test]
async fn a_controller_that_is_killed_at_any_time_ends_with_exactly_as_many() -> Result<()> {
    let mut home = Some(tempfile::tempdir()?);
    for (round, pause) in [0, 1, 2, 3, 5, 8, 13, 21].into_iter().enumerate() {
        let mut options = StackOptions::of(&KINDS);
        options.home = home.take();
        let stack = Stack::start(options).await?;
        let properties = json!({
            "Instance": {"Plugin": "file", "Properties": {"Round": round}},
            "Flavor": {"Plugin": "vanilla", "Properties": {}},
            "Allocation": {"Size": MEMBERS},
            "Update": {"MaxSurge": "50%"},
        });
        stack.groups().await?.commit_group(&group("herd", properties), false).await?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        home = Some(stack.crash()?);
    }
    let mut options = StackOptions::of(&KINDS);
    options.home = home;
    let stack = Stack::start(options).await?;
    let properties = json!({
        "Instance": {"Plugin": "file", "Properties": {"Round": "last"}},
        "Flavor": {"Plugin": "vanilla", "Properties": {}},
        "Allocation": {"Size": MEMBERS},
        "Update": {"MaxSurge": "50%"},
    });
    stack.converge(&group("herd", properties), WITHIN).await?;
    let files = stack.instances("file").await?.describe_instances(&Tags::new(), false).await?;
    assert_eq!(files.len(), MEMBERS as usize, "{}", stack.log());
    Ok(())
}
