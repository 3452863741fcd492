//! How records look, and how lines become records.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::super::Label;
use super::super::batch::{ATOMIC_BYTES, Batch};
use super::super::form::{Form, Who};
use super::super::lines::{LINE_BYTES, first};
use super::super::spool::{DATA, Header};
use crate::config::{Format, Level};

/// A record of `app`, process 12, at a time with zeros at its end.
fn record(format: Format, check: bool, text: &[u8]) -> String {
    let form = Form::new(format, TimeZone::UTC);
    let name = if check { "check.app" } else { "app" };
    let label = Label { name: name.into(), check, pid: 12 };
    shown(&form, "2026-01-02T03:04:05.1234Z", Who::process(&label), text)
}

fn own(format: Format, level: Level, text: &str) -> String {
    let form = Form::new(format, TimeZone::UTC);
    let who = Who { level, field: None, pid: None };
    shown(&form, "2026-01-02T03:04:05.1234Z", who, text.as_bytes())
}

fn shown(form: &Form, at: &str, who: Who<'_>, text: &[u8]) -> String {
    let now: Timestamp = at.parse().expect("a time");
    let mut out = Vec::new();
    form.frame(now, who).write(&mut out, text, b"");
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn the_default_form_has_job_and_pid_and_for_a_check_the_pid_alone() {
    let of = |check, text| record(Format::Default, check, text);
    assert_eq!(of(false, b"a  b"), "2026-01-02T03:04:05.1234Z app 12 a  b\n");
    assert_eq!(of(true, b"ok"), "2026-01-02T03:04:05.1234Z 12 ok\n");
    assert_eq!(of(false, b""), "2026-01-02T03:04:05.1234Z app 12 \n");
    assert_eq!(own(Format::Default, Level::Warning, "x"), "2026-01-02T03:04:05.1234Z x\n");
}

#[test]
fn on_a_terminal_the_form_text_is_coloured_and_the_others_are_as_elsewhere() {
    let label = Label { name: "a b".into(), check: false, pid: 12 };
    let mut form = Form::new(Format::Text, TimeZone::UTC);
    form.adopt(Format::Text, true);
    let text = "h\u{e9}";
    let found = shown(&form, "1970-01-01T00:00:00Z", Who::process(&label), text.as_bytes());
    let (blank, field) = (" ".repeat(42), "\x1b[36mjob\x1b[0m=\"a b\" \x1b[36mpid\x1b[0m=12");
    assert_eq!(found, format!("\x1b[36mINFO\x1b[0m[0000] {text}{blank}  {field}\n"));
    let own = |level| Who { level, field: None, pid: None };
    let soon = (Timestamp::now() + jiff::SignedDuration::from_secs(90)).to_string();
    let found = shown(&form, &soon, own(Level::Warning), b"x");
    assert!(found.starts_with("\x1b[33mWARN\x1b[0m[00"), "{found:?}");
    assert!(!found.contains("[0000]"), "the seconds count: {found:?}");
    for format in [Format::Default, Format::Json] {
        form.adopt(format, true);
        let found = shown(&form, "1970-01-01T00:00:00Z", own(Level::Info), b"x");
        assert!(!found.contains('\x1b'), "{found:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_pass_in_the_default_form() {
    let form = Form::new(Format::Default, TimeZone::UTC);
    let who = Who { level: Level::Info, field: None, pid: None };
    let mut out = Vec::new();
    form.frame(Timestamp::UNIX_EPOCH, who).write(&mut out, b"a\xff\xc3(", b"");
    assert_eq!(out, b"1970-01-01T00:00:00Z a\xff\xc3(\n");
}

#[test]
fn times_are_in_the_zone_with_the_zeros_at_their_end_dropped() {
    let stamp = |seconds: i32, at: &str| {
        let offset = Offset::from_seconds(seconds).expect("an offset");
        let form = Form::new(Format::Default, TimeZone::fixed(offset));
        let who = Who { level: Level::Info, field: None, pid: None };
        shown(&form, at, who, b"").trim_end().to_owned()
    };
    assert_eq!(stamp(0, "2026-01-02T03:04:05.000000001Z"), "2026-01-02T03:04:05.000000001Z");
    assert_eq!(stamp(0, "2026-01-02T03:04:05.1Z"), "2026-01-02T03:04:05.1Z");
    assert_eq!(stamp(0, "2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
    assert_eq!(stamp(19_800, "2026-01-02T23:04:05.5Z"), "2026-01-03T04:34:05.5+05:30");
    assert_eq!(stamp(-12_600, "2026-01-02T03:04:05Z"), "2026-01-01T23:34:05-03:30");
}

#[test]
fn the_text_form_quotes_as_logrus_does() {
    let of = |text: &[u8]| {
        let record = record(Format::Text, false, text);
        let start = "time=\"2026-01-02T03:04:05Z\" level=info";
        record
            .strip_prefix(start)
            .expect("a start")
            .strip_suffix(" job=app pid=12\n")
            .map(str::to_owned)
    };
    for (text, shown) in [
        (b"two words".as_slice(), " msg=\"two words\""),
        (b"aZ09-._/@^+", " msg=aZ09-._/@^+"),
        (b"a=b", " msg=\"a=b\""),
        (b"", ""),
        (b"\"\\\t\x07\x1b[0m\x7f", " msg=\"\\\"\\\\\\t\\a\\x1b[0m\\x7f\""),
        (
            "é e\u{301} \u{a0}\u{200b}\u{e000}\u{1f600}\u{e0001}".as_bytes(),
            " msg=\"é e\u{301} \\u00a0\\u200b\\ue000\u{1f600}\\U000e0001\"",
        ),
        (b"a\xff\xc3 b", " msg=\"a\\xff\\xc3 b\""),
    ] {
        assert_eq!(of(text).as_deref(), Some(shown));
    }
    let check = record(Format::Text, true, b"ok");
    assert_eq!(check, "time=\"2026-01-02T03:04:05Z\" level=info msg=ok check=check.app pid=12\n");
    let warning = own(Format::Text, Level::Warning, "x");
    assert_eq!(warning, "time=\"2026-01-02T03:04:05Z\" level=warning msg=x\n");
}

#[test]
fn the_json_form_has_its_keys_in_order_and_escapes_as_go_does() {
    let time = "\"time\":\"2026-01-02T03:04:05.1234Z\"}\n";
    assert_eq!(
        record(Format::Json, false, b"hi"),
        format!("{{\"job\":\"app\",\"level\":\"info\",\"msg\":\"hi\",\"pid\":12,{time}")
    );
    assert_eq!(
        record(Format::Json, true, b""),
        format!("{{\"check\":\"check.app\",\"level\":\"info\",\"msg\":\"\",\"pid\":12,{time}")
    );
    let text = "\"\\\n\r\t\x08\x0c\x01\x7f <a&b> é \u{20ac}\u{2028}\u{2029}";
    let escaped = "\\\"\\\\\\n\\r\\t\\u0008\\u000c\\u0001\x7f \\u003ca\\u0026b\\u003e é \u{20ac}\\u2028\\u2029";
    assert_eq!(
        own(Format::Json, Level::Error, text),
        format!("{{\"level\":\"error\",\"msg\":\"{escaped}\",{time}")
    );
    let read: serde_json::Value =
        serde_json::from_str(&own(Format::Json, Level::Info, text)).expect("JSON");
    assert_eq!(read["msg"], text);
    let invalid = record(Format::Json, false, b"a\xff\xc3(");
    assert!(invalid.contains("\"msg\":\"a\\ufffd\\ufffd(\""), "{invalid}");
}

#[test]
fn lines_end_where_they_end() {
    let of = |bytes: &[u8], ended| {
        first(bytes, ended).map(|piece| (piece.text.to_vec(), piece.continues, piece.taken))
    };
    assert_eq!(of(b"ab\ncd", false), Some((b"ab".to_vec(), false, 3)));
    assert_eq!(of(b"ab\r\n", false), Some((b"ab".to_vec(), false, 4)));
    assert_eq!(of(b"\n", false), Some((Vec::new(), false, 1)));
    assert_eq!(of(b"a\rb\r\r\n", false), Some((b"a\rb\r".to_vec(), false, 6)));
    assert_eq!(of(b"ab", false), None);
    assert_eq!(of(b"ab", true), Some((b"ab".to_vec(), false, 2)));
    assert_eq!(of(b"", true), None);
}

#[test]
fn lines_are_split_at_one_mebibyte_and_not_within_a_character() {
    let mut line = vec![b'x'; LINE_BYTES];
    assert_eq!(first(&line, false), None);
    for end in [b"\n".as_slice(), b"\r\n"] {
        let whole = [&line, end].concat();
        let piece = first(&whole, false).expect("a record");
        assert_eq!((piece.text.len(), piece.continues), (LINE_BYTES, false));
        assert_eq!(piece.taken, whole.len());
    }
    line.extend_from_slice(b"yz");
    let piece = first(&line, false).expect("a part");
    assert_eq!((piece.text.len(), piece.continues, piece.taken), (LINE_BYTES, true, LINE_BYTES));
    let mut line = vec![b'x'; LINE_BYTES - 1];
    line.extend_from_slice("€€".as_bytes());
    let piece = first(&line, true).expect("a part");
    assert_eq!((piece.taken, piece.continues), (LINE_BYTES - 1, true));
}

#[test]
fn a_batch_is_cut_where_a_pipe_takes_it_whole() {
    let mut batch = Batch::default();
    for length in [1000, 3000, 96, 1, 5000, 10] {
        batch.push(|out| out.resize(out.len() + length, b'x'));
    }
    let mut chunks = Vec::new();
    let mut at = 0;
    while let Some(chunk) = batch.chunk(at) {
        at = chunk.end;
        chunks.push(chunk);
    }
    assert_eq!(chunks, [0..4096, 4096..4097, 4097..9097, 9097..9107]);
    assert_eq!(batch.chunk(4000), Some(0..4096));
    assert!(batch.can_be_torn());
    assert_eq!((batch.records(), batch.bytes().len()), (6, 9107));
    batch.clear(0);
    batch.push(|out| out.resize(ATOMIC_BYTES, b'x'));
    assert!(!batch.can_be_torn());
}

/// The bytes of version 1, as a worker of this version leaves them.
const SAMPLE: [u8; 24] = *b"RGSP\x01\0\0\0\x34\x12\0\0\0\0\0\0\x79\x56\0\0\0\0\0\0";

#[test]
fn the_header_of_a_spool_reads_back() {
    let header = Header { written: 0x1234, mark: Some(0x5678) };
    assert_eq!(header.encode(), SAMPLE);
    assert_eq!(Header::decode(&SAMPLE, 0x2000).expect("a header"), header);
    let fresh = Header { written: DATA, mark: None };
    assert_eq!(Header::decode(&fresh.encode(), 24).expect("a header"), fresh);
    let refused = |bytes: [u8; 24], length| {
        Header::decode(&bytes, length).expect_err("no header").to_string()
    };
    let mut later = SAMPLE;
    later[4] = 2;
    assert_eq!(refused(later, 0x2000), "read the header of a spool, found version 2");
    assert_eq!(refused([0; 24], 0x2000), "read the header of a spool, found no header");
    let before = Header { written: DATA - 1, mark: None }.encode();
    for (bytes, length) in [(SAMPLE, 0x1233), (before, 0x2000)] {
        assert!(refused(bytes, length).contains("position"), "{length}");
    }
}
