//! Groups over the wire: real connections, real files, an image for a newcomer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use regrow_consensus::group::MemberChange;
use regrow_consensus::wired::{Admit, Groups, WireTransport};
use regrow_consensus::{Consistency, Group, GroupOptions, Machines, Replica as _, Storage, Tables};
use regrow_journal::{Journal, Options, StreamId};
use regrow_pki::{
    Authority, Certificates, Clock, ClusterId, Credential, DEFAULT_LIFE, Member, NodeIdentity,
    NodeKey, NodeNumber, Role,
};
use regrow_wire::{Caller, CallerKind, Client, Keys, Router, Server};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::{SCOPE, add, value};
use crate::tally::Tally;

/// The control group of a cluster, and another that shares its wire and its journal.
const NUMBERS: [u32; 2] = [1, 9];

struct Node {
    address: String,
    groups: Vec<Arc<Group>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _journal: Journal,
    _dir: tempfile::TempDir,
}

struct World {
    authority: Authority,
}

impl World {
    fn keys(&self, node: u64, role: Role) -> Keys {
        let key = NodeKey::generate().expect("key");
        let cluster = self.authority.cluster();
        let identity = NodeIdentity { cluster, role, node: NodeNumber::new(node) };
        let request = key.request().expect("request");
        let leaf = self.authority.issue(&request, &identity, SystemTime::now(), DEFAULT_LIFE);
        let chain = Certificates::new([leaf.expect("certificate")]);
        let member = Member {
            credential: Credential::new(key, chain).expect("credential"),
            roots: Certificates::new([self.authority.certificate().to_vec()]),
            refused: Arc::new(|_| false),
            clock: Clock::new(SystemTime::now),
        };
        Keys::new(member).expect("keys")
    }

    async fn start(&self, node: u64) -> Node {
        let keys = self.keys(node, Role::Server);
        let client = Client::new(keys.clone());
        let dir = tempfile::tempdir().expect("directory");
        let small = Options { segment_bytes: 4 << 20, ..Options::default() };
        let (journal, _) = Journal::open(&dir.path().join("journal"), small).expect("journal");
        let (routed, mut groups) = (Groups::new(), Vec::new());
        for number in NUMBERS {
            let tables = Tables::open(&dir.path().join(format!("tables-{number}")), 1 << 20);
            let storage = Storage {
                log: journal.stream(StreamId(number)),
                tables: tables.expect("tables"),
                spool: Some(dir.path().to_owned()),
            };
            let mut options = GroupOptions::new(number, node);
            options.snapshot_every = 100;
            options.keep = 10;
            let machines = Machines::new().with(SCOPE, Arc::new(Tally::default())).expect("scope");
            let transport = Arc::new(WireTransport::new(client.clone()));
            let group = Group::start(options, storage, machines, transport).await.expect("start");
            routed.insert(number, group.clone());
            groups.push(group);
        }
        let admit: Admit = Arc::new(|caller: &Caller, _, _| caller.kind() == CallerKind::Server);
        let server = Server::new(keys, routed.route(Router::new(), &admit));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("address").to_string();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tasks.spawn(async move { server.serve(listener, stopped).await });
        Node { address, groups, stop, tasks, _journal: journal, _dir: dir }
    }
}

impl Node {
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        for group in self.groups {
            group.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_share_wire_and_journal_and_a_newcomer_gets_images() {
    let authority = Authority::new(ClusterId::random(), SystemTime::now()).expect("authority");
    let world = World { authority };
    let first = world.start(1).await;
    for group in &first.groups {
        group.bootstrap(&first.address).await.expect("bootstrap");
        for name in 0..300 {
            add(group, &format!("name-{name}"), name + 1).await;
        }
    }
    let second = world.start(2).await;
    for (group, newcomer) in first.groups.iter().zip(&second.groups) {
        let address = second.address.clone();
        let add_it = MemberChange::Add { node: 2, address };
        group.change_members(&add_it).await.expect("add");
        group.change_members(&MemberChange::Promote { node: 2 }).await.expect("promote");
        assert_eq!(value(newcomer, "name-0", Consistency::Linearizable).await, Some(1));
        assert_eq!(value(newcomer, "name-299", Consistency::Linearizable).await, Some(300));
        assert_eq!(add(newcomer, "name-0", 1).await, 2);
        assert_eq!(newcomer.status().voters, [1, 2]);
    }
    let images = std::fs::read_dir(second._dir.path()).expect("list");
    let left =
        images.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "image"));
    assert_eq!(left.count(), 0, "images are removed when they were taken over");
    // A worker of the cluster may not send commands here, and nobody else gets in at all.
    let worker = Client::new(world.keys(7, Role::Worker));
    let peer = regrow_wire::Peer::any_server(first.address.as_str());
    let body = bytes::Bytes::from_static(&[1, 0, 0, 0, 7, 0]);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let method = regrow_wire::Method::ControlPropose;
    let refused = worker.call(&peer, method, body, deadline).await.expect_err("a worker");
    assert!(refused.to_string().contains("may not send this command"), "{refused}");
    second.end().await;
    first.end().await;
}
