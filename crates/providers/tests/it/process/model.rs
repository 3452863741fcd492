//! The provider beside a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{DestroyReason, Instance as _, Tags, tags};
use rustix::process::{Signal, kill_process};
use tokio_stream::StreamExt as _;

use super::{Home, destroy, list, pid_of, sleeper, with_key};

#[derive(Clone, Debug)]
enum Step {
    Provision { group: u8, key: Option<u8> },
    Label { pick: usize, value: u8 },
    Destroy { pick: usize },
    Kill { pick: usize },
    List { group: Option<u8> },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..2u8, proptest::option::of(0..4u8)).prop_map(|(group, key)| Step::Provision { group, key }),
        2 => (any::<usize>(), 0..3u8).prop_map(|(pick, value)| Step::Label { pick, value }),
        2 => any::<usize>().prop_map(|pick| Step::Destroy { pick }),
        1 => any::<usize>().prop_map(|pick| Step::Kill { pick }),
        3 => proptest::option::of(0..2u8).prop_map(|group| Step::List { group }),
        1 => Just(Step::Reopen),
    ]
}

async fn run(steps: Vec<Step>) {
    let home = Home::new();
    let mut processes = home.open().await;
    let mut model: BTreeMap<InstanceId, Tags> = BTreeMap::new();
    for step in steps {
        let pick = |pick: usize| model.keys().nth(pick % model.len().max(1)).cloned();
        match step {
            Step::Provision { group, key } => {
                let mut spec = sleeper();
                spec.tags.insert(tags::GROUP.into(), format!("g{group}"));
                if let Some(key) = key {
                    spec = with_key(spec, &format!("k{key}"));
                }
                let key = spec.tags.get(tags::STEP_KEY);
                let known = model
                    .iter()
                    .find(|(_, tags)| key.is_some() && tags.get(tags::STEP_KEY) == key)
                    .map(|(id, _)| id.clone());
                let id = processes.provision(&spec).await.expect("provision");
                match known {
                    Some(known) => assert_eq!(id, known),
                    None => assert!(model.insert(id, spec.tags).is_none()),
                }
            }
            Step::Label { pick: at, value } => match pick(at) {
                Some(id) => {
                    let label = Tags::from([("label".to_owned(), value.to_string())]);
                    processes.label(&id, &label).await.expect("label");
                    model.get_mut(&id).expect("picked").extend(label);
                }
                None => assert!(processes.label(&"none".into(), &Tags::new()).await.is_err()),
            },
            Step::Destroy { pick: at } => match pick(at) {
                Some(id) => {
                    destroy(&processes, &id).await;
                    model.remove(&id);
                }
                None => {
                    assert!(processes.destroy(&"none".into(), DestroyReason::Other).await.is_err());
                }
            },
            Step::Kill { pick: at } => {
                if let Some(id) = pick(at) {
                    let mut hints = processes.watch().expect("hints");
                    let found = list(&processes).await;
                    let victim = found.iter().find(|one| one.id == id).expect("listed");
                    kill_process(pid_of(victim), Signal::KILL).expect("kill");
                    assert_eq!(hints.next().await.expect("event").kind, "lost");
                    model.remove(&id);
                }
            }
            Step::List { group } => {
                let wanted = group.map(|group| (tags::GROUP.to_owned(), format!("g{group}")));
                let wanted: Tags = wanted.into_iter().collect();
                let found = processes.describe_instances(&wanted, false).await.expect("list");
                let found: BTreeMap<_, _> =
                    found.iter().map(|one| (one.id.clone(), one.tags.clone())).collect();
                let mut expected = model.clone();
                expected.retain(|_, tags| wanted.iter().all(|(k, v)| tags.get(k) == Some(v)));
                assert_eq!(found, expected);
            }
            Step::Reopen => {
                drop(processes);
                processes = home.open().await;
            }
        }
    }
    assert_eq!(list(&processes).await.len(), model.len());
    home.runs(model.len()).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2).enable_all().build().expect("runtime");
        runtime.block_on(run(steps));
    }
}
