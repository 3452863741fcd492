//! Recorded requests and answers: one file a subject, each on a catalog of its own.
//!
//! A block is a title, a request and the answer:
//!
//! ```text
//! ### title
//! PUT /v1/kv/a?flags=1
//! > Header: value
//! body of the request; `@bytes 9` stands for nine bytes
//! --- 200 application/json
//! < Header: value
//! body of the answer
//! ```
//!
//! In answers and in later requests `${name}` is a value that is taken from the answer where the
//! name is first met, and must be the same from then on; `${*}` is any value. Headers that are not
//! listed are not compared. `REGROW_GOLDEN=update` writes down the answers that differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::client::{self, Answer};
use crate::world::World;

#[derive(Clone, Debug, Default)]
struct Block {
    title: String,
    request: String,
    sent_headers: Vec<(String, String)>,
    sent: Vec<String>,
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<String>,
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").expect("a header");
    (name.to_owned(), value.to_owned())
}

fn parse(text: &str) -> (String, Vec<Block>) {
    let mut preface = String::new();
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            blocks.push(Block { title: title.to_owned(), ..Block::default() });
            continue;
        }
        let Some(block) = blocks.last_mut() else {
            let _ = writeln!(preface, "{line}");
            continue;
        };
        if block.request.is_empty() {
            line.clone_into(&mut block.request);
        } else if let Some(status) = line.strip_prefix("--- ") {
            status.clone_into(&mut block.status);
        } else if block.status.is_empty() {
            match line.strip_prefix("> ") {
                Some(line) => block.sent_headers.push(header(line)),
                None => block.sent.push(line.to_owned()),
            }
        } else {
            match line.strip_prefix("< ") {
                Some(line) => block.headers.push(header(line)),
                None => block.body.push(line.to_owned()),
            }
        }
    }
    for block in &mut blocks {
        while block.body.last().is_some_and(String::is_empty) {
            block.body.pop();
        }
    }
    (preface, blocks)
}

fn print(preface: &str, blocks: &[Block]) -> String {
    let mut text = preface.to_owned();
    for block in blocks {
        let _ = writeln!(text, "### {}\n{}", block.title, block.request);
        block.sent_headers.iter().for_each(|(name, value)| {
            let _ = writeln!(text, "> {name}: {value}");
        });
        block.sent.iter().for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        let _ = writeln!(text, "--- {}", block.status);
        block.headers.iter().for_each(|(name, value)| {
            let _ = writeln!(text, "< {name}: {value}");
        });
        block.body.iter().for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        text.push('\n');
    }
    text
}

/// Values by the name that they were met under.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.0 {
            filled = filled.replace(&format!("${{{name}}}"), value);
        }
        filled
    }

    /// Whether a value is the expected one; the name of a new one is learnt.
    fn fits(&mut self, expected: &str, found: &str) -> bool {
        if expected == "${*}" {
            return true;
        }
        let name = expected.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) if !self.0.contains_key(name) => {
                self.0.insert(name.to_owned(), found.to_owned());
                true
            }
            _ => self.filled(expected) == found,
        }
    }

    fn fits_json(&mut self, expected: &Value, found: &Value) -> bool {
        match (expected, found) {
            (Value::String(text), found) if text.starts_with("${") => {
                let found = match found {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                self.fits(text, &found)
            }
            (Value::Array(expected), Value::Array(found)) => {
                expected.len() == found.len()
                    && expected.iter().zip(found).all(|(left, right)| self.fits_json(left, right))
            }
            (Value::Object(expected), Value::Object(found)) => {
                expected.len() == found.len()
                    && expected.iter().all(|(name, left)| {
                        let name = self.filled(name);
                        found.get(&name).is_some_and(|right| self.fits_json(left, right))
                    })
            }
            (Value::String(text), Value::String(found)) => self.filled(text) == *found,
            (expected, found) => expected == found,
        }
    }

    fn fits_body(&mut self, expected: &[String], found: &str) -> bool {
        let expected = expected.join("\n");
        let json = serde_json::from_str(&expected)
            .and_then(|left| serde_json::from_str(found).map(|right: Value| (left, right)));
        match json {
            Ok((left, right)) => self.fits_json(&left, &right),
            Err(_) => self.filled(&expected) == found.trim_end_matches('\n'),
        }
    }
}

fn body_of(lines: &[String], names: &Names) -> Vec<u8> {
    let text = names.filled(&lines.join("\n"));
    match text.strip_prefix("@bytes ") {
        Some(count) => vec![b'x'; count.parse().expect("a number of bytes")],
        None => text.into_bytes(),
    }
}

/// What differs; empty when nothing does.
fn compare(block: &Block, answer: &Answer, names: &mut Names) -> String {
    let mut faults = String::new();
    let status = status_of(answer);
    if block.status != status {
        let _ = writeln!(faults, "status {status}, not {}", block.status);
    }
    for (name, value) in &block.headers {
        if !names.fits(value, answer.header(name)) {
            let _ = writeln!(faults, "{name}: {:?}, not {value:?}", answer.header(name));
        }
    }
    if !names.fits_body(&block.body, &answer.text()) {
        let _ = writeln!(faults, "body {}\n not {}", answer.text(), block.body.join("\n"));
    }
    faults
}

fn status_of(answer: &Answer) -> String {
    let status = answer.status.as_u16().to_string();
    match answer.header("content-type") {
        "" => status,
        content_type => format!("{status} {content_type}"),
    }
}

async fn run(name: &str) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/golden", &format!("{name}.txt")].iter().collect();
    let text = std::fs::read_to_string(&path).expect("a golden file");
    let (preface, mut blocks) = parse(&text);
    assert!(!blocks.is_empty(), "{name} has no blocks");
    let world = World::start().await;
    let mut names = Names::default();
    let mut report = String::new();
    for block in &mut blocks {
        let (method, target) = block.request.split_once(' ').expect("a method and a target");
        let target = names.filled(target);
        let sent = body_of(&block.sent, &names);
        let headers: Vec<(&str, &str)> =
            block.sent_headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = client::send(world.address, method, &target, &headers, sent).await;
        let faults = compare(block, &answer, &mut names);
        if !faults.is_empty() {
            let _ = writeln!(report, "{name}: {}\n{}\n{faults}", block.title, block.request);
            block.status = status_of(&answer);
            block.headers.iter_mut().for_each(|(name, value)| {
                answer.header(name).clone_into(value);
            });
            block.body = answer.text().lines().map(str::to_owned).collect();
        }
    }
    if std::env::var("REGROW_GOLDEN").as_deref() == Ok("update") {
        std::fs::write(&path, print(&preface, &blocks)).expect("write the golden file");
        return;
    }
    assert!(report.is_empty(), "{report}");
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            run(stringify!($name)).await;
        }
    )*};
}

golden!(
    agent_checks,
    agent_services,
    catalog,
    common,
    event_status_rest,
    health,
    kv,
    kv_errors,
    session,
    txn
);
