//! What an agent finds out before it runs: where it listens, who it is, where others reach it, with
//! which papers and on which storage it begins.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use regrow_consensus::tables::Prefixed;
use regrow_consensus::{Machine, Machines, Scope, Storage, TableError, Tables, offline};
use regrow_journal::{Journal, OpenError, Options, StreamId};
use regrow_pki::{Clock, Papers, Renewal, Role, RootDigest};
use tokio::net::TcpListener;

use crate::agent::{AgentOptions, CONTROL, Start};
use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::nodes::{self, SCOPE};
use crate::seal::SealKey;
use crate::{founding, join, others, own};

/// Folder of the control group's log.
pub(crate) const JOURNAL: &str = "journal";
/// File of its tables.
pub(crate) const TABLES: &str = "tables";
/// Pages of the control group's tables kept in memory, in bytes.
const CACHE_BYTES: usize = 16 << 20;

pub(crate) async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), AgentError> {
    let failed = |source| AgentError::Listen { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// The address with another port, where it has one.
pub(crate) fn with_port(address: &str, port: u16) -> String {
    match address.rsplit_once(':') {
        Some((host, _)) => format!("{host}:{port}"),
        None => format!("{address}:{port}"),
    }
}

pub(crate) async fn identify(
    folder: &Folder,
    options: &AgentOptions,
    listening: SocketAddr,
    clock: &Clock,
) -> Result<Identity, AgentError> {
    if let Some(identity) = folder.identity()? {
        if options.named && options.name != identity.name {
            let (ours, asked) = (identity.name, options.name.clone());
            return Err(AgentError::OtherName { path: folder.path().to_owned(), ours, asked });
        }
        if let Start::Join { token, .. } = &options.start {
            let ours = folder.papers()?;
            let ours = ours.roots.iter().any(|root| RootDigest::of(root) == token.root);
            if !ours {
                return Err(AgentError::OtherCluster { ours: identity.cluster });
            }
        }
        return Ok(identity);
    }
    match &options.start {
        Start::Resume => Err(AgentError::NoIdentity { path: folder.path().to_owned() }),
        Start::Bootstrap => {
            let address = advertised(options, listening, None)?;
            founding::begin(folder, &options.name, &address, clock, options.life)
        }
        Start::Join { token, server } => {
            let address = advertised(options, listening, Some(server))?;
            join::join(folder, token, server, &options.name, &address, clock).await
        }
    }
}

/// Where the others reach this node: as told, as it listens, or as it would go to `server`.
fn advertised(
    options: &AgentOptions,
    listening: SocketAddr,
    server: Option<&str>,
) -> Result<String, AgentError> {
    if let Some(address) = &options.advertise {
        return Ok(address.clone());
    }
    if !listening.ip().is_unspecified() {
        return Ok(listening.to_string());
    }
    let unknown = AgentError::keys(
        "find out where the others reach this node",
        "no network tells; give --advertise HOST:PORT",
    );
    // Nothing is sent: connecting only chooses the way.
    let own = |to: &str| -> Option<IpAddr> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let ip = own(server.unwrap_or("192.0.2.1:9")).ok_or(unknown)?;
    Ok(SocketAddr::new(ip, listening.port()).to_string())
}

/// The papers that the node starts with: those in its folder, or new ones when these are due and the
/// node can sign its own.
pub(crate) fn papers(
    folder: &Folder,
    tables: &Tables,
    seal: Option<&SealKey>,
    identity: &Identity,
    options: &AgentOptions,
) -> Result<Papers, AgentError> {
    let (papers, now) = (folder.papers()?, options.clock.now());
    let alone = others::known(folder, identity, &identity.address)?.is_empty();
    let role = papers.credential.identity().role;
    if let Some(text) = lacks_key(role, seal.is_some(), alone) {
        tracing::warn!("{text}");
    }
    let due = Renewal::new(papers.credential.validity(), rand::random()).is_due(now);
    let Some(seal) = seal.filter(|_| due) else { return Ok(papers) };
    match renewed(tables, seal, identity, options) {
        Ok(renewed) => {
            folder.set_papers(&renewed)?;
            Ok(renewed)
        }
        Err(error) => {
            tracing::info!(%error, "go on with the old certificate, and renew it later");
            Ok(papers)
        }
    }
}

/// What is said of a server without the servers' key; `None` where nothing is amiss. `alone` where it
/// knows of no other voter.
const fn lacks_key(role: Role, has_key: bool, alone: bool) -> Option<&'static str> {
    if has_key || !matches!(role, Role::Server) {
        return None;
    }
    Some(if alone {
        "this is the only server and it lacks the servers' key (servers.key): it can make no join \
         tokens, certificates or backups and not rotate the authority, and its own certificate ends; \
         put the file back, or restore a backup into an empty folder with `regrow restore`"
    } else {
        "this server lacks the servers' key (servers.key): it can make no join tokens, certificates or \
         backups until another server gives it the key again; start one of the others"
    })
}

fn renewed(
    tables: &Tables,
    seal: &SealKey,
    identity: &Identity,
    options: &AgentOptions,
) -> Result<Papers, AgentError> {
    let view = tables.view().map_err(|error| AgentError::control("sign for itself", error))?;
    let own = Prefixed::new(&view, &[SCOPE.byte()]);
    own::renewed(&own, seal, identity.number, options.clock.now(), options.life)
}

/// The control group's log and tables, as they were found.
pub(crate) enum Found {
    /// They are whole.
    Whole(Journal, Storage),
    /// They are not, and this is why.
    Damaged(String),
}

/// Looks at the control group's log and tables in the state folder; what is missing is made.
pub(crate) fn look(folder: &Folder) -> Result<Found, AgentError> {
    let (journal, report) = match Journal::open(&folder.file(JOURNAL), Options::default()) {
        Ok(opened) => opened,
        Err(OpenError::Damaged(damage)) => return Ok(Found::Damaged(damage.to_string())),
        Err(error) => return Err(AgentError::control("open the journal", error)),
    };
    tracing::debug!(?report, "opened the journal");
    let tables = match Tables::open(&folder.file(TABLES), CACHE_BYTES) {
        Ok(tables) => tables,
        Err(TableError::Damaged { reason, .. }) => {
            return Ok(Found::Damaged(format!("the tables: {reason}")));
        }
        Err(error) => return Err(AgentError::control("open the tables", error)),
    };
    let log = journal.stream(StreamId(CONTROL));
    let storage = Storage { log, tables, spool: Some(folder.path().to_owned()) };
    match offline::gap(&storage) {
        Ok(None) => Ok(Found::Whole(journal, storage)),
        Ok(Some(gap)) => Ok(Found::Damaged(gap)),
        Err(error) => Err(AgentError::control("look at log and tables", error)),
    }
}

/// Whether the log is not there at all.
pub(crate) fn lacks_log(folder: &Folder) -> Result<bool, AgentError> {
    let path = folder.file(JOURNAL);
    match std::fs::read_dir(&path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(AgentError::File { doing: "look at", path, source }),
    }
}

/// The control group's log and tables, which must be whole.
pub(crate) fn storage(folder: &Folder) -> Result<(Journal, Storage), AgentError> {
    match look(folder)? {
        Found::Whole(journal, storage) => Ok((journal, storage)),
        Found::Damaged(found) => Err(AgentError::control(
            "open the journal and the tables",
            format!("{found}; every file was left as it is"),
        )),
    }
}

/// The machines of the control group: the nodes', and those that share it.
pub(crate) fn together(
    machine: nodes::Machine,
    others: &[(Scope, Arc<dyn Machine>)],
) -> Result<Machines, AgentError> {
    let mut machines = Machines::new().with(SCOPE, Arc::new(machine));
    for (scope, machine) in others {
        machines = machines.and_then(|machines| machines.with(*scope, machine.clone()));
    }
    machines.map_err(|error| AgentError::control("put the control group together", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_the_servers_key_is_told_how_it_gets_it() {
        assert_eq!(lacks_key(Role::Server, true, true), None);
        assert_eq!(lacks_key(Role::Worker, false, false), None);
        let alone = lacks_key(Role::Server, false, true).unwrap_or_default();
        assert!(alone.contains("restore a backup"), "{alone}");
        let among_others = lacks_key(Role::Server, false, false).unwrap_or_default();
        assert!(among_others.contains("start one of the others"), "{among_others}");
    }
}
