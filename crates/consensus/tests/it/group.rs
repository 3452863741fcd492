//! Members of a group: agreement, loss of the leader, membership, images.

use std::time::Duration;

use regrow_consensus::group::{MemberChange, MembersError};
use regrow_consensus::{Consistency, ProposeError, Replica, Scoped};
use regrow_journal::disk::memory::Faults;

use crate::cluster::{Cluster, SCOPE, add, value};
use crate::tally::Ask;

#[tokio::test(start_paused = true)]
async fn one_voter_is_a_group() {
    let cluster = Cluster::of(1).await;
    let group = cluster.any();
    assert_eq!(add(&group, "a", 2).await, 2);
    assert_eq!(add(&group, "a", 3).await, 5);
    assert_eq!(value(&group, "a", Consistency::Linearizable).await, Some(5));
    assert_eq!(value(&group, "a", Consistency::Lease).await, Some(5));
    let status = group.status();
    assert!(status.leadership.leading, "{status:?}");
    assert_eq!(status.voters, [1]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = group.status();
    assert!(status.leadership.leading, "nobody else need confirm it: {status:?}");
}

#[tokio::test(start_paused = true)]
async fn every_member_takes_commands_and_shows_what_was_acknowledged() {
    let cluster = Cluster::of(3).await;
    for round in 0..5 {
        for node in 1..=3 {
            let sum = add(&cluster.group(node), "a", 1).await;
            assert_eq!(sum, round * 3 + node);
            for reader in 1..=3 {
                let group = cluster.group(reader);
                assert_eq!(value(&group, "a", Consistency::Linearizable).await, Some(sum));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::of(3).await;
    for round in 1..=5 {
        let leader = cluster.leader().await;
        let term = cluster.group(leader).status().leadership.term;
        assert_eq!(add(&cluster.group(leader), "a", 1).await, round);
        cluster.stop(leader, false).await;
        let next = cluster.leader().await;
        assert_ne!(next, leader);
        assert!(cluster.group(next).status().leadership.term > term);
        assert_eq!(value(&cluster.any(), "a", Consistency::Linearizable).await, Some(round));
        cluster.start(leader).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_minority_neither_writes_nor_reads_linearizably_and_catches_up() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let alone = cluster.group(leader);
    add(&alone, "a", 1).await;
    cluster.net.isolate(leader, true);
    let command = Ask::Add("a".into(), 100).bytes();
    let lost = Scoped::new(alone.clone(), SCOPE).propose(command).await.expect_err("alone");
    assert!(matches!(lost, ProposeError::Unknown { .. } | ProposeError::NoLeader), "{lost}");
    assert!(alone.read(Consistency::Linearizable).await.is_err(), "it cannot know");
    assert_eq!(value(&alone, "a", Consistency::Stale).await, Some(1));
    let status = alone.status();
    assert_eq!((status.leadership.leader, status.leadership.leading), (None, false), "{status:?}");
    assert!(status.last_contact > Some(Duration::from_secs(2)), "{status:?}");
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    assert_eq!(add(&cluster.group(next), "a", 1).await, 2);
    cluster.net.isolate(leader, false);
    assert_eq!(value(&alone, "a", Consistency::Linearizable).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_cut_off_does_not_depose_the_leader() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let other = if leader == 3 { 2 } else { 3 };
    let term = cluster.group(leader).status().leadership.term;
    cluster.net.isolate(other, true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = cluster.group(other).status();
    assert_eq!(status.leadership.leader, None, "it hears nobody: {status:?}");
    cluster.net.isolate(other, false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(cluster.group(other).status().leadership.leader, Some(leader));
    let status = cluster.group(leader).status();
    assert!(status.leadership.leading, "{status:?}");
    assert_eq!(status.leadership.term, term);
}

#[tokio::test(start_paused = true)]
async fn all_members_stop_and_start_and_nothing_is_lost() {
    let mut cluster = Cluster::of(3).await;
    add(&cluster.any(), "a", 7).await;
    for node in 1..=3 {
        cluster.stop(node, false).await;
    }
    for node in 1..=3 {
        cluster.start(node).await;
    }
    assert_eq!(value(&cluster.any(), "a", Consistency::Linearizable).await, Some(7));
    assert_eq!(add(&cluster.any(), "a", 1).await, 8);
}

#[tokio::test(start_paused = true)]
async fn a_member_too_far_behind_gets_an_image() {
    let mut cluster = Cluster::new();
    cluster.options = |options| {
        options.snapshot_every = 50;
        options.keep = 10;
    };
    cluster.start(1).await.bootstrap("node-1").await.expect("bootstrap");
    let group = cluster.any();
    for name in 0..400 {
        add(&group, &format!("name-{name}"), name).await;
    }
    cluster.start(2).await;
    cluster.join(2).await;
    let newcomer = cluster.group(2);
    for name in [0, 1, 399] {
        let name_text = format!("name-{name}");
        assert_eq!(value(&newcomer, &name_text, Consistency::Linearizable).await, Some(name));
    }
    assert_eq!(newcomer.status().voters, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn members_come_and_go_and_removed_ids_stay_away() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let change = async |change| cluster.group(leader).change_members(&change).await;
    let gone = if leader == 3 { 2 } else { 3 };
    change(MemberChange::Remove { node: gone }).await.expect("remove");
    let status = cluster.group(leader).status();
    assert!(!status.voters.contains(&gone), "{status:?}");
    let add_again = MemberChange::Add { node: gone, address: "elsewhere".into() };
    assert_eq!(change(add_again).await, Err(MembersError::Retired { node: gone }));
    let unknown = change(MemberChange::Promote { node: 77 }).await;
    assert_eq!(unknown, Err(MembersError::Unknown { node: 77 }));
    cluster.stop(gone, true).await;
    cluster.start(4).await;
    cluster.join(4).await;
    cluster.group(leader).change_members(&MemberChange::Demote { node: 4 }).await.expect("demote");
    let status = cluster.group(leader).status();
    assert_eq!(status.learners, [4]);
    assert_eq!(status.voters.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_voter_stays() {
    let cluster = Cluster::of(1).await;
    let gone = cluster.any().change_members(&MemberChange::Remove { node: 1 }).await;
    assert_eq!(gone, Err(MembersError::LastVoter { node: 1 }));
    let demoted = cluster.any().change_members(&MemberChange::Demote { node: 1 }).await;
    assert_eq!(demoted, Err(MembersError::LastVoter { node: 1 }));
}

#[tokio::test(start_paused = true)]
async fn the_lead_is_handed_over_by_way_of_any_member() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let heir = if leader == 3 { 2 } else { 3 };
    let by = cluster.group(heir);
    by.change_members(&MemberChange::Transfer { node: heir }).await.expect("hand over");
    assert_eq!(cluster.leader().await, heir);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_a_time_survives_a_change_of_leader_and_goes_late_at_most() {
    let mut cluster = Cluster::of(3).await;
    let keep = Ask::Keep("x".into(), 5_000).bytes();
    Scoped::new(cluster.any(), SCOPE).propose(keep).await.expect("propose");
    let began = tokio::time::Instant::now();
    let kept = async |cluster: &Cluster| {
        let snapshot = Scoped::new(cluster.any(), SCOPE).read(Consistency::Stale).await;
        let span = regrow_consensus::Span::prefix(b"d/");
        snapshot.expect("read").view().list(&span, 9).expect("list").len()
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let leader = cluster.leader().await;
    cluster.stop(leader, false).await;
    cluster.leader().await;
    let rest = Duration::from_millis(4_990).saturating_sub(began.elapsed());
    tokio::time::sleep(rest).await;
    assert_eq!(kept(&cluster).await, 1, "gone after {:?}", began.elapsed());
    // The clock stood while nobody led: at most for an election and a retry.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(kept(&cluster).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_too_large_is_refused() {
    let cluster = Cluster::of(1).await;
    let error = cluster.any().propose(vec![7; 2 << 20]).await.expect_err("too large");
    assert!(matches!(error, ProposeError::TooLarge { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_disk_is_full_waits_for_space_and_loses_nothing() {
    let mut cluster = Cluster::of(1).await;
    let disk = cluster.disk(1);
    disk.set_faults(Faults { capacity: Some(3 << 20), ..Faults::default() });
    let group = cluster.any();
    let mut done = 0;
    let refused = loop {
        let mut padded = Ask::Add("a".into(), 1).bytes();
        padded.extend_from_slice(&[0; 64 << 10]);
        match Scoped::new(group.clone(), SCOPE).propose(padded).await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 1_000, "it is never full");
    };
    assert!(matches!(refused, ProposeError::Unknown { .. }), "{refused}");
    assert_eq!(group.halted(), None);
    disk.set_faults(Faults::default());
    assert!(add(&group, "b", 1).await == 1);
    cluster.stop(1, false).await;
    cluster.start(1).await;
    assert_eq!(value(&cluster.any(), "b", Consistency::Linearizable).await, Some(1));
}

/// Adds until something fails; how many were acknowledged.
async fn add_until_it_fails(group: &std::sync::Arc<regrow_consensus::Group>) -> u64 {
    for done in 0..20 {
        let command = Ask::Add("a".into(), 1).bytes();
        if Scoped::new(group.clone(), SCOPE).propose(command).await.is_err() {
            return done;
        }
    }
    20
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_or_flush_halts_the_member_and_nothing_after_it_is_acknowledged() {
    // Every write and every flush of a scripted run fails once.
    for (what, at) in (1..=24).flat_map(|at| [("write", at), ("flush", at)]) {
        let mut cluster = Cluster::of(1).await;
        let disk = cluster.disk(1);
        let (writes, syncs) = (disk.counts().writes, disk.counts().syncs);
        let faults = match what {
            "write" => Faults { fail_write: Some(writes + at), ..Faults::default() },
            _ => Faults { fail_sync: Some(syncs + at), ..Faults::default() },
        };
        disk.set_faults(faults);
        let group = cluster.any();
        let acknowledged = add_until_it_fails(&group).await;
        let reached = disk.counts().writes >= writes + at || disk.counts().syncs >= syncs + at;
        if acknowledged < 20 {
            assert!(group.halted().is_some(), "{what} {at}: {acknowledged} acknowledged");
        } else {
            assert!(
                !reached || what == "flush",
                "{what} {at} failed, and everything was acknowledged"
            );
        }
        cluster.stop(1, false).await;
        disk.crash(0);
        cluster.start(1).await;
        let kept = value(&cluster.any(), "a", Consistency::Linearizable).await.unwrap_or(0);
        assert!(kept >= acknowledged, "{what} {at}: {kept} of {acknowledged}");
    }
}
