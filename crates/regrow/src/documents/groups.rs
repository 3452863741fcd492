//! Groups in documents: the strict check, with pointers from the root of the document.

use anyhow::{Result, anyhow, bail};
use regrow_groups::config::{ConfigError, GroupConfig};
use regrow_ids::GroupId;
use regrow_plugin::spi::{GroupSpec, Spec};

use super::entries::{Entry, Located, located};
use super::{Document, Place};

/// Kind of specs that are groups.
const GROUP: &str = "group";

/// The group that an entry asks for, checked; the plugin that it names, if it names one.
pub fn group_of(entry: &Located<Entry>) -> Result<Located<(Option<String>, GroupSpec)>> {
    let place = entry.place.clone();
    let (plugin, spec, below) = match &entry.item {
        Entry::Group(spec) => (None, spec.clone(), "/Properties"),
        Entry::PluginGroup(plugin, spec) => {
            (Some(plugin.clone()), spec.clone(), "/Properties/Properties")
        }
        Entry::Spec(spec) => {
            let (plugin, group) = from_spec(&place, spec)?;
            (plugin, group, "/properties")
        }
    };
    let name = if matches!(entry.item, Entry::Spec(_)) { "/metadata/name" } else { "/ID" };
    check(&place, &spec, below, name)?;
    Ok(Located { place, item: (plugin, spec) })
}

/// The only group of a document.
pub fn group_spec(document: &Document) -> Result<GroupSpec> {
    let place = &document.place;
    let mut all = super::entries(document)?;
    match (all.pop(), all.len()) {
        (Some(entry), 0) => Ok(group_of(&entry)?.item.1),
        (None, _) => bail!("read {place}: there is no group in it"),
        (_, more) => bail!("read {place}: it holds {} specs, expected one group", more + 1),
    }
}

fn from_spec(place: &Place, spec: &Spec) -> Result<(Option<String>, GroupSpec)> {
    if spec.kind != GROUP {
        let kind = place.below("/kind");
        bail!("read spec {kind}: expected {GROUP:?}, found {:?}", spec.kind);
    }
    let (plugin, id) = spec.address();
    if id.is_empty() {
        bail!("read spec {}: no group name", place.below("/metadata/name"));
    }
    let named = spec.metadata.name.contains('/').then(|| plugin.lookup().to_owned());
    Ok((named, GroupSpec { id: GroupId::from(id), properties: spec.properties.clone() }))
}

fn check(place: &Place, spec: &GroupSpec, below: &str, name: &str) -> Result<()> {
    let properties = place.below(below);
    let config = GroupConfig::parse_strict(spec).map_err(|fault| match fault {
        ConfigError::BlankId => anyhow!("read spec {}: {fault}", place.below(name)),
        ConfigError::Properties(mut fault) => {
            fault.position = None; // a position in the re-printed text would mislead
            anyhow!("read spec {}", located(&properties, &fault))
        }
        ConfigError::BlankAllocation => anyhow!(
            "read spec {}: {fault}; give Size or LogicalIDs",
            properties.below("/Allocation")
        ),
        ConfigError::TwoAllocations => anyhow!(
            "read spec {}: {fault}; give either Size or LogicalIDs",
            properties.below("/Allocation")
        ),
        ConfigError::TwoUpdatings => anyhow!(
            "read spec {}: {fault}; give either Duration or Count",
            properties.below("/Updating")
        ),
        ConfigError::Value { pointer, reason } if pointer == "/ID" => {
            anyhow!("read spec {}: {reason}", place.below(name))
        }
        ConfigError::Value { pointer, reason } => {
            anyhow!("read spec {}: {reason}", properties.below(&pointer))
        }
    })?;
    let document = &config.document;
    for (part, plugin) in
        [("Instance", &document.instance.plugin), ("Flavor", &document.flavor.plugin)]
    {
        if plugin.is_empty() {
            let pointer = properties.below(&format!("/{part}/Plugin"));
            bail!("read spec {pointer}: it is missing; name a plugin (`regrow plugin kinds`)");
        }
    }
    Ok(())
}
