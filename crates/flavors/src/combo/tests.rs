use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::PluginName;
use regrow_plugin::spi::{
    Allocation, Attachment, Description, Flavor, Health, Index, InstanceSpec, Interface, Result,
    Tags,
};
use regrow_plugin::{Lookup, Plugin, PluginError, Registry};
use serde_json::{Value, json};

use super::{MAX_FLAVORS, merge, plugin};
use crate::vanilla;

/// A flavor that does as its settings say and writes down who was called.
struct Scripted {
    name: &'static str,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn called(&self, method: &str, properties: &Any) -> Result<Value> {
        let call = format!("{} {method}", self.name);
        self.calls.lock().expect("calls").push(call);
        let settings = properties.to_value();
        match settings.get("Fail").and_then(Value::as_str) {
            Some(text) => Err(PluginError::refused(text)),
            None => Ok(settings),
        }
    }
}

#[async_trait]
impl Flavor for Scripted {
    async fn validate(&self, properties: &Any, _: &Allocation) -> Result<()> {
        self.called("validate", properties).map(drop)
    }

    async fn prepare(
        &self,
        properties: &Any,
        mut spec: InstanceSpec,
        _: &Allocation,
        _: &Index,
    ) -> Result<InstanceSpec> {
        let settings = self.called("prepare", properties)?;
        spec.init = settings.get("Init").and_then(Value::as_str).unwrap_or_default().into();
        spec.tags = Tags::new(); // drops what it was given
        spec.attachments = None;
        Ok(spec)
    }

    async fn healthy(&self, properties: &Any, _: &Description) -> Result<Health> {
        let settings = self.called("healthy", properties)?;
        let health = settings.get("Health").and_then(Value::as_u64).unwrap_or(1);
        Ok(Health::from(u8::try_from(health).expect("health")))
    }

    async fn drain(&self, properties: &Any, _: &Description) -> Result<()> {
        self.called("drain", properties).map(drop)
    }
}

struct World {
    combo: Arc<dyn Flavor>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl World {
    async fn new() -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let registry = Arc::new(Registry::default());
        registry.add(vanilla::plugin("vanilla"));
        for name in ["a", "b", "c"] {
            registry.add(Plugin::flavor(name, Scripted { name, calls: calls.clone() }));
        }
        let served = plugin("combo", registry.clone());
        assert_eq!(served.interfaces(), [(Interface::Flavor, vec![".".to_owned()])]);
        registry.add(served);
        let combo = registry.flavor(&PluginName::new("combo")).await.expect("combo");
        Self { combo, calls }
    }

    async fn prepare(&self, properties: Value, spec: InstanceSpec) -> Result<InstanceSpec> {
        let (allocation, index) = (Allocation::default(), Index::default());
        self.combo.prepare(&properties.into(), spec, &allocation, &index).await
    }

    async fn validate(&self, properties: Value) -> Result<()> {
        self.combo.validate(&properties.into(), &Allocation::default()).await
    }

    async fn healthy(&self, properties: Value) -> Result<Health> {
        self.combo.healthy(&properties.into(), &Description::default()).await
    }

    async fn drain(&self, properties: Value) -> Result<()> {
        self.combo.drain(&properties.into(), &Description::default()).await
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("calls"))
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

fn attachment(id: &str) -> Attachment {
    Attachment { id: id.into(), kind: "ebs".into() }
}

#[tokio::test]
async fn what_the_flavors_add_is_joined_and_nothing_repeats() {
    let world = World::new().await;
    let spec = InstanceSpec {
        tags: tags(&[("infrakit.group", "q"), ("x", "0")]),
        init: "boot".into(),
        attachments: Some(vec![attachment("root")]),
        ..InstanceSpec::default()
    };
    let list = json!([
        {"Plugin": "vanilla", "Properties": {
            "Init": ["one"], "Tags": {"x": "1", "y": "1"}, "Attachments": [{"ID": "v1", "Type": "ebs"}]}},
        {"Plugin": "vanilla", "Properties": {"Init": ["two"], "Tags": {"y": "2"}}},
        {"Plugin": "vanilla", "Properties": {"Attachments": [{"ID": "root", "Type": "ebs"}]}},
    ]);
    for properties in [list.clone(), json!({"Flavors": list})] {
        let merged = world.prepare(properties, spec.clone()).await.expect("prepared");
        assert_eq!(merged.init, "boot\none\ntwo", "the original repeats boot twice more");
        assert_eq!(
            merged.tags,
            tags(&[("infrakit.group", "q"), ("x", "1"), ("y", "2")]),
            "the second flavor, which leaves x alone, must not undo it"
        );
        let attachments = ["root", "v1", "root"].map(attachment);
        assert_eq!(merged.attachments.as_deref(), Some(&attachments[..]));
    }
}

#[tokio::test]
async fn a_flavor_that_drops_things_takes_nothing_from_the_result() {
    let world = World::new().await;
    let spec = InstanceSpec {
        tags: tags(&[("k", "v")]),
        init: "boot".into(),
        attachments: Some(vec![attachment("root")]),
        logical_id: Some("10.0.0.1".into()),
        ..InstanceSpec::default()
    };
    let list = json!([{"Plugin": "a", "Properties": {"Init": "own script"}}, {"Plugin": "b"}]);
    let merged = world.prepare(list, spec.clone()).await.expect("prepared");
    assert_eq!(merged, InstanceSpec { init: "boot\nown script".into(), ..spec });
}

#[tokio::test]
async fn a_combo_may_hold_combos_and_may_be_empty() {
    let world = World::new().await;
    let inner = json!([{"Plugin": "vanilla", "Properties": {"Init": ["in"], "Tags": {"a": "1"}}}]);
    let outer = json!([
        {"plugin": "combo", "properties": inner},
        {"Plugin": "vanilla", "Properties": {"Init": ["out"]}},
    ]);
    assert_eq!(world.validate(outer.clone()).await, Ok(()));
    let merged = world.prepare(outer, InstanceSpec::default()).await.expect("prepared");
    assert_eq!((merged.init.as_str(), merged.tags), ("in\nout", tags(&[("a", "1")])));
    for empty in [json!(null), json!([]), json!({})] {
        let spec = InstanceSpec { init: "x".into(), ..InstanceSpec::default() };
        assert_eq!(world.prepare(empty.clone(), spec.clone()).await, Ok(spec));
        assert_eq!(world.healthy(empty.clone()).await, Ok(Health::Healthy));
        assert_eq!(world.drain(empty).await, Ok(()));
    }
}

#[tokio::test]
async fn validate_asks_every_flavor() {
    let world = World::new().await;
    assert_eq!(world.validate(json!([{"Plugin": "a"}, {"Plugin": "b"}])).await, Ok(()));
    assert_eq!(world.calls(), ["a validate", "b validate"]);

    let many: Vec<_> = (0..=MAX_FLAVORS).map(|_| json!({"Plugin": "a"})).collect();
    for (properties, text) in [
        (
            json!([{"Plugin": "a"}, {"Plugin": "vanilla", "Properties": {"Init": 5}}]),
            "check flavor 2 of combo, vanilla: read settings of flavor vanilla: at /Init: invalid \
             type: integer `5`, expected a sequence",
        ),
        (json!([{"Plugin": "b", "Properties": {"Fail": "no"}}]), "check flavor 1 of combo, b: no"),
        (
            json!([{"Plugin": "zzz"}]),
            "find flavor 1 of combo, zzz: plugin not found:zzz; start that plugin or correct Plugin",
        ),
        (json!([{"Plugin": "a/nope"}]), "find flavor 1 of combo, a/nope: no-plugin:nope;"),
        (json!([{"Plugin": "a"}, {}]), "flavor 2 has no Plugin; name the plugin to ask"),
        (json!([{"Plugni": "a"}]), "at /0/Plugni: unknown field; did you mean \"Plugin\"?"),
        (json!({"Flavor": []}), "at /Flavor: unknown field; did you mean \"Flavors\"?"),
        (json!("vanilla"), "expected a list of {Plugin, Properties}"),
        (json!(many), "it lists 65 flavors, at most 64 are allowed"),
    ] {
        let fault = world.validate(properties.clone()).await.expect_err("refused").to_string();
        assert!(fault.contains(text), "{properties}: {fault}");
    }
}

#[tokio::test]
async fn the_first_answer_that_is_not_healthy_counts() {
    let world = World::new().await;
    for (properties, health, calls) in [
        (
            json!([{"Plugin": "a"}, {"Plugin": "b"}]),
            Health::Healthy,
            &["a healthy", "b healthy"][..],
        ),
        (
            json!([{"Plugin": "a", "Properties": {"Health": 0}}, {"Plugin": "b", "Properties": {"Health": 2}}]),
            Health::Unknown,
            &["a healthy"],
        ),
        (
            json!([{"Plugin": "a"}, {"Plugin": "b", "Properties": {"Health": 2}}, {"Plugin": "c"}]),
            Health::Unhealthy,
            &["a healthy", "b healthy"],
        ),
    ] {
        assert_eq!(world.healthy(properties).await, Ok(health));
        assert_eq!(world.calls(), calls);
    }
    let failing = json!([{"Plugin": "a", "Properties": {"Fail": "cannot tell"}}]);
    assert_eq!(world.healthy(failing).await.expect_err("fails").to_string(), "cannot tell");
}

#[tokio::test]
async fn draining_goes_through_all_flavors() {
    let world = World::new().await;
    let list = json!([
        {"Plugin": "a", "Properties": {"Fail": "first"}},
        {"Plugin": "zzz"},
        {"Plugin": "b"},
        {"Plugin": "c", "Properties": {"Fail": "third"}},
    ]);
    let fault = world.drain(list).await.expect_err("fails").to_string();
    assert_eq!(
        fault,
        "first, find flavor 2 of combo, zzz: plugin not found:zzz; start that plugin or correct \
         Plugin, third"
    );
    assert_eq!(world.calls(), ["a drain", "b drain", "c drain"]);
    let one = world.drain(json!([{"Plugin": "a", "Properties": {"Fail": "only"}}])).await;
    assert_eq!(one, Err(PluginError::refused("only")));
}

#[tokio::test]
async fn a_failing_flavor_fails_the_preparation() {
    let world = World::new().await;
    let list = json!([{"Plugin": "a"}, {"Plugin": "b", "Properties": {"Fail": "no token"}}]);
    let fault = world.prepare(list, InstanceSpec::default()).await.expect_err("fails");
    assert_eq!(fault.to_string(), "prepare instance by flavor 2 of combo, b: no token");
}

#[test]
fn a_script_is_the_incoming_one_only_at_a_line_end() {
    for (incoming, prepared, merged) in [
        ("", "a", "a"),
        ("a", "a", "a"),
        ("a", "a\nb", "a\nb"),
        ("a", "a\n", "a\n"),
        ("a\n", "a\nb", "a\n\nb"),
        ("a\n", "a\n\nb", "a\n\nb"),
        ("echo a", "echo ab", "echo a\necho ab"),
        ("a", "b\na", "a\nb\na"),
        ("a", "", "a"),
        ("", "", ""),
    ] {
        let spec = |init: &str| InstanceSpec { init: init.into(), ..InstanceSpec::default() };
        assert_eq!(
            merge(&spec(incoming), vec![spec(prepared)]).init,
            merged,
            "{incoming:?} {prepared:?}"
        );
    }
}

fn any_spec() -> impl Strategy<Value = InstanceSpec> {
    let pairs = prop::collection::btree_map("[a-c]", "[x-z]", 0..4);
    let ids = prop::option::of(prop::collection::vec("[a-c]", 0..4));
    (pairs, "[a\n]{0,4}", ids).prop_map(|(tags, init, ids)| InstanceSpec {
        tags,
        init,
        attachments: ids.map(|ids| ids.iter().map(|id| attachment(id)).collect()),
        ..InstanceSpec::default()
    })
}

fn count(spec: &InstanceSpec, wanted: &Attachment) -> usize {
    spec.attachments.iter().flatten().filter(|attachment| *attachment == wanted).count()
}

proptest! {
    #[test]
    fn no_tag_and_no_attachment_is_lost(
        incoming in any_spec(), prepared in prop::collection::vec(any_spec(), 0..4),
    ) {
        let merged = merge(&incoming, prepared.clone());
        for spec in std::iter::once(&incoming).chain(&prepared) {
            for key in spec.tags.keys() {
                prop_assert!(merged.tags.contains_key(key));
            }
            for wanted in spec.attachments.iter().flatten() {
                prop_assert!(count(&merged, wanted) >= count(spec, wanted));
            }
            prop_assert!(spec.init.lines().all(|line| merged.init.lines().any(|own| own == line)));
        }
        for (key, value) in &merged.tags {
            let last = prepared.iter().rev().find_map(|spec| {
                spec.tags.get(key).filter(|own| incoming.tags.get(key) != Some(*own))
            });
            prop_assert_eq!(Some(value), last.or_else(|| incoming.tags.get(key)), "the last change wins");
        }
    }

    #[test]
    fn flavors_that_add_nothing_change_nothing(incoming in any_spec(), times in 0_usize..4) {
        prop_assert_eq!(merge(&incoming, vec![incoming.clone(); times]), incoming);
    }

    #[test]
    fn one_flavor_that_only_adds_gives_its_own_result(
        incoming in any_spec(), added in any_spec(),
    ) {
        let mut prepared = incoming.clone();
        prepared.tags.extend(added.tags);
        if !added.init.is_empty() {
            let separator = if incoming.init.is_empty() { "" } else { "\n" };
            prepared.init = format!("{}{separator}{}", incoming.init, added.init);
        }
        if let Some(more) = added.attachments.filter(|more| !more.is_empty()) {
            prepared.attachments.get_or_insert_default().extend(more);
        }
        prop_assert_eq!(merge(&incoming, vec![prepared.clone()]), prepared);
    }
}
