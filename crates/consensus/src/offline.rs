//! What is done to a member's storage while it does not run: looking whether it is whole, taking over
//! a backup, and going on alone after a majority was lost for good.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::group::{GroupError, Storage};
use crate::raft::{
    Applied, Entry, Log, LogId, Member, Membership, Types, Vote, next_in_term, read_image,
};
use crate::tables::{Edit as _, Flush, TableError, View};
use openraft::impls::leader_id_std::LeaderId;
use openraft::storage::RaftLogStorage as _;
use openraft::type_config::TypeConfigExt as _;
use openraft::vote::{RaftLeaderId as _, RaftVote as _};
use openraft::{EntryPayload, RaftLogReader as _};

/// What the storage lacks between its tables and its log, in words; `None` when the log goes on where
/// the tables end. A member with a gap would believe that it has what it lost.
///
/// # Errors
/// The tables or the log cannot be read.
pub fn gap(storage: &Storage) -> Result<Option<String>, TableError> {
    let unreadable = |what: &'static str| {
        move |error: std::io::Error| TableError::Damaged { what, reason: error.to_string() }
    };
    let applied = Applied::load(&storage.tables.view()?).map_err(unreadable("applied state"))?;
    let shown = applied.id.map(|id| id.index);
    let purged = Log::new(storage.log.clone()).purged().map_err(unreadable("the log"))?;
    // The log is purged up to what is in the tables on disk, and never further.
    Ok(purged.map(|(_, upto)| upto).filter(|upto| shown < Some(*upto)).map(|upto| {
        let shown = shown.map_or_else(|| "are empty".to_owned(), |at| format!("end at entry {at}"));
        format!("the tables {shown}, and the log begins behind entry {upto}")
    }))
}

/// Fills empty storage with an image. [`recover`] then makes a node the only voter of what it holds.
///
/// # Errors
/// The storage is not empty, the image is damaged, or the disk failed. The storage is then of no
/// use: remove it.
pub async fn fill(
    storage: &Storage,
    group: u32,
    image: &mut (dyn Read + Send),
) -> Result<(), GroupError> {
    let unusable = |reason: String| GroupError::Storage { group, reason };
    let applied =
        |view: &dyn View| Applied::load(view).map_err(|error| unusable(error.to_string()));
    let view = || storage.tables.view().map_err(|error| unusable(error.to_string()));
    let log = &storage.log;
    if applied(&view()?)?.id.is_some() || log.last().is_some() || log.purged().is_some() {
        return Err(unusable("it is in use; restore into an empty folder".into()));
    }
    let written = storage.tables.write(Flush::Now, |tables| {
        read_image(image, &mut |key, value| tables.put(key, value).map_err(std::io::Error::other))
            .map_err(|error| TableError::Store { doing: "restore", reason: error.to_string() })
    });
    written.map_err(|error| unusable(error.to_string()))?;
    let Some(last) = applied(&view()?)?.id else {
        return Err(unusable("the image is empty".into()));
    };
    let purged = Log::new(storage.log.clone()).purge(last).await;
    purged.map_err(|error| unusable(error.to_string()))
}

/// Makes this node the only voter of the group whose other members are lost for good.
///
/// Everything in its log counts as agreed from now on, also what was not acknowledged; what only the
/// lost members had is lost. If one of them comes back, it must not be let in again: two groups
/// would call themselves the same.
///
/// Returns the index of the last entry that was kept.
///
/// # Errors
/// There is nothing to go on with, or the disk failed.
pub async fn recover(
    storage: &Storage,
    group: u32,
    node: u64,
    address: &str,
) -> Result<u64, GroupError> {
    let unusable = |reason: String| GroupError::Storage { group, reason };
    let mut log = Log::new(storage.log.clone());
    let state = log.get_log_state().await.map_err(|error| unusable(error.to_string()))?;
    let Some(last) = state.last_log_id else {
        return Err(unusable("it holds nothing; join or restore instead".into()));
    };
    alone(&mut log, group, node, address, last).await?;
    Ok(last.index)
}

/// Appends the entry that makes this node the only voter, in a term that nobody has used.
async fn alone(
    log: &mut Log,
    group: u32,
    node: u64,
    address: &str,
    last: LogId,
) -> Result<(), GroupError> {
    let unusable = |reason: String| GroupError::Storage { group, reason };
    let failed = |error: std::io::Error| unusable(error.to_string());
    let voted = log.read_vote().await.map_err(failed)?;
    let term = voted.map_or(0, |vote| vote.leader_id().term()).max(last.leader_id.term);
    // Nobody led for as many terms: such a record was not written by a member.
    let term = term.checked_add(1).ok_or_else(|| unusable("its term is the last".into()))?;
    let vote = Vote::from_leader_id(LeaderId::new(term, node), false);
    log.save_vote(&vote).await.map_err(failed)?;
    let members = BTreeMap::from([(node, Member { address: address.to_owned() })]);
    let membership = Membership::new(vec![BTreeSet::from([node])], members)
        .map_err(|error| unusable(error.to_string()))?;
    let entry =
        Entry { log_id: next_in_term(term, last), payload: EntryPayload::Membership(membership) };
    let (told, hears) = Types::oneshot();
    log.append([entry], openraft::storage::IOFlushed::signal(told)).await.map_err(failed)?;
    match hears.await {
        Ok(flushed) => flushed.map_err(failed),
        Err(_) => Err(unusable("the log was closed".into())),
    }
}
