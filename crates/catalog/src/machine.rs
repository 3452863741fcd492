//! The catalog's state machine: a pure function of its tables, a command and the cluster's clock.
//!
//! Commands and replies are in [`command`], the layout of the tables in `rows`, what readers wait
//! on in `topic`. A row that a command leaves as it was keeps its index.

mod checks;
pub mod command;
mod events;
mod expiry;
mod kv;
mod nodes;
mod refusal;
pub(crate) mod rows;
mod sessions;
mod staged;
mod topic;
mod txn;
mod work;

use regrow_codec::versioned::VersionedError;
use regrow_consensus::{At, Change, Edit, Machine, TableError, Time, View};

pub use checks::OUTPUT_BYTES_MAX;
pub use command::{Command, KvOp, KvVerb, NodePart, Registration, Removal, Reply, TxnOutcome};
pub use refusal::{Denial, Refusal};
pub use topic::Topic;
pub(crate) use topic::graves_row;
pub use txn::{Entry, EntryVerb, Shown, TransactOutcome, TxnOp};
pub use work::{KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX};

use crate::query::Hub;
use staged::Staged;
use work::{Failure, Step, Work};

/// The machine. What it changes it tells its [`Hub`], so that blocked readers wake.
#[derive(Default)]
pub struct CatalogMachine {
    hub: Hub,
}

impl CatalogMachine {
    /// A machine with a hub of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where readers wait for what this machine changes.
    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }
}

fn run(work: &mut Work<'_>, command: &Command) -> Step<Reply> {
    let done = |()| Reply::Done;
    match command {
        Command::Expire => work.expire().map(done),
        Command::Register(registration) => work.register(registration).map(done),
        Command::Remove(removal) => work.remove(removal).map(done),
        Command::UpdateCheck { node, id, status, output } => {
            work.update_check(node, id, *status, output).map(done)
        }
        Command::NodeAlive { node, alive } => work.node_alive(node, *alive).map(done),
        Command::Kv(op) => work.kv(op).map(|deed| Reply::Kv(deed.err())),
        Command::Txn(ops) => work.txn(ops).map(Reply::Txn),
        Command::Transact(ops) => work.transact(ops).map(Reply::Transact),
        Command::CreateSession(session) => {
            work.create_session(session).map(|row| Reply::Session(Some(row)))
        }
        Command::RenewSession(id) => work.renew_session(*id).map(Reply::Session),
        Command::DestroySession(id) => work.end_session(*id).map(done),
        Command::FireEvent(event) => work.fire(event).map(done),
        Command::PutToken(token) => work.put_token(token).map(done),
        Command::RemoveToken(id) => work.remove_token(id).map(done),
    }
}

impl Machine for CatalogMachine {
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        let command = match command::decode(command) {
            Ok(command) => command,
            Err(VersionedError::Form(_)) => {
                let bytes = command.len();
                return Ok(command::encode_reply(&Err(Refusal::Malformed { bytes })));
            }
            Err(error) => {
                let reason = error.to_string();
                return Err(TableError::Damaged { what: "a command of the catalog", reason });
            }
        };
        let mut staged = Staged::new(&*tables);
        let reply = match run(&mut Work { at, tables: &mut staged }, &command) {
            Ok(reply) => Ok(reply),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Tables(error)) => return Err(error),
        };
        let keeps = !matches!(
            reply,
            Err(_) | Ok(Reply::Txn(Err(_)) | Reply::Transact(Err(_)) | Reply::Kv(Some(_)))
        );
        let changes = if keeps { staged.into_changes() } else { Default::default() };
        for (key, value) in changes {
            match value {
                Some(value) => tables.put(&key, &value)?,
                None => {
                    tables.delete(&key)?;
                }
            }
        }
        Ok(command::encode_reply(&reply))
    }

    fn deadline(&self, tables: &dyn View) -> Result<Option<Time>, TableError> {
        expiry::deadline(tables)
    }

    fn expire(&self) -> Vec<u8> {
        command::encode(&Command::Expire)
    }

    fn committed(&self, _: At, changes: &[Change]) {
        self.hub.changed(changes.iter().map(|change| change.key.as_slice()));
    }

    fn replaced(&self, _: At, _: &dyn View) {
        self.hub.replaced();
    }
}
