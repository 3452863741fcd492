use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use regrow_ids::PluginName;

use crate::fence::{FencedObjects, Gate, KeptFencesError};
use crate::spi::{
    Controller, Events, Flavor, Group, Instance, Interface, L4, Metadata, Resource, Stack,
    Updatable,
};

/// The named objects behind one interface of a plugin. The unnamed default object is named `.`.
///
/// A fixed set is [`FixedObjects`]; a manager, whose groups come and go, implements it itself.
pub trait Objects<T: ?Sized>: Send + Sync {
    /// Names of the objects, sorted.
    fn names(&self) -> Vec<String>;

    /// The object with exactly this name.
    fn get(&self, name: &str) -> Option<Arc<T>>;
}

/// Objects that stay the same for as long as the plugin lives.
pub struct FixedObjects<T: ?Sized>(BTreeMap<String, Arc<T>>);

impl<T: ?Sized> Default for FixedObjects<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: ?Sized> FixedObjects<T> {
    /// One object without a name.
    pub fn single(object: Arc<T>) -> Self {
        Self::default().with(".", object)
    }

    /// Adds an object.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, object: Arc<T>) -> Self {
        self.0.insert(name.into(), object);
        self
    }
}

impl<T: ?Sized + Send + Sync> Objects<T> for FixedObjects<T> {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Option<Arc<T>> {
        self.0.get(name).cloned()
    }
}

impl<T: ?Sized, O: Objects<T> + ?Sized> Objects<T> for Arc<O> {
    fn names(&self) -> Vec<String> {
        O::names(self)
    }

    fn get(&self, name: &str) -> Option<Arc<T>> {
        O::get(self, name)
    }
}

/// The name of an interface's default object.
pub const DEFAULT_OBJECT: &str = ".";

/// Finds the object that a full plugin name means ("keyed" lookup, InfraKit specification §1.2).
///
/// In this order: the only object when the name has no subtype or its lookup is `.`; the default
/// object when there is no subtype; the object named like the lookup part; the object named like the
/// subtype, then like its tails after each `/`.
///
/// These are the specification's rules to the letter. InfraKit itself was seen to refuse the bare
/// name `groups` on a manager `mystack` with several groups (`not found: groups (key=)`), where the
/// third rule finds the object `groups`. Both cannot be right; finding it harms nobody, since the
/// name means nothing else there, and what InfraKit does find is found here too.
pub fn keyed<T: ?Sized>(objects: &dyn Objects<T>, name: &PluginName) -> Option<Arc<T>> {
    if (name.subtype().is_empty() || name.lookup() == DEFAULT_OBJECT)
        && let [only] = objects.names().as_slice()
    {
        return objects.get(only);
    }
    if name.subtype().is_empty()
        && let Some(object) = objects.get(DEFAULT_OBJECT)
    {
        return Some(object);
    }
    if let Some(object) = objects.get(name.lookup()) {
        return Some(object);
    }
    let mut tail = name.subtype();
    loop {
        if let Some(object) = objects.get(tail) {
            return Some(object);
        }
        (_, tail) = tail.split_once('/')?;
    }
}

/// Finds the object that a bare type means ("typed" lookup): the object of that name, or for the
/// empty type the default object or the only one.
pub fn typed<T: ?Sized>(objects: &dyn Objects<T>, kind: &str) -> Option<Arc<T>> {
    if !kind.is_empty() {
        return objects.get(kind);
    }
    objects.get(DEFAULT_OBJECT).or_else(|| match objects.names().as_slice() {
        [only] => objects.get(only),
        _ => None,
    })
}

/// Who made a plugin, for `/info/api.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Vendor {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Part of the program, usually empty.
    pub sub: String,
    /// Where to read about it.
    #[serde(rename = "URL")]
    pub url: String,
}

/// Namespace → the template functions in it.
pub type Functions = BTreeMap<String, Vec<FunctionInfo>>;

/// A template function, for `/info/functions.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FunctionInfo {
    /// Name in templates.
    pub name: String,
    /// What it does, line by line.
    pub description: Vec<String>,
    /// Its Go signature, such as `func(string) string`.
    pub function: String,
    /// An example, such as `{{ name "x" }}`.
    pub usage: String,
}

macro_rules! plugin {
    ($($(#[$doc:meta])* $field:ident: $object:ident => $interface:ident;)*) => {
        /// What one plugin offers: for each interface its named objects. Cheap to clone.
        ///
        /// ```
        /// # use std::sync::Arc;
        /// # use regrow_plugin::{FixedObjects, Plugin, spi::Metadata};
        /// # fn demo(tree: Arc<dyn Metadata>) -> Plugin {
        /// Plugin::new("time").with_metadata(FixedObjects::single(tree))
        /// # }
        /// ```
        #[derive(Clone, Default)]
        pub struct Plugin {
            name: String,
            vendor: Option<Vendor>,
            functions: Option<Arc<dyn Fn() -> Functions + Send + Sync>>,
            /// Refuses what a leader of before still sends.
            gate: Arc<Gate>,
            $($(#[$doc])* $field: Option<Arc<dyn Objects<dyn $object>>>,)*
        }

        impl Plugin {
            $(
                $(#[$doc])*
                pub fn $field(&self) -> Option<&dyn Objects<dyn $object>> {
                    self.$field.as_deref()
                }
            )*

            /// The interfaces that the plugin offers, with the names of their objects.
            pub fn interfaces(&self) -> Vec<(Interface, Vec<String>)> {
                let mut found = Vec::new();
                $(if let Some(objects) = &self.$field {
                    found.push((Interface::$interface, objects.names()));
                })*
                found
            }

            /// True when the plugin offers an interface, even if it has no object at the moment.
            pub fn offers(&self, interface: Interface) -> bool {
                match interface {
                    $(Interface::$interface => self.$field.is_some(),)*
                }
            }
        }
    };
}

plugin! {
    /// Objects of `Controller`.
    controllers: Controller => Controller;
    /// Objects of `Event`.
    events: Events => Event;
    /// Objects of `Flavor`.
    flavors: Flavor => Flavor;
    /// Objects of `Group`.
    groups: Group => Group;
    /// Objects of `Instance`.
    instances: Instance => Instance;
    /// Objects of `L4`.
    l4s: L4 => L4;
    /// Objects of `Metadata`.
    metadata: Metadata => Metadata;
    /// Objects of `Resource`.
    resources: Resource => Resource;
    /// Objects of `Stack`.
    stacks: Stack => Stack;
    /// Objects of `Updatable`.
    updatables: Updatable => Updatable;
}

/// Puts objects behind the gate of their plugin, where they are called by leaders.
macro_rules! stored {
    ($plugin:ident, $objects:ident, fenced) => {
        Arc::new(FencedObjects::new($objects, &$plugin.gate))
    };
    ($plugin:ident, $objects:ident, open) => {
        Arc::new($objects)
    };
}

macro_rules! with_objects {
    ($($(#[$doc:meta])* $method:ident($field:ident: $object:ident) $access:ident;)*) => {
        impl Plugin {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $method(mut self, objects: impl Objects<dyn $object> + 'static) -> Self {
                    self.$field = Some(stored!(self, objects, $access));
                    self
                }
            )*
        }
    };
}

with_objects! {
    /// Offers `Controller` objects.
    with_controllers(controllers: Controller) fenced;
    /// Offers `Event` objects.
    with_events(events: Events) open;
    /// Offers `Flavor` objects.
    with_flavors(flavors: Flavor) fenced;
    /// Offers `Group` objects.
    with_groups(groups: Group) fenced;
    /// Offers `Instance` objects.
    with_instances(instances: Instance) fenced;
    /// Offers `L4` objects.
    with_l4s(l4s: L4) fenced;
    /// Offers `Metadata` objects.
    with_metadata(metadata: Metadata) open;
    /// Offers `Resource` objects.
    with_resources(resources: Resource) fenced;
    /// Offers `Stack` objects.
    with_stacks(stacks: Stack) open;
    /// Offers `Updatable` objects.
    with_updatables(updatables: Updatable) fenced;
}

impl Plugin {
    /// A plugin that offers nothing yet. The name is that of its socket.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A plugin with one instance object.
    pub fn instance(name: impl Into<String>, object: impl Instance + 'static) -> Self {
        Self::new(name).with_instances(FixedObjects::single(Arc::new(object) as Arc<dyn Instance>))
    }

    /// A plugin with one flavor object.
    pub fn flavor(name: impl Into<String>, object: impl Flavor + 'static) -> Self {
        Self::new(name).with_flavors(FixedObjects::single(Arc::new(object) as Arc<dyn Flavor>))
    }

    /// Says who made the plugin.
    #[must_use]
    pub fn by(mut self, vendor: Vendor) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// Says which template functions the plugin offers, for `/info/functions.json`.
    #[must_use]
    pub fn with_functions(
        mut self,
        functions: impl Fn() -> Functions + Send + Sync + 'static,
    ) -> Self {
        self.functions = Some(Arc::new(functions));
        self
    }

    /// The template functions that the plugin offers.
    pub fn functions(&self) -> Functions {
        self.functions.as_ref().map(|list| list()).unwrap_or_default()
    }

    /// Keeps the highest fence of its callers in this file, so that a restart lets no earlier leader in
    /// again. The file is written before the first call under a new fence reaches an object; a fence
    /// that cannot be written lets nothing in. One process at a time uses the file.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn keep_fences(&self, file: impl Into<PathBuf>) -> Result<(), KeptFencesError> {
        self.gate.keep_in(file.into())
    }

    /// Name of the socket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who made the plugin.
    pub fn vendor(&self) -> Option<&Vendor> {
        self.vendor.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use regrow_ids::PluginName;

    use super::{FixedObjects, keyed, typed};

    fn set(names: &[&str]) -> FixedObjects<str> {
        names.iter().fold(FixedObjects::default(), |set, name| set.with(*name, Arc::from(*name)))
    }

    #[test]
    fn keyed_lookup_follows_the_specification() {
        for (objects, name, found) in [
            (&["groups"][..], "mystack", Some("groups")),
            (&["groups"], "./anything", Some("groups")),
            (&["a", "b"], "mystack", None),
            (&[".", "b"], "mystack", Some(".")),
            (&["mystack", "b"], "mystack/x", Some("mystack")),
            (&["groups", "q"], "mystack/q", Some("q")),
            (&["groups", "q"], "mystack/x/q", Some("q")),
            (&["groups", "q"], "mystack/nope", None),
            // InfraKit was seen to refuse this one; see `keyed`.
            (&["groups", "q"], "groups", Some("groups")),
        ] {
            let object = keyed(&set(objects), &PluginName::new(name));
            assert_eq!(object.as_deref(), found, "{objects:?} {name}");
        }
    }

    #[test]
    fn typed_lookup_is_exact() {
        assert_eq!(typed(&set(&["compute", "disk"]), "disk").as_deref(), Some("disk"));
        assert_eq!(typed(&set(&["compute", "disk"]), "").as_deref(), None);
        assert_eq!(typed(&set(&["compute"]), "").as_deref(), Some("compute"));
        assert_eq!(typed(&set(&["."]), "").as_deref(), Some("."));
        assert_eq!(typed(&set(&["compute"]), "zzz").as_deref(), None);
    }
}
