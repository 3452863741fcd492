//! Transactions: compares, atomicity, both branches.

use bytes::Bytes;
use futures::future::join_all;
use regrow_ids::Revision;

use crate::conformance::bench::{Bench, Checked, ensure, same, text};
use crate::conformance::{checks, shows_every_change};
use crate::lease::LeaseId;
use crate::txn::{Compare, Txn, Write};

checks![
    absent_is_true_of_no_key,
    present_is_true_of_a_key,
    created_compares_the_first_revision,
    modified_compares_the_last_revision,
    value_compares_bytes,
    lease_compares_the_lease,
    only_absent_is_true_of_no_key,
    all_compares_must_hold,
    a_branch_that_is_not_taken_does_nothing,
    the_other_branch_is_done_when_a_compare_fails,
    reads_show_what_was_before_the_writes,
    the_keys_of_a_transaction_share_its_revision,
    deleting_nothing_is_no_change,
    a_prefix_is_deleted_whole_and_nothing_else,
    one_transaction_replaces_a_folder,
    a_transaction_of_nothing_succeeds,
    a_counter_of_two_clients_loses_nothing,
    one_of_many_makes_a_key,
    the_most_operations_fit,
];

/// Whether a compare holds, by a transaction that only compares.
async fn holds(bench: &Bench, compare: Compare) -> Checked<bool> {
    Ok(bench.a.transact(&Txn::new().when(compare)).await?.succeeded)
}

async fn absent_is_true_of_no_key(bench: Bench) -> Checked {
    let key = bench.key("k")?;
    same("before", holds(&bench, Compare::Absent(key.clone())).await?, true)?;
    bench.put("k", "").await?;
    same("after", holds(&bench, Compare::Absent(key.clone())).await?, false)?;
    bench.delete("k").await?;
    same("deleted", holds(&bench, Compare::Absent(key)).await?, true)
}

async fn present_is_true_of_a_key(bench: Bench) -> Checked {
    let key = bench.key("k")?;
    same("before", holds(&bench, Compare::Present(key.clone())).await?, false)?;
    bench.put("k", "").await?;
    same("after", holds(&bench, Compare::Present(key)).await?, true)
}

async fn created_compares_the_first_revision(bench: Bench) -> Checked {
    bench.put("k", "1").await?;
    bench.put("k", "2").await?;
    let entry = bench.there("k").await?;
    let key = entry.key;
    same("first", holds(&bench, Compare::Created(key.clone(), entry.created)).await?, true)?;
    same("last", holds(&bench, Compare::Created(key, entry.modified)).await?, false)
}

async fn modified_compares_the_last_revision(bench: Bench) -> Checked {
    bench.put("k", "1").await?;
    bench.put("k", "2").await?;
    let entry = bench.there("k").await?;
    let key = entry.key;
    same("last", holds(&bench, Compare::Modified(key.clone(), entry.modified)).await?, true)?;
    same("first", holds(&bench, Compare::Modified(key, entry.created)).await?, false)
}

async fn value_compares_bytes(bench: Bench) -> Checked {
    bench.put("k", "ab").await?;
    let compare = |value: &'static str| Ok(Compare::Value(bench.key("k")?, Bytes::from(value)));
    same("same", holds(&bench, compare("ab")?).await?, true)?;
    same("beginning", holds(&bench, compare("a")?).await?, false)?;
    let empty: Checked<_> = compare("");
    same("nothing", holds(&bench, empty?).await?, false)
}

async fn lease_compares_the_lease(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.capabilities().limits.longest_ttl).await?.id;
    let key = bench.key("k")?;
    bench.a.transact(&Txn::new().put_leased(key.clone(), "", lease)).await?;
    same("its own", holds(&bench, Compare::Lease(key.clone(), Some(lease))).await?, true)?;
    same("none", holds(&bench, Compare::Lease(key.clone(), None)).await?, false)?;
    bench.put("k", "").await?;
    same("taken off", holds(&bench, Compare::Lease(key.clone(), None)).await?, true)?;
    same("no more", holds(&bench, Compare::Lease(key, Some(lease))).await?, false)?;
    Ok(bench.a.revoke(lease).await?)
}

async fn only_absent_is_true_of_no_key(bench: Bench) -> Checked {
    let key = || bench.key("none");
    let one = Revision::new(1);
    let compares: [Checked<Compare>; 6] = [
        key().map(Compare::Present),
        key().map(|key| Compare::Created(key, one)),
        key().map(|key| Compare::Modified(key, one)),
        key().map(|key| Compare::Value(key, Bytes::new())),
        key().map(|key| Compare::Lease(key, None)),
        key().map(|key| Compare::Lease(key, Some(LeaseId::new(1)))),
    ];
    for compare in compares {
        let compare = compare?;
        same(&format!("{compare:?}"), holds(&bench, compare.clone()).await?, false)?;
    }
    Ok(())
}

async fn all_compares_must_hold(bench: Bench) -> Checked {
    bench.put("a", "").await?;
    let both = Txn::new().when(Compare::Present(bench.key("a")?));
    let both = both.when(Compare::Present(bench.key("b")?)).put(bench.key("c")?, "");
    same("one holds", bench.a.transact(&both).await?.succeeded, false)?;
    same("nothing done", bench.entry("c").await?, None)?;
    bench.put("b", "").await?;
    same("both hold", bench.a.transact(&both).await?.succeeded, true)?;
    bench.there("c").await.map(|_| ())
}

async fn a_branch_that_is_not_taken_does_nothing(bench: Bench) -> Checked {
    bench.put("a", "1").await?;
    let before = bench.list().await?;
    let txn = Txn::new().when(Compare::Absent(bench.key("a")?)).put(bench.key("b")?, "");
    let reply = bench.a.transact(&txn.delete(bench.key("a")?)).await?;
    same("succeeded", reply.succeeded, false)?;
    same("entries", bench.list().await?.entries, before.entries)
}

async fn the_other_branch_is_done_when_a_compare_fails(bench: Bench) -> Checked {
    bench.put("a", "mine").await?;
    let write = Write::Put { key: bench.key("b")?, value: "1".into(), lease: None };
    let txn = Txn::new().when(Compare::Absent(bench.key("a")?)).put(bench.key("a")?, "yours");
    let reply = bench.a.transact(&txn.or_read(bench.key("a")?).or_write(write)).await?;
    same("succeeded", reply.succeeded, false)?;
    same("found", reply.found, vec![bench.entry("a").await?])?;
    same("value", bench.value("a").await?, Some(Bytes::from("mine")))?;
    same("modified", bench.there("b").await?.modified, reply.revision)
}

async fn reads_show_what_was_before_the_writes(bench: Bench) -> Checked {
    bench.put("a", "old").await?;
    let before = bench.entry("a").await?;
    let (a, b) = (bench.key("a")?, bench.key("b")?);
    let txn = Txn::new().put(a.clone(), "new").put(b.clone(), "").read(b).read(a);
    let reply = bench.a.transact(&txn).await?;
    same("found", reply.found, vec![None, before])?;
    same("value", bench.value("a").await?, Some(Bytes::from("new")))
}

async fn the_keys_of_a_transaction_share_its_revision(bench: Bench) -> Checked {
    bench.put("c", "").await?;
    let txn = Txn::new().put(bench.key("a")?, "1").put(bench.key("b")?, "2");
    let reply = bench.a.transact(&txn.delete(bench.key("c")?)).await?;
    let listing = bench.list().await?;
    same("keys", bench.names(&listing), ["a", "b"].map(String::from).to_vec())?;
    ensure(listing.entries.iter().all(|entry| entry.modified == reply.revision), || {
        format!("{listing:?} after {reply:?}")
    })
}

async fn deleting_nothing_is_no_change(bench: Bench) -> Checked {
    let mut watch = bench.watch().await?;
    bench.delete("none").await?;
    bench.a.transact(&Txn::new().delete_prefix(bench.prefix("none/")?)).await?;
    bench.put("end", "").await?;
    let batch = crate::conformance::bench::next_change(&mut watch).await?;
    let keys: Vec<_> = batch.changes.iter().map(|change| change.key().clone()).collect();
    same("changes", keys, vec![bench.key("end")?])
}

async fn a_prefix_is_deleted_whole_and_nothing_else(bench: Bench) -> Checked {
    for name in ["a", "a/1", "a/2/3", "a0", "b"] {
        bench.put(name, "").await?;
    }
    bench.a.transact(&Txn::new().delete_prefix(bench.prefix("a/")?)).await?;
    same("keys", bench.names(&bench.list().await?), ["a", "a0", "b"].map(String::from).to_vec())
}

async fn one_transaction_replaces_a_folder(bench: Bench) -> Checked {
    for name in ["old/1", "old/2"] {
        bench.put(name, "").await?;
    }
    let txn = Txn::new().when(Compare::Present(bench.key("old/1")?));
    let txn = txn.delete_prefix(bench.prefix("old/")?).put(bench.key("new/1")?, "");
    same("succeeded", bench.a.transact(&txn).await?.succeeded, true)?;
    same("keys", bench.names(&bench.list().await?), vec!["new/1".to_owned()])?;
    same("again", bench.a.transact(&txn).await?.succeeded, false)
}

async fn a_transaction_of_nothing_succeeds(bench: Bench) -> Checked {
    let reply = bench.a.transact(&Txn::new()).await?;
    same("succeeded", reply.succeeded, true)?;
    same("found", reply.found, Vec::new())
}

async fn a_counter_of_two_clients_loses_nothing(bench: Bench) -> Checked {
    const EACH: usize = 20;
    bench.put("n", "0").await?;
    let count = async |client: &dyn crate::Coordinator| -> Checked {
        let mut done = 0;
        while done < EACH {
            let got = client.get(&bench.key("n")?, crate::Consistency::Linearizable).await?;
            let Some(entry) = got.entry else { continue };
            let number: usize = String::from_utf8_lossy(&entry.value).parse().unwrap_or(0);
            let compare = Compare::Modified(entry.key.clone(), entry.modified);
            let txn = Txn::new().when(compare).put(entry.key, text(number + 1));
            done += usize::from(client.transact(&txn).await?.succeeded);
        }
        Ok(())
    };
    let (one, other) = tokio::join!(count(&*bench.a), count(&*bench.b));
    one.and(other)?;
    same("sum", bench.value("n").await?, Some(Bytes::from(text(2 * EACH))))
}

async fn one_of_many_makes_a_key(bench: Bench) -> Checked {
    let make = async |number: usize| -> Checked<bool> {
        let client = if number.is_multiple_of(2) { &bench.a } else { &bench.b };
        let key = bench.key("k")?;
        let txn = Txn::new().when(Compare::Absent(key.clone())).put(key, text(number));
        Ok(client.transact(&txn).await?.succeeded)
    };
    let results = join_all((0..10).map(make)).await;
    let winners: Vec<_> = results.into_iter().collect::<Checked<Vec<bool>>>()?;
    same("winners", winners.iter().filter(|won| **won).count(), 1)?;
    let winner = winners.iter().position(|won| *won).unwrap_or_default();
    same("value", bench.value("k").await?, Some(Bytes::from(text(winner))))
}

async fn the_most_operations_fit(bench: Bench) -> Checked {
    let most = bench.capabilities().limits.operations;
    let mut txn = Txn::new();
    for number in 0..most {
        txn = txn.put(bench.key(&format!("k{number:03}"))?, text(number));
    }
    bench.a.transact(&txn).await?;
    let listing = bench.list().await?;
    same("entries", listing.entries.len(), most)?;
    let revisions: std::collections::BTreeSet<_> =
        listing.entries.iter().map(|entry| entry.modified).collect();
    same("revisions", revisions.len(), 1)?;
    // Deleting them again is one change for whoever watches.
    if shows_every_change(&bench.capabilities()) {
        let mut watch = bench.watch().await?;
        bench.a.transact(&Txn::new().delete_prefix(bench.prefix("")?)).await?;
        let batch = crate::conformance::bench::next_change(&mut watch).await?;
        same("changes", batch.changes.len(), most)?;
    }
    Ok(())
}
