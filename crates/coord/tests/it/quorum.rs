//! The conformance kit on three members of a real group, joined by queues in one process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use regrow_consensus::group::MemberChange;
use regrow_consensus::transport::{Ask, Chunks, Peer, Transport, TransportError};
use regrow_consensus::{
    Group, GroupOptions, Machines, Replica as _, Scope, Scoped, Storage, Tables,
};
use regrow_coord::conformance::{Subject, run};
use regrow_coord::{Bounds, Consistency, Coordinator, DEADLINE, Key, KeyMachine, Quorum, Txn};
use regrow_ids::Revision;
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, Mode, Options, StreamId};

use crate::memory::assert_all_passed;

/// Revisions that are kept for watchers: more than the checks together need, few enough to be
/// pushed out by one of them.
const KEPT: usize = 1_000;
/// A quarter of it bounds a transaction: the largest that is allowed must fit.
const SEGMENT_BYTES: u32 = 8 << 20;
/// Time of a message.
const TRAVEL: Duration = Duration::from_millis(1);
const SCOPE: Scope = Scope::new(1).expect("not zero");

/// Who answers under which number.
type Wires = Arc<Mutex<BTreeMap<u64, Arc<Group>>>>;

/// One member's end of the wires.
struct End {
    node: u64,
    wires: Wires,
}

impl End {
    async fn reach(&self, to: &Peer) -> Result<Arc<Group>, TransportError> {
        tokio::time::sleep(TRAVEL).await;
        let found = self.wires.lock().expect("lock").get(&to.node).cloned();
        found.ok_or_else(|| TransportError::NotSent { node: to.node, reason: "not yet".into() })
    }
}

#[async_trait]
impl Transport for End {
    async fn call(
        &self,
        to: &Peer,
        _: u32,
        ask: Ask,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        let unknown = |reason: String| TransportError::Unknown { node: to.node, reason };
        let group = self.reach(to).await?;
        let answered = tokio::time::timeout(within, group.answer(self.node, ask, body)).await;
        let answer = answered.map_err(|late| unknown(late.to_string()))?;
        answer.map_err(|error| unknown(error.to_string()))
    }

    async fn send_image(
        &self,
        to: &Peer,
        _: u32,
        head: Bytes,
        chunks: Chunks,
        _: Duration,
    ) -> Result<Bytes, TransportError> {
        let answer = self.reach(to).await?.answer_image(self.node, head, chunks).await;
        answer.map_err(|error| TransportError::Unknown { node: to.node, reason: error.to_string() })
    }
}

/// A member with its coordinator. The journal closes when it is dropped.
struct Member {
    group: Arc<Group>,
    quorum: Quorum,
    _journal: Journal,
}

async fn member(node: u64, wires: &Wires) -> Member {
    let inline = Options { mode: Mode::Inline, segment_bytes: SEGMENT_BYTES, ..Options::default() };
    let (journal, _) = Journal::open_on(Arc::new(MemoryDisk::new()), inline).expect("journal");
    let tables = Tables::memory().expect("tables");
    let storage = Storage { log: journal.stream(StreamId(1)), tables, spool: None };
    let machine = Arc::new(KeyMachine::new(Bounds { revisions: KEPT, ..Bounds::default() }));
    let machines = Machines::new().with(SCOPE, machine.clone()).expect("scope");
    let end = Arc::new(End { node, wires: wires.clone() });
    let group = Group::start(GroupOptions::new(1, node), storage, machines, end).await;
    let group = group.expect("start");
    wires.lock().expect("lock").insert(node, group.clone());
    let quorum = Quorum::new(Scoped::new(group.clone(), SCOPE), &machine, DEADLINE);
    Member { group, quorum, _journal: journal }
}

async fn three() -> Vec<Member> {
    let wires = Wires::default();
    let first = member(1, &wires).await;
    first.group.bootstrap("node-1").await.expect("bootstrap");
    let mut members = vec![first];
    for node in 2..=3 {
        members.push(member(node, &wires).await);
        let add = MemberChange::Add { node, address: format!("node-{node}") };
        members[0].group.change_members(&add).await.expect("add");
        let promote = MemberChange::Promote { node };
        members[0].group.change_members(&promote).await.expect("promote");
    }
    members
}

#[tokio::test(start_paused = true)]
async fn three_members_pass_every_check_whichever_is_asked() {
    let members = three().await;
    let forget = |_: Revision| -> BoxFuture<'_, ()> {
        let members = &members;
        Box::pin(async move {
            let key = Key::new("forget").expect("key");
            for _ in 0..KEPT {
                let put = Txn::new().put(key.clone(), "");
                members[0].quorum.transact(&put).await.expect("put");
            }
            // Each member forgets by itself, as far as it has come.
            for member in members {
                member.quorum.get(&key, Consistency::Linearizable).await.expect("read");
            }
        })
    };
    let next = AtomicU64::new(0);
    // The two clients of a check are on two members, one of which need not lead.
    let connect = || -> Arc<dyn Coordinator> {
        let at = next.fetch_add(1, Ordering::Relaxed) % 3;
        Arc::new(members[usize::try_from(at).expect("small")].quorum.clone())
    };
    let report = run(&Subject { connect: &connect, forget: Some(&forget) }).await;
    assert!(report.not_run.is_empty(), "{report}");
    assert_all_passed(&report);
    for member in &members {
        assert_eq!(member.group.status().voters, [1, 2, 3]);
        member.group.shutdown().await;
    }
}
