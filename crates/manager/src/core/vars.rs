//! The metadata that the manager keeps for a metadata plugin.

use std::sync::{Arc, Mutex, PoisonError};

use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_plugin::spi::{Change, Updatable};
use serde_json::{Map, Value};

use super::Core;
use super::calls::{CALL_TIMEOUT, within};
use crate::ManagerError;

/// Path of a whole tree, in the form that the original's plugins know.
const ROOT: &str = ".";

#[derive(Default)]
pub(super) struct VarsState {
    /// Held while the plugin or the store changes: the two go together.
    changing: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The term for which the stored values were loaded.
    loaded: Option<Fence>,
    /// What the last attempt to load them said.
    why: String,
    /// The values that this replica last put into the plugin.
    last: Option<Value>,
}

impl VarsState {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The plugin that keeps the metadata.
    pub(crate) async fn vars(&self) -> Result<Arc<dyn Updatable>, ManagerError> {
        Ok(self.find_updatable(&self.metadata).await?)
    }

    /// Puts the stored values into the metadata plugin.
    pub(super) async fn load_vars(&self, fence: Fence) -> Result<(), ManagerError> {
        let loaded = async {
            let _alone = self.vars.changing.lock().await;
            match self.shelf.metadata(self.metadata.lookup()).await? {
                Some(stored) => self.put_vars(fence, &stored).await?,
                None => self.still(fence)?,
            }
            Ok(())
        };
        let loaded: Result<(), ManagerError> = loaded.await;
        let mut seen = self.vars.seen();
        match &loaded {
            Ok(()) => seen.loaded = Some(fence),
            Err(fault) => seen.why = fault.to_string(),
        }
        loaded
    }

    /// Merges values into the plugin, and removes those that we put there earlier and that are not
    /// among the values any more. What the plugin has of its own stays.
    async fn put_vars(&self, fence: Fence, values: &Any) -> Result<(), ManagerError> {
        let plugin = self.vars().await?;
        let wanted = values.to_value();
        let patch = match &self.vars.seen().last {
            Some(last) => patch(last, &wanted),
            None => wanted.clone(),
        };
        let change = Change { path: ROOT.to_owned(), value: patch.into() };
        self.still(fence)?;
        let call = plugin.changes(std::slice::from_ref(&change));
        let proposal = within(&self.metadata, "Updatable.Changes", CALL_TIMEOUT, call).await?;
        self.still(fence)?;
        let call = plugin.commit(&proposal.proposed, &proposal.cas);
        within(&self.metadata, "Updatable.Commit", CALL_TIMEOUT, call).await?;
        self.vars.seen().last = Some(wanted);
        Ok(())
    }

    /// Changes the metadata and remembers it.
    pub(crate) async fn commit_vars(
        self: &Arc<Self>,
        proposed: &Any,
        cas: &str,
    ) -> Result<(), ManagerError> {
        let fence = self.lead()?;
        let (proposed, cas) = (proposed.clone(), cas.to_owned());
        self.whole(|core| async move {
            let _alone = core.vars.changing.lock().await;
            core.require_loaded(fence)?;
            let plugin = core.vars().await?;
            core.still(fence)?;
            let call = plugin.commit(&proposed, &cas);
            within(&core.metadata, "Updatable.Commit", CALL_TIMEOUT, call).await?;
            let before = core.vars.seen().last.replace(proposed.to_value());
            let name = core.metadata.lookup();
            let stored = match core.still(fence) {
                Ok(()) => core.shelf.put_metadata(fence, name, &proposed).await,
                Err(fault) => return Err(fault),
            };
            if let Err(source) = stored {
                // Back to what is stored, so that nobody builds on values that the next leader
                // will not have.
                let before = before.unwrap_or_else(|| Value::Object(Map::new()));
                if let Err(fault) = core.put_vars(fence, &before.into()).await {
                    tracing::warn!(metadata = name, %fault, "the plugin has values not stored");
                }
                return Err(source.into());
            }
            Ok(())
        })
        .await
    }

    /// Until the stored values are in the plugin its tree is not the one to change: storing it would
    /// lose them.
    fn require_loaded(&self, fence: Fence) -> Result<(), ManagerError> {
        let seen = self.vars.seen();
        if seen.loaded == Some(fence) {
            return Ok(());
        }
        let why = if seen.why.is_empty() { "it is under way" } else { seen.why.as_str() };
        let (name, why) = (self.metadata.to_string(), why.to_owned());
        Err(ManagerError::NotLoaded { name, why })
    }
}

/// What to merge into a tree that holds `last` so that it holds `wanted` in its place: `null` removes.
fn patch(last: &Value, wanted: &Value) -> Value {
    let (Value::Object(last), Value::Object(fields)) = (last, wanted) else {
        return wanted.clone();
    };
    let mut patched = Map::new();
    for (key, value) in fields {
        let value = last.get(key).map_or_else(|| value.clone(), |last| patch(last, value));
        patched.insert(key.clone(), value);
    }
    for key in last.keys().filter(|key| !fields.contains_key(*key)) {
        patched.insert(key.clone(), Value::Null);
    }
    Value::Object(patched)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::patch;

    #[test]
    fn a_patch_removes_only_what_was_ours() {
        let last = json!({"a": {"x": 1, "y": 2}, "b": 1, "l": [1]});
        let wanted = json!({"a": {"x": 1, "z": 3}, "l": [2]});
        assert_eq!(
            patch(&last, &wanted),
            json!({"a": {"x": 1, "y": null, "z": 3}, "b": null, "l": [2]})
        );
    }
}
