//! Backups of the whole control state, and what is done with them.
//!
//! A backup is `regrow-backup 1\n`, one line of JSON ([`BackupHead`]), and the image of the control
//! group's tables. It holds the servers' key: who has a backup has the cluster.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use regrow_consensus::offline;
use regrow_consensus::tables::Prefixed;
use regrow_pki::{ClusterId, NodeIdentity, NodeNumber, Role};
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, CONTROL};
use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::founding;
use crate::nodes::{self, ClusterRecord, millis, record};
use crate::own;
use crate::refill::Note;
use crate::seal::SealKey;
use crate::starting::storage;

const MAGIC: &str = "regrow-backup 1";
/// Longest first lines of a backup, in bytes.
const HEAD_LIMIT: u64 = 64 << 10;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupHead {
    /// The cluster that it is of.
    pub cluster: ClusterId,
    /// When it was taken, milliseconds since 1970.
    pub taken_ms: u64,
    /// The servers' key.
    seal: String,
}

impl Agent {
    /// A backup of everything acknowledged before the call, as a sequence of bytes. Only servers make
    /// one.
    ///
    /// # Errors
    /// This node is no server, or nobody leads.
    pub async fn backup(
        &self,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>, AgentError> {
        let doing = "make a backup";
        let seal = self.folder().seal_key()?;
        let seal = seal.ok_or_else(|| {
            AgentError::keys(
                doing,
                "this node is no server, or lacks the servers' key; ask another",
            )
        })?;
        let image = self.group().image().await;
        let image = image.map_err(|error| AgentError::control(doing, error))?;
        let head = BackupHead {
            cluster: self.identity().cluster,
            taken_ms: millis(SystemTime::now()),
            seal: seal.text().expose().clone(),
        };
        let head = serde_json::to_string(&head).map_err(|error| AgentError::keys(doing, error))?;
        let head = Bytes::from(format!("{MAGIC}\n{head}\n"));
        Ok(stream::iter([Ok(head)]).chain(image))
    }
}

/// How a backup is taken over.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// An empty or missing folder.
    pub state: PathBuf,
    /// Name of the node that this becomes.
    pub name: String,
    /// Where the others will reach it, `HOST:PORT`.
    pub address: String,
    /// Life of its first certificate.
    pub life: Duration,
}

/// Takes a backup over: this node becomes the only server of the cluster that the backup is of, under
/// a number that nobody had. The nodes of before are removed; they join again.
///
/// # Errors
/// The file is no whole backup, or the folder is in use. The folder is then of no use: remove it.
pub async fn restore(file: &Path, options: &RestoreOptions) -> Result<Identity, AgentError> {
    let doing = "restore a backup";
    let fault = |source| AgentError::File { doing: "read", path: file.to_owned(), source };
    let mut reader = BufReader::new(File::open(file).map_err(fault)?);
    let head = read_head(&mut reader).map_err(|reason| AgentError::keys(doing, reason))?;
    nodes::check(&options.name, &options.address)
        .map_err(|refusal| AgentError::keys(doing, refusal))?;
    let folder = Folder::open(&options.state)?;
    if folder.identity()?.is_some() {
        return Err(AgentError::Folder {
            path: options.state.clone(),
            reason: "it holds a node already; restore into an empty folder".into(),
        });
    }
    let seal = SealKey::parse(&head.seal).map_err(|error| AgentError::keys(doing, error))?;
    let (_journal, storage) = storage(&folder)?;
    let failed = |error: &dyn std::fmt::Display| AgentError::control(doing, error);
    offline::fill(&storage, CONTROL, &mut reader).await.map_err(|error| failed(&error))?;
    let (cluster, number) = {
        let view = storage.tables.view().map_err(|error| failed(&error))?;
        let own = Prefixed::new(&view, &[nodes::SCOPE.byte()]);
        let cluster = record::cluster(&own).map_err(|error| failed(&error))?;
        let cluster = cluster.ok_or_else(|| failed(&"it holds no cluster"))?;
        (cluster, record::next_number(&own).map_err(|error| failed(&error))?)
    };
    let address = options.address.as_str();
    let alone = offline::recover(&storage, CONTROL, number.get(), address).await;
    alone.map_err(|error| failed(&error))?;
    write_papers(&folder, &seal, &cluster, number, options.life)?;
    let name = options.name.clone();
    let identity = Identity::new(cluster.id, number, name, address.to_owned(), Vec::new());
    founding::begin_restored(&folder, &identity)?;
    folder.set_identity(&identity)?;
    Ok(identity)
}

fn write_papers(
    folder: &Folder,
    seal: &SealKey,
    cluster: &ClusterRecord,
    number: NodeNumber,
    life: Duration,
) -> Result<(), AgentError> {
    let identity = NodeIdentity { cluster: cluster.id, role: Role::Server, node: number };
    let rotation = own::open(seal, cluster)?;
    let papers = own::papers(&rotation, cluster.edition, &identity, SystemTime::now(), life)?;
    folder.set_seal_key(seal)?;
    folder.set_papers(&papers)
}

/// Makes the node of this folder the only voter of a cluster whose other servers are lost for good.
/// Everything in its log counts as agreed; what only the lost servers had is lost. They must never
/// come back: remove them with `regrow node rm` afterwards.
///
/// Returns who the node is and the index of the last entry that was kept.
///
/// # Errors
/// The folder holds no node, another agent uses it, or the disk failed.
pub async fn recover(state: &Path) -> Result<(Identity, u64), AgentError> {
    let folder = Folder::open(state)?;
    let missing = AgentError::NoIdentity { path: state.to_owned() };
    let identity = folder.identity()?.ok_or(missing)?;
    if let Some(Note { found, .. }) = Note::read(&folder)? {
        let reason = format!(
            "what it kept is damaged ({found}), and it must not lead; recover a server that is whole, or \
             restore a backup"
        );
        return Err(AgentError::Folder { path: state.to_owned(), reason });
    }
    let (_journal, storage) = storage(&folder)?;
    let kept = offline::recover(&storage, CONTROL, identity.number.get(), &identity.address).await;
    let kept = kept.map_err(|error| AgentError::control("recover the control group", error))?;
    folder.note_recovery(kept)?;
    Ok((identity, kept))
}

fn read_head(reader: &mut impl BufRead) -> Result<BackupHead, String> {
    let mut line = |what: &str| {
        let mut text = String::new();
        let read = reader.by_ref().take(HEAD_LIMIT).read_line(&mut text);
        match read {
            Ok(_) if text.ends_with('\n') => Ok(text.trim_end().to_owned()),
            Ok(_) => Err(format!("{what} is missing; this is no whole backup")),
            Err(error) => Err(format!("{what}: {error}; this is no backup")),
        }
    };
    match line("the first line")?.as_str() {
        MAGIC => {}
        other if other.starts_with("regrow-backup ") => {
            return Err(format!(
                "it is {other:?}, this program knows {MAGIC:?}; use the newer program"
            ));
        }
        _ => return Err("this is no backup".into()),
    }
    serde_json::from_str(&line("the second line")?).map_err(|error| format!("its head: {error}"))
}
