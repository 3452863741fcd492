//! How plugins name what their lists cover, as a manager in the same process hears it.

use std::sync::Arc;

use regrow_codec::Any;
use regrow_ids::PluginName;
use regrow_plugin::spi::World;
use regrow_plugin::{Lookup, Registry};
use regrow_providers::selector::{Choices, Selector, Strategy};
use regrow_providers::{file, process, simulator};
use serde_json::json;

async fn worlds(registry: &Registry, plugin: &str) -> Vec<World> {
    let found = registry.instance(&PluginName::new(plugin)).await.expect(plugin);
    found.worlds().await.expect("said")
}

#[tokio::test]
async fn each_provider_names_its_world_and_selectors_name_those_behind_them() {
    let dir = tempfile::tempdir().expect("dir");
    let registry = Arc::new(Registry::default());
    for (name, place) in [("one", "a"), ("two", "b"), ("again", "a")] {
        let options = file::Options { dir: Some(dir.path().join(place)), notify: false };
        registry.add(file::plugin(name, &options).expect("opened"));
    }
    registry.add(simulator::plugin("sim", &simulator::Options::default()).expect("made"));
    let options = process::Options { dir: Some(dir.path().join("p")), ..Default::default() };
    registry.add(process::plugin("process", &options).await.expect("opened"));

    let one = worlds(&registry, "one").await;
    assert_eq!(one, worlds(&registry, "again").await, "one folder under two names");
    assert_ne!(one, worlds(&registry, "two").await);
    assert!(one[0].as_str().starts_with("file /"), "{one:?}");
    assert!(worlds(&registry, "process").await[0].as_str().starts_with("process /"));
    let (compute, disk) =
        (worlds(&registry, "sim/compute").await, worlds(&registry, "sim/disk").await);
    assert!(compute[0].as_str().starts_with("simulator sim/compute on"), "{compute:?}");
    assert_ne!(compute, disk);

    let choices = json!([{"Name": "one"}, {"Name": "sim/compute"}, {"Name": "again"}]);
    let choices = Choices::read(&Any::from(choices)).expect("choices");
    let lookup: Arc<dyn Lookup> = registry.clone();
    let selector = Selector::new(Strategy::Spread, choices, lookup);
    registry.add(regrow_plugin::Plugin::instance("spread", selector));
    assert_eq!(worlds(&registry, "spread").await, [one, compute].concat(), "each once");
    registry.remove("sim");
    let spread = registry.instance(&"spread".into()).await.expect("there");
    let fault = spread.worlds().await.expect_err("one is gone").to_string();
    assert!(fault.contains("name the world of") && fault.contains("sim/compute"), "{fault}");
}
