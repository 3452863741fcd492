//! Lists that people keep in files: a YAML map from names to entries, read and written whole.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::output::yaml;
use crate::places::{Places, replace_file};

/// A list by name.
pub type Entries<T> = BTreeMap<String, T>;

/// Where a list is kept, and what its entries are called.
pub struct ListFile<T> {
    /// One entry, for messages.
    noun: &'static str,
    /// Environment variable that names the file.
    variable: &'static str,
    /// The file below InfraKit's folder if the variable is not set.
    usual: &'static str,
    entry: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> ListFile<T> {
    /// A list of entries that are called `noun`.
    pub const fn new(noun: &'static str, variable: &'static str, usual: &'static str) -> Self {
        Self { noun, variable, usual, entry: PhantomData }
    }

    /// The entries; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read or is no such list.
    pub fn load(&self) -> Result<Entries<T>> {
        let path = place(self.variable, self.usual);
        let about = || format!("read the list of {}s {}", self.noun, path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Ok(Entries::new()),
            Ok(text) => {
                serde_saphyr::from_str(&text).map_err(|fault| anyhow!("{}: {fault}", about()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Entries::new()),
            Err(error) => Err(error).with_context(about),
        }
    }

    /// Writes all entries, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn store(&self, entries: &Entries<T>) -> Result<()> {
        replace_file(&place(self.variable, self.usual), &yaml(entries)?)
    }

    /// Removes entries: all of them or none.
    ///
    /// # Errors
    /// One of them is not in the list; the list cannot be read or written.
    pub fn remove(&self, names: &[String]) -> Result<()> {
        let mut entries = self.load()?;
        for name in names {
            if entries.remove(name).is_none() {
                bail!("remove {} {name:?}: it is not in the list; nothing was changed", self.noun);
            }
        }
        self.store(&entries)
    }
}

/// The path that a variable gives, else one below InfraKit's folder.
pub fn place(variable: &str, usual: &str) -> PathBuf {
    let named = std::env::var_os(variable).filter(|value| !value.is_empty());
    named.map_or_else(|| Places::infrakit_home().join(usual), PathBuf::from)
}
