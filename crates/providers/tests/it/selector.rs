//! Several simulated clouds behind one plugin.

mod effects;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::{GoDuration, InstanceId, PluginName};
use regrow_plugin::spi::{Description, DestroyReason, Instance, InstanceSpec, Result, Tags, tags};
use regrow_plugin::{Effect, Lookup, Plugin, Registry};
use regrow_providers::selector::{self, Choices, Selector, Strategy as Way};
use regrow_providers::simulator::{Fault, Options, SimulatedInstances};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

/// The handle to a simulated cloud, offered as a plugin too.
#[derive(Clone)]
struct Cloud(Arc<SimulatedInstances>);

#[async_trait]
impl Instance for Cloud {
    async fn validate(&self, properties: &Any) -> Result<()> {
        self.0.validate(properties).await
    }
    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        self.0.provision(spec).await
    }
    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        self.0.label(instance, labels).await
    }
    async fn destroy(&self, instance: &InstanceId, reason: DestroyReason) -> Result<()> {
        self.0.destroy(instance, reason).await
    }
    async fn describe_instances(&self, tags: &Tags, full: bool) -> Result<Vec<Arc<Description>>> {
        self.0.describe_instances(tags, full).await
    }
    fn watch(&self) -> Option<regrow_plugin::spi::EventStream> {
        self.0.watch()
    }
}

struct Scene {
    clouds: Vec<Cloud>,
    registry: Arc<Registry>,
}

impl Scene {
    fn new(count: usize) -> Self {
        let registry = Arc::new(Registry::default());
        let clouds = (0..count).map(|number| {
            let name = name(number);
            let cloud = SimulatedInstances::in_memory(&name, Options::default());
            let cloud = Cloud(Arc::new(cloud));
            registry.add(Plugin::instance(name, cloud.clone()));
            cloud
        });
        Self { clouds: clouds.collect(), registry }
    }

    fn selector(&self, way: Way, choices: Value) -> Selector {
        let choices = Choices::read(&Any::from(choices)).expect("choices");
        Selector::with_seed(way, choices, Arc::clone(&self.registry) as Arc<dyn Lookup>, 1)
    }

    fn counts(&self) -> Vec<usize> {
        self.clouds.iter().map(|cloud| cloud.0.stats().present).collect()
    }
}

fn name(number: usize) -> String {
    format!("cloud{number}")
}

fn choices(count: usize) -> Value {
    (0..count).map(|number| json!({"Name": name(number)})).collect()
}

fn spec(key: &str) -> InstanceSpec {
    let mut tags = Tags::new();
    if !key.is_empty() {
        tags.insert(tags::STEP_KEY.to_owned(), key.to_owned());
    }
    InstanceSpec { tags, properties: json!({"default": {"a": 1}}).into(), ..Default::default() }
}

#[tokio::test]
async fn the_plugin_offers_the_three_ways() {
    let scene = Scene::new(2);
    let lookup = Arc::clone(&scene.registry) as Arc<dyn Lookup>;
    let plugin = selector::plugin("selector", &lookup, &Any::from(choices(2))).expect("plugin");
    scene.registry.add(plugin);
    for way in Way::ALL {
        let name = PluginName::with_subtype("selector", way.name());
        let object = scene.registry.instance(&name).await.expect("object");
        object.provision(&spec("")).await.expect("provision");
        object.validate(&object.example_properties()).await.expect("the example is valid");
    }
    assert_eq!(scene.counts().iter().sum::<usize>(), 3);
    assert!(selector::plugin("selector", &lookup, &Any::from(json!({}))).is_err());
}

#[tokio::test]
async fn tiers_are_tried_in_order() {
    let scene = Scene::new(3);
    let tiered = scene.selector(Way::Tiered, choices(3));
    tiered.provision(&spec("a")).await.expect("first");
    scene.clouds[0].0.configure(|options| options.faults.create_fails = Fault::always());
    tiered.provision(&spec("b")).await.expect("second");
    assert_eq!(scene.counts(), [1, 1, 0]);
    for cloud in &scene.clouds {
        cloud.0.configure(|options| options.faults.create_fails = Fault::always());
    }
    let fault = tiered.provision(&spec("c")).await.expect_err("none").to_string();
    assert!(fault.starts_with("cannot provision instance: cloud0: "), "{fault}");
    assert!(fault.contains("cloud2"), "{fault}");
}

#[tokio::test]
async fn an_unknown_outcome_is_not_tried_elsewhere() {
    let scene = Scene::new(2);
    let tiered = scene.selector(Way::Tiered, choices(2));
    scene.clouds[0].0.configure(|options| options.faults.create_times_out = Fault::next(1));
    let fault = tiered.provision(&spec("a")).await.expect_err("timed out");
    assert_eq!(fault.effect(), Effect::Unknown);
    assert_eq!(scene.counts(), [1, 0]);
    tiered.provision(&spec("a")).await.expect("the same again");
    assert_eq!(scene.counts(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_open_outcome_keeps_tiers_from_going_on() {
    let scene = Scene::new(2);
    let tiered = scene.selector(Way::Tiered, choices(2));
    scene.clouds[0].0.configure(|options| {
        options.idempotent = false;
        options.faults.list_lag = GoDuration::from_secs(3_600);
        options.faults.create_times_out = Fault::next(1);
    });
    let fault = tiered.provision(&spec("a")).await.expect_err("timed out");
    assert_eq!(fault.effect(), Effect::Unknown);
    // It refuses now, and does not say that it knows of the first call.
    scene.clouds[0].0.configure(|options| options.faults.create_fails = Fault::always());
    for _ in 0..2 {
        let fault = tiered.provision(&spec("a")).await.expect_err("refused");
        assert_eq!(fault.effect(), Effect::Unknown, "{fault}");
        assert_eq!(scene.counts(), [1, 0]);
    }
    // Other keys are not concerned.
    tiered.provision(&spec("b")).await.expect("the second tier");
    assert_eq!(scene.counts(), [1, 1]);
    // After so long it cannot come to anything any more.
    tokio::time::sleep(Duration::from_secs(900)).await;
    let fault = tiered.provision(&spec("a")).await.expect_err("refused");
    assert_eq!(fault.effect(), Effect::Refused, "{fault}");
    tiered.provision(&spec("a")).await.expect("the second tier");
}

#[tokio::test(start_paused = true)]
async fn an_open_outcome_keeps_spread_with_its_choice() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    scene.clouds[0].0.configure(|options| {
        options.faults.list_lag = GoDuration::from_secs(60);
        options.faults.create_times_out = Fault::next(1);
    });
    for (cloud, id) in [(0, "1"), (0, "2"), (1, "3")] {
        let planted = Description { id: id.into(), ..Default::default() };
        scene.clouds[cloud].0.plant(planted).expect("plant");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    spread.provision(&spec("a")).await.expect_err("timed out");
    assert_eq!(scene.counts(), [3, 1], "the first seemed to be empty");
    tokio::time::sleep(Duration::from_secs(40)).await;
    spread.provision(&spec("a")).await.expect("the same again");
    assert_eq!(scene.counts(), [3, 1]);
}

#[tokio::test]
async fn a_key_finds_its_instance_in_whatever_choice() {
    for way in Way::ALL {
        let scene = Scene::new(3);
        for cloud in &scene.clouds {
            cloud.0.configure(|options| options.idempotent = false);
        }
        let selector = scene.selector(way, choices(3));
        let (one, three) = (spec("a"), spec("a"));
        let call = || selector.provision(&one);
        let (a, b, c) = tokio::join!(call(), call(), selector.provision(&three));
        assert_eq!((&a, &a), (&b, &c), "{way:?}");
        assert!(a.is_ok());
        assert_eq!(scene.counts().iter().sum::<usize>(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn spread_is_even_even_for_simultaneous_calls() {
    let scene = Scene::new(3);
    for cloud in &scene.clouds {
        cloud.0.configure(|options| options.provision_delay = GoDuration::from_secs(10));
    }
    let spread = Arc::new(scene.selector(Way::Spread, choices(3)));
    let calls: Vec<_> = (0..9)
        .map(|_| {
            let spread = Arc::clone(&spread);
            tokio::spawn(async move { spread.provision(&spec("")).await })
        })
        .collect();
    for call in calls {
        call.await.expect("task").expect("provision");
    }
    assert_eq!(scene.counts(), [3, 3, 3]);
}

#[tokio::test]
async fn spread_counts_what_its_labels_say() {
    let scene = Scene::new(2);
    let label = Tags::from([("zone".to_owned(), "counted".to_owned())]);
    for _ in 0..3 {
        scene.clouds[0].0.provision(&InstanceSpec::default()).await.expect("not counted");
    }
    let labelled = InstanceSpec { tags: label.clone(), ..Default::default() };
    scene.clouds[1].0.provision(&labelled).await.expect("counted");
    let affinity = json!({"Labels": label});
    let choices = json!([
        {"Name": "cloud0", "Affinity": affinity}, {"Name": "cloud1", "Affinity": affinity}
    ]);
    scene.selector(Way::Spread, choices).provision(&spec("")).await.expect("provision");
    assert_eq!(scene.counts(), [4, 1]);
}

#[tokio::test]
async fn weights_are_followed() {
    let scene = Scene::new(3);
    let choices = json!([
        {"Name": "cloud0", "Affinity": {"Weight": 1}},
        {"Name": "cloud1", "Affinity": {"Weight": 3}},
        {"Name": "cloud2", "Affinity": {"Weight": 0}},
    ]);
    let weighted = scene.selector(Way::Weighted, choices);
    for number in 0..400 {
        let key = if number % 2 == 0 { String::new() } else { format!("key-{number}") };
        weighted.provision(&spec(&key)).await.expect("provision");
    }
    let counts = scene.counts();
    println!("{counts:?}");
    assert!((70..=130).contains(&counts[0]) && counts[2] == 0, "{counts:?}");
    let nothing = json!([{"Name": "cloud0", "Affinity": {"Weight": 0}}]);
    let fault = scene.selector(Way::Weighted, nothing).provision(&spec("")).await;
    assert!(fault.expect_err("none").to_string().contains("all weights are 0"));
}

#[tokio::test]
async fn logical_ids_are_pinned() {
    for way in Way::ALL {
        let scene = Scene::new(2);
        let choices = json!([{"Name": "cloud0"}, {"Name": "cloud1", "Instances": ["db"]}]);
        let pet = InstanceSpec { logical_id: Some("db".into()), ..spec("") };
        scene.selector(way, choices).provision(&pet).await.expect("provision");
        assert_eq!(scene.counts(), [0, 1], "{way:?}");
    }
}

#[tokio::test]
async fn properties_are_those_of_the_choice() {
    let scene = Scene::new(2);
    let tiered = scene.selector(Way::Tiered, choices(2));
    let own = json!({"cloud0": {"own": 1}, "default": {"own": 2}});
    let spec = InstanceSpec { properties: own.into(), ..Default::default() };
    tiered.provision(&spec).await.expect("provision");
    assert_eq!(scene.clouds[0].0.truth()[0].properties.as_text(), r#"{"own":1}"#);
    let half = json!({"cloud1": {}});
    let fault = tiered.validate(&Any::from(&half)).await.expect_err("no properties").to_string();
    assert!(fault.starts_with("There is no Properties for choice cloud0"), "{fault}");
    let spec = InstanceSpec { properties: half.into(), ..Default::default() };
    assert!(tiered.provision(&spec).await.is_err());
    let wrong = json!({"default": {"simulator_delay": "soon"}});
    let fault = tiered.validate(&Any::from(wrong)).await.expect_err("wrong").to_string();
    assert!(fault.contains("choice cloud0") && fault.contains("/simulator_delay"), "{fault}");
}

#[tokio::test]
async fn a_choice_that_cannot_tell_fails_the_list_and_stops_no_destroy() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    let ids = [spread.provision(&spec("")).await, spread.provision(&spec("")).await];
    let ids = ids.map(|id| id.expect("provision"));
    scene.clouds[1].0.configure(|options| options.faults.list_fails = Fault::always());
    let fault = spread.describe_instances(&Tags::new(), false).await.expect_err("not whole");
    assert!(fault.to_string().contains("list instances through choice cloud1"), "{fault}");
    assert!(spread.provision(&spec("k")).await.is_err(), "it may exist there");
    spread.destroy(&ids[0], DestroyReason::Terminate).await.expect("cloud0 has it");
    let forgot = scene.selector(Way::Spread, choices(2));
    let fault = forgot.destroy(&ids[1], DestroyReason::Terminate).await.expect_err("unsure");
    assert!(fault.to_string().contains("cloud1"), "{fault}");
    scene.clouds[1].0.configure(|options| options.faults.list_fails = Fault::default());
    let fault = spread.destroy(&ids[0], DestroyReason::Terminate).await.expect_err("gone");
    assert!(fault.to_string().contains("not found in any choice"), "{fault}");
    assert_eq!(scene.clouds.iter().map(|cloud| cloud.0.stats().destroy_calls).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_missing_choice_is_an_error_and_not_a_hang() {
    let scene = Scene::new(1);
    let tiered = scene.selector(Way::Tiered, json!([{"Name": "nowhere"}, {"Name": "cloud0"}]));
    let fault = tiered.describe_instances(&Tags::new(), false).await.expect_err("missing");
    assert!(fault.to_string().contains("nowhere"), "{fault}");
    tiered.provision(&spec("")).await.expect("the next tier");
    assert!(tiered.label(&"x".into(), &Tags::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_choice_that_never_answers_is_given_up() {
    let scene = Scene::new(2);
    let forever = GoDuration::from_secs(1_000_000);
    scene.clouds[1].0.configure(|options| {
        options.describe_delay = forever;
        options.provision_delay = forever;
    });
    let tiered = scene.selector(Way::Tiered, json!([{"Name": "cloud1"}, {"Name": "cloud0"}]));
    let start = tokio::time::Instant::now();
    let fault = tiered.describe_instances(&Tags::new(), false).await.expect_err("no answer");
    assert_eq!(fault.effect(), Effect::Unknown);
    let fault = tiered.provision(&spec("")).await.expect_err("no answer");
    assert_eq!(fault.effect(), Effect::Unknown);
    assert!(start.elapsed() < Duration::from_secs(1_000));
}

#[tokio::test]
async fn hints_of_all_choices_are_passed_on() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    let mut hints = spread.watch().expect("hints");
    let lost = async {
        while let Some(event) = hints.next().await {
            if event.kind == "lost" {
                return event.id.clone();
            }
        }
        String::new()
    };
    let killing = async {
        loop {
            // The choices are watched a moment after the call: hints are only hints.
            let id = scene.clouds[1].0.provision(&InstanceSpec::default()).await.expect("make");
            scene.clouds[1].0.kill(&id);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = tokio::time::sleep(Duration::from_secs(40));
    tokio::select! {
        id = lost => assert!(!id.is_empty()),
        () = killing => {}
        () = limit => panic!("no hint"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Provision { key: Option<u8>, group: u8 },
    Label { pick: usize },
    Destroy { pick: usize },
    List { group: Option<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (proptest::option::of(0..5u8), 0..2u8).prop_map(|(key, group)| Step::Provision { key, group }),
        1 => any::<usize>().prop_map(|pick| Step::Label { pick }),
        2 => any::<usize>().prop_map(|pick| Step::Destroy { pick }),
        2 => proptest::option::of(0..2u8).prop_map(|group| Step::List { group }),
    ]
}

async fn run(steps: Vec<Step>, way: Way) {
    let scene = Scene::new(3);
    let selector = scene.selector(way, choices(3));
    let mut model: BTreeMap<InstanceId, Tags> = BTreeMap::new();
    let group_tag = |group: u8| (tags::GROUP.to_owned(), format!("g{group}"));
    for step in steps {
        let pick = |pick: usize| model.keys().nth(pick % model.len().max(1)).cloned();
        match step {
            Step::Provision { key, group } => {
                let mut spec = spec(&key.map_or(String::new(), |key| format!("k{key}")));
                spec.tags.extend([group_tag(group)]);
                let id = selector.provision(&spec).await.expect("provision");
                let known = model.contains_key(&id);
                let by_key = model.values().any(|tags| {
                    key.is_some() && tags.get(tags::STEP_KEY) == spec.tags.get(tags::STEP_KEY)
                });
                assert_eq!(known, by_key);
                model.entry(id).or_insert(spec.tags);
            }
            Step::Label { pick: at } => match pick(at) {
                Some(id) => {
                    let label = Tags::from([("a".to_owned(), "b".to_owned())]);
                    selector.label(&id, &label).await.expect("label");
                    model.get_mut(&id).expect("picked").extend(label);
                }
                None => assert!(selector.label(&"none".into(), &Tags::new()).await.is_err()),
            },
            Step::Destroy { pick: at } => {
                if let Some(id) = pick(at) {
                    selector.destroy(&id, DestroyReason::Terminate).await.expect("destroy");
                    model.remove(&id);
                }
            }
            Step::List { group } => {
                let wanted: Tags = group.map(group_tag).into_iter().collect();
                let list = selector.describe_instances(&wanted, false).await.expect("list");
                assert!(list.is_sorted_by(|a, b| a.id < b.id));
                let mut found: BTreeMap<_, _> =
                    list.iter().map(|one| (one.id.clone(), one.tags.clone())).collect();
                found.values_mut().for_each(|tags| drop(tags.remove("simulator")));
                let mut expected = model.clone();
                expected.retain(|_, tags| wanted.iter().all(|(k, v)| tags.get(k) == Some(v)));
                assert_eq!(found, expected);
            }
        }
    }
    assert_eq!(scene.counts().iter().sum::<usize>(), model.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec(step(), 1..40), way in 0..3usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("runtime").block_on(run(steps, Way::ALL[way]));
    }
}
