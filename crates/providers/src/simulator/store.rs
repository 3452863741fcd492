//! Files of a simulated world: one JSON document for each thing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use regrow_codec::decode;
use regrow_plugin::spi::World;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SimulatorError;
use crate::disk::{self, DiskError, Sync, TEMP_PREFIX};
use crate::world;

/// A directory with a file for each thing; nothing at all for the memory store.
#[derive(Debug, Default)]
pub(super) struct Store {
    dir: Option<PathBuf>,
}

impl Store {
    /// Opens the directory and reads what it holds.
    pub(super) fn open<T: DeserializeOwned>(
        dir: Option<PathBuf>,
    ) -> Result<(Self, Vec<T>), SimulatorError> {
        let Some(dir) = dir else { return Ok((Self::default(), Vec::new())) };
        disk::make_dir(&dir)?;
        let listing = |e| DiskError::new("list directory", &dir, e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(listing)? {
            let path = entry.map_err(listing)?.path();
            let is_temp = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()));
            if !is_temp {
                found.push(read(&path)?);
            }
        }
        Ok((Self { dir: Some(dir) }, found))
    }

    /// The world of what is stored here for this object.
    pub(super) fn world(&self, object: &str) -> World {
        let in_memory = || world::of_name("simulator", object);
        self.dir.as_deref().map_or_else(in_memory, |dir| world::of_folder("simulator", dir))
    }

    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), DiskError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let path = dir.join(name);
        let text = serde_json::to_vec(value)
            .map_err(|e| DiskError::new("encode file", &path, io::Error::other(e)))?;
        disk::write(&path, &text, Sync::Visible)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), DiskError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::new("remove file", &path, e))
            }
            _ => Ok(()),
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, SimulatorError> {
    let bytes = fs::read(path).map_err(|e| DiskError::new("read file", path, e))?;
    decode::from_slice(&bytes).map_err(|fault| SimulatorError::Stored {
        path: path.display().to_string(),
        reason: fault.to_string(),
    })
}
