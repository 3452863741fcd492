//! Metadata through the manager.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{
    Document, FileStore, MemoryStore, SpecStore, StoreError, Stored, Version,
};
use regrow_plugin::spi::{Change, Updatable as _};
use serde_json::{Value, json};

use crate::fakes::{World, until};

fn change(path: &str, value: Value) -> Change {
    Change { path: path.to_owned(), value: value.into() }
}

pub async fn set(world: &World, path: &str, value: Value) -> regrow_plugin::spi::Result<()> {
    let vars = world.updatable("mystack/vars").await;
    let proposal = vars.changes(&[change(path, value)]).await?;
    vars.commit(&proposal.proposed, &proposal.cas).await
}

pub async fn stored(store: &dyn SpecStore) -> Value {
    let stored = store.load(&Document::Metadata("vars".into())).await.expect("load");
    stored.contents.unwrap_or_default().to_value()
}

/// Waits until the stored values have been loaded, which a new leader does first.
pub async fn settled(world: &World) {
    for _ in 0..20_000 {
        match set(world, "probe", json!(null)).await {
            Ok(()) => return,
            Err(fault) if fault.to_string().contains("try again soon") => {}
            // The values were loaded between this probe's proposal and its commit.
            Err(fault) if fault.to_string() == "cas mismatch" => {}
            Err(fault) => panic!("{fault}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the stored values were never loaded");
}

#[tokio::test]
async fn what_is_committed_is_stored_and_loaded_by_the_next_leader() {
    let dir = tempfile::tempdir().expect("directory");
    let world = World::new(MemoryLeader::leading(), Arc::new(FileStore::new(dir.path())));
    settled(&world).await;
    set(&world, "cluster/size", json!(5)).await.expect("commit");
    set(&world, "cluster/name", json!("foo")).await.expect("commit");
    let text = std::fs::read_to_string(dir.path().join("vars.vars")).expect("file");
    let expected = "{\n    \"cluster\": {\n      \"name\": \"foo\",\n      \"size\": 5\n    }\n  }";
    assert_eq!(text, expected);
    let next = World::new(MemoryLeader::leading(), Arc::new(FileStore::new(dir.path())));
    let wanted = json!({"cluster": {"name": "foo", "size": 5}});
    until("the values are there", || *next.vars.tree().root() == wanted).await;
}

#[tokio::test]
async fn followers_read_and_compute_but_do_not_commit() {
    let world = World::new(MemoryLeader::default(), Arc::new(MemoryStore::default()));
    let vars = world.updatable("mystack/vars").await;
    assert_eq!(vars.keys("").await, Ok(Vec::new()));
    let proposal = vars.changes(&[change("a", json!(1))]).await.expect("changes are computed");
    let fault = vars.commit(&proposal.proposed, &proposal.cas).await.expect_err("follower");
    assert_eq!(fault.to_string(), "not a leader");
    assert_eq!(stored(&*world.store).await, Value::Null);
}

#[tokio::test]
async fn a_commit_on_an_old_tree_changes_nothing() {
    let world = World::leading();
    settled(&world).await;
    let vars = world.updatable("mystack/vars").await;
    let old = vars.changes(&[change("a", json!(1))]).await.expect("changes");
    set(&world, "b", json!(2)).await.expect("commit");
    let fault = vars.commit(&old.proposed, &old.cas).await.expect_err("old");
    assert_eq!(fault.to_string(), "cas mismatch");
    assert_eq!(stored(&*world.store).await, json!({"b": 2}));
}

#[tokio::test]
async fn keys_that_another_leader_removed_do_not_come_back() {
    let world = World::leading();
    settled(&world).await;
    set(&world, "mine", json!(1)).await.expect("commit");
    set(&world, "gone", json!(1)).await.expect("commit");
    world.leader.follow();
    let document = Document::Metadata("vars".into());
    let version = world.store.load(&document).await.expect("load").version;
    let theirs = json!({"mine": 1, "new": 2}).into();
    world.store.save(&document, &theirs, &version, Fence::new(7)).await.expect("save");
    world.leader.lead();
    let wanted = json!({"mine": 1, "new": 2});
    until("their values are there", || *world.vars.tree().root() == wanted).await;
}

/// Saves nothing, or loads nothing, on demand.
#[derive(Default)]
struct Broken {
    inner: MemoryStore,
    loads: std::sync::atomic::AtomicBool,
    saves: std::sync::atomic::AtomicBool,
}

fn fault(doing: &'static str) -> StoreError {
    StoreError::Outside { doing, place: "test".into(), reason: "disk full".into() }
}

#[async_trait]
impl SpecStore for Broken {
    fn place(&self, document: &Document) -> String {
        self.inner.place(document)
    }

    async fn load(&self, document: &Document) -> Result<Stored, StoreError> {
        if self.loads.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(fault("load"));
        }
        self.inner.load(document).await
    }

    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError> {
        if self.saves.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(fault("save"));
        }
        self.inner.save(document, contents, expected, fence).await
    }
}

#[tokio::test]
async fn values_that_cannot_be_stored_are_taken_back() {
    let store = Arc::new(Broken::default());
    let world = World::new(MemoryLeader::leading(), store.clone());
    settled(&world).await;
    set(&world, "a", json!(1)).await.expect("commit");
    store.saves.store(true, std::sync::atomic::Ordering::Relaxed);
    let fault = set(&world, "b", json!(2)).await.expect_err("cannot store");
    assert!(fault.to_string().contains("disk full"), "{fault}");
    assert_eq!(world.vars.tree().root(), &json!({"a": 1}));
}

#[tokio::test(start_paused = true)]
async fn until_the_stored_values_are_loaded_none_are_stored() {
    let store = Arc::new(Broken::default());
    let document = Document::Metadata("vars".into());
    let old = json!({"precious": 1}).into();
    let saved = store.save(&document, &old, &Version::ABSENT, Fence::new(1)).await;
    saved.expect("save");
    store.loads.store(true, std::sync::atomic::Ordering::Relaxed);
    let world = World::new(MemoryLeader::leading(), store.clone());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let fault = set(&world, "b", json!(2)).await.expect_err("not loaded");
    assert!(fault.to_string().contains("disk full"), "{fault}");
    store.loads.store(false, std::sync::atomic::Ordering::Relaxed);
    settled(&world).await;
    set(&world, "b", json!(2)).await.expect("commit");
    assert_eq!(stored(&*world.store).await, json!({"b": 2, "precious": 1}));
}

/// What a restart of the plugin leaves: its tree is empty.
async fn restart(world: &World) {
    let own = world.vars.changes(&[change(".", emptied(world.vars.tree().root()))]).await;
    let own = own.expect("changes");
    world.vars.commit(&own.proposed, &own.cas).await.expect("commit");
}

fn emptied(tree: &Value) -> Value {
    tree.as_object().expect("map").keys().map(|key| (key.clone(), Value::Null)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_was_restarted_does_not_empty_the_store() {
    let world = World::leading();
    settled(&world).await;
    set(&world, "precious", json!(1)).await.expect("commit");
    restart(&world).await;
    let fault = set(&world, "new", json!(2)).await.expect_err("stale").to_string();
    assert!(fault.contains("repeat the change"), "{fault}");
    assert_eq!(stored(&*world.store).await, json!({"precious": 1}));
    set(&world, "new", json!(2)).await.expect("commit");
    let both = json!({"precious": 1, "new": 2});
    assert_eq!((stored(&*world.store).await, world.vars.tree().root()), (both.clone(), &both));
    // Nobody need change anything for the values to come back.
    restart(&world).await;
    until("the values are there again", || *world.vars.tree().root() == both).await;
}

#[tokio::test]
async fn what_another_leader_stored_is_not_overwritten() {
    let world = World::leading();
    settled(&world).await;
    set(&world, "mine", json!(1)).await.expect("commit");
    let document = Document::Metadata("vars".into());
    let version = world.store.load(&document).await.expect("load").version;
    let theirs = json!({"theirs": 2});
    let any = theirs.clone().into();
    world.store.save(&document, &any, &version, Fence::new(1)).await.expect("save");
    let fault = set(&world, "mine", json!(3)).await.expect_err("conflict").to_string();
    assert!(fault.contains("somebody else changed it"), "{fault}");
    assert_eq!(stored(&*world.store).await, theirs);
    assert_eq!(world.vars.tree().root(), &theirs);
}

#[tokio::test]
async fn a_first_save_that_fails_leaves_the_plugins_own_values() {
    let store = Arc::new(Broken::default());
    let world = World::new(MemoryLeader::leading(), store.clone());
    let own = world.vars.changes(&[change("template", json!({"x": 1}))]).await.expect("changes");
    world.vars.commit(&own.proposed, &own.cas).await.expect("commit");
    store.saves.store(true, std::sync::atomic::Ordering::Relaxed);
    let fault = loop {
        let fault = set(&world, "template", json!({"x": 2, "y": 3})).await.expect_err("no store");
        if !fault.to_string().contains("try again soon") {
            break fault;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert!(fault.to_string().contains("disk full"), "{fault}");
    assert_eq!(world.vars.tree().root(), &json!({"template": {"x": 1}}));
}
