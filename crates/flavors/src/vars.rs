//! User-defined values as updatable metadata.
//!
//! A tree that templates read (`{{ metadata "vars/cluster/size" }}`) and people change
//! (`regrow local vars change -c cluster/size=5`). It lives in memory: behind a manager it is kept
//! by the manager, and a change made directly at this plugin is gone when it ends.
//!
//! Changes are merged map by map; scalars and lists are replaced. Setting a value to `null` removes
//! it, which the original cannot do; its clients need nothing new for it, because a proposal is the
//! whole tree that comes to be. See [`regrow_plugin::tree`] for paths.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use regrow_plugin::spi::Updatable;
use regrow_plugin::tree::{self, Path, Tree, TreeError, UpdatableTree};
use regrow_plugin::{FixedObjects, Plugin};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Templates;

/// Usual name of the plugin.
pub const KIND: &str = "vars";
/// Environment variable for [`Options::initial_template`].
pub const ENV_TEMPLATE: &str = "INFRAKIT_VARS_TEMPLATE";

/// How the plugin starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// URL of a template, or `str://` and its text, rendered once at start; it must give a map as
    /// JSON or YAML, or nothing. The variables that the template sets are put into the tree, their
    /// names taken as paths. Default: the environment variable [`ENV_TEMPLATE`], else none.
    pub initial_template: Option<String>,
}

impl Options {
    /// Takes from the environment what is not set.
    #[must_use]
    pub fn or_environment(mut self, environment: impl Fn(&str) -> Option<String>) -> Self {
        let given = |text: &String| !text.is_empty();
        self.initial_template =
            self.initial_template.filter(given).or_else(|| environment(ENV_TEMPLATE)).filter(given);
        self
    }
}

/// Why the plugin cannot start.
#[derive(Debug, thiserror::Error)]
pub enum VarsError {
    /// The template cannot be rendered.
    #[error("render InitialTemplate of vars: {0}")]
    Template(String),
    /// The rendered text is neither JSON nor YAML.
    #[error("read what InitialTemplate of vars gives: {reason}; expected a map as JSON or YAML")]
    Text {
        /// What the reader says.
        reason: String,
    },
    /// The values do not make a tree.
    #[error("put values of InitialTemplate into vars: {0}")]
    Tree(#[from] TreeError),
}

/// A plugin that starts with the values of the template.
///
/// # Errors
/// See [`VarsError`].
pub async fn plugin(
    name: &str,
    options: &Options,
    templates: &Templates,
) -> Result<Plugin, VarsError> {
    Ok(plugin_of(name, UpdatableTree::new(load(options, templates).await?)))
}

/// A plugin around a tree that the caller can read and change too.
pub fn plugin_of(name: &str, tree: UpdatableTree) -> Plugin {
    Plugin::new(name).with_updatables(FixedObjects::single(Arc::new(tree) as Arc<dyn Updatable>))
}

/// The values of the template.
///
/// # Errors
/// See [`VarsError`].
pub async fn load(options: &Options, templates: &Templates) -> Result<Tree, VarsError> {
    let Some(url) = &options.initial_template else { return Ok(Tree::default()) };
    // There is no later pass: an unset variable must not print itself into the values.
    let templates = templates.clone().final_pass();
    let rendered = templates.render(url, Value::Null).await.map_err(VarsError::Template)?;
    let mut root = match read(&rendered.text)? {
        Value::Null => Value::Object(Map::new()), // nothing but comments
        root => root,
    };
    if !root.is_object() {
        return Ok(Tree::new(root)?); // says that a map is needed
    }
    for (name, value) in rendered.vars {
        tree::set(&mut root, &Path::parse(&name)?, value)?;
    }
    Ok(Tree::new(root)?)
}

fn read(text: &str) -> Result<Value, VarsError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let json = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(fault) => fault,
    };
    serde_saphyr::from_str::<Value>(text).map_err(|yaml| {
        // The reader of the format that was meant says what helps.
        let meant_json = text.trim_start().starts_with('{');
        VarsError::Text { reason: if meant_json { json.to_string() } else { yaml.to_string() } }
    })
}
