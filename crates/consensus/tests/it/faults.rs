//! Machines that vanish, links that crawl, changes of members that are cut off in the middle.

use std::time::Duration;

use regrow_consensus::group::{MemberChange, MembersError};
use regrow_consensus::{Consistency, ProposeError, Replica as _, Scoped};
use tokio::time::Instant;

use crate::cluster::{Cluster, SCOPE, add, value};
use crate::tally::Ask;

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_nobody_reaches_gets_no_vote_and_stops_nobody() {
    let cluster = Cluster::of(1).await;
    let group = cluster.any();
    let newcomer = MemberChange::Add { node: 2, address: "nowhere".into() };
    group.change_members(&newcomer).await.expect("add");
    let error = group.change_members(&MemberChange::Promote { node: 2 }).await.expect_err("behind");
    let behind = matches!(&error, MembersError::Behind { node: 2, address, shown: 0, .. }
        if address == "nowhere");
    assert!(behind, "{error}");
    assert_eq!(group.status().voters, [1]);
    assert_eq!(add(&group, "a", 1).await, 1);
    group.change_members(&MemberChange::Remove { node: 2 }).await.expect("remove");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_vanished_is_left_as_soon_as_another_leads() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.group(if leader == 3 { 2 } else { 3 });
    assert_eq!(add(&follower, "a", 1).await, 1);
    cluster.net.vanish(leader, true);
    let began = Instant::now();
    let replica = Scoped::new(follower.clone(), SCOPE);
    let write = replica.propose(Ask::Add("a".into(), 1).bytes());
    let (wrote, read) = tokio::join!(write, value(&follower, "a", Consistency::Linearizable));
    // Nobody knows of the write; the read finds the new leader. Neither waits for its deadline of 10 s.
    assert!(wrote.is_err() && matches!(read, Some(1 | 2)), "{wrote:?}, {read:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_members_that_is_cut_off_anywhere_is_finished() {
    // Two voters and a third that is promoted; the leader's process ends so many milliseconds later.
    for delay in 0..12 {
        let mut cluster = Cluster::of(2).await;
        let leader = cluster.leader().await;
        cluster.start(3).await;
        let group = cluster.group(leader);
        let newcomer = MemberChange::Add { node: 3, address: "node-3".into() };
        group.change_members(&newcomer).await.expect("add");
        let asked =
            tokio::spawn(
                async move { group.change_members(&MemberChange::Promote { node: 3 }).await },
            );
        tokio::time::sleep(Duration::from_millis(delay)).await;
        cluster.stop(leader, false).await;
        asked.abort();
        cluster.start(leader).await;
        cluster.leader().await;
        assert_eq!(value(&cluster.group(leader), "a", Consistency::Linearizable).await, None);
        tokio::time::sleep(Duration::from_secs(1)).await;
        if cluster.any().status().voters != [1, 2, 3] {
            continue;
        }
        // Two of three are a majority; of two old voters and three new ones they would not be.
        let gone = if leader == 1 { 2 } else { 1 };
        cluster.stop(gone, false).await;
        assert_eq!(add(&cluster.group(3), "a", 1).await, 1, "after {delay} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_node_is_refused_by_members_that_started_again() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let gone = if leader == 3 { 2 } else { 3 };
    let removed = cluster.group(leader).change_members(&MemberChange::Remove { node: gone }).await;
    removed.expect("remove");
    cluster.stop(leader, false).await;
    cluster.start(leader).await;
    cluster.leader().await;
    let add = MemberChange::Add { node: gone, address: "elsewhere".into() };
    let refused = cluster.group(leader).change_members(&add).await.expect_err("retired");
    assert!(refused.to_string().contains("it was removed before"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_large_command_crosses_a_slow_link() {
    let mut cluster = Cluster::of(2).await;
    cluster.net.slow_down(100);
    let mut padded = Ask::Add("a".into(), 1).bytes();
    padded.extend_from_slice(&[0; 200 << 10]);
    let leader = cluster.leader().await;
    let replica = Scoped::new(cluster.group(leader), SCOPE);
    // 2 s under way, and ten heartbeats meanwhile.
    replica.propose(padded).await.expect("both have it");
    cluster.stop(leader, false).await;
    cluster.net.slow_down(0);
    cluster.start(leader).await;
    assert_eq!(value(&cluster.any(), "a", Consistency::Linearizable).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_journal_cannot_take_is_refused_and_stops_nobody() {
    let cluster = Cluster::of(1).await;
    let group = cluster.any();
    let error = group.propose(vec![7; 900 << 10]).await.expect_err("a quarter of 1 MiB at most");
    let ProposeError::TooLarge { limit, .. } = error else { panic!("{error}") };
    let mut padded = Ask::Add("a".into(), 1).bytes();
    // The scope takes a byte.
    padded.resize(limit - 1, 0);
    Scoped::new(group.clone(), SCOPE).propose(padded).await.expect("as large as can be");
    assert_eq!(group.halted(), None);
}

#[tokio::test(start_paused = true)]
async fn a_log_of_large_entries_is_shortened_long_before_their_number_counts() {
    let mut cluster = Cluster::new();
    cluster.options = |options| options.snapshot_bytes = 2 << 20;
    cluster.start(1).await.bootstrap("node-1").await.expect("bootstrap");
    let group = cluster.any();
    for _ in 0..150 {
        let mut padded = Ask::Add("a".into(), 1).bytes();
        padded.extend_from_slice(&[0; 64 << 10]);
        Scoped::new(group.clone(), SCOPE).propose(padded).await.expect("propose");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let begins = cluster.log_begins(1);
    assert!(begins > 20, "the log begins at {begins}");
    cluster.stop(1, false).await;
    cluster.start(1).await;
    assert_eq!(value(&cluster.any(), "a", Consistency::Linearizable).await, Some(150));
}
