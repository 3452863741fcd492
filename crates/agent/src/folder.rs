//! The state folder of a node: who it is, its keys, and where the control group is kept.
//!
//! ```text
//! DIR/            0700, refused when others can write it
//!   lock          held while an agent runs
//!   node.json     cluster, number, name, address (version 1)
//!   key.pem       the node's private key, 0600
//!   chain.pem     its certificate
//!   roots.pem     the roots that it trusts
//!   servers.key   the servers' key, on servers only, 0600
//!   journal/      the control group's log
//!   tables        its tables
//!   recoveries    when this node went on alone after a majority was lost
//!   agent.sock    the local door for `regrow node …`, 0600
//! ```
//!
//! Files are written beside, flushed and renamed; what stands there is whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use regrow_pki::{Certificates, ClusterId, Credential, NodeKey, NodeNumber, Secret};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::nodes::millis;
use crate::seal::SealKey;

/// Version of `node.json`.
const VERSION: u32 = 1;

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

    /// Key and certificate, and the roots that the node trusts.
    ///
    /// # Errors
    /// They are missing or do not fit together.
    pub fn keys(&self) -> Result<(Credential, Certificates), AgentError> {
        let text = |name: &str| {
            let path = self.file(name);
            let missing = AgentError::Folder {
                path,
                reason: "it is missing; restore it, or remove the folder and join again".into(),
            };
            self.read(name)?.ok_or(missing)
        };
        let doing = "read the node's keys";
        let key = NodeKey::from_pem(&text("key.pem")?).map_err(|e| AgentError::keys(doing, e))?;
        let pem = |name: &str| {
            Certificates::from_pem(text(name)?.expose()).map_err(|e| AgentError::keys(doing, e))
        };
        let credential =
            Credential::new(key, pem("chain.pem")?).map_err(|e| AgentError::keys(doing, e))?;
        Ok((credential, pem("roots.pem")?))
    }

    /// Writes the node's private key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_key(&self, key: &NodeKey) -> Result<(), AgentError> {
        self.write("key.pem", key.pem().expose(), 0o600)
    }

    /// Writes certificate and roots.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn set_certificates(
        &self,
        chain: &Certificates,
        roots: &Certificates,
    ) -> Result<(), AgentError> {
        self.write("roots.pem", &roots.to_pem(), 0o644)?;
        self.write("chain.pem", &chain.to_pem(), 0o644)
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

    /// Removes a note.
    pub(crate) fn remove(&self, name: &str) -> Result<(), AgentError> {
        let path = self.file(name);
        fs::remove_file(&path).map_err(fault("remove", &path))
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
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user_and_is_nobody_elses() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("state");
        let folder = Folder::open(&path)?;
        assert!(matches!(Folder::open(&path), Err(AgentError::Taken { .. })));
        assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o700);
        drop(folder);
        fs::set_permissions(&path, Permissions::from_mode(0o770))?;
        let error = Folder::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("chmod 700"), "{error}");
        Ok(())
    }

    #[test]
    fn who_the_node_is_is_read_back_and_a_newer_record_is_refused()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let folder = Folder::open(dir.path())?;
        assert_eq!(folder.identity()?, None);
        let servers = vec!["10.0.0.1:7400".into()];
        let (name, address) = ("a".into(), "10.0.0.2:7400".into());
        let identity =
            Identity::new(ClusterId::random(), NodeNumber::new(2), name, address, servers);
        folder.set_identity(&identity)?;
        assert_eq!(folder.identity()?, Some(identity));
        let newer = fs::read_to_string(folder.file("node.json"))?
            .replace("\"version\": 1", "\"version\": 2");
        fs::write(folder.file("node.json"), newer)?;
        let error = folder.identity().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("version 2"), "{error}");
        Ok(())
    }
}
