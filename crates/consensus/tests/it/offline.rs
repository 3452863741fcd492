//! Backups and lost majorities.

use futures::StreamExt as _;
use regrow_consensus::{Consistency, Replica as _, Storage, Tables, offline};
use regrow_journal::Slot;

use crate::cluster::{Cluster, add, value};

#[tokio::test(start_paused = true)]
async fn a_backup_is_taken_over_by_a_new_cluster_of_one() {
    let cluster = Cluster::of(3).await;
    for name in 0..50 {
        add(&cluster.group(2), &format!("name-{name}"), name + 1).await;
    }
    let chunks: Vec<_> = cluster.group(3).image().await.expect("image").collect().await;
    let image: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.expect("chunk")).collect();
    let mut next = Cluster::new();
    let (_journal, storage) = next.storage(9);
    offline::fill(&storage, 1, &mut image.as_slice()).await.expect("fill");
    offline::recover(&storage, 1, 9, "node-9").await.expect("recover");
    let again = offline::fill(&storage, 1, &mut image.as_slice()).await;
    assert!(again.is_err(), "it is in use");
    drop(_journal);
    next.start(9).await;
    assert_eq!(value(&next.any(), "name-49", Consistency::Linearizable).await, Some(50));
    assert_eq!(add(&next.any(), "name-49", 1).await, 51);
    assert_eq!(next.any().status().voters, [9]);
    next.start(10).await;
    next.join(10).await;
    assert_eq!(value(&next.group(10), "name-0", Consistency::Linearizable).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_backup_is_refused() {
    let cluster = Cluster::of(1).await;
    add(&cluster.any(), "a", 1).await;
    let chunks: Vec<_> = cluster.any().image().await.expect("image").collect().await;
    let image: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.expect("chunk")).collect();
    for at in 0..image.len() {
        let mut damaged = image.clone();
        damaged[at] ^= 1;
        let (_journal, storage) = Cluster::new().storage(9);
        let done = offline::fill(&storage, 1, &mut damaged.as_slice()).await;
        assert!(done.is_err(), "byte {at}");
        let (_journal, storage) = Cluster::new().storage(9);
        let done = offline::fill(&storage, 1, &mut &image[..at]).await;
        assert!(done.is_err(), "cut at {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_member_goes_on_after_the_others_are_lost_for_good() {
    let mut cluster = Cluster::of(3).await;
    assert_eq!(add(&cluster.any(), "a", 5).await, 5);
    assert_eq!(value(&cluster.group(3), "a", Consistency::Linearizable).await, Some(5));
    for node in 1..=3 {
        cluster.stop(node, node != 3).await;
    }
    let (journal, storage) = cluster.storage(3);
    offline::recover(&storage, 1, 3, "node-3").await.expect("recover");
    drop(journal);
    cluster.start(3).await;
    assert_eq!(value(&cluster.any(), "a", Consistency::Linearizable).await, Some(5));
    assert_eq!(cluster.any().status().voters, [3]);
    cluster.start(4).await;
    cluster.join(4).await;
    assert_eq!(add(&cluster.group(4), "a", 1).await, 6);
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_to_recover_in_an_empty_folder() {
    let (_journal, storage) = Cluster::new().storage(3);
    let error = offline::recover(&storage, 1, 3, "node-3").await.expect_err("empty");
    assert!(error.to_string().contains("join or restore"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn tables_that_end_before_the_log_begins_are_a_gap() {
    let cluster = Cluster::of(1).await;
    add(&cluster.any(), "a", 1).await;
    let chunks: Vec<_> = cluster.any().image().await.expect("image").collect().await;
    let image: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.expect("chunk")).collect();
    let mut next = Cluster::new();
    let (_journal, storage) = next.storage(9);
    assert_eq!(offline::gap(&storage).expect("a look"), None, "nothing is whole");
    offline::fill(&storage, 1, &mut image.as_slice()).await.expect("fill");
    assert_eq!(offline::gap(&storage).expect("a look"), None, "it fits");
    let lost = Storage { tables: Tables::memory().expect("tables"), ..storage };
    let gap = offline::gap(&lost).expect("a look").expect("a gap");
    assert!(gap.contains("the tables are empty, and the log begins behind entry"), "{gap}");
}

#[tokio::test(start_paused = true)]
async fn a_term_behind_which_there_is_none_is_refused() {
    let (_journal, storage) = Cluster::new().storage(3);
    let done = |result: Result<(), _>| result.expect("durable");
    let (vote, entry) = ([&[1], &[0xff; 9][..], &[1, 3, 0]].concat(), vec![1, 7, 0]);
    storage.log.save(Slot(1), vote.into(), done);
    storage.log.append(vec![(0, entry.into())], done);
    let error = offline::recover(&storage, 1, 3, "node-3").await.expect_err("no term is left");
    assert!(error.to_string().contains("its term is the last"), "{error}");
}
