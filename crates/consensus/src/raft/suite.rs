//! The engine's own tests of a store, run on ours.

use std::sync::Arc;

use openraft::StorageError;
use openraft::storage::RaftLogStorage as _;
use openraft::testing::log::{StoreBuilder, Suite};
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, Mode, Options, Slot, StreamId};

use crate::machine::Machines;
use crate::raft::record::{encode, log_id};
use crate::raft::{Log, Store, Types};
use crate::tables::Tables;

struct Builder;

impl StoreBuilder<Types, Log, Store, Journal> for Builder {
    async fn build(&self) -> Result<(Journal, Log, Store), StorageError<Types>> {
        let options = Options { mode: Mode::Inline, segment_bytes: 1 << 20, ..Options::default() };
        let (journal, _) = Journal::open_on(Arc::new(MemoryDisk::new()), options).expect("journal");
        let log = Log::new(journal.stream(StreamId(1)));
        let tables = Tables::memory().expect("tables");
        let store = Store::open(tables, Machines::new(), None).expect("store");
        Ok((journal, log, store))
    }
}

#[tokio::test]
async fn the_engines_own_suite_passes() {
    Suite::test_all(Builder).await.expect("suite");
}

/// Found by the simulated world: an image had been taken over that reached beyond the log, and the
/// power went after the purged position was saved and before the log was purged. The member then
/// refused every entry, after each restart again.
#[tokio::test]
async fn a_purge_that_a_crash_interrupted_is_finished() {
    let options = Options { mode: Mode::Inline, segment_bytes: 1 << 20, ..Options::default() };
    let (journal, _) = Journal::open_on(Arc::new(MemoryDisk::new()), options).expect("journal");
    let stream = journal.stream(StreamId(1));
    stream.append(vec![(0, "a".into()), (1, "b".into())], |done| done.expect("append"));
    stream.save(Slot(2), encode(&(3_u64, 9_u64)).expect("encodes"), |done| done.expect("save"));
    let state = Log::new(stream.clone()).get_log_state().await.expect("state");
    assert_eq!(state.last_purged_log_id, Some(log_id((3, 9))));
    assert_eq!(state.last_log_id, Some(log_id((3, 9))));
    stream.append(vec![(10, "c".into())], |done| done.expect("the next entry fits"));
    assert_eq!(stream.last(), Some(10));
}
