//! What a command works on: a plugin, and how it was called.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use regrow_ids::PluginName;
use regrow_plugin::Client;
use regrow_plugin::spi::Interface;

use crate::documents::{Loader, RenderArgs};
use crate::finder::{Finder, Offers};
use crate::kinds::similar;
use crate::metadata::PluginMetadata;

/// A plugin, and the manner in which a command was called.
#[derive(Clone)]
pub struct Target {
    finder: Finder,
    name: PluginName,
    called: Called,
}

/// How a command came to its plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// In the spelling of InfraKit, `local NAME`.
    Original,
    /// By the flag `--plugin`.
    Named,
    /// It was the one that could be meant.
    Chosen,
}

/// Name of the group object of a manager that stands for all groups.
const ALL_GROUPS: &str = "groups";

/// A target by a name that the user gave.
pub fn named(finder: Finder, name: &str) -> Target {
    Target { finder, name: super::plugin_name(name), called: Called::Original }
}

impl Target {
    /// For a noun: the plugin that the user named, else the first one with one of the interfaces,
    /// managers before all others. The first interface that anybody offers counts. Among several
    /// plugins the first part of `path` decides, if it names one of them.
    pub async fn for_noun(
        finder: Finder,
        name: Option<&str>,
        interfaces: &[Interface],
        path: Option<&str>,
        noun: &str,
    ) -> Result<Self> {
        let (name, called) = match name {
            Some(name) => (super::plugin_name(name), Called::Named),
            None => (choose(&finder, interfaces, path, noun).await?, Called::Chosen),
        };
        Ok(Self { finder, name, called })
    }

    /// The plugin.
    pub fn name(&self) -> &PluginName {
        &self.name
    }

    /// True for the spelling of InfraKit, which never asks.
    pub fn is_original(&self) -> bool {
        self.called == Called::Original
    }

    /// How the command came to the plugin.
    pub fn called(&self) -> Called {
        self.called
    }

    /// Finds plugins.
    pub fn finder(&self) -> &Finder {
        &self.finder
    }

    /// A client for tools that need more than an interface.
    pub fn client(&self) -> Result<Client> {
        Ok(self.finder.client(&self.name)?)
    }

    /// Reads documents whose templates see the metadata of all plugins.
    pub fn loader(&self, args: &RenderArgs) -> Loader {
        Loader::new(args.clone()).metadata(Arc::new(PluginMetadata::new(self.finder.clone())))
    }

    /// The interfaces of the object, and all that the plugin offers as text.
    pub async fn interfaces(&self) -> Result<(Vec<Interface>, String)> {
        let offers = self.offers().await?;
        let known = offers.iter().map(|(spec, _)| spec.as_str()).collect::<Vec<_>>().join(", ");
        let subtype = self.name.subtype();
        let of_object = |interface: &Interface| {
            let names = offers.iter().find(|(spec, _)| *spec == interface.spec());
            names.is_some_and(|(_, names)| subtype.is_empty() || has(names, subtype))
        };
        let mut found: Vec<_> = Interface::ALL.into_iter().filter(of_object).collect();
        if found.is_empty() && !subtype.is_empty() {
            // A group by name at a plugin that has all groups in one object.
            let whole = |interface: &Interface| {
                matches!(interface, Interface::Group | Interface::Controller)
                    && offers
                        .iter()
                        .any(|(spec, names)| *spec == interface.spec() && has(names, "."))
            };
            found = Interface::ALL.into_iter().filter(whole).collect();
        }
        if found.is_empty() {
            let all = offers.iter().flat_map(|(_, names)| names.iter().map(String::as_str));
            bail!("find {}: {}", self.name, unknown_object(subtype, all));
        }
        Ok((found, known))
    }

    async fn offers(&self) -> Result<Offers> {
        let lookup = self.name.lookup();
        self.finder.offers(lookup).await.map_err(|fault| {
            let names = self.finder.names();
            let hint = similar(lookup, names.iter().map(String::as_str))
                .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            let running = if names.is_empty() {
                "no plugin runs; start one with `regrow up` or `regrow plugin start`".to_owned()
            } else {
                format!("running are {}", names.join(", "))
            };
            anyhow!("find {}: {fault}{hint} ({running})", self.name)
        })
    }

    /// The name by which an object of an interface is called: without the group where all groups are
    /// one object.
    pub async fn object(&self, interface: Interface) -> Result<PluginName> {
        let offers = self.offers().await?;
        let names = offers.into_iter().find(|(spec, _)| *spec == interface.spec());
        let names = names.map(|(_, names)| names).unwrap_or_default();
        let subtype = self.name.subtype();
        if subtype.is_empty() && has(&names, ALL_GROUPS) {
            return Ok(PluginName::with_subtype(self.name.lookup(), ALL_GROUPS));
        }
        if subtype.is_empty() || has(&names, subtype) {
            return Ok(self.name.clone());
        }
        Ok(PluginName::new(self.name.lookup()))
    }

    /// The group that the name itself means: `mystack/cattle` means `cattle`.
    pub fn own_group(&self) -> Option<&str> {
        Some(self.name.subtype()).filter(|subtype| !subtype.is_empty() && *subtype != ALL_GROUPS)
    }
}

fn has(names: &[String], subtype: &str) -> bool {
    names.iter().any(|name| name == subtype)
        // An object may hold others: `streams/msec` below `streams`.
        || subtype.split_once('/').is_some_and(|(head, _)| names.iter().any(|name| name == head))
}

fn unknown_object<'a>(wanted: &str, all: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<_> = all.filter(|name| *name != ".").collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() {
        return format!("the plugin has no object {wanted:?}; call it without one");
    }
    let hint = similar(wanted, all.iter().copied())
        .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    format!("the plugin has no object {wanted:?}{hint} (it has {})", all.join(", "))
}

/// A plugin that could be meant: managers come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    is_plain: bool,
    name: String,
    objects: Vec<String>,
}

/// The plugins with an interface, in the order of choice.
fn candidates(all: &[(String, Offers)], interface: Interface) -> Vec<Candidate> {
    let candidate = |(name, offers): &(String, Offers)| {
        let (_, objects) = offers.iter().find(|(spec, _)| *spec == interface.spec())?;
        let is_manager = offers.iter().any(|(spec, _)| *spec == Interface::Stack.spec());
        Some(Candidate { is_plain: !is_manager, name: name.clone(), objects: objects.clone() })
    };
    let mut found: Vec<_> = all.iter().filter_map(candidate).collect();
    found.sort();
    found
}

async fn choose(
    finder: &Finder,
    interfaces: &[Interface],
    path: Option<&str>,
    noun: &str,
) -> Result<PluginName> {
    let names = finder.names();
    let asked = names.into_iter().map(|name| async move {
        let offers = finder.offers(&name).await;
        Some((name, offers.ok()?))
    });
    let all: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    let specs = || interfaces.iter().map(|interface| interface.spec()).collect::<Vec<_>>();
    let offered = interfaces.iter().map(|interface| (*interface, candidates(&all, *interface)));
    let Some((interface, candidates)) = offered.into_iter().find(|(_, found)| !found.is_empty())
    else {
        bail!(
            "{noun}: no running plugin offers {}; start one with `regrow up` or `regrow plugin \
             start`, or name its folder with --state or INFRAKIT_PLUGINS_DIR",
            specs().join(" or ")
        )
    };
    let first = &candidates[0];
    // Among equals nobody can choose but the user.
    let ambiguous = first.is_plain && candidates.len() > 1;
    let objects = &first.objects;
    let one_object = objects.len() == 1 || has(objects, ".") || has(objects, ALL_GROUPS);
    if !ambiguous && (one_object || interface == Interface::Group) {
        return Ok(PluginName::new(first.name.as_str()));
    }
    let begin = path.and_then(|path| path.trim_matches('/').split('/').next());
    if let Some(named) = candidates.iter().find(|candidate| Some(&*candidate.name) == begin) {
        return Ok(PluginName::new(named.name.as_str()));
    }
    let all: Vec<_> = candidates.iter().flat_map(|it| full(&it.name, &it.objects)).collect();
    bail!(
        "{noun}: several plugins offer {}; choose one with --plugin: {}",
        interface.spec(),
        all.join(", ")
    )
}

fn full(name: &str, objects: &[String]) -> Vec<String> {
    let join = |object: &String| match object.as_str() {
        "." | "" => name.to_owned(),
        object => format!("{name}/{object}"),
    };
    objects.iter().map(join).collect()
}
