use async_trait::async_trait;
use regrow_codec::Any;

use crate::spi::{Change, Metadata, Proposal, Result, Updatable};
use crate::wire::calls::{metadata, updatable};

super::keyed!(MetadataProxy, UpdatableProxy);

/// The wire has no "nothing": a path that is not there has the value `null`.
fn value(found: Any) -> Option<Any> {
    Some(found).filter(|value| !value.is_null())
}

#[async_trait]
impl Metadata for MetadataProxy {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        let (name, path) = (self.name.clone(), path.to_owned());
        self.client.call(&metadata::Keys { name, path }).await.map(|found| found.nodes)
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        let (name, path) = (self.name.clone(), path.to_owned());
        self.client.call(&metadata::Get { name, path }).await.map(|found| value(found.value))
    }
}

#[async_trait]
impl Metadata for UpdatableProxy {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        let (name, path) = (self.name.clone(), path.to_owned());
        self.client.call(&updatable::Keys { name, path }).await.map(|found| found.nodes)
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        let (name, path) = (self.name.clone(), path.to_owned());
        self.client.call(&updatable::Get { name, path }).await.map(|found| value(found.value))
    }
}

#[async_trait]
impl Updatable for UpdatableProxy {
    async fn changes(&self, changes: &[Change]) -> Result<Proposal> {
        let (name, changes) = (self.name.clone(), changes.to_vec());
        let found = self.client.call(&updatable::Changes { name, changes }).await?;
        Ok(Proposal { original: found.original, proposed: found.proposed, cas: found.cas })
    }

    async fn commit(&self, proposed: &Any, cas: &str) -> Result<()> {
        let (name, proposed) = (self.name.clone(), proposed.clone());
        let cas = cas.to_owned();
        self.client.call(&updatable::Commit { name, proposed, cas }).await.map(drop)
    }
}
