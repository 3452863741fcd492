//! Stores that fail in the middle of a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{
    DiskError, Document, MemoryStore, SpecStore, StoreError, Stored, Version,
};
use serde_json::json;

use crate::fakes::{World, group, spec, until};

/// A store whose saves fail once so many have succeeded; some of them although they are done.
pub struct Failing {
    inner: MemoryStore,
    /// So many more saves succeed.
    pub good: AtomicI64,
    is_done: bool,
}

pub fn failing(good: i64, is_done: bool) -> Arc<Failing> {
    Arc::new(Failing { inner: MemoryStore::default(), good: AtomicI64::new(good), is_done })
}

#[async_trait]
impl SpecStore for Failing {
    fn place(&self, document: &Document) -> String {
        self.inner.place(document)
    }

    async fn load(&self, document: &Document) -> Result<Stored, StoreError> {
        self.inner.load(document).await
    }

    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError> {
        let place = "test".to_owned();
        if self.good.fetch_sub(1, Ordering::Relaxed) > 0 {
            return self.inner.save(document, contents, expected, fence).await;
        }
        if self.is_done {
            let version = self.inner.save(document, contents, expected, fence).await?;
            let source = DiskError::new("sync", "dir".as_ref(), std::io::Error::other("no space"));
            return Err(StoreError::NotDurable { place, version, source });
        }
        Err(StoreError::Outside { doing: "save", place, reason: "disk full".into() })
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_are_told_although_they_cannot_be_undone() {
    let world = World::new(MemoryLeader::leading(), failing(1, false));
    world.groups.with(|seen| seen.reject_late.insert("bad".into()));
    let specs = ["bad", "good"].map(|id| spec("group", id, json!({"Allocation": {"Size": 1}})));
    let fault = world.stack().await.enforce(&specs).await.expect_err("rejected").to_string();
    for text in ["1 of 2", "no plugin for flavor of bad", "disk full"] {
        assert!(fault.contains(text), "{fault}");
    }
    // It is stored, so it is tried on and seen.
    until("it is tried", || world.groups.with(|seen| seen.count("commit bad")) > 2).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_but_not_for_sure_is_brought_into_force() {
    let world = World::new(MemoryLeader::leading(), failing(0, true));
    let groups = world.group("mystack/groups").await;
    let fault = groups.commit_group(&group("q", 1), false).await.expect_err("unsure").to_string();
    assert!(fault.contains("no space") && fault.contains("will try it again"), "{fault}");
    until("it is in force", || world.groups.ids() == ["q"]).await;
    assert_eq!(world.stored().await, ["q"]);
    let specs = ["r", "s"].map(|id| spec("group", id, json!({"Allocation": {"Size": 1}})));
    world.stack().await.enforce(&specs).await.expect_err("unsure");
    until("they are in force", || world.groups.ids() == ["q", "r", "s"]).await;
}
