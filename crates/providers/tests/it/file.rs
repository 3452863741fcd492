//! Instances that are files, changed by calls and by hand.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{DestroyReason, Instance as _, InstanceSpec, Tags, tags};
use regrow_providers::file::{Files, Options};
use serde_json::json;
use tokio_stream::StreamExt as _;

struct Scene {
    dir: tempfile::TempDir,
    files: Files,
}

impl Scene {
    fn new(notify: bool) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let options = Options { dir: Some(dir.path().join("instances")), notify };
        Self { files: Files::open(&options).expect("open"), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("instances").join(name)
    }

    async fn list(&self) -> BTreeMap<String, Tags> {
        let found = self.files.describe_instances(&Tags::new(), false).await.expect("list");
        found.iter().map(|one| (one.id.to_string(), one.tags.clone())).collect()
    }

    async fn names(&self) -> Vec<String> {
        self.list().await.into_keys().collect()
    }
}

fn spec(group: &str, key: Option<u8>) -> InstanceSpec {
    let mut tags = Tags::from([(tags::GROUP.to_owned(), group.to_owned())]);
    tags.extend(key.map(|key| (tags::STEP_KEY.to_owned(), format!("k{key}"))));
    InstanceSpec { properties: json!({"Note": "v1"}).into(), tags, ..Default::default() }
}

fn by_hand(value: u32) -> String {
    json!({"ID": "whatever", "Tags": {"infrakit.group": "g0", "value": value.to_string()}})
        .to_string()
}

#[tokio::test]
async fn an_instance_is_a_file() {
    let scene = Scene::new(true);
    let id = scene.files.provision(&spec("g", None)).await.expect("provision");
    let text = fs::read_to_string(scene.path(id.as_str())).expect("file");
    let tree: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (tree["ID"].as_str(), &tree["Spec"]["Properties"]["Note"]),
        (Some(id.as_str()), &json!("v1"))
    );
    let label = Tags::from([("a".to_owned(), "b".to_owned())]);
    scene.files.label(&id, &label).await.expect("label");
    let found = scene.files.describe_instances(&label, true).await.expect("list");
    assert_eq!(found[0].properties.to_value()["Properties"]["Note"], "v1");
    assert!(found[0].properties.to_value()["Tags"].get("a").is_none(), "the spec stays as it was");
    scene.files.destroy(&id, DestroyReason::Terminate).await.expect("destroy");
    assert_eq!(fs::read_dir(scene.path("")).expect("list").count(), 0);
    let fault = scene.files.destroy(&id, DestroyReason::Terminate).await.expect_err("gone");
    assert!(fault.to_string().contains("No such file"), "{fault}");
    let fault = scene.files.label(&id, &label).await.expect_err("gone");
    assert!(fault.to_string().contains(id.as_str()), "{fault}");
    assert!(scene.files.validate(&Any::from(json!([1]))).await.is_err());
}

#[tokio::test]
async fn ids_that_lead_elsewhere_are_refused() {
    let scene = Scene::new(true);
    let outside = scene.dir.path().join("outside");
    fs::write(&outside, "{}").expect("write");
    fs::write(scene.path("stranger"), "not JSON").expect("write");
    for id in ["../outside", "", ".", "..", ".hidden", "a/b", "stranger", "unknown"] {
        let fault = scene.files.destroy(&id.into(), DestroyReason::Terminate).await;
        assert!(fault.expect_err(id).to_string().contains("no such instance"), "{id}");
        assert!(scene.files.label(&id.into(), &Tags::new()).await.is_err());
    }
    assert!(outside.exists() && scene.path("stranger").exists());
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_strangers_are_left_out() {
    for notify in [true, false] {
        let scene = Scene::new(notify);
        let id = scene.files.provision(&spec("g", None)).await.expect("provision");
        fs::write(scene.path("stranger"), "not JSON").expect("write");
        fs::write(scene.path("list"), "[1]").expect("write");
        fs::write(scene.path(".hidden"), by_hand(1)).expect("write");
        fs::create_dir(scene.path("instance-dir")).expect("directory");
        rustix::fs::mkfifoat(rustix::fs::CWD, scene.path("instance-fifo"), 0o600.into())
            .expect("fifo");
        assert_eq!(scene.names().await, [id.as_str()]);
        fs::write(scene.path("by-hand"), by_hand(1)).expect("write");
        assert_eq!(scene.names().await.len(), 2, "any JSON object is an instance");
        for name in ["instance-7", "by-hand", id.as_str()] {
            let before = fs::read(scene.path(name)).ok();
            fs::write(scene.path(name), "{\"Tags\": 3}").expect("write");
            for _ in 0..2 {
                let result = scene.files.describe_instances(&Tags::new(), false).await;
                let fault = result.expect_err("not the whole truth").to_string();
                assert!(fault.contains(name) && fault.contains("at /Tags"), "{fault}");
                let keyed = scene.files.provision(&spec("g", Some(1))).await;
                assert!(keyed.is_err(), "the one with this key may be the one that is damaged");
            }
            match before {
                Some(before) => fs::write(scene.path(name), before).expect("repair"),
                None => fs::remove_file(scene.path(name)).expect("remove"),
            }
            assert_eq!(scene.names().await.len(), 2);
        }
    }
}

#[tokio::test]
async fn what_links_lead_to_is_read_each_time() {
    for notify in [true, false] {
        let scene = Scene::new(notify);
        let (one, two) = (scene.dir.path().join("one"), scene.dir.path().join("two"));
        for path in [&one, &two] {
            fs::write(path, by_hand(1)).expect("write");
        }
        std::os::unix::fs::symlink(&one, scene.path("instance-1")).expect("symbolic link");
        fs::hard_link(&two, scene.path("instance-2")).expect("hard link");
        assert_eq!(scene.names().await, ["instance-1", "instance-2"]);
        // Long after the files have settled.
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        scene.list().await;
        for (round, value) in [2u32, 3].into_iter().enumerate() {
            for path in [&one, &two] {
                fs::write(path, by_hand(value)).expect("write");
            }
            let list = scene.list().await;
            let values: Vec<_> = list.values().map(|tags| tags["value"].clone()).collect();
            assert_eq!(values, [value.to_string(), value.to_string()], "round {round}");
        }
        fs::remove_file(&one).expect("remove");
        assert_eq!(scene.names().await, ["instance-2"]);
        fs::write(&one, by_hand(4)).expect("write");
        assert_eq!(scene.names().await, ["instance-1", "instance-2"]);
    }
}

#[tokio::test]
async fn a_missing_directory_is_not_an_empty_one() {
    for notify in [true, false] {
        let scene = Scene::new(notify);
        let id = scene.files.provision(&spec("g", None)).await.expect("provision");
        assert_eq!(scene.names().await.len(), 1);
        let (from, to) = (scene.path(""), scene.dir.path().join("away"));
        fs::rename(&from, &to).expect("move away");
        let fault = scene.files.describe_instances(&Tags::new(), false).await.expect_err("gone");
        assert!(fault.to_string().contains("list directory"), "{fault}");
        fs::create_dir(&from).expect("an empty one");
        assert!(scene.names().await.is_empty());
        // A name that sorts behind every number, as the ids of this provider end in.
        fs::write(to.join("instance-by-hand"), by_hand(1)).expect("the old one no longer counts");
        assert!(scene.names().await.is_empty());
        fs::remove_dir(&from).expect("remove");
        fs::rename(&to, &from).expect("move back");
        assert_eq!(scene.names().await, [id.as_str(), "instance-by-hand"]);
    }
}

async fn next_hint(hints: &mut regrow_plugin::spi::EventStream) -> (String, String) {
    let event = tokio::time::timeout(Duration::from_secs(40), hints.next()).await;
    let event = event.expect("in time").expect("event");
    (event.kind.clone(), event.id.clone())
}

#[tokio::test]
async fn changes_by_hand_are_told_at_once() {
    let scene = Scene::new(true);
    let mut hints = scene.files.watch().expect("hints");
    let id = scene.files.provision(&spec("g", None)).await.expect("provision");
    let name = id.to_string();
    assert_eq!(next_hint(&mut hints).await, ("created".into(), name.clone()));
    let start = Instant::now();
    fs::remove_file(scene.path(&name)).expect("kill");
    assert_eq!(next_hint(&mut hints).await, ("lost".into(), name));
    println!("noticed after {:?}", start.elapsed());
    let id = scene.files.provision(&spec("g", None)).await.expect("provision");
    let name = id.to_string();
    assert_eq!(next_hint(&mut hints).await, ("created".into(), name.clone()));
    scene.files.label(&id, &Tags::from([("a".into(), "b".into())])).await.expect("label");
    assert_eq!(next_hint(&mut hints).await, ("changed".into(), name.clone()));
    scene.files.destroy(&id, DestroyReason::Terminate).await.expect("destroy");
    assert_eq!(next_hint(&mut hints).await, ("destroyed".into(), name));
    // The directory is replaced: the watch goes on with the new one.
    let from = scene.path("");
    fs::rename(&from, scene.dir.path().join("away")).expect("move away");
    fs::create_dir(&from).expect("directory");
    fs::write(scene.path("instance-1"), by_hand(1)).expect("write");
    assert_eq!(next_hint(&mut hints).await, ("created".into(), "instance-1".into()));
}

#[tokio::test]
async fn without_notification_changes_are_told_soon() {
    let scene = Scene::new(false);
    let mut hints = scene.files.watch().expect("hints");
    fs::write(scene.path("instance-1"), by_hand(1)).expect("write");
    assert_eq!(next_hint(&mut hints).await.0, "created");
    fs::remove_file(scene.path("instance-1")).expect("remove");
    assert_eq!(next_hint(&mut hints).await.0, "lost");
}

#[tokio::test]
async fn lost_reports_are_made_up_for() {
    let scene = Scene::new(true);
    for name in ["instance-1", "instance-2"] {
        fs::write(scene.path(name), by_hand(0)).expect("write");
    }
    assert_eq!(scene.names().await.len(), 2);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("limit");
    let limit: u32 = limit.trim().parse().expect("number");
    if limit > 100_000 {
        println!("the queue is too long to be filled here: {limit}");
        return;
    }
    // An event each that costs no access to a disk, and never the same one twice in a row: the kernel
    // would merge those.
    for number in 0..limit + 10 {
        let name = if number % 2 == 0 { "instance-1" } else { "instance-2" };
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(0o600)).expect("mode");
    }
    // Nobody reports these.
    fs::write(scene.path("instance-2"), by_hand(6)).expect("write");
    fs::write(scene.path("instance-3"), by_hand(7)).expect("write");
    fs::remove_file(scene.path("instance-1")).expect("remove");
    let found = scene.list().await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["instance-2", "instance-3"]);
    assert_eq!((&*found["instance-2"]["value"], &*found["instance-3"]["value"]), ("6", "7"));
}

fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("io");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("rchar");
    line.parse().expect("number")
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("fd").count()
}

#[tokio::test]
async fn a_list_of_a_thousand_reads_no_thousand_files() {
    let scene = Scene::new(true);
    for number in 0..1_000 {
        fs::write(scene.path(&format!("instance-{number}")), by_hand(number)).expect("write");
    }
    assert_eq!(scene.names().await.len(), 1_000);
    let (read, open, start) = (bytes_read(), open_files(), Instant::now());
    for _ in 0..50 {
        assert_eq!(
            scene.files.describe_instances(&Tags::new(), true).await.expect("list").len(),
            1_000
        );
    }
    println!("50 lists of 1,000 took {:?}", start.elapsed());
    assert!(bytes_read() - read < 10_000);
    assert_eq!(open_files(), open, "no descriptor is left behind");
    drop(scene);
    assert!(open_files() < open);
}

#[tokio::test]
async fn one_key_one_file() {
    let scene = Scene::new(true);
    let spec = spec("g", Some(1));
    let call = || scene.files.provision(&spec);
    let (a, b, c) = tokio::join!(call(), call(), call());
    assert_eq!((&a, &a), (&b, &c));
    assert_eq!(scene.names().await.len(), 1);
    // Another provider on the same directory finds it too.
    let options = Options { dir: Some(scene.path("")), ..Options::default() };
    let other = Files::open(&options).expect("open");
    assert_eq!(other.provision(&spec).await, a);
}

#[derive(Clone, Debug)]
enum Step {
    Provision { group: u8, key: Option<u8> },
    Label { pick: usize, value: u8 },
    Destroy { pick: usize },
    Delete { pick: usize },
    Write { name: u8, value: u8, beside: bool },
    Rename { pick: usize, to: u8 },
    List { group: Option<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2u8, proptest::option::of(0..4u8)).prop_map(|(group, key)| Step::Provision { group, key }),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(pick, value)| Step::Label { pick, value }),
        1 => any::<usize>().prop_map(|pick| Step::Destroy { pick }),
        2 => any::<usize>().prop_map(|pick| Step::Delete { pick }),
        3 => (0..4u8, any::<u8>(), any::<bool>()).prop_map(|(name, value, beside)| Step::Write { name, value, beside }),
        1 => (any::<usize>(), 0..4u8).prop_map(|(pick, to)| Step::Rename { pick, to }),
        4 => proptest::option::of(0..2u8).prop_map(|group| Step::List { group }),
    ]
}

fn write_by_hand(path: &Path, value: u8, beside: bool) -> Tags {
    let text = by_hand(value.into());
    if beside {
        let temp = path.with_file_name("beside");
        fs::write(&temp, text).expect("write");
        fs::rename(temp, path).expect("rename");
    } else {
        fs::write(path, text).expect("write");
    }
    Tags::from([(tags::GROUP.into(), "g0".into()), ("value".into(), value.to_string())])
}

async fn run(steps: Vec<Step>, notify: bool) {
    let scene = Scene::new(notify);
    let mut model: BTreeMap<String, Tags> = BTreeMap::new();
    for step in steps {
        let pick = |pick: usize| model.keys().nth(pick % model.len().max(1)).cloned();
        match step {
            Step::Provision { group, key } => {
                let spec = spec(&format!("g{group}"), key);
                let key = spec.tags.get(tags::STEP_KEY);
                let known = model
                    .iter()
                    .filter(|(_, tags)| key.is_some() && tags.get(tags::STEP_KEY) == key)
                    .map(|(name, _)| name.clone())
                    .next();
                let id = scene.files.provision(&spec).await.expect("provision").to_string();
                match known {
                    Some(known) => assert_eq!(id, known),
                    None => assert!(model.insert(id, spec.tags).is_none()),
                }
            }
            Step::Label { pick: at, value } => {
                if let Some(name) = pick(at) {
                    let label = Tags::from([("label".to_owned(), value.to_string())]);
                    scene.files.label(&name.as_str().into(), &label).await.expect("label");
                    model.get_mut(&name).expect("picked").extend(label);
                }
            }
            Step::Destroy { pick: at } => {
                if let Some(name) = pick(at) {
                    let id = InstanceId::from(name.as_str());
                    scene.files.destroy(&id, DestroyReason::Terminate).await.expect("destroy");
                    model.remove(&name);
                }
            }
            Step::Delete { pick: at } => {
                if let Some(name) = pick(at) {
                    fs::remove_file(scene.path(&name)).expect("remove");
                    model.remove(&name);
                }
            }
            Step::Write { name, value, beside } => {
                let name = format!("by-hand-{name}");
                let tags = write_by_hand(&scene.path(&name), value, beside);
                model.insert(name, tags);
            }
            Step::Rename { pick: at, to } => {
                if let Some(name) = pick(at) {
                    let to = format!("by-hand-{to}");
                    fs::rename(scene.path(&name), scene.path(&to)).expect("rename");
                    let tags = model.remove(&name).expect("picked");
                    model.insert(to, tags);
                }
            }
            Step::List { group } => {
                let wanted = group.map(|group| (tags::GROUP.to_owned(), format!("g{group}")));
                let wanted: Tags = wanted.into_iter().collect();
                let found = scene.files.describe_instances(&wanted, false).await.expect("list");
                let found: BTreeMap<_, _> =
                    found.iter().map(|one| (one.id.to_string(), one.tags.clone())).collect();
                let mut expected = model.clone();
                expected.retain(|_, tags| wanted.iter().all(|(k, v)| tags.get(k) == Some(v)));
                assert_eq!(found, expected);
            }
        }
    }
    assert_eq!(scene.list().await, model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec(step(), 1..40), notify: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("runtime").block_on(run(steps, notify));
    }
}
