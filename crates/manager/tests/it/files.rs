//! The file store: the original's layout, writes that happen whole or not at all, and writers that
//! do not overwrite one another.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{Document, FileStore, MemoryStore, SpecStore, StoreError, Version};
use regrow_plugin::spi::GroupSpec;
use serde_json::json;

use crate::fakes::{World, group, until};

const GOLDEN: &str = include_str!("golden/global.config");
const FENCE: Fence = Fence::new(1);

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).expect(name)
}

async fn save(store: &FileStore, contents: serde_json::Value) -> Result<(), StoreError> {
    let version = store.load(&Document::Specs).await?.version;
    store.save(&Document::Specs, &contents.into(), &version, FENCE).await.map(drop)
}

/// Updated by hand only: it is what the original writes.
#[tokio::test]
async fn golden_the_stored_document_has_the_originals_layout() {
    let dir = tempfile::tempdir().expect("directory");
    let world = World::new(MemoryLeader::leading(), Arc::new(FileStore::new(dir.path())));
    let properties = r#"{"Allocation":{"LogicalIDs":["10.0.0.1","10.0.0.2","10.0.0.3"]},
        "Flavor":{"Plugin":"vanilla","Properties":{"Init":["x > /dev/null"]}},
        "Instance":{"Plugin":"simulator/compute",
                    "Properties":{"a":"b","Account":9007199254740993}}}"#;
    let properties = Any::from_text(properties).expect("json");
    let document = GroupSpec { id: "q".into(), properties };
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&document, false).await.expect("commit");
    assert_eq!(read(dir.path(), "global.config"), GOLDEN);
    assert!(!dir.path().join("global.config.1").exists(), "there was no earlier version");
}

#[tokio::test]
async fn what_the_original_stored_is_taken_over_as_it_is() {
    let dir = tempfile::tempdir().expect("directory");
    fs::write(dir.path().join("global.config"), GOLDEN).expect("write");
    fs::write(dir.path().join("vars.vars"), "{\n    \"cluster\": {\n      \"size\": 5\n    }\n  }")
        .expect("write");
    let world = World::new(MemoryLeader::leading(), Arc::new(FileStore::new(dir.path())));
    until("the group is watched", || world.groups.ids() == ["q"]).await;
    assert_eq!(world.vars.tree().root(), &json!({"cluster": {"size": 5}}));
    assert_eq!(read(dir.path(), "global.config"), GOLDEN, "nothing is rewritten");
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("r", 1), false).await.expect("commit");
    let text = read(dir.path(), "global.config");
    assert!(text.starts_with(GOLDEN.trim_end_matches("\n  ]")), "the others stay as they were");
    assert_eq!(read(dir.path(), "global.config.1"), GOLDEN);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_never_overwritten() {
    let half = &GOLDEN[..GOLDEN.len() / 2];
    for (damage, reason) in [
        (half, "line 2"),
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("[{]", "(line 1, column 3)"),
        ("{\"Key\": 1}", "at : "),
        ("[{\"Key\": {\"Kind\": []}}]", "at /0/Key/Kind: "),
    ] {
        let dir = tempfile::tempdir().expect("directory");
        fs::write(dir.path().join("global.config"), damage).expect("write");
        let world = World::new(MemoryLeader::leading(), Arc::new(FileStore::new(dir.path())));
        let groups = world.group("mystack/groups").await;
        let fault = groups.commit_group(&group("q", 1), false).await.expect_err(damage);
        let text = fault.to_string();
        assert!(text.contains("global.config: "), "{text}");
        assert!(text.contains(reason.trim_start_matches("at : ")), "{damage:?}: {text}");
        assert!(text.contains("it is left as it is"), "{text}");
        assert!(world.stack().await.specs().await.is_err());
        assert_eq!(read(dir.path(), "global.config"), damage);
        assert_eq!(world.groups.ids(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_write_harms_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let store = FileStore::new(dir.path());
    save(&store, json!([1])).await.expect("save");
    // What a kill leaves: half a temporary file; the earlier version under two names; the lock file.
    fs::write(dir.path().join(".global.config.tmp"), "[{\"Key\"").expect("write");
    fs::hard_link(dir.path().join("global.config"), dir.path().join("global.config.1"))
        .expect("link");
    let found = store.load(&Document::Specs).await.expect("load").contents.expect("contents");
    assert_eq!(found.to_value(), json!([1]));
    save(&store, json!([2])).await.expect("save");
    assert_eq!(read(dir.path(), "global.config"), "[\n    2\n  ]");
    assert_eq!(read(dir.path(), "global.config.1"), "[\n    1\n  ]");
    assert!(!dir.path().join(".global.config.tmp").exists());
}

#[tokio::test]
async fn a_few_earlier_versions_are_kept() {
    let dir = tempfile::tempdir().expect("directory");
    let store = FileStore::new(dir.path().join("made"));
    for number in 0..9 {
        save(&store, json!(number)).await.expect("save");
        save(&store, json!(number)).await.expect("saving the same again is no new version");
    }
    let dir = dir.path().join("made");
    for (name, text) in [("", "8"), (".1", "7"), (".2", "6"), (".3", "5")] {
        assert_eq!(read(&dir, &format!("global.config{name}")), text);
    }
    let mut names: Vec<_> = fs::read_dir(&dir)
        .expect("list")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected =
        [".lock", "global.config", "global.config.1", "global.config.2", "global.config.3"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_save_that_fails_leaves_the_old_document() {
    let dir = tempfile::tempdir().expect("directory");
    let store = FileStore::new(dir.path());
    save(&store, json!([1])).await.expect("save");
    // A folder in the way of the temporary file makes the write fail.
    fs::create_dir_all(dir.path().join(".global.config.tmp/full")).expect("directory");
    let fault = save(&store, json!([2])).await.expect_err("cannot write");
    assert!(fault.to_string().contains(".global.config.tmp"), "{fault}");
    assert_eq!(read(dir.path(), "global.config"), "[\n    1\n  ]");
}

#[tokio::test]
async fn two_writers_never_overwrite_one_another() {
    let dir = tempfile::tempdir().expect("directory");
    let stores: [Arc<dyn SpecStore>; 2] =
        [Arc::new(FileStore::new(dir.path())), Arc::new(MemoryStore::default())];
    for store in stores {
        let (mine, old) = (Document::Metadata("vars".into()), Version::ABSENT);
        let first = store.save(&mine, &json!({"a": 1}).into(), &old, FENCE).await.expect("save");
        let fault = store.save(&mine, &json!({"b": 1}).into(), &old, FENCE).await;
        assert!(matches!(fault, Err(StoreError::Conflict { .. })), "{fault:?}");
        store.save(&mine, &json!({"a": 2}).into(), &first, FENCE).await.expect("save");
        let fault = store.save(&mine, &json!({"a": 3}).into(), &first, FENCE).await;
        assert!(matches!(fault, Err(StoreError::Conflict { .. })), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_writers_lose_no_change() {
    let dir = tempfile::tempdir().expect("directory");
    let add = |number: usize| {
        let store = FileStore::new(dir.path()); // as another process would have its own
        async move {
            loop {
                let stored = store.load(&Document::Specs).await.expect("load");
                let mut list =
                    stored.contents.map_or_else(|| json!([]), |contents| contents.to_value());
                list.as_array_mut().expect("list").push(json!(number));
                match store.save(&Document::Specs, &list.into(), &stored.version, FENCE).await {
                    Ok(_) => return,
                    // Busy: on a slow disk fifteen others take longer than one of them waits.
                    Err(StoreError::Conflict { .. } | StoreError::Busy { .. }) => {}
                    Err(fault) => panic!("{fault}"),
                }
            }
        }
    };
    let tasks: Vec<_> = (0..16).map(|number| tokio::spawn(add(number))).collect();
    for task in tasks {
        task.await.expect("task");
    }
    let stored = FileStore::new(dir.path()).load(&Document::Specs).await.expect("load");
    let mut list: Vec<usize> = stored.contents.expect("contents").decode().expect("numbers");
    list.sort_unstable();
    assert_eq!(list, (0..16).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_memory_store_refuses_an_older_fence() {
    let store = MemoryStore::default();
    let (document, newer) = (Document::Specs, Fence::new(2));
    let version = store.save(&document, &json!([]).into(), &Version::ABSENT, newer).await;
    let version = version.expect("save");
    let fault = store.save(&document, &json!([1]).into(), &version, FENCE).await;
    assert!(matches!(fault, Err(StoreError::Stale { .. })), "{fault:?}");
}
