//! What a person gets to see of a failure, compared with a stored page. `REGROW_GOLDEN=update` rewrites it.

use std::collections::BTreeMap;
use std::fs;

use sim::history::History;
use sim::linear::Verdict;
use sim::models::Register;
use sim::report::Failure;

use crate::support::{judge, tests_folder};

#[test]
fn golden_a_failure_is_saved_and_drawn() {
    let stored = tests_folder().join("histories/register_info_appears_then_vanishes.jsonl");
    let text = fs::read_to_string(stored).expect("a history");
    let (_, history) = History::read(text.as_bytes()).expect("a history");
    let verdict = judge(&Register, &history);
    let options = BTreeMap::from([
        ("nodes".to_owned(), "3".to_owned()),
        ("loss".to_owned(), "<5%>".to_owned()),
    ]);
    let failure = Failure {
        seed: 42,
        options: &options,
        model: "register",
        history: &history,
        verdict: &verdict,
    };

    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("made/on/the/way");
    failure.save(&folder).expect("saved");
    let saved = |name: &str| fs::read_to_string(folder.join(name)).expect("a saved file");

    assert_eq!(
        saved("summary.txt"),
        "model register, seed 42, loss=<5%> nodes=3: not linearizable: no order of these operations explains \
         Read(None) as the reply to Read { key: \"x\" }\n"
    );
    let (_, whole) = History::read(saved("history.jsonl").as_bytes()).expect("the whole history");
    assert_eq!(whole, history);
    let (_, minimal) =
        History::read(saved("minimal.jsonl").as_bytes()).expect("the minimal history");
    assert_eq!(minimal.operations().len(), 2);
    assert!(matches!(judge(&Register, &minimal), Verdict::NotLinearizable(_)));

    let page = saved("drawing.html");
    assert!(!page.contains("<5%>") && page.contains("&lt;5%&gt;"), "text from outside is escaped");
    let golden = tests_folder().join("golden/drawing.html");
    if std::env::var("REGROW_GOLDEN").as_deref() == Ok("update") {
        fs::write(&golden, &page).expect("the golden page");
    }
    assert_eq!(page, fs::read_to_string(golden).expect("the golden page"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (history, options) = (History::default(), BTreeMap::new());
    let failure: Failure<'_, sim::models::register::RegisterOp> = Failure {
        seed: 1,
        options: &options,
        model: "register",
        history: &history,
        verdict: &Verdict::Unknown { steps: 5 },
    };
    let folder = file.path().join("inside");
    let error = failure.save(&folder).expect_err("a file is no folder");
    assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
    assert!(
        failure.summary().ends_with("unknown after 5 steps: raise the budget or shorten the run")
    );
    assert!(failure.html().contains("0 of 0 operations"));
}
