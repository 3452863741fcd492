//! Which groups are wanted, and which kinds of plugins they need.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use regrow_ids::{GroupId, PluginName};
use regrow_plugin::spi::GroupSpec;
use serde_json::Value;

use crate::documents::{Entry, Loader, Located, Place, RenderArgs, entries, group_of};
use crate::kinds;

/// Kind of specs that are groups.
const GROUP: &str = "group";

/// The groups that `up` keeps.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Documents, with the place of each.
    pub groups: Vec<Located<GroupSpec>>,
    /// Groups that the state folder holds from an earlier run.
    stored: Vec<GroupSpec>,
}

/// Reads and checks all specs.
pub async fn read(urls: &[String], render: &RenderArgs) -> Result<Wanted> {
    let loader = Loader::new(render.clone());
    let mut found = Vec::new();
    for url in urls {
        for document in loader.documents(url).await? {
            found.extend(entries(&document)?);
        }
    }
    if found.is_empty() && !urls.is_empty() {
        bail!("read {}: there is no spec in it; expected at least one group", urls.join(", "));
    }
    let mut wanted = Wanted::default();
    let mut seen: BTreeMap<GroupId, Place> = BTreeMap::new();
    for entry in found {
        if let Entry::Spec(spec) = &entry.item
            && spec.kind != GROUP
        {
            bail!(
                "read spec {}: this build of `up` keeps specs of kind {GROUP:?} only, found {:?}",
                entry.place.below("/kind"),
                spec.kind
            );
        }
        let group = group_of(&entry)?;
        let (place, spec) = (group.place, group.item.1);
        if let Some(first) = seen.insert(spec.id.clone(), place.clone()) {
            bail!(
                "read spec {place}: group {:?} is there twice, first at {first}; give one of them \
                 another name",
                spec.id
            );
        }
        wanted.groups.push(Located { place, item: spec });
    }
    Ok(wanted)
}

impl Wanted {
    /// Names of the plugins that the groups use, with the first place that names each.
    pub fn plugins(&self) -> BTreeMap<PluginName, Place> {
        let mut names = BTreeMap::new();
        for group in &self.groups {
            let tree = group.item.properties.to_value();
            let below = group.place.below("/properties");
            collect(&tree, &below, &mut names);
        }
        for spec in &self.stored {
            let source = format!("stored group {}", spec.id);
            let place = Place { source, pointer: "/properties".to_owned() };
            collect(&spec.properties.to_value(), &place, &mut names);
        }
        names
    }

    /// Adds groups that were stored by an earlier run; those of the documents replace them.
    pub fn add_stored(&mut self, stored: Vec<GroupSpec>) -> usize {
        let is_new = |spec: &GroupSpec| !self.groups.iter().any(|known| known.item.id == spec.id);
        let added: Vec<_> = stored.into_iter().filter(is_new).collect();
        let count = added.len();
        self.stored.extend(added);
        count
    }

    /// Names of all groups.
    pub fn ids(&self) -> Vec<GroupId> {
        let given = self.groups.iter().map(|group| &group.item.id);
        given.chain(self.stored.iter().map(|spec| &spec.id)).cloned().collect()
    }

    /// The kinds to start here: those of the named plugins that are kinds by that name, and `vars`,
    /// which templates read.
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        let named = self.plugins();
        let known = named.keys().filter_map(|name| kinds::find(name.lookup()));
        known.map(|kind| kind.name).chain(["vars"]).collect()
    }
}

/// Every `Plugin` in a tree: also those of combined flavors and of selectors.
fn collect(tree: &Value, place: &Place, names: &mut BTreeMap<PluginName, Place>) {
    match tree {
        Value::Object(fields) => {
            for (key, value) in fields {
                let here = place.below(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
                match value {
                    Value::String(name) if key.eq_ignore_ascii_case("Plugin") => {
                        names.entry(PluginName::new(name.as_str())).or_insert(here);
                    }
                    other => collect(other, &here, names),
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                collect(item, &place.below(&format!("/{at}")), names);
            }
        }
        _ => {}
    }
}
