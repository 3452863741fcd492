//! The metadata that the manager keeps for a metadata plugin.

use std::sync::{Arc, Mutex, PoisonError};

use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_plugin::spi::{Change, Updatable};
use serde_json::{Map, Value};

use super::Core;
use super::calls::{CALL_TIMEOUT, within};
use crate::ManagerError;
use crate::store::{StoreError, Version};

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
    /// The state of the store in which they stand.
    version: Version,
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
            self.put_stored(fence).await
        };
        let loaded: Result<(), ManagerError> = loaded.await;
        let mut seen = self.vars.seen();
        match &loaded {
            Ok(()) => seen.loaded = Some(fence),
            Err(fault) => seen.why = fault.to_string(),
        }
        loaded
    }

    async fn put_stored(&self, fence: Fence) -> Result<(), ManagerError> {
        let (stored, version) = self.shelf.metadata(self.metadata.lookup()).await?;
        let wanted = stored.map(|stored| stored.to_value());
        match &wanted {
            Some(wanted) => {
                let last = self.vars.seen().last.clone();
                let change = last.map_or_else(|| wanted.clone(), |last| patch(&last, wanted));
                self.merge_vars(fence, change).await?;
            }
            None => self.still(fence)?,
        }
        let mut seen = self.vars.seen();
        (seen.last, seen.version) = (wanted, version);
        Ok(())
    }

    /// Merges values into the plugin; `null` removes. What the plugin has of its own stays.
    async fn merge_vars(&self, fence: Fence, values: Value) -> Result<(), ManagerError> {
        let plugin = self.vars().await?;
        let change = Change { path: ROOT.to_owned(), value: values.into() };
        let (name, method) = (&self.metadata, "Updatable.Changes");
        let call = plugin.changes(std::slice::from_ref(&change));
        let proposal = self.lead_in(fence, name, method, CALL_TIMEOUT, call).await?;
        let call = plugin.commit(&proposal.proposed, &proposal.cas);
        self.lead_in(fence, name, "Updatable.Commit", CALL_TIMEOUT, call).await
    }

    /// The plugin's whole tree, and whether what we last put there is still in it: a plugin that was
    /// restarted has lost it.
    async fn read_vars(&self) -> Result<(Value, bool), ManagerError> {
        let plugin = self.vars().await?;
        // No change: the answer holds the whole tree, which not every plugin gives for a path.
        let call = plugin.changes(&[]);
        let proposal = within(&self.metadata, "Updatable.Changes", CALL_TIMEOUT, call).await?;
        let tree = proposal.original.to_value();
        let whole = self.vars.seen().last.as_ref().is_none_or(|last| holds(&tree, last));
        Ok((tree, whole))
    }

    /// Puts the stored values back into a plugin that has lost them.
    pub(super) async fn revisit_vars(&self, fence: Fence) -> Result<(), ManagerError> {
        let _alone = self.vars.changing.lock().await;
        if self.require_loaded(fence).is_ok() && !self.read_vars().await?.1 {
            tracing::warn!(metadata = %self.metadata, "the plugin has lost its values, loading them");
            self.put_stored(fence).await?;
        }
        Ok(())
    }

    /// Changes the metadata and remembers it.
    pub(crate) async fn commit_vars(
        self: &Arc<Self>,
        proposed: &Any,
        cas: &str,
    ) -> Result<(), ManagerError> {
        let fence = self.lead_or_say().await?;
        let (proposed, cas) = (proposed.clone(), cas.to_owned());
        self.whole(|core| async move {
            let _alone = core.vars.changing.lock().await;
            core.require_loaded(fence)?;
            let (before, whole) = core.read_vars().await?;
            if !whole {
                // The proposal may well have been made for the tree that has lost everything, and
                // storing it would lose everything there too.
                core.put_stored(fence).await?;
                return Err(ManagerError::StaleMetadata { name: core.metadata.to_string() });
            }
            let plugin = core.vars().await?;
            // The state of the store on which the plugin's tree builds, not the one of later: what
            // another leader has stored since must not be overwritten.
            let version = core.vars.seen().version.clone();
            let call = plugin.commit(&proposed, &cas);
            core.lead_in(fence, &core.metadata, "Updatable.Commit", CALL_TIMEOUT, call).await?;
            let values = proposed.to_value();
            let last = core.vars.seen().last.replace(values.clone());
            let (may, name) = (|| core.still(fence), core.metadata.lookup());
            match core.shelf.put_metadata(fence, may, name, &proposed, &version).await {
                Ok(version) => {
                    core.vars.seen().version = version;
                    Ok(())
                }
                Err(ManagerError::Store(fault @ StoreError::NotDurable { .. })) => {
                    if let StoreError::NotDurable { version, .. } = &fault {
                        core.vars.seen().version = version.clone();
                    }
                    Err(fault.into())
                }
                Err(source) => {
                    core.take_back(fence, &values, &before, last, &source).await;
                    Err(source)
                }
            }
        })
        .await
    }

    /// Back to the tree of before, so that nobody builds on values that the next leader will not
    /// have.
    async fn take_back(
        &self,
        fence: Fence,
        proposed: &Value,
        before: &Value,
        last: Option<Value>,
        why: &ManagerError,
    ) {
        let restore = async {
            self.merge_vars(fence, patch(proposed, before)).await?;
            self.vars.seen().last = last;
            match why {
                ManagerError::Store(StoreError::Conflict { .. } | StoreError::Unknown { .. }) => {
                    self.put_stored(fence).await
                }
                _ => Ok(()),
            }
        };
        let restored: Result<(), ManagerError> = restore.await;
        if let Err(fault) = restored {
            tracing::warn!(metadata = %self.metadata, %fault, "the plugin has values not stored");
        }
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

/// True when all these values are in the tree, whatever else it has. A plugin may print a number in
/// another way than we did.
fn holds(tree: &Value, values: &Value) -> bool {
    match (tree, values) {
        (Value::Object(tree), Value::Object(values)) => values.iter().all(|(key, value)| {
            value.is_null() || tree.get(key).is_some_and(|found| holds(found, value))
        }),
        (Value::Array(tree), Value::Array(values)) => {
            tree.len() == values.len() && tree.iter().zip(values).all(|(a, b)| holds(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (tree, values) => tree == values,
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

    use super::{holds, patch};

    #[test]
    fn a_tree_holds_what_is_in_it() {
        let tree = json!({"a": {"x": 1, "y": [1.0, {"k": "v"}]}, "own": true});
        for (values, held) in [
            (json!({}), true),
            (json!({"a": {"x": 1.0}}), true),
            (json!({"a": {"y": [1, {"k": "v"}]}, "gone": null}), true),
            (json!({"a": {"x": 2}}), false),
            (json!({"a": {"y": [1]}}), false),
            (json!({"b": {}}), false),
        ] {
            assert_eq!(holds(&tree, &values), held, "{values}");
        }
    }

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
