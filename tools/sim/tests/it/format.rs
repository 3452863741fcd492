//! The stored form: what is refused, and with which words.

use std::error::Error;
use std::io::BufReader;

use sim::history::{Event, FormatError, Header, History, MAX_LINE_BYTES, OrderError, Seen, What};
use sim::models::register::{RegisterOp, RegisterReply};

const HEADER: &str = r#"{"history":1,"model":"register"}"#;

fn read(lines: &[&str]) -> Result<History<RegisterOp>, FormatError> {
    let text = lines.join("\n");
    History::read(BufReader::new(text.as_bytes())).map(|(_, history)| history)
}

/// The whole chain of causes, as a person sees it.
fn refusal(lines: &[&str]) -> String {
    let error = read(lines).expect_err("it must be refused");
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const INVOKE: &str = r#"{"process":0,"kind":"invoke","op":"read","value":{"key":"x"},"t":5}"#;

#[test]
fn bad_lines_are_refused_with_their_number() {
    let ok = r#"{"process":0,"kind":"ok","op":"read","value":1,"t":6}"#;
    let info = r#"{"process":0,"kind":"info","op":"read","t":6}"#;
    let cases: &[(&[&str], &str)] = &[
        (&[], "read an empty history: the first line must be a header"),
        (&[r#"{"history":2,"model":"register"}"#], "read a history of version 2"),
        (&[HEADER, "{"], "decode line 2 of the history as an event"),
        (
            &[HEADER, "", INVOKE, INVOKE],
            "accept line 4 of the history: process 0 invokes an operation while another",
        ),
        (
            &[HEADER, ok],
            "accept line 2 of the history: process 0 ends an operation that it did not begin",
        ),
        (&[HEADER, INVOKE, info, INVOKE], "accept line 4 of the history: time falls from 6 to 5"),
        (
            &[HEADER, INVOKE, info, &INVOKE.replace("\"t\":5", "\"t\":6")],
            "process 0 goes on after an unknown outcome",
        ),
        (
            &[HEADER, INVOKE, &ok.replace("read", "write")],
            "line 3 of the history: it ends \"write\" but the process had begun \"read\"",
        ),
        (
            &[HEADER, &INVOKE.replace("\"read\"", "\"eat\"")],
            "line 2 of the history as an operation of the model: unknown variant `eat`",
        ),
        (
            &[HEADER, INVOKE, &ok.replace(":1", ":\"one\"")],
            "decode line 3 of the history as a reply of the model",
        ),
        (
            &[HEADER, &INVOKE.replace("\"t\"", "\"time\"")],
            "decode line 2 of the history as an event: unknown field `time`",
        ),
    ];
    for (lines, expected) in cases {
        let text = refusal(lines);
        assert!(text.contains(expected), "expected {expected:?}, got {text:?}");
    }
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let text = format!("{HEADER}\n{}", "x".repeat(MAX_LINE_BYTES as usize + 5));
    let error = History::<RegisterOp>::read(BufReader::new(text.as_bytes())).expect_err("too long");
    assert!(matches!(error, FormatError::TooLarge { line: 2, .. }), "{error}");
}

#[test]
fn the_written_form_is_the_stored_one() {
    let mut history = History::default();
    let key = || "x".to_owned();
    let whats = [
        (0, What::Invoke(RegisterOp::Write { key: key(), value: 1 })),
        (
            0,
            What::Ok(Seen { reply: Some(RegisterReply::Write), revision: Some(7), fence: Some(3) }),
        ),
        (0, What::Invoke(RegisterOp::Read { key: key() })),
        (1, What::Invoke(RegisterOp::Cas { key: key(), from: None, to: 2 })),
        (0, What::Ok(Seen::reply(RegisterReply::Read(None)))),
        (
            1,
            What::Info(Some("timed out".to_owned()), Seen { revision: Some(9), ..Seen::nothing() }),
        ),
        (2, What::Invoke(RegisterOp::Read { key: key() })),
        (2, What::Fail(None)),
    ];
    for ((process, what), t) in whats.into_iter().zip(10..) {
        history.push(Event { process, t, what }).expect("a valid history");
    }
    let mut written = Vec::new();
    history.write(&Header::new("register", "a sample"), &mut written).expect("written");
    let expected = r#"{"history":1,"model":"register","about":"a sample"}
{"process":0,"kind":"invoke","op":"write","value":{"key":"x","value":1},"t":10}
{"process":0,"kind":"ok","op":"write","revision":7,"fence":3,"t":11}
{"process":0,"kind":"invoke","op":"read","value":{"key":"x"},"t":12}
{"process":1,"kind":"invoke","op":"cas","value":{"key":"x","from":null,"to":2},"t":13}
{"process":0,"kind":"ok","op":"read","value":null,"t":14}
{"process":1,"kind":"info","op":"cas","value":"timed out","revision":9,"t":15}
{"process":2,"kind":"invoke","op":"read","value":{"key":"x"},"t":16}
{"process":2,"kind":"fail","op":"read","t":17}
"#;
    assert_eq!(String::from_utf8(written).expect("text"), expected);
    let (_, again) = History::<RegisterOp>::read(expected.as_bytes()).expect("read again");
    assert_eq!(again, history);
}

#[test]
fn a_refused_event_leaves_the_history_as_it_was() {
    let mut history = read(&[HEADER, INVOKE]).expect("a history");
    let before = history.clone();
    let event =
        Event { process: 0, t: 9, what: What::Invoke(RegisterOp::Read { key: "x".to_owned() }) };
    assert_eq!(history.push(event), Err(OrderError::StillOpen(0)));
    assert_eq!(history, before);
    assert_eq!(history.open(0), Some(&RegisterOp::Read { key: "x".to_owned() }));
    assert_eq!(history.open(1), None);
}
