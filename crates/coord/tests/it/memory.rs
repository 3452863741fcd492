//! The conformance kit on the quorum's machine alone in memory.

use std::sync::Arc;

use futures::future::BoxFuture;
use regrow_coord::conformance::{Report, Subject, run};
use regrow_coord::{Bounds, Coordinator, Key, Quorum, Txn};
use regrow_ids::Revision;

/// Revisions that are kept for watchers: more than the checks together need, few enough to be
/// pushed out by one of them.
const KEPT: usize = 4_000;

pub fn assert_all_passed(report: &Report) {
    println!("{report}");
    assert!(report.failed.is_empty(), "{report}");
    assert!(report.passed.len() >= 40, "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_machine_alone_in_memory_passes_every_check() {
    let quorum = Quorum::memory(Bounds { revisions: KEPT, ..Bounds::default() }).expect("memory");
    let forget = |_: Revision| -> BoxFuture<'_, ()> {
        let quorum = quorum.clone();
        Box::pin(async move {
            let key = Key::new("forget").expect("key");
            for _ in 0..KEPT {
                let txn = Txn::new().put(key.clone(), "");
                quorum.transact(&txn).await.expect("put");
            }
        })
    };
    let connect = || -> Arc<dyn Coordinator> { Arc::new(quorum.clone()) };
    let report = run(&Subject { connect: &connect, forget: Some(&forget) }).await;
    assert!(report.not_run.is_empty(), "{report}");
    assert_all_passed(&report);
}
