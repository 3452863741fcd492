//! Stored histories whose verdict a person wrote down.

use std::fs;
use std::io::BufReader;

use serde::Deserialize;
use sim::history::History;
use sim::linear::{Model, Verdict};
use sim::models::{List, Lock, Register, Set, Store};

use crate::brute_force;
use crate::support::{judge, tests_folder};

#[derive(Deserialize)]
struct ModelName {
    model: String,
}

#[test]
fn each_stored_history_has_its_verdict() {
    let mut judged = 0;
    let mut wrong = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(tests_folder().join("histories"))
        .expect("the folder of histories")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a history");
        let first = text.lines().next().expect("a header");
        let ModelName { model } = serde_json::from_str(first).expect("a header");
        let complaint = match model.as_str() {
            "register" => complaint(&Register, &text),
            "store" => complaint(&Store, &text),
            "lock" => complaint(&Lock, &text),
            "list" => complaint(&List, &text),
            "set" => complaint(&Set, &text),
            other => Some(format!("unknown model {other}")),
        };
        wrong.extend(complaint.map(|complaint| format!("{}: {complaint}", path.display())));
        judged += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged >= 40, "only {judged} histories were found");
}

/// What is wrong with the judgement of a stored history: the verdict, the witness, or the stored form itself.
fn complaint<M: Model>(model: &M, text: &str) -> Option<String> {
    let (header, history) = match History::<M::Op>::read(BufReader::new(text.as_bytes())) {
        Ok(read) => read,
        Err(error) => return Some(format!("{error:?}")),
    };
    let mut written = Vec::new();
    history.write(&header, &mut written).expect("a history that was read can be written");
    let again =
        History::<M::Op>::read(BufReader::new(&written[..])).expect("what was written can be read");
    if again != (header.clone(), history.clone()) {
        return Some("it changes when it is written and read again".to_owned());
    }
    let verdict = judge(model, &history);
    let named = match &verdict {
        Verdict::Linearizable => "linearizable",
        Verdict::NotLinearizable(_) => "not_linearizable",
        Verdict::Unknown { .. } => "unknown",
    };
    if header.expect.as_deref() != Some(named) {
        return Some(format!("expected {:?}, got {verdict:?}", header.expect));
    }
    if brute_force::explains(model, &history) != verdict.holds() {
        return Some(format!("brute force disagrees with {named}"));
    }
    if let Verdict::NotLinearizable(witness) = verdict {
        let operations = witness.operations.len();
        if operations == 0 || !witness.operations.contains(&witness.conflict) {
            return Some(format!("the witness does not hold its conflict: {witness:?}"));
        }
    }
    None
}

/// The witness of some of them, spelled out: what matters is there, and what does not is not.
#[test]
fn witnesses_hold_what_matters() {
    for (name, operations, conflict) in [
        ("stale_read", vec![0, 1, 2], 2),
        ("never_written", vec![1], 1),
        ("fault_on_the_second_key", vec![1, 3], 3),
        ("cas_both_succeed", vec![1, 2], 2),
        ("info_appears_then_vanishes", vec![1, 2], 2),
    ] {
        let path = tests_folder().join(format!("histories/register_{name}.jsonl"));
        let text = fs::read_to_string(path).expect("a history");
        let (_, history) = History::read(text.as_bytes()).expect("a history");
        let Verdict::NotLinearizable(witness) = judge(&Register, &history) else {
            panic!("{name} is not linearizable");
        };
        assert_eq!(
            (&witness.operations, witness.conflict),
            (&operations, conflict),
            "{name}: {witness:?}"
        );
    }
}
