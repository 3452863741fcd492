//! Calls of providers under the fence of the leader, and an old leader that goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regrow_groups::{Groups, Options};
use regrow_ids::{Fence, GoDuration, PluginName};
use regrow_plugin::spi::{Group, tags};
use regrow_plugin::{Lookup, Mandate};
use regrow_reconcile::Authority;
use regrow_reconcile::intents::MemoryIntents;

use crate::fakes::{Rig, rig, sized};

/// Believes to lead under this fence; 0 for not.
struct Believes(AtomicU64);

impl Authority for Believes {
    fn fence(&self) -> Option<Fence> {
        let fence = self.0.load(Ordering::Relaxed);
        (fence > 0).then(|| Fence::new(fence))
    }

    fn lineage(&self) -> Option<u64> {
        Some(77)
    }
}

/// A controller over the machines of a rig.
async fn controller(rig: &Rig, name: &str, fence: u64) -> (Arc<Groups>, Arc<dyn Group>) {
    let options = Options { poll_interval: GoDuration::from_secs(5), ..Options::default() };
    let lookup: Arc<dyn Lookup> = rig.plugins.clone();
    let log = Arc::new(MemoryIntents::new(fence));
    let believes = Arc::new(Believes(AtomicU64::new(fence)));
    let groups = Groups::new(lookup, log, believes, &options);
    rig.plugins.add(regrow_groups::plugin(name, &groups));
    let api = rig.plugins.group(&PluginName::from(name)).await.expect("the group plugin");
    (groups, api)
}

fn fences(rig: &Rig) -> Vec<String> {
    let live = rig.machines.live.lock().unwrap();
    let mut fences: Vec<_> =
        live.values().filter_map(|d| d.tags.get(tags::FENCE).cloned()).collect();
    fences.sort();
    fences
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_missed_its_end_is_refused_by_the_provider() {
    let rig = rig().await;
    let (_old, old_api) = controller(&rig, "old", 5).await;
    old_api.commit_group(&sized(1, 3), false).await.expect("commit");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fences(&rig), ["5"; 3]);
    // The new one keeps five; the old one would make them three again, as it was told.
    let (_new, new_api) = controller(&rig, "new", 6).await;
    new_api.commit_group(&sized(1, 5), false).await.expect("commit");
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let gone = rig.machines.live.lock().unwrap().pop_first().expect("five");
        drop(gone);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.machines.count(), 5);
    assert_eq!(fences(&rig), ["6"; 5]);
    assert_eq!(rig.machines.destroyed.lock().unwrap().len(), 0);
    assert_eq!(rig.machines.made.load(Ordering::Relaxed), 55, "one for each that was lost");
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_its_own_process_acts_under_the_fence_of_its_manager() {
    let rig = rig().await;
    rig.commit(&sized(1, 1)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fences(&rig), [""; 0], "nobody leads it");
    let under = |fence| Some(Mandate { fence: Fence::new(fence), lineage: 3 });
    let commit = async |fence, size| {
        let spec = sized(1, size);
        Mandate::scope(under(fence), rig.api.commit_group(&spec, false)).await
    };
    commit(8, 2).await.expect("leads");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fences(&rig), ["8"]);
    let fault = commit(7, 0).await.expect_err("not any more");
    assert!(fault.to_string().contains("under fence 7"), "{fault}");
    commit(9, 3).await.expect("leads");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fences(&rig), ["8", "9"]);
    assert_eq!(rig.machines.count(), 3);
}
