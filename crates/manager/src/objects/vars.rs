use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_plugin::spi::{Change, Metadata, Proposal, Result, Updatable};

use crate::core::{CALL_TIMEOUT, Core, within};

/// The metadata plugin, with its values kept by the manager. Only a commit needs the leader.
pub(super) struct VarsObject(pub(super) Arc<Core>);

#[async_trait]
impl Metadata for VarsObject {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        let vars = self.0.vars().await?;
        within(&self.0.metadata, "Updatable.Keys", CALL_TIMEOUT, vars.keys(path)).await
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        let vars = self.0.vars().await?;
        within(&self.0.metadata, "Updatable.Get", CALL_TIMEOUT, vars.get(path)).await
    }
}

#[async_trait]
impl Updatable for VarsObject {
    async fn changes(&self, changes: &[Change]) -> Result<Proposal> {
        let vars = self.0.vars().await?;
        within(&self.0.metadata, "Updatable.Changes", CALL_TIMEOUT, vars.changes(changes)).await
    }

    async fn commit(&self, proposed: &Any, cas: &str) -> Result<()> {
        Ok(self.0.commit_vars(proposed, cas).await?)
    }
}
