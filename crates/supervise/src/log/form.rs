//! The three forms of a record: `default`, `text` as logrus writes it, on a terminal in colours, `json`.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Label;
use super::quote::{go_quoted, json_escaped, needs_no_quotes};
use crate::config::{Format, Level};

/// How records look.
#[derive(Clone, Debug)]
pub struct Form {
    /// Which of the three.
    format: Format,
    /// Where the clock on the wall hangs.
    zone: TimeZone,
    /// On a terminal: what the seconds are counted from.
    terminal: bool,
    begun: Timestamp,
}

/// Who says something, and how important it is.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Importance.
    pub level: Level,
    /// The job, or the check, and the process.
    pub field: Option<(&'a str, bool)>,
    /// Number of the process in the kernel.
    pub pid: Option<i32>,
}

impl<'a> Who<'a> {
    /// The one whose lines are read.
    pub fn process(label: &'a Label) -> Self {
        let pid = (label.pid != 0).then_some(label.pid);
        Self { level: Level::Info, field: Some((&label.name, label.check)), pid }
    }

    fn name(&self) -> Option<(&'static str, &'a str)> {
        self.field.map(|(name, check)| (if check { "check" } else { "job" }, name))
    }
}

/// All of a record but its text, formatted once for many.
#[derive(Debug)]
pub struct Frame {
    before: Vec<u8>,
    text: fn(&mut Vec<u8>, &[u8]),
    after: Vec<u8>,
}

impl Frame {
    /// Appends the record with this text, `end` behind it.
    pub fn write(&self, out: &mut Vec<u8>, text: &[u8], end: &[u8]) {
        out.extend_from_slice(&self.before);
        if end.is_empty() {
            (self.text)(out, text);
        } else {
            (self.text)(out, &[text, end].concat());
        }
        out.extend_from_slice(&self.after);
    }
}

impl Form {
    /// Records of this format, for no terminal.
    pub fn new(format: Format, zone: TimeZone) -> Self {
        Self { format, zone, terminal: false, begun: Timestamp::now() }
    }

    /// From now on records have this format, and are written to a terminal or not.
    pub fn adopt(&mut self, format: Format, terminal: bool) {
        (self.format, self.terminal) = (format, terminal);
    }

    /// What is the same in all records of one moment and speaker.
    pub fn frame(&self, now: Timestamp, who: Who<'_>) -> Frame {
        match self.format {
            Format::Default => self.default(now, who),
            Format::Text if self.terminal => self.coloured(now, who),
            Format::Text => self.text(now, who),
            Format::Json => self.json(now, who),
        }
    }

    fn default(&self, now: Timestamp, who: Who<'_>) -> Frame {
        let mut before = self.stamp(now, true).into_bytes();
        if let Some(("job", name)) = who.name() {
            before.push(b' ');
            before.extend_from_slice(name.as_bytes());
        }
        if let Some(pid) = who.pid {
            append(&mut before, format_args!(" {pid}"));
        }
        before.push(b' ');
        Frame { before, text: |out, text| out.extend_from_slice(text), after: b"\n".to_vec() }
    }

    fn text(&self, now: Timestamp, who: Who<'_>) -> Frame {
        let level = level_name(who.level);
        let mut before = Vec::new();
        append(&mut before, format_args!("time=\"{}\" level={level}", self.stamp(now, false)));
        let mut after = Vec::new();
        if let Some((key, name)) = who.name() {
            append(&mut after, format_args!(" {key}="));
            text_value(&mut after, name.as_bytes());
        }
        if let Some(pid) = who.pid {
            append(&mut after, format_args!(" pid={pid}"));
        }
        after.push(b'\n');
        Frame { before, text: text_message, after }
    }

    /// Level and seconds since the start, the text as it is, fields behind it.
    fn coloured(&self, now: Timestamp, who: Who<'_>) -> Frame {
        let (colour, level) = paint(who.level);
        let seconds = now.duration_since(self.begun).as_secs().max(0);
        let mut before = Vec::new();
        append(&mut before, format_args!("\x1b[{colour}m{level}\x1b[0m[{seconds:04}] "));
        let mut after = b" ".to_vec();
        if let Some((key, name)) = who.name() {
            append(&mut after, format_args!(" \x1b[{colour}m{key}\x1b[0m="));
            text_value(&mut after, name.as_bytes());
        }
        if let Some(pid) = who.pid {
            append(&mut after, format_args!(" \x1b[{colour}mpid\x1b[0m={pid}"));
        }
        after.push(b'\n');
        Frame { before, text: padded, after }
    }

    fn json(&self, now: Timestamp, who: Who<'_>) -> Frame {
        let mut before = b"{".to_vec();
        if let Some((key, name)) = who.name() {
            append(&mut before, format_args!("\"{key}\":\""));
            json_escaped(&mut before, name.as_bytes());
            before.extend_from_slice(b"\",");
        }
        append(&mut before, format_args!("\"level\":\"{}\",\"msg\":\"", level_name(who.level)));
        let mut after = b"\"".to_vec();
        if let Some(pid) = who.pid {
            append(&mut after, format_args!(",\"pid\":{pid}"));
        }
        append(&mut after, format_args!(",\"time\":\"{}\"}}\n", self.stamp(now, true)));
        Frame { before, text: json_escaped, after }
    }

    /// RFC 3339 in the zone, with nanoseconds without the zeros at their end, or without a fraction.
    fn stamp(&self, now: Timestamp, fraction: bool) -> String {
        let offset = self.zone.to_offset(now);
        let local = offset.to_datetime(now);
        let mut stamp = local.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let nanoseconds = local.subsec_nanosecond();
        if fraction && nanoseconds > 0 {
            let digits = format!(".{nanoseconds:09}");
            stamp.push_str(digits.trim_end_matches('0'));
        }
        match offset.seconds() / 60 {
            0 => stamp.push('Z'),
            minutes => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                stamp.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
            }
        }
        stamp
    }
}

/// Width of the texts of the coloured form, so that the fields stand below one another.
const TEXT_WIDTH: usize = 44;

fn padded(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    let width = String::from_utf8_lossy(text).chars().count();
    out.resize(out.len() + TEXT_WIDTH.saturating_sub(width), b' ');
}

/// Colour of a terminal (ECMA-48) and four letters for a level.
fn paint(level: Level) -> (u8, &'static str) {
    match level {
        Level::Panic => (31, "PANI"),
        Level::Fatal => (31, "FATA"),
        Level::Error => (31, "ERRO"),
        Level::Warning => (33, "WARN"),
        Level::Info => (36, "INFO"),
        Level::Debug => (37, "DEBU"),
        Level::Trace => (37, "TRAC"),
    }
}

fn text_message(out: &mut Vec<u8>, text: &[u8]) {
    if !text.is_empty() {
        out.extend_from_slice(b" msg=");
        text_value(out, text);
    }
}

fn text_value(out: &mut Vec<u8>, value: &[u8]) {
    if needs_no_quotes(value) {
        out.extend_from_slice(value);
    } else {
        go_quoted(out, value);
    }
}

/// The name of a level in `text` and `json`.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Panic => "panic",
        Level::Fatal => "fatal",
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Writing to memory does not fail.
fn append(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    let _: std::io::Result<()> = out.write_fmt(what);
}
