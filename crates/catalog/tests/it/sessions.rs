//! Sessions and TTLs on a replica with a clock: the leader lets them end, in time.

use std::time::Duration;

use regrow_catalog::machine::{Command, KvOp, KvVerb, Reply};
use regrow_catalog::model::{Session, SessionId, Status};
use regrow_catalog::query::{self, ReadOptions};
use tokio::time::Instant;

use crate::machine::{service, session, ttl_check};
use crate::world::catalog;

fn with_ttl(id: u128, seconds: u64) -> Session {
    Session { node: "n1".into(), ttl: Some(Duration::from_secs(seconds)), ..session(id, &[]) }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_between_its_ttl_and_a_fifth_more() {
    let catalog = catalog().await;
    let client = catalog.client();
    for seconds in [10, 25, 120, 3600] {
        let id = SessionId(seconds.into());
        client
            .execute(&Command::CreateSession(with_ttl(seconds.into(), seconds)))
            .await
            .expect("begun");
        let lock = Command::Kv(KvOp::new(KvVerb::Lock, "k").value("v").session(id));
        assert_eq!(client.execute(&lock).await, Ok(Reply::Kv(None)));
        let ttl = Duration::from_secs(seconds);
        tokio::time::sleep(ttl / 2).await;
        client.execute(&Command::RenewSession(id)).await.expect("renewed");
        let renewed = Instant::now();
        let read = query::kv::entry("k");
        let mut how = ReadOptions { wait: ttl, ..ReadOptions::default() };
        loop {
            let answer = client.ask(&read, &how).await.expect("an answer");
            how.index = answer.index;
            if answer.value.expect("the key").session.is_none() {
                break;
            }
        }
        let lived = renewed.elapsed();
        assert!(lived >= ttl, "{seconds} s: ended after {lived:?}");
        assert!(lived <= ttl * 12 / 10, "{seconds} s: ended after {lived:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_delayed_after_the_end_of_its_session() {
    let catalog = catalog().await;
    let client = catalog.client();
    let first = Session { lock_delay: Duration::from_secs(15), ..with_ttl(1, 10) };
    client.execute(&Command::CreateSession(first)).await.expect("begun");
    let second = Session { ttl: None, ..with_ttl(2, 10) };
    client.execute(&Command::CreateSession(second)).await.expect("begun");
    let lock = |id| Command::Kv(KvOp::new(KvVerb::Lock, "k").session(SessionId(id)));
    assert_eq!(client.execute(&lock(1)).await, Ok(Reply::Kv(None)));
    client.execute(&Command::DestroySession(SessionId(1))).await.expect("ended");
    let ended = Instant::now();
    while client.execute(&lock(2)).await != Ok(Reply::Kv(None)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let delayed = ended.elapsed();
    assert!(delayed >= Duration::from_secs(15) && delayed < Duration::from_secs(16), "{delayed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_check_turns_critical_and_its_service_goes_for_good() {
    let catalog = catalog().await;
    let mut check = ttl_check("c", "w", 10);
    check.definition.deregister_critical_after = Some(Duration::from_secs(60));
    catalog.agent().register(service("w", "web"), vec![check], false).await.expect("registered");
    let read = query::registry::instances("web");
    let stale = ReadOptions::stale();
    tokio::time::sleep(Duration::from_secs(9)).await;
    catalog.agent().heartbeat("c", Status::Passing, "ok").await.expect("a beat");
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    let status = |found: &[regrow_catalog::model::Instance]| found[0].status();
    assert_eq!(
        status(&catalog.client().ask(&read, &stale).await.expect("read").value),
        Status::Passing
    );
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        status(&catalog.client().ask(&read, &stale).await.expect("read").value),
        Status::Critical
    );
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(catalog.client().ask(&read, &stale).await.expect("read").value.is_empty());
    // The agent looks every minute at the latest: it must not bring the service back.
    tokio::time::sleep(Duration::from_secs(130)).await;
    assert!(catalog.client().ask(&read, &stale).await.expect("read").value.is_empty());
    assert!(catalog.agent().local().services.is_empty());
    assert!(catalog.agent().local().checks.is_empty());
}
