//! Calls that take minutes, beside calls that must not wait for them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::client::MAX_SLOW_CALLS;
use regrow_plugin::spi::*;
use regrow_plugin::{Client, Plugin, Timeouts};
use tokio::sync::{Semaphore, watch};

use crate::support::{directory, name, start};

/// Counts what it is asked to make, and makes it when it is told.
struct Slow {
    under_way: Arc<watch::Sender<usize>>,
    go_on: Arc<Semaphore>,
}

#[async_trait]
impl Instance for Slow {
    async fn validate(&self, _properties: &Any) -> Result<()> {
        Ok(())
    }

    async fn provision(&self, _spec: &InstanceSpec) -> Result<InstanceId> {
        self.under_way.send_modify(|count| *count += 1);
        self.go_on.acquire().await.expect("open").forget();
        self.under_way.send_modify(|count| *count -= 1);
        Ok("made".into())
    }

    async fn label(&self, _instance: &InstanceId, _labels: &Tags) -> Result<()> {
        Ok(())
    }

    async fn destroy(&self, _instance: &InstanceId, _reason: DestroyReason) -> Result<()> {
        Ok(())
    }

    async fn describe_instances(&self, _: &Tags, _: bool) -> Result<Vec<Arc<Description>>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn reads_and_writes_do_not_wait_for_slow_calls() {
    const CALLS: usize = 64;
    let dir = directory();
    let (under_way, go_on) = (Arc::new(watch::Sender::new(0)), Arc::new(Semaphore::new(0)));
    let slow = Slow { under_way: Arc::clone(&under_way), go_on: Arc::clone(&go_on) };
    let running = start(Plugin::instance("slow", slow), dir.path()).await;
    // No slow call may give up because it waited for its turn longer than a connection may take.
    let (call, connect) = (Duration::from_secs(60), Duration::from_secs(1));
    let timeouts = Timeouts { call, slow: Duration::from_secs(300), connect };
    let client = Client::with(running.endpoint().clone(), timeouts);
    let instances = client.instance(&name("slow")).await.expect("instance");
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let instances = Arc::clone(&instances);
            tokio::spawn(async move { instances.provision(&InstanceSpec::default()).await })
        })
        .collect();
    let mut watching = under_way.subscribe();
    let reached = watching.wait_for(|count| *count == MAX_SLOW_CALLS);
    tokio::time::timeout(Duration::from_secs(60), reached).await.expect("in time").expect("open");
    tokio::time::sleep(connect * 2).await;
    for _ in 0..10 {
        instances.describe_instances(&Tags::new(), true).await.expect("a list");
        instances.label(&"x".into(), &Tags::new()).await.expect("a label");
    }
    assert_eq!(*under_way.borrow(), MAX_SLOW_CALLS, "no more of them, whatever else goes on");
    go_on.add_permits(CALLS);
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("provision").as_str(), "made");
    }
}
