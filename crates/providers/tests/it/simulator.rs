//! The simulated world, its faults, and a model that it must agree with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::{GoDuration, InstanceId};
use regrow_plugin::spi::{
    Description, DestroyReason, HealthCheck, Instance, InstanceSpec, Protocol, Route, Tags, tags,
};
use regrow_plugin::{Effect, Lookup as _, Registry};
use regrow_providers::simulator::{Fault, Options, SimulatedInstances, Simulator, StoreKind};
use serde_json::json;
use tokio_stream::StreamExt as _;

fn world() -> SimulatedInstances {
    SimulatedInstances::in_memory("simulator", Options::default())
}

fn spec(group: &str, key: &str) -> InstanceSpec {
    let mut tags = Tags::from([(tags::GROUP.to_owned(), group.to_owned())]);
    if !key.is_empty() {
        tags.insert(tags::STEP_KEY.to_owned(), key.to_owned());
    }
    InstanceSpec { tags, properties: Any::from(json!({"size": 1})), ..Default::default() }
}

fn group(name: &str) -> Tags {
    Tags::from([(tags::GROUP.to_owned(), name.to_owned())])
}

async fn ids(world: &SimulatedInstances, tags: &Tags) -> Vec<InstanceId> {
    let list = world.describe_instances(tags, false).await.expect("list");
    list.iter().map(|description| description.id.clone()).collect()
}

#[tokio::test]
async fn the_plugin_offers_what_infrakit_offers() {
    let registry = Registry::default();
    let simulator = Simulator::new("sim", &Options::default()).expect("simulator");
    registry.add(simulator.plugin());
    for kind in ["compute", "net", "disk"] {
        let object = registry.instance(&format!("sim/{kind}").as_str().into()).await.expect(kind);
        object.provision(&spec("g", "")).await.expect("provision");
        let list = object.describe_instances(&Tags::new(), true).await.expect("list");
        assert_eq!(list.len(), 1, "{kind} is a world of its own");
        assert_eq!(list[0].tags["simulator"], "sim");
        assert_eq!(list[0].properties, Any::from(json!({"size": 1})));
    }
    assert!(registry.instance(&"sim/other".into()).await.is_err());
    assert_eq!(
        registry.l4(&"sim/lb2".into()).await.expect("l4").name().await.as_deref(),
        Ok("lb2")
    );
    let nothing =
        Options { instance_types: Vec::new(), l4_names: Vec::new(), ..Options::default() };
    assert!(Simulator::new("sim", &nothing).is_err());
}

#[tokio::test]
async fn load_balancers_keep_what_they_are_told() {
    let simulator = Simulator::new("simulator", &Options::default()).expect("simulator");
    let handle = simulator.l4("lb1").expect("lb1");
    let registry = Registry::default();
    registry.add(simulator.plugin());
    let l4 = registry.l4(&"simulator/lb1".into()).await.expect("lb1");
    let route = Route {
        port: 8080,
        protocol: Protocol::from("tcp".to_owned()),
        load_balancer_port: 80,
        ..Default::default()
    };
    assert_eq!(l4.publish(&route).await.expect("publish"), "publish");
    let fault = l4.publish(&route).await.expect_err("taken");
    assert!(fault.to_string().contains("duplicate port 80"), "{fault}");
    assert_eq!(l4.routes().await.expect("routes"), [route]);
    assert_eq!(l4.unpublish(80).await.expect("unpublish"), "unpublish");
    assert!(l4.unpublish(80).await.is_err());
    let check = HealthCheck { backend_port: 8080, healthy: 2, ..Default::default() };
    l4.configure_health_check(&check).await.expect("health check");
    assert_eq!(handle.health_checks()[&8080], check);
    let (a, b) = (InstanceId::from("a"), InstanceId::from("b"));
    l4.register_backends(&[a.clone(), b.clone(), a.clone()]).await.expect("register");
    l4.deregister_backends(&[b, "unknown".into()]).await.expect("deregister");
    assert_eq!(l4.backends().await.expect("backends"), [a]);
}

#[tokio::test]
async fn a_key_makes_one_instance_and_none_makes_many() {
    let world = world();
    let first = world.provision(&spec("g", "k")).await.expect("first");
    assert_eq!(world.provision(&spec("g", "k")).await.expect("again"), first);
    world.destroy(&first, DestroyReason::Terminate).await.expect("destroy");
    assert_ne!(world.provision(&spec("g", "k")).await.expect("after the end"), first);
    world.configure(|options| options.idempotent = false);
    world.provision(&spec("g", "k")).await.expect("a second");
    assert_eq!(world.stats().present, 2);
    assert_eq!(world.stats().repeated, 1);
}

#[tokio::test]
async fn unknown_instances_are_refused() {
    let world = world();
    let id = InstanceId::from("7");
    let fault = world.destroy(&id, DestroyReason::Terminate).await.expect_err("unknown");
    assert!(fault.to_string().contains("not found 7"), "{fault}");
    assert!(world.label(&id, &Tags::new()).await.is_err());
}

#[tokio::test]
async fn properties_limit_and_delay() {
    let world = world();
    let mut capped = spec("g", "");
    capped.properties = Any::from(json!({"simulator_cap": 1}));
    world.provision(&capped).await.expect("first");
    let fault = world.provision(&capped).await.expect_err("full");
    assert!(fault.to_string().starts_with("at capacity 1"), "{fault}");
    let wrong = Any::from(json!({"simulator_delay": "soon"}));
    let fault = world.validate(&wrong).await.expect_err("wrong");
    assert!(fault.to_string().contains("/simulator_delay"), "{fault}");
    world.validate(&Any::from(json!([1]))).await.expect("anything goes");
}

#[tokio::test(start_paused = true)]
async fn delays_pass_in_virtual_time() {
    let options = Options {
        start_delay: GoDuration::from_secs(5),
        provision_delay: GoDuration::from_secs(20),
        describe_delay: GoDuration::from_secs(3),
        ..Options::default()
    };
    let world = SimulatedInstances::in_memory("simulator", options);
    let start = tokio::time::Instant::now();
    world.provision(&spec("g", "")).await.expect("provision");
    assert_eq!(start.elapsed().as_secs(), 25);
    assert_eq!(ids(&world, &Tags::new()).await.len(), 1);
    assert_eq!(start.elapsed().as_secs(), 28);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_stop_the_making() {
    let world = world();
    world.configure(|options| options.provision_delay = GoDuration::from_secs(60));
    for _ in 0..3 {
        let spec = spec("g", "k");
        let call = world.provision(&spec);
        assert!(tokio::time::timeout(Duration::from_secs(15), call).await.is_err());
    }
    let id = world.provision(&spec("g", "k")).await.expect("the one under way");
    assert_eq!(ids(&world, &Tags::new()).await, [id]);
}

#[tokio::test(start_paused = true)]
async fn lists_lag_in_both_directions() {
    let world = world();
    let old = world.provision(&spec("g", "")).await.expect("provision");
    tokio::time::advance(Duration::from_secs(60)).await;
    world.configure(|options| options.faults.list_lag = GoDuration::from_secs(10));
    let new = world.provision(&spec("g", "")).await.expect("provision");
    world.label(&old, &Tags::from([("a".into(), "b".into())])).await.expect("label");
    world.destroy(&old, DestroyReason::Terminate).await.expect("destroy");
    let list = world.describe_instances(&group("g"), true).await.expect("list");
    assert_eq!(list.iter().map(|d| &d.id).collect::<Vec<_>>(), [&old]);
    assert!(!list[0].tags.contains_key("a"), "labels lag too");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(ids(&world, &group("g")).await, [new]);
}

#[tokio::test(start_paused = true)]
async fn creates_fail_in_every_way() {
    let world = world();
    world.configure(|options| options.faults.create_fails = Fault::next(1));
    assert_eq!(
        world.provision(&spec("g", "a")).await.map_err(|e| e.effect()),
        Err(Effect::Refused)
    );
    assert_eq!(world.stats().present, 0);

    world.configure(|options| options.faults.create_fails_after_making = Fault::next(1));
    assert_eq!(
        world.provision(&spec("g", "a")).await.map_err(|e| e.effect()),
        Err(Effect::Refused)
    );
    assert_eq!(world.stats().present, 1);
    world.provision(&spec("g", "a")).await.expect("the same key finds it");
    assert_eq!(world.stats().present, 1);

    world.configure(|options| {
        options.faults.create_times_out = Fault::next(2);
        options.faults.create_times_out_after = GoDuration::from_secs(15);
    });
    let start = tokio::time::Instant::now();
    assert_eq!(
        world.provision(&spec("g", "b")).await.map_err(|e| e.effect()),
        Err(Effect::Unknown)
    );
    assert_eq!((start.elapsed().as_secs(), world.stats().present), (15, 2));
    world.configure(|options| options.faults.create_appears_after = GoDuration::from_secs(100));
    assert_eq!(
        world.provision(&spec("g", "c")).await.map_err(|e| e.effect()),
        Err(Effect::Unknown)
    );
    assert_eq!(world.stats().present, 2, "not yet");
    tokio::time::sleep(Duration::from_secs(101)).await;
    assert_eq!(world.stats().present, 3, "late");

    world.configure(|options| options.faults.create_makes_two = Fault::next(1));
    world.provision(&spec("g", "d")).await.expect("one of two");
    assert_eq!(world.stats().present, 5);
}

#[tokio::test]
async fn lists_fail_in_every_way() {
    let world = world();
    for _ in 0..4 {
        world.provision(&spec("g", "")).await.expect("provision");
    }
    world.configure(|options| {
        options.faults.list_fails = Fault::next(1);
        options.faults.list_empty = Fault::next(1);
        options.faults.list_partial = Fault::next(1);
    });
    assert!(world.describe_instances(&Tags::new(), false).await.is_err());
    assert_eq!(ids(&world, &Tags::new()).await.len(), 0);
    assert_eq!(ids(&world, &Tags::new()).await.len(), 2);
    let all = ids(&world, &Tags::new()).await;
    assert_eq!(all.len(), 4);
    world.configure(|options| options.faults.flapping = vec![all[1].clone()]);
    assert_eq!(ids(&world, &Tags::new()).await.len(), 3);
    assert_eq!(ids(&world, &Tags::new()).await.len(), 4);
}

#[tokio::test]
async fn destroys_and_labels_fail() {
    let world = world();
    let id = world.provision(&spec("g", "")).await.expect("provision");
    world.configure(|options| {
        options.faults.destroy_fails = Fault::next(1);
        options.faults.destroy_times_out = Fault::next(1);
        options.faults.label_fails = Fault::next(1);
    });
    assert!(world.label(&id, &Tags::new()).await.is_err());
    let destroy = || world.destroy(&id, DestroyReason::RollingUpdate);
    assert_eq!(destroy().await.map_err(|e| e.effect()), Err(Effect::Refused));
    assert_eq!(world.stats().present, 1);
    assert_eq!(destroy().await.map_err(|e| e.effect()), Err(Effect::Unknown));
    assert_eq!(world.stats().present, 0);
}

#[tokio::test]
async fn the_same_seed_fails_the_same_calls() {
    async fn outcomes(seed: u64) -> Vec<bool> {
        let world = world();
        world.configure(|options| {
            options.faults.seed = seed;
            options.faults.create_fails = Fault::rate(0.5);
        });
        let mut outcomes = Vec::new();
        for _ in 0..64 {
            outcomes.push(world.provision(&spec("g", "")).await.is_ok());
        }
        outcomes
    }
    assert_eq!(outcomes(3).await, outcomes(3).await);
    assert_ne!(outcomes(3).await, outcomes(4).await);
}

#[tokio::test]
async fn those_who_watch_are_told() {
    let world = world();
    let mut hints = world.watch().expect("events are on");
    let id = world.provision(&spec("g", "")).await.expect("provision");
    world.label(&id, &Tags::new()).await.expect("label");
    assert!(world.kill(&id));
    assert!(!world.kill(&id));
    for kind in ["created", "changed", "lost"] {
        let event = hints.next().await.expect("event");
        assert_eq!((event.kind.as_str(), event.id.as_str()), (kind, id.as_str()));
    }
    world.configure(|options| options.events = false);
    assert!(world.watch().is_none());
}

#[tokio::test]
async fn the_file_store_survives() {
    let dir = tempfile::tempdir().expect("directory");
    let options = Options {
        store: StoreKind::File,
        dir: Some(dir.path().join("deep/er")),
        ..Options::default()
    };
    let open = || Simulator::new("simulator", &options).expect("simulator");
    let simulator = open();
    let compute = simulator.instances("compute").expect("compute");
    let kept = compute.provision(&spec("g", "")).await.expect("provision");
    let gone = compute.provision(&spec("g", "")).await.expect("provision");
    compute.label(&kept, &Tags::from([("a".into(), "b".into())])).await.expect("label");
    compute.destroy(&gone, DestroyReason::Terminate).await.expect("destroy");
    let again = open().instances("compute").expect("compute");
    let list = again.describe_instances(&group("g"), true).await.expect("list");
    assert_eq!(list, compute.describe_instances(&group("g"), true).await.expect("list"));
    assert_eq!(list[0].tags["a"], "b");
    std::fs::write(dir.path().join("deep/er/instance/compute/9"), "{").expect("damage");
    let fault = Simulator::new("simulator", &options).err().expect("damaged").to_string();
    assert!(fault.contains("compute/9") && fault.contains("repair"), "{fault}");
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Slow machines and debug builds included; a list of a small group among many must not walk all.
#[tokio::test]
async fn five_thousand_are_cheap() {
    let world = world();
    let before_kib = resident_kib();
    let start = Instant::now();
    for number in 0..5_000 {
        let name = if number % 5 == 0 { "small" } else { "large" };
        world.provision(&spec(name, &format!("key-{number}"))).await.expect("provision");
    }
    let provisioned = start.elapsed();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(ids(&world, &Tags::new()).await.len(), 5_000);
        assert_eq!(ids(&world, &group("small")).await.len(), 1_000);
    }
    let listed = start.elapsed();
    let grown_kib = resident_kib() - before_kib;
    println!("memory for 5,000: {grown_kib} KiB");
    assert!(grown_kib < 20 << 10);
    println!("5,000 provisions {provisioned:?}, 20 lists of 5,000 and 20 of 1,000 {listed:?}");
    assert!(provisioned < Duration::from_secs(20) && listed < Duration::from_secs(20));
}

#[tokio::test]
async fn lists_share_their_descriptions() {
    let world = world();
    world.provision(&spec("g", "")).await.expect("provision");
    for properties in [false, true] {
        let one = world.describe_instances(&Tags::new(), properties).await.expect("list");
        let two = world.describe_instances(&Tags::new(), properties).await.expect("list");
        assert!(Arc::ptr_eq(&one[0], &two[0]));
        assert_eq!(one[0].properties.is_null(), !properties);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Provision { group: u8, key: Option<u8> },
    Label { pick: usize, group: u8 },
    Destroy { pick: usize },
    Kill { pick: usize },
    List { group: Option<u8> },
    Wait { seconds: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, proptest::option::of(0..6u8)).prop_map(|(group, key)| Step::Provision { group, key }),
        1 => (any::<usize>(), 0..3u8).prop_map(|(pick, group)| Step::Label { pick, group }),
        2 => any::<usize>().prop_map(|pick| Step::Destroy { pick }),
        1 => any::<usize>().prop_map(|pick| Step::Kill { pick }),
        3 => proptest::option::of(0..3u8).prop_map(|group| Step::List { group }),
        1 => (0..8u8).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

type Model = BTreeMap<InstanceId, Tags>;

/// Lag of the modelled lists.
const LAG: Duration = Duration::from_secs(10);

async fn run(steps: Vec<Step>, lagging: bool) {
    let world = world();
    let mut model = Model::new();
    let mut past = vec![(tokio::time::Instant::now(), Model::new())];
    if lagging {
        tokio::time::advance(LAG * 2).await;
        world.configure(|options| options.faults.list_lag = GoDuration::new(LAG));
    }
    let name = |group: u8| format!("g{group}");
    for step in steps {
        let pick = |pick: usize| model.keys().nth(pick % model.len().max(1)).cloned();
        match step {
            Step::Provision { group, key } => {
                let key = key.map_or(String::new(), |key| format!("k{key}"));
                let known = model
                    .iter()
                    .find(|(_, tags)| !key.is_empty() && tags.get(tags::STEP_KEY) == Some(&key))
                    .map(|(id, _)| id.clone());
                let id = world.provision(&spec(&name(group), &key)).await.expect("provision");
                match known {
                    Some(known) => assert_eq!(id, known),
                    None => {
                        let mut tags = spec(&name(group), &key).tags;
                        tags.insert("simulator".into(), "simulator".into());
                        assert!(model.insert(id, tags).is_none(), "ids are unique");
                    }
                }
            }
            Step::Label { pick: at, group: to } => match pick(at) {
                Some(id) => {
                    world.label(&id, &group(&name(to))).await.expect("label");
                    model.get_mut(&id).expect("picked").extend(group(&name(to)));
                }
                None => assert!(world.label(&"none".into(), &Tags::new()).await.is_err()),
            },
            Step::Destroy { pick: at } => match pick(at) {
                Some(id) => {
                    world.destroy(&id, DestroyReason::Terminate).await.expect("destroy");
                    model.remove(&id);
                }
                None => assert!(world.destroy(&"none".into(), DestroyReason::Other).await.is_err()),
            },
            Step::Kill { pick: at } => {
                if let Some(id) = pick(at) {
                    assert!(world.kill(&id));
                    model.remove(&id);
                }
            }
            Step::Wait { seconds } => {
                tokio::time::advance(Duration::from_secs(seconds.into())).await;
            }
            Step::List { group: of } => {
                let now = tokio::time::Instant::now();
                let seen = if lagging {
                    &past.iter().rev().find(|(at, _)| now - *at >= LAG).expect("the start").1
                } else {
                    &model
                };
                let wanted = of.map_or(Tags::new(), |of| group(&name(of)));
                let expected: Model = seen
                    .iter()
                    .filter(|(_, tags)| wanted.iter().all(|(k, v)| tags.get(k) == Some(v)))
                    .map(|(id, tags)| (id.clone(), tags.clone()))
                    .collect();
                let list = world.describe_instances(&wanted, false).await.expect("list");
                let found: Model = list.iter().map(|d| (d.id.clone(), d.tags.clone())).collect();
                assert_eq!(found.len(), list.len(), "no doubles");
                assert_eq!(found, expected);
                assert!(list.is_sorted_by(|a, b| a.id < b.id));
            }
        }
        past.push((tokio::time::Instant::now(), model.clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec(step(), 1..60), lagging: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().expect("runtime");
        runtime.block_on(run(steps, lagging));
    }
}

#[tokio::test]
async fn foreign_instances_can_be_planted() {
    let world = world();
    let tags = Tags::from([(tags::CONFIG_HASH.into(), tags::BOOTSTRAP.into())]);
    let planted = Description { id: "1".into(), tags: tags.clone(), ..Default::default() };
    world.plant(planted.clone()).expect("plant");
    assert_eq!(*world.describe_instances(&tags, true).await.expect("list")[0], planted);
    assert_eq!(world.truth().len(), 1);
}
