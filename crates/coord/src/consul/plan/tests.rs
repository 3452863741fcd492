//! Plans, fates and differences, against the documented format.

use super::*;
use crate::txn::Compare;

const OLD: LeaseId = LeaseId::new(0x0000_0000_0000_4000_8000_0000_0000_0001);
const NEW: LeaseId = LeaseId::new(0x0000_0000_0000_4000_8000_0000_0000_0002);

fn names() -> Names {
    Names { lead: "r/".into() }
}

fn key(text: &str) -> Key {
    Key::new(text).expect("key")
}

fn entry(text: &str, modified: u64, lease: Option<LeaseId>) -> Entry {
    let (created, modified) = (Revision::new(1), Revision::new(modified));
    Entry { key: key(text), value: Bytes::from("v"), created, modified, lease }
}

fn seen(entries: &[(&str, Option<Entry>)]) -> Seen {
    entries.iter().map(|(name, entry)| (key(name), entry.clone())).collect()
}

fn verbs(plan: &Plan) -> Vec<String> {
    let verb = |operation: &Value| {
        let kv = &operation["KV"];
        let text = |name: &str| kv[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("Verb"), text("Key"))
    };
    plan.operations.iter().map(verb).collect()
}

#[test]
fn a_plan_checks_what_was_read_and_then_writes() {
    let txn = Txn::new().when(Compare::Absent(key("a"))).put(key("b"), "1").delete(key("c"));
    let seen = seen(&[("a", None), ("b", Some(entry("b", 7, None)))]);
    assert_eq!(looked_at(&txn), [key("a"), key("b")]);
    let plan = plan(&names(), &txn, &seen, 9);
    assert!(plan.succeeded);
    assert_eq!(plan.checks, 2);
    assert_eq!(verbs(&plan), ["check-not-exists r/a", "check-index r/b", "set r/b", "delete r/c"]);
    assert_eq!(plan.operations[1]["KV"]["Index"], 7);
    assert_eq!(plan.operations[2]["KV"]["Value"], "MQ==");
    assert_eq!(plan.operations[2]["KV"]["Flags"], 9);
}

#[test]
fn the_other_branch_is_planned_when_a_compare_fails_and_reads_what_was_read() {
    let txn = Txn::new().when(Compare::Absent(key("a"))).put(key("b"), "1").or_read(key("a"));
    let held = Some(entry("a", 3, None));
    let plan = plan(&names(), &txn, &seen(&[("a", held.clone()), ("b", None)]), 0);
    assert!(!plan.succeeded);
    assert_eq!(plan.found, [held]);
    assert_eq!(verbs(&plan), ["check-index r/a"]);
}

#[test]
fn a_key_changes_its_lease_by_unlock_and_lock() {
    let held = seen(&[("a", Some(entry("a", 3, Some(OLD))))]);
    let moved = plan(&names(), &Txn::new().put_leased(key("a"), "1", NEW), &held, 0);
    assert_eq!(verbs(&moved), ["check-index r/a", "unlock r/a", "lock r/a"]);
    assert_eq!(moved.operations[1]["KV"]["Session"], session_of(OLD));
    assert_eq!(moved.operations[2]["KV"]["Session"], session_of(NEW));
    assert_eq!(moved.leases.get(&2), Some(&NEW));
    let kept = plan(&names(), &Txn::new().put_leased(key("a"), "1", OLD), &held, 0);
    assert_eq!(verbs(&kept), ["check-index r/a", "lock r/a"]);
    let freed = plan(&names(), &Txn::new().put(key("a"), "1"), &held, 0);
    assert_eq!(verbs(&freed), ["check-index r/a", "unlock r/a", "set r/a"]);
}

#[test]
fn the_largest_value_is_sent_once() {
    let limits = super::super::LIMITS;
    let value = vec![7; limits.value_bytes];
    let held = seen(&[("a", Some(entry("a", 3, Some(OLD))))]);
    for txn in [
        Txn::new().put(key("a"), value.clone()),
        Txn::new().put_leased(key("a"), value.clone(), NEW),
    ] {
        txn.check(&limits).expect("within the limits");
        let body = serde_json::to_vec(&plan(&names(), &txn, &held, 0).operations).expect("json");
        // What Consul's `limits.txn_max_req_len` is where nobody sets it.
        assert!(body.len() <= 512 << 10, "{} bytes", body.len());
    }
}

fn answered(json: &str) -> TxnAnswer {
    serde_json::from_str(json).expect("answer")
}

#[test]
fn the_fate_of_a_plan_is_read_from_the_answer() {
    let none = seen(&[("a", None)]);
    let plan = plan(&names(), &Txn::new().put_leased(key("a"), "1", NEW), &none, 0);
    let done = r#"{"Results":[{"KV":{"LockIndex":1,"Key":"r/a","Flags":0,"Value":null,
        "Session":"x","CreateIndex":12,"ModifyIndex":12}}],"Errors":null}"#;
    assert_eq!(fate(&plan, answered(done)), Fate::Done(Some(Revision::new(12))));
    let changed = r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"key \"r/a\" exists"}]}"#;
    assert_eq!(fate(&plan, answered(changed)), Fate::Changed);
    let session = r#"{"Results":null,"Errors":[{"OpIndex":1,"What":"invalid session \"x\""}]}"#;
    assert_eq!(fate(&plan, answered(session)), Fate::NoLease(NEW));
    let refused = r#"{"Results":null,"Errors":[{"OpIndex":1,"What":"Permission denied"}]}"#;
    assert_eq!(fate(&plan, answered(refused)), Fate::Refused("Permission denied".into()));
}

#[test]
fn a_plan_that_only_deletes_has_no_revision_of_its_own() {
    let held = seen(&[("a", Some(entry("a", 3, None)))]);
    let txn = Txn::new().when(Compare::Present(key("a"))).delete(key("a"));
    let only = plan(&names(), &txn, &held, 0);
    let checked = r#"{"Results":[],"Errors":null}"#;
    assert_eq!(fate(&only, answered(checked)), Fate::Done(None));
}

#[test]
fn pairs_are_read_as_consul_writes_them() {
    let body =
        br#"[{"LockIndex":0,"Key":"r/b","Flags":0,"Value":null,"CreateIndex":5,"ModifyIndex":6},
        {"LockIndex":1,"Key":"r/a","Flags":3,"Value":"djE=","CreateIndex":7,"ModifyIndex":8,
         "Session":"00000000-0000-4000-8000-000000000001"},
        {"LockIndex":0,"Key":"r/","Flags":0,"Value":null,"CreateIndex":1,"ModifyIndex":1},
        {"LockIndex":0,"Key":"other","Flags":0,"Value":null,"CreateIndex":1,"ModifyIndex":1}]"#;
    let entries = pairs(&names(), &Bytes::from_static(body)).expect("pairs");
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(entries[0].value, "v1");
    assert_eq!((entries[0].lease, entries[1].lease), (Some(OLD), None));
    assert_eq!(entries[1].modified, Revision::new(6));
    assert_eq!(pairs(&names(), &Bytes::new()), Ok(Vec::new()));
    assert!(pairs(&names(), &Bytes::from_static(b"{}")).is_err());
}

#[test]
fn differences_are_what_is_new_what_changed_and_what_is_gone() {
    let known =
        [("a", 1), ("b", 2), ("c", 3)].map(|(name, at)| (key(name), Revision::new(at))).into();
    let entries = [entry("a", 1, None), entry("b", 9, None), entry("d", 8, None)];
    let changes = differences(&known, &entries);
    let [_, b, d] = entries;
    assert_eq!(changes, [Change::Put(b), Change::Put(d), Change::Delete(key("c"))]);
}
