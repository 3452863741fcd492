//! Bad input: refused with a clear error, and nothing is executed.

use std::time::Duration;

use bytes::Bytes;
use regrow_ids::Revision;

use crate::conformance::bench::{Bench, Checked, Failed, ensure, same};
use crate::conformance::checks;
use crate::entry::Query;
use crate::error::{CoordError, Invalid};
use crate::lease::LeaseId;
use crate::txn::{Compare, Txn};

checks![
    a_value_over_the_limit_is_refused,
    a_transaction_of_too_many_bytes_is_refused,
    too_many_operations_are_refused,
    compares_of_any_kind_up_to_the_limit_are_taken_or_refused_as_invalid,
    a_key_written_twice_is_refused,
    a_put_into_a_deleted_folder_is_refused,
    a_compare_with_revision_zero_is_refused,
    a_range_of_no_keys_is_refused,
    a_lease_too_short_or_too_long_is_refused,
    a_put_under_an_unknown_lease_changes_nothing,
    an_ended_lease_cannot_be_renewed_nor_used,
    an_unknown_lease_cannot_be_renewed,
    an_unknown_lease_can_be_revoked,
];

/// Names of leases that no backend gives: none, one far away, the largest.
const NOBODYS: [LeaseId; 3] = [LeaseId::new(0), LeaseId::new(1 << 62), LeaseId::new(u128::MAX)];

/// The transaction is refused as invalid, and no key of the check is there.
async fn refused(bench: &Bench, txn: &Txn) -> Checked<Invalid> {
    let error = match bench.a.transact(txn).await {
        Err(CoordError::Invalid(error)) => error,
        other => return Err(Failed(format!("not refused: {other:?}"))),
    };
    same("entries", bench.list().await?.entries, Vec::new())?;
    Ok(error)
}

async fn a_value_over_the_limit_is_refused(bench: Bench) -> Checked {
    let limit = bench.capabilities().limits.value_bytes;
    let value = Bytes::from(vec![0; limit + 1]);
    let txn = Txn::new().put(bench.key("a")?, "").put(bench.key("b")?, value);
    let text = refused(&bench, &txn).await?.to_string();
    ensure(text.contains(&limit.to_string()), || text)
}

async fn a_transaction_of_too_many_bytes_is_refused(bench: Bench) -> Checked {
    let limits = bench.capabilities().limits;
    let value = Bytes::from(vec![0; limits.value_bytes.min(limits.transaction_bytes / 3)]);
    let mut txn = Txn::new();
    for number in 0..=limits.transaction_bytes / value.len() {
        txn = txn.put(bench.key(&number.to_string())?, value.clone());
    }
    refused(&bench, &txn).await.map(|_| ())
}

async fn too_many_operations_are_refused(bench: Bench) -> Checked {
    let mut txn = Txn::new();
    for number in 0..=bench.capabilities().limits.operations {
        txn = txn.put(bench.key(&number.to_string())?, "");
    }
    refused(&bench, &txn).await.map(|_| ())
}

/// Whatever a condition becomes on the way, the limits are told by us, not by a server that refuses.
async fn compares_of_any_kind_up_to_the_limit_are_taken_or_refused_as_invalid(
    bench: Bench,
) -> Checked {
    let key = bench.key("k")?;
    bench.put("k", "v").await?;
    let of_value = Compare::Value(key.clone(), Bytes::from("v"));
    let of_lease = Compare::Lease(key.clone(), None);
    for (compare, must) in [(of_value, true), (of_lease, false)] {
        let most = bench.capabilities().limits.operations;
        let txn = (0..most).fold(Txn::new(), |txn, _| txn.when(compare.clone()));
        match bench.a.transact(&txn).await {
            Ok(reply) => ensure(reply.succeeded, || format!("{compare:?} does not hold"))?,
            Err(CoordError::Invalid(_)) if !must => {}
            Err(error) => return Err(Failed(format!("{most} of {compare:?}: {error}"))),
        }
    }
    Ok(())
}

async fn a_key_written_twice_is_refused(bench: Bench) -> Checked {
    let key = bench.key("k")?;
    let twice = Txn::new().put(key.clone(), "1").put(key.clone(), "2");
    refused(&bench, &twice).await?;
    refused(&bench, &Txn::new().put(key.clone(), "1").delete(key)).await.map(|_| ())
}

async fn a_put_into_a_deleted_folder_is_refused(bench: Bench) -> Checked {
    let txn = Txn::new().delete_prefix(bench.prefix("a")?).put(bench.key("a/1")?, "");
    refused(&bench, &txn).await.map(|_| ())
}

async fn a_compare_with_revision_zero_is_refused(bench: Bench) -> Checked {
    let zero = Revision::new(0);
    let txn = Txn::new().when(Compare::Created(bench.key("k")?, zero));
    refused(&bench, &txn.put(bench.key("k")?, "")).await.map(|_| ())
}

async fn a_range_of_no_keys_is_refused(bench: Bench) -> Checked {
    let answer = bench.a.range(&Query::of(bench.span()?).limit(0)).await;
    ensure(answer == Err(Invalid::NoLimit.into()), || format!("{answer:?}"))
}

async fn a_lease_too_short_or_too_long_is_refused(bench: Bench) -> Checked {
    let limits = bench.capabilities().limits;
    let moment = Duration::from_millis(1);
    for ttl in [Duration::ZERO, limits.shortest_ttl - moment, limits.longest_ttl + moment] {
        let answer = bench.a.grant(ttl).await;
        let refused = matches!(answer, Err(CoordError::Invalid(Invalid::Ttl { .. })));
        ensure(refused, || format!("{ttl:?}: {answer:?}"))?;
    }
    Ok(())
}

async fn a_put_under_an_unknown_lease_changes_nothing(bench: Bench) -> Checked {
    for lease in NOBODYS {
        let txn = Txn::new().put(bench.key("a")?, "");
        let answer = bench.a.transact(&txn.put_leased(bench.key("b")?, "", lease)).await;
        let refused = matches!(answer, Err(CoordError::UnknownLease { .. }));
        ensure(refused, || format!("{lease}: {answer:?}"))?;
    }
    same("entries", bench.list().await?.entries, Vec::new())
}

async fn an_ended_lease_cannot_be_renewed_nor_used(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.ttl()).await?.id;
    bench.a.revoke(lease).await?;
    let renewed = bench.a.keep_alive(lease).await;
    let gone = matches!(renewed, Err(CoordError::UnknownLease { .. }));
    ensure(gone, || format!("{renewed:?}"))?;
    let used = bench.a.transact(&Txn::new().put_leased(bench.key("k")?, "", lease)).await;
    ensure(matches!(used, Err(CoordError::UnknownLease { .. })), || format!("{used:?}"))
}

async fn an_unknown_lease_cannot_be_renewed(bench: Bench) -> Checked {
    for lease in NOBODYS {
        let answer = bench.a.keep_alive(lease).await;
        let unknown = matches!(answer, Err(CoordError::UnknownLease { .. }));
        ensure(unknown, || format!("{lease}: {answer:?}"))?;
    }
    Ok(())
}

async fn an_unknown_lease_can_be_revoked(bench: Bench) -> Checked {
    for lease in NOBODYS {
        bench.a.revoke(lease).await?;
    }
    Ok(())
}
