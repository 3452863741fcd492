//! The backend on a real etcd.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use regrow_coord::conformance::{Subject, run};
use regrow_coord::{
    Consistency, CoordError, Coordinator, Etcd, EtcdSettings, Key, Prefix, Query, Txn,
};
use regrow_ids::Revision;

use crate::etcd_server::EtcdServer;
use crate::memory::assert_all_passed;

#[tokio::test]
async fn a_real_etcd_passes_every_check() {
    let Some(server) = EtcdServer::start("the etcd backend behaves as the others").await else {
        return;
    };
    let connect = || -> Arc<dyn Coordinator> { Arc::new(server.client()) };
    let forget =
        |revision: Revision| -> BoxFuture<'_, ()> { Box::pin(server.compact(revision.get())) };
    let report = run(&Subject { connect: &connect, forget: Some(&forget) }).await;
    assert!(report.not_run.is_empty(), "{report}");
    assert_all_passed(&report);
}

fn impatient(endpoints: Vec<String>) -> Etcd {
    let prefix = Prefix::new("regrow/").expect("prefix");
    let deadline = Duration::from_secs(1);
    Etcd::new(EtcdSettings { endpoints, prefix, deadline, tls: None }).expect("settings")
}

#[tokio::test]
async fn a_frozen_etcd_leaves_a_write_unknown_and_a_read_unanswered() {
    let Some(server) = EtcdServer::start("errors of the etcd backend tell the truth").await else {
        return;
    };
    let etcd = impatient(vec![server.url().to_owned()]);
    let key = Key::new("k").expect("key");
    server.signal("-STOP");
    let written = etcd.transact(&Txn::new().put(key.clone(), "1")).await;
    assert!(matches!(written, Err(CoordError::Unknown { .. })), "{written:?}");
    let read = etcd.get(&key, Consistency::Linearizable).await;
    assert!(matches!(read, Err(CoordError::Unavailable { .. })), "{read:?}");
    server.signal("-CONT");
}

#[tokio::test]
async fn an_absent_etcd_has_certainly_not_written_and_the_next_member_is_asked() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let nobody = format!("http://{}", socket.local_addr().expect("address"));
    drop(socket);
    let txn = Txn::new().put(Key::new("k").expect("key"), "1");
    let written = impatient(vec![nobody.clone()]).transact(&txn).await.expect_err("nobody");
    assert!(matches!(written, CoordError::Unavailable { .. }), "{written}");
    assert!(written.certainly_not_executed() && written.may_pass());
    let Some(server) = EtcdServer::start("a member that is down is passed over").await else {
        return;
    };
    let settings = EtcdSettings {
        endpoints: vec![nobody, server.url().to_owned()],
        prefix: Prefix::default(),
        deadline: Duration::from_secs(60),
        tls: None,
    };
    let both = Etcd::new(settings).expect("settings");
    assert!(both.transact(&txn).await.expect("written").succeeded);
    // Without a prefix of its own, it sees all of etcd.
    let all = both.range(&Query::of(Prefix::default())).await.expect("read");
    assert_eq!(all.entries.len(), 1);
}
