//! The door to metadata of plugins.

use crate::value::Value;
use std::time::Duration;

/// Finds the values behind `metadata` and behind unset variables.
///
/// The first segment of a path names the plugin. Called from the rendering thread; it may block.
pub trait MetadataLookup: Send + Sync {
    /// The value at `path`, or `None` when there is no such plugin or path.
    ///
    /// # Errors
    ///
    /// A text saying why a plugin that is there could not answer.
    fn get(&self, path: &str) -> Result<Option<serde_json::Value>, String>;

    /// Stores `value` at `path`.
    ///
    /// # Errors
    ///
    /// A text saying why not; by default that nothing here can be changed.
    fn set(&self, path: &str, value: &serde_json::Value) -> Result<(), String> {
        let _ = (path, value);
        Err("metadata cannot be changed here".to_owned())
    }

    /// Waits before the next try of `metadata path retry timeout`. Tests replace it.
    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Looks `path` up and decodes it.
pub(crate) fn lookup(
    scope: &crate::Scope<'_>,
    path: &str,
) -> Result<Option<Value>, crate::CallError> {
    let Some(metadata) = scope.session.metadata else { return Ok(None) };
    let found = metadata
        .get(path)
        .map_err(|message| crate::CallError::Metadata { path: path.to_owned(), message })?;
    let numbers = scope.options().numbers;
    Ok(found.filter(|json| !json.is_null()).map(|json| Value::from_json(&json, numbers)))
}
