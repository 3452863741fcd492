//! The state folder of a node: who it is, its keys, and where the control group is kept.
//!
//! ```text
//! DIR/            0700, refused when others can write it
//!   lock          held while an agent runs
//!   node.json     cluster, number, name, address (version 1)
//!   papers.json   its private key, its certificate and the roots that it trusts, 0600 (version 1)
//!   servers.key   the servers' key, on servers only, 0600
//!   journal/      the control group's log
//!   tables        its tables
//!   voters.json   where the other voters answer
//!   refill.json   log or tables were found damaged; nothing starts under this number any more
//!   damaged/      what was damaged, the two newest
//!   recoveries    when this node went on alone after a majority was lost
//!   agent.sock    the local door for `regrow node …`, 0600
//! ```
//!
//! Files are written beside, flushed and renamed; what stands there is whole. Key and certificate are
//! one file, so that no crash leaves a key with another one's certificate. Folders of before have
//! three files in its place (`key.pem`, `chain.pem`, `roots.pem`), which the next papers replace.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use regrow_pki::{Certificates, ClusterId, Credential, NodeKey, NodeNumber, Papers, Secret};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::nodes::millis;
use crate::seal::SealKey;

/// Version of `node.json`.
const VERSION: u32 = 1;
const PAPERS: &str = "papers.json";
/// Key, certificate and roots in folders of before.
const BEFORE: [&str; 3] = ["key.pem", "chain.pem", "roots.pem"];

/// Who the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Version of this record.
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's number in it.
    pub number: NodeNumber,
    /// Its name.
    pub name: String,
    /// Where the others reach it, `HOST:PORT`.
    pub address: String,
    /// Where servers answered when it joined, to be asked when nobody else is known.
    pub servers: Vec<String>,
}

impl Identity {
    /// A record of this version.
    pub const fn new(
        cluster: ClusterId,
        number: NodeNumber,
        name: String,
        address: String,
        servers: Vec<String>,
    ) -> Self {
        Self { version: VERSION, cluster, number, name, address, servers }
    }
}

/// An opened state folder; locked until dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

fn fault(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AgentError {
    let path = path.to_owned();
    move |source| AgentError::File { doing, path, source }
}

impl Folder {
    /// Opens the folder, which is made if it is missing, and locks it.
    ///
    /// # Errors
    /// It cannot be used, others can write it, or another agent uses it.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(fault("make folder", path))?;
        let meta = fs::metadata(path).map_err(fault("look at folder", path))?;
        if meta.mode() & 0o022 != 0 {
            let reason = "others can write it; take that away with `chmod 700`".to_owned();
            return Err(AgentError::Folder { path: path.to_owned(), reason });
        }
        let lock = path.join("lock");
        let held =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
        let held = held.map_err(fault("open", &lock))?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| AgentError::Taken { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), _lock: held })
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who the node is; `None` before it made or joined a cluster.
    ///
    /// # Errors
    /// The record cannot be read, or a newer program wrote it.
    pub fn identity(&self) -> Result<Option<Identity>, AgentError> {
        let path = self.file("node.json");
        let Some(text) = self.read("node.json")? else { return Ok(None) };
        let damaged = |reason: String| AgentError::Folder { path: path.clone(), reason };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned =
            serde_json::from_str(text.expose()).map_err(|error| damaged(error.to_string()))?;
        if versioned.version != VERSION {
            let reason = format!(
                "it has version {}, this program knows {VERSION}; start the program that wrote it",
                versioned.version
            );
            return Err(damaged(reason));
        }
        serde_json::from_str(text.expose()).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes who the node is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), AgentError> {
        let text = serde_json::to_string_pretty(identity)
            .map_err(|error| AgentError::keys("write who the node is", error))?;
        self.write("node.json", &text, 0o600)
    }

    /// Key, certificate and trusted roots.
    ///
    /// # Errors
    /// They are missing or do not fit together.
    pub fn papers(&self) -> Result<Papers, AgentError> {
        let doing = "read the node's papers";
        if let Some(text) = self.read(PAPERS)? {
            return Papers::from_record(&text).map_err(|error| AgentError::keys(doing, error));
        }
        let failed = |error: &dyn std::fmt::Display| AgentError::keys(doing, error);
        let text = |name: &str| {
            let path = self.file(PAPERS);
            let reason = "it is missing; restore it, or remove the folder and join again".into();
            self.read(name)?.ok_or(AgentError::Folder { path, reason })
        };
        let pem = |name: &str| {
            Certificates::from_pem(text(name)?.expose()).map_err(|error| failed(&error))
        };
        let [key, chain, roots] = BEFORE;
        let key = NodeKey::from_pem(&text(key)?).map_err(|error| failed(&error))?;
        let credential = Credential::new(key, pem(chain)?).map_err(|error| failed(&error))?;
        Ok(Papers { credential, roots: pem(roots)?, edition: 0 })
    }

    /// Replaces key, certificate and roots, all or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_papers(&self, papers: &Papers) -> Result<(), AgentError> {
        let text = papers.to_record();
        let text = text.map_err(|error| AgentError::keys("write the node's papers", error))?;
        self.write(PAPERS, text.expose(), 0o600)?;
        for name in BEFORE {
            self.forget(name)?;
        }
        Ok(())
    }

    /// The servers' key, if this node has it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn seal_key(&self) -> Result<Option<SealKey>, AgentError> {
        let Some(text) = self.read("servers.key")? else { return Ok(None) };
        let key = SealKey::parse(text.expose());
        key.map(Some).map_err(|error| AgentError::keys("read the servers' key", error))
    }

    /// Writes the servers' key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_seal_key(&self, key: &SealKey) -> Result<(), AgentError> {
        self.write("servers.key", key.text().expose(), 0o600)
    }

    /// A note of this program to itself.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Secret<String>>, AgentError> {
        self.read(name)
    }

    /// Writes a note.
    pub(crate) fn set(&self, name: &str, text: &str) -> Result<(), AgentError> {
        self.write(name, text, 0o600)
    }

    /// Removes a note, if it is there.
    pub(crate) fn forget(&self, name: &str) -> Result<(), AgentError> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(fault("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Remembers for ever that this node went on alone.
    pub(crate) fn note_recovery(&self, kept: u64) -> Result<(), AgentError> {
        let path = self.file("recoveries");
        let now = millis(SystemTime::now());
        let written = (|| {
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            writeln!(file, "{now} went on alone, log kept up to index {kept}")?;
            file.sync_all()
        })();
        written.map_err(fault("write", &path))
    }

    fn read(&self, name: &str) -> Result<Option<Secret<String>>, AgentError> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault("read", &path)(error)),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), AgentError> {
        let (path, beside) = (self.file(name), self.file(&format!("{name}.new")));
        let written = (|| {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(mode)
                .open(&beside)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.path)?.sync_all()
        })();
        written.map_err(fault("write", &path))
    }
}

#[cfg(test)]
mod tests;
