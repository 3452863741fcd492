//! The engine's own tests of a store, run on ours.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, Mode, Options, StreamId};

use crate::machine::Machines;
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
