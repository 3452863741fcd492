//! Asking all choices at the same time, for a bounded time.

use std::sync::Arc;
use std::time::Duration;

use regrow_ids::PluginName;
use regrow_plugin::spi::{Description, Instance, Result, Tags, World};
use regrow_plugin::{Lookup, PluginError};
use tokio::task::JoinSet;

use super::provider::fault;
use super::{Choices, SelectorError};

/// How long a choice may take to list its instances, and to be found.
pub(super) const LIST_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to make, label or destroy one.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(900);

/// A plugin's answer, or an error once the time is up.
pub(super) async fn bounded<T>(
    plugin: &PluginName,
    method: &str,
    limit: Duration,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        let (plugin, method) = (plugin.to_string(), method.to_owned());
        Err(PluginError::TimedOut { plugin, method, after: limit })
    })
}

/// Finds the plugin of a choice.
pub(super) async fn find(
    lookup: &Arc<dyn Lookup>,
    choice: &PluginName,
) -> Result<Arc<dyn Instance>> {
    let found = tokio::time::timeout(LIST_LIMIT, lookup.instance(choice)).await;
    found.unwrap_or_else(|_| {
        let reason = "it was not found in time".to_owned();
        Err(PluginError::Unreachable { plugin: choice.to_string(), reason })
    })
}

/// What the choices answered to a list, in their order.
pub(super) type Answers = Vec<std::result::Result<Vec<Arc<Description>>, SelectorError>>;

/// Lists the instances of all choices; `tags_of` says which, for the choice at a position.
pub(super) async fn list_all(
    lookup: &Arc<dyn Lookup>,
    choices: &Choices,
    properties: bool,
    tags_of: impl Fn(usize) -> Tags,
) -> Answers {
    let mut calls = JoinSet::new();
    for (at, choice) in choices.as_slice().iter().enumerate() {
        let (lookup, name, tags) = (Arc::clone(lookup), choice.name.clone(), tags_of(at));
        calls.spawn(async move {
            let call = async {
                let plugin = find(&lookup, &name).await?;
                plugin.describe_instances(&tags, properties).await
            };
            (at, bounded(&name, "Instance.DescribeInstances", LIST_LIMIT, call).await)
        });
    }
    let mut answers: Vec<_> = choices.as_slice().iter().map(|_| None).collect();
    while let Some(done) = calls.join_next().await {
        // A call that panicked leaves its place empty.
        if let Ok((at, answer)) = done {
            answers[at] = Some(answer);
        }
    }
    let fill = |(at, answer): (usize, Option<Result<_>>)| {
        let answer = answer.unwrap_or_else(|| Err(PluginError::refused("the call was aborted")));
        answer.map_err(|source| SelectorError::Choice {
            doing: "list instances",
            choice: choices.as_slice()[at].name.clone(),
            source: Box::new(source),
        })
    };
    answers.into_iter().enumerate().map(fill).collect()
}

/// The worlds of all choices. One that says nothing of its world is known by its name.
pub(super) async fn worlds_of_all(
    lookup: &Arc<dyn Lookup>,
    choices: &Choices,
) -> std::result::Result<Vec<World>, SelectorError> {
    let mut all = Vec::new();
    for choice in choices.as_slice() {
        let call = async { find(lookup, &choice.name).await?.worlds().await };
        let worlds = bounded(&choice.name, "worlds", LIST_LIMIT, call).await;
        let worlds = worlds.map_err(|source| fault("name the world of", choice, source))?;
        if worlds.is_empty() {
            all.push(World::of_plugin(&choice.name));
        }
        all.extend(worlds);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
