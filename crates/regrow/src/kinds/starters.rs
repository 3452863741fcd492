//! How each kind is made from its options. The only place that names the crates with plugins.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use regrow_flavors::{combo as combo_flavor, vanilla as vanilla_flavor, vars as vars_metadata};
use regrow_groups::{Groups, Options as GroupOptions};
use regrow_plugin::spi::Instance;
use regrow_plugin::{FixedObjects, Plugin};
use regrow_providers::selector::{self, Choices, Selector, Strategy};
use regrow_providers::{file as files, process as processes, settings, simulator as simulated};
use regrow_reconcile::intents::FileIntents;
use serde_json::Value;

use super::host::Start;
use super::intents::OwnIntents;

pub(super) async fn combo(start: &Start<'_>) -> Result<Plugin> {
    start.no_options()?;
    Ok(combo_flavor::plugin(start.name, start.host.lookup()))
}

pub(super) async fn vanilla(start: &Start<'_>) -> Result<Plugin> {
    start.no_options()?;
    Ok(vanilla_flavor::plugin_with(start.name, start.host.templates()))
}

pub(super) async fn vars(start: &Start<'_>) -> Result<Plugin> {
    let options: vars_metadata::Options = start.options()?;
    let options = options.or_environment(|name| std::env::var(name).ok());
    Ok(vars_metadata::plugin(start.name, &options, &start.host.templates()).await?)
}

pub(super) async fn simulator(start: &Start<'_>) -> Result<Plugin> {
    let options: simulated::Options = settings::from_environment(start.options)?;
    Ok(simulated::plugin(start.name, &options)?)
}

pub(super) async fn file(start: &Start<'_>) -> Result<Plugin> {
    let options: files::Options = settings::from_environment(start.options)?;
    let name = start.name.to_owned();
    // Looks at a directory.
    let opened = tokio::task::spawn_blocking(move || files::plugin(name, &options));
    Ok(opened.await.context("open the directory of instances")??)
}

/// A selector with all its objects.
pub(super) async fn selectors(start: &Start<'_>) -> Result<Plugin> {
    Ok(selector::plugin(start.name, &start.host.lookup(), start.options)?)
}

/// A selector with one of its objects, as InfraKit names the kinds.
pub(super) async fn one_selector(start: &Start<'_>, strategy: Strategy) -> Result<Plugin> {
    let choices = Choices::read(start.options)?;
    let selector = Selector::new(strategy, choices, start.host.lookup());
    let object: Arc<dyn Instance> = Arc::new(selector);
    let objects = FixedObjects::default().with(strategy.name(), object);
    Ok(Plugin::new(start.name).with_instances(objects))
}

pub(super) async fn process(start: &Start<'_>) -> Result<Plugin> {
    let mut options: processes::Options = settings::from_environment(start.options)?;
    let home = || start.host.state().join(start.name);
    options.dir = Some(options.dir.unwrap_or_else(home));
    Ok(processes::plugin(start.name, &options).await?)
}

/// The group controller, with its intents in the state folder: what it promised to do survives it.
pub(super) async fn group(start: &Start<'_>) -> Result<Plugin> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let environment = GroupOptions::from_environment(set);
    let mut merged = serde_json::to_value(environment.map_err(|fault| anyhow!(fault))?)?;
    if let (Value::Object(all), Value::Object(given)) = (&mut merged, start.options.to_value()) {
        for (name, value) in given {
            all.retain(|known, _| !known.eq_ignore_ascii_case(&name));
            all.insert(name, value);
        }
    }
    let options: GroupOptions = regrow_codec::decode::from_value_strict(&merged)?;
    let path = start.host.state().join(format!("{}.intents", start.name));
    // Reads and synchronises a file.
    let lineage = rand::random();
    let opened = tokio::task::spawn_blocking(move || FileIntents::open_or_create(&path, lineage));
    let log = opened.await.context("open the intent log")??;
    let authority = start.host.authority();
    let log = Arc::new(OwnIntents::new(log, start.host.intents()));
    let groups = Groups::new(start.host.lookup(), log, authority, &options);
    start.host.keep_groups(&groups);
    Ok(regrow_groups::plugin(start.name, &groups))
}
