//! Leases: never early, soon after their time, renewed, revoked, and what becomes of their keys.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::HeldLease;
use crate::conformance::bench::{Bench, Checked, ensure, same, soon};
use crate::conformance::checks;
use crate::lease::LeaseId;
use crate::txn::Txn;

/// What a busy machine may add to the end of a lease.
const SLACK: Duration = Duration::from_secs(20);

checks![
    a_lease_lasts_as_long_as_asked_for,
    a_lease_ends_after_its_time_and_its_keys_with_it,
    a_renewed_lease_lasts,
    a_revoked_lease_takes_its_keys_along,
    a_key_can_be_taken_off_its_lease,
    a_key_can_be_moved_to_another_lease,
    a_key_made_anew_is_not_the_old_leases,
    a_lease_without_keys_ends_too,
    leases_have_names_of_their_own,
    another_client_renews_and_revokes_by_name,
    a_held_lease_is_kept,
    a_held_lease_that_is_revoked_is_lost,
    a_held_lease_that_is_dropped_ends_soon,
];

async fn leased(bench: &Bench, name: &str, lease: LeaseId) -> Checked {
    let txn = Txn::new().put_leased(bench.key(name)?, "", lease);
    same("succeeded", bench.a.transact(&txn).await?.succeeded, true)
}

async fn a_lease_lasts_as_long_as_asked_for(bench: Bench) -> Checked {
    for extra in [0, 1, 1_500] {
        let ttl = bench.ttl() + Duration::from_millis(extra);
        let lease = bench.a.grant(ttl).await?;
        ensure(lease.ttl >= ttl, || format!("{lease:?} for {ttl:?}"))?;
        bench.a.revoke(lease.id).await?;
    }
    Ok(())
}

async fn a_lease_ends_after_its_time_and_its_keys_with_it(bench: Bench) -> Checked {
    let asked = Instant::now();
    let lease = bench.a.grant(bench.ttl()).await?;
    for name in ["a", "b"] {
        leased(&bench, name, lease.id).await?;
    }
    bench.put("c", "").await?;
    bench.gone("a").await?;
    let lasted = asked.elapsed();
    ensure(lasted >= lease.ttl, || format!("ended early, after {lasted:?} of {:?}", lease.ttl))?;
    let longest = lease.ttl * bench.capabilities().lease_tenths / 10 + SLACK;
    ensure(lasted <= longest, || format!("ended late, after {lasted:?} of {:?}", lease.ttl))?;
    same("keys", bench.names(&bench.list().await?), vec!["c".to_owned()])
}

async fn a_renewed_lease_lasts(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.ttl() * 2).await?;
    leased(&bench, "k", lease.id).await?;
    // A lease that ends between two renewals, because this machine is busy, proves nothing.
    for _ in 0..8 {
        let asked = Instant::now();
        tokio::time::sleep(lease.ttl / 3).await;
        let renewed = bench.a.keep_alive(lease.id).await;
        if asked.elapsed() < lease.ttl {
            same("renewed", renewed?, lease)?;
        }
    }
    let asked = Instant::now();
    let renewed = bench.a.keep_alive(lease.id).await;
    let there = bench.entry("k").await?.is_some();
    ensure(there || renewed.is_err() || asked.elapsed() >= lease.ttl, || {
        "the key went away".into()
    })?;
    Ok(bench.a.revoke(lease.id).await?)
}

async fn a_revoked_lease_takes_its_keys_along(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.capabilities().limits.longest_ttl).await?.id;
    for name in ["a", "b", "c"] {
        leased(&bench, name, lease).await?;
    }
    bench.put("d", "").await?;
    bench.a.revoke(lease).await?;
    same("keys", bench.names(&bench.list().await?), vec!["d".to_owned()])
}

async fn a_key_can_be_taken_off_its_lease(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.capabilities().limits.longest_ttl).await?.id;
    leased(&bench, "k", lease).await?;
    same("leased", bench.there("k").await?.lease, Some(lease))?;
    bench.put("k", "").await?;
    same("free", bench.there("k").await?.lease, None)?;
    bench.a.revoke(lease).await?;
    bench.there("k").await.map(|_| ())
}

async fn a_key_can_be_moved_to_another_lease(bench: Bench) -> Checked {
    let longest = bench.capabilities().limits.longest_ttl;
    let (old, new) = (bench.a.grant(longest).await?.id, bench.a.grant(longest).await?.id);
    leased(&bench, "k", old).await?;
    leased(&bench, "k", new).await?;
    bench.a.revoke(old).await?;
    same("lease", bench.there("k").await?.lease, Some(new))?;
    bench.a.revoke(new).await?;
    same("entry", bench.entry("k").await?, None)
}

async fn a_key_made_anew_is_not_the_old_leases(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.capabilities().limits.longest_ttl).await?.id;
    leased(&bench, "k", lease).await?;
    bench.delete("k").await?;
    bench.put("k", "").await?;
    bench.a.revoke(lease).await?;
    bench.there("k").await.map(|_| ())
}

async fn a_lease_without_keys_ends_too(bench: Bench) -> Checked {
    let asked = Instant::now();
    let lease = bench.a.grant(bench.ttl()).await?;
    tokio::time::sleep(lease.ttl * bench.capabilities().lease_tenths / 10 + SLACK / 4).await;
    let ended = async {
        while bench.a.transact(&Txn::new().put_leased(bench.key("k")?, "", lease.id)).await.is_ok()
        {
            bench.delete("k").await?;
            tokio::time::sleep(lease.ttl / 4).await;
        }
        Checked::Ok(())
    };
    soon("the lease ends", ended).await??;
    ensure(asked.elapsed() >= lease.ttl, || "it ended early".into())
}

async fn leases_have_names_of_their_own(bench: Bench) -> Checked {
    let mut names = BTreeSet::new();
    for number in 0..20_usize {
        let client = if number.is_multiple_of(2) { &bench.a } else { &bench.b };
        let lease = client.grant(bench.ttl()).await?.id;
        client.revoke(lease).await?;
        ensure(names.insert(lease), || format!("{lease} was given twice"))?;
    }
    Ok(())
}

async fn another_client_renews_and_revokes_by_name(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.capabilities().limits.longest_ttl).await?;
    leased(&bench, "k", lease.id).await?;
    same("renewed", bench.b.keep_alive(lease.id).await?, lease)?;
    bench.b.revoke(lease.id).await?;
    same("entry", bench.entry("k").await?, None)
}

async fn a_held_lease_is_kept(bench: Bench) -> Checked {
    let held = HeldLease::grant(bench.a.clone(), bench.ttl() * 3).await?;
    leased(&bench, "k", held.id()).await?;
    tokio::time::sleep(bench.ttl() * 7).await;
    // A machine too busy to renew in time loses it, and then it must say so.
    let there = bench.entry("k").await?.is_some();
    ensure(there || !held.holds(), || "it is gone and its holder does not know".into())
}

async fn a_held_lease_that_is_revoked_is_lost(bench: Bench) -> Checked {
    let held = HeldLease::grant(bench.a.clone(), bench.ttl() * 3).await?;
    same("holds", held.holds(), true)?;
    bench.b.revoke(held.id()).await?;
    soon("its holder notices", held.lost()).await?;
    same("holds", held.holds(), false)
}

async fn a_held_lease_that_is_dropped_ends_soon(bench: Bench) -> Checked {
    let held = HeldLease::grant(bench.a.clone(), bench.capabilities().limits.longest_ttl).await?;
    leased(&bench, "k", held.id()).await?;
    drop(held);
    bench.gone("k").await
}
