//! Keys, values, revisions and ranges.

use bytes::Bytes;

use crate::Consistency;
use crate::conformance::bench::{Bench, Checked, ensure, same};
use crate::conformance::checks;
use crate::entry::Query;
use crate::key::Span;
use crate::txn::Txn;

checks![
    a_missing_key_is_none,
    a_put_can_be_read,
    an_empty_value_is_a_value,
    any_bytes_are_a_value,
    keys_may_be_any_text,
    created_stays_and_modified_grows,
    the_same_value_again_is_a_change,
    a_deleted_key_is_made_anew,
    a_range_is_in_the_order_of_keys,
    a_range_holds_its_prefix_and_nothing_else,
    a_range_is_cut_at_its_limit_and_continued,
    a_range_of_one_key_is_that_key,
    a_stale_read_answers,
    a_read_tells_a_revision_not_before_the_write,
    what_one_client_wrote_another_reads,
    the_largest_value_fits,
    a_large_range_arrives_whole,
];

async fn a_missing_key_is_none(bench: Bench) -> Checked {
    same("entry", bench.entry("none").await?, None)
}

async fn a_put_can_be_read(bench: Bench) -> Checked {
    let put = bench.put("k", "value").await?;
    let entry = bench.there("k").await?;
    same("value", &entry.value[..], b"value")?;
    same("created", entry.created, put.revision)?;
    same("modified", entry.modified, put.revision)?;
    same("lease", entry.lease, None)?;
    same("key", entry.key, bench.key("k")?)
}

async fn an_empty_value_is_a_value(bench: Bench) -> Checked {
    bench.put("k", "").await?;
    same("value", bench.value("k").await?, Some(Bytes::new()))
}

async fn any_bytes_are_a_value(bench: Bench) -> Checked {
    let value: Bytes = (0..=255).collect();
    bench.a.transact(&Txn::new().put(bench.key("k")?, value.clone())).await?;
    same("value", bench.value("k").await?, Some(value))
}

async fn keys_may_be_any_text(bench: Bench) -> Checked {
    let names = ["a b", "a%2Fb", "a+b", "a/b/", "a?b&c=d#e", "a~'\"\\<>", "grün", "日本"];
    for name in names {
        bench.put(name, name).await?;
    }
    for name in names {
        same(name, bench.value(name).await?, Some(Bytes::from_static(name.as_bytes())))?;
    }
    same("keys", bench.names(&bench.list().await?), names.map(String::from).to_vec())
}

async fn created_stays_and_modified_grows(bench: Bench) -> Checked {
    let first = bench.put("k", "1").await?;
    let second = bench.put("k", "2").await?;
    let entry = bench.there("k").await?;
    same("created", entry.created, first.revision)?;
    same("modified", entry.modified, second.revision)?;
    ensure(second.revision > first.revision, || format!("{first:?} then {second:?}"))
}

async fn the_same_value_again_is_a_change(bench: Bench) -> Checked {
    bench.put("k", "same").await?;
    let before = bench.there("k").await?;
    bench.put("k", "same").await?;
    let after = bench.there("k").await?;
    ensure(after.modified > before.modified, || format!("{before:?} then {after:?}"))
}

async fn a_deleted_key_is_made_anew(bench: Bench) -> Checked {
    bench.put("k", "1").await?;
    let before = bench.there("k").await?;
    bench.delete("k").await?;
    same("deleted", bench.entry("k").await?, None)?;
    bench.put("k", "1").await?;
    let after = bench.there("k").await?;
    ensure(after.created > before.modified, || format!("{before:?} then {after:?}"))
}

async fn a_range_is_in_the_order_of_keys(bench: Bench) -> Checked {
    for name in ["b", "a/2", "B", "a", "a/10"] {
        bench.put(name, "").await?;
    }
    let expected = ["B", "a", "a/10", "a/2", "b"].map(String::from).to_vec();
    same("keys", bench.names(&bench.list().await?), expected)
}

async fn a_range_holds_its_prefix_and_nothing_else(bench: Bench) -> Checked {
    for name in ["a", "ab", "ab/c", "abc", "ac", "b"] {
        bench.put(name, "").await?;
    }
    let listing = bench.a.range(&Query::of(bench.prefix("ab")?)).await?;
    same("more", listing.more, false)?;
    same("keys", bench.names(&listing), ["ab", "ab/c", "abc"].map(String::from).to_vec())
}

async fn a_range_is_cut_at_its_limit_and_continued(bench: Bench) -> Checked {
    for number in 0..7 {
        bench.put(&format!("k{number}"), "").await?;
    }
    let mut query = Query::of(bench.span()?).limit(3);
    let mut pages = Vec::new();
    loop {
        let page = bench.a.range(&query).await?;
        pages.push(page.entries.len());
        match page.entries.last() {
            Some(last) if page.more => query = query.after(last.key.clone()),
            _ => break,
        }
    }
    same("pages", pages, vec![3, 3, 1])
}

async fn a_range_of_one_key_is_that_key(bench: Bench) -> Checked {
    for name in ["k", "k/1", "kk"] {
        bench.put(name, "").await?;
    }
    let one = Query::of(Span::One(bench.key("k")?));
    same("keys", bench.names(&bench.a.range(&one).await?), vec!["k".to_owned()])?;
    let behind = one.after(bench.key("k")?);
    same("behind it", bench.a.range(&behind).await?.entries, Vec::new())
}

async fn a_stale_read_answers(bench: Bench) -> Checked {
    bench.put("k", "1").await?;
    let got = bench.a.get(&bench.key("k")?, Consistency::Stale).await?;
    // It may be old, but it is one of the two states there were.
    let value = got.entry.map(|entry| entry.value);
    ensure(value.as_deref().is_none_or(|value| value == b"1"), || format!("{value:?}"))
}

async fn a_read_tells_a_revision_not_before_the_write(bench: Bench) -> Checked {
    let put = bench.put("k", "1").await?;
    let got = bench.a.get(&bench.key("k")?, Consistency::Linearizable).await?;
    ensure(got.revision >= put.revision, || format!("{:?} then {:?}", put, got.revision))
}

async fn what_one_client_wrote_another_reads(bench: Bench) -> Checked {
    for number in 0..20 {
        let value = number.to_string();
        bench.put("k", &value).await?;
        let got = bench.b.get(&bench.key("k")?, Consistency::Linearizable).await?;
        same("value", got.entry.map(|entry| entry.value), Some(Bytes::from(value)))?;
    }
    Ok(())
}

async fn the_largest_value_fits(bench: Bench) -> Checked {
    let limits = bench.capabilities().limits;
    let key = bench.key("k")?;
    let room = limits.transaction_bytes - key.as_str().len();
    let value = Bytes::from(vec![7; limits.value_bytes.min(room)]);
    bench.a.transact(&Txn::new().put(key, value.clone())).await?;
    let found = bench.value("k").await?;
    ensure(found.as_ref() == Some(&value), || "another value came back".into())
}

async fn a_large_range_arrives_whole(bench: Bench) -> Checked {
    let value = "v".repeat(20_000);
    for number in 0..100 {
        bench.put(&format!("k{number:03}"), &value).await?;
    }
    let listing = bench.list().await?;
    same("entries", listing.entries.len(), 100)?;
    ensure(listing.entries.iter().all(|entry| entry.value == value.as_bytes()), || {
        "a value differs".into()
    })
}
