//! Files that providers and the loop find when they start.

use std::path::Path;

use regrow_ids::StepKey;
use regrow_plugin::spi::{Instance, Tags};
use regrow_providers::file::{self, Files};
use regrow_providers::process::{self, Processes};
use regrow_reconcile::intents::{FileIntents, Intent, IntentError, StepClass};
use serde_json::Value;

use super::codec::sealed;
use crate::scratch::{choice, folder, in_virtual_time, must, runtime, write};

/// A file is listed as the same instance each time, or the list fails and names it.
pub fn file_instances(data: &[u8]) {
    const NAME: &str = "instance-1";
    let dir = folder();
    write(dir.path(), NAME, data);
    let options = file::Options { dir: Some(dir.path().into()), notify: false };
    runtime().block_on(async {
        let files = must(Files::open(&options), "open the provider");
        let first = files.describe_instances(&Tags::new(), true).await;
        let second = files.describe_instances(&Tags::new(), true).await;
        match (first, second) {
            (Ok(first), Ok(second)) => {
                assert_eq!(first, second);
                assert_eq!(first.first().map(|one| one.id.as_str()), Some(NAME));
            }
            (Err(first), Err(second)) => {
                assert_eq!(first.to_string(), second.to_string());
                assert!(first.to_string().contains(NAME), "{first}");
            }
            (first, second) => panic!("{first:?}, then {second:?}"),
        }
    });
    assert_eq!(must(std::fs::read(dir.path().join(NAME)), "read the file"), data);
}

/// Name of the instance in the fuzzed folder: nobody else's.
const PROCESS: &str = "process-f0220f022f0220f2";

/// The provider starts with any record; it knows the instance as dead, or sets it aside and says
/// that its list is not complete. Nothing that runs is touched.
pub fn process_records(data: &[u8]) {
    let (how, rest) = choice(data, 2);
    let bytes = if how == 0 { rest.to_vec() } else { sealed(2, 1, rest) };
    // A record that names a process would be believed if the engine guessed the boot id.
    if how == 1 && !names_nobody(rest) || how == 0 && regrow_like(&bytes) {
        return;
    }
    let dir = folder();
    let place = dir.path().join(PROCESS);
    must(std::fs::create_dir(&place), "make the folder of the instance");
    write(&place, "instance.rec", &bytes);
    let options = process::Options { dir: Some(dir.path().into()), ..process::Options::default() };
    in_virtual_time(async {
        let opened = Processes::open(&options).await;
        let processes = match opened {
            Ok(processes) => processes,
            Err(fault) => return assert!(!fault.to_string().is_empty()),
        };
        match processes.describe_instances(&Tags::new(), true).await {
            Ok(listed) => assert!(listed.is_empty(), "{listed:?}"),
            Err(fault) => assert!(fault.to_string().contains(PROCESS), "{fault}"),
        }
    });
}

fn names_nobody(payload: &[u8]) -> bool {
    let tree: Value = serde_json::from_slice(payload).unwrap_or_default();
    // A list may stand for the fields in their order.
    !tree.is_array() && tree.get("leader").is_none_or(Value::is_null)
}

/// True for a whole record among raw bytes.
fn regrow_like(bytes: &[u8]) -> bool {
    bytes.get(16..).is_some_and(|payload| !names_nobody(payload))
}

/// What was read once is read again; damage leaves the file as it was; what is promised after
/// a recovery is there after the next.
pub fn intent_logs(data: &[u8]) {
    let (how, rest) = choice(data, 3);
    let lines = rest.split(|byte| *byte == b'\n');
    let mut bytes = match how {
        0 => rest.to_vec(),
        _ => lines.flat_map(|line| sealed(1, 1, line)).collect(),
    };
    if how == 2 {
        bytes.truncate(bytes.len().saturating_sub(1 + bytes.len() % 24));
    }
    let dir = folder();
    write(dir.path(), "log", &bytes);
    let path = dir.path().join("log");
    let (lineage, open) = match look(&path) {
        Ok(found) => found,
        Err(fault) => {
            assert!(matches!(fault, IntentError::Damaged { .. }), "{fault}");
            return assert_eq!(must(std::fs::read(&path), "read the log"), bytes);
        }
    };
    assert_eq!(must(look(&path), "open the log again"), (lineage, open.clone()));
    let key = StepKey::from_tag("after");
    let promised = Intent {
        key: key.clone(),
        owner: OWNER.to_owned(),
        class: StepClass::Create,
        body: Default::default(),
        fence: Default::default(),
    };
    {
        let log = must(FileIntents::open_or_create(&path, 7), "open the log");
        must(log.record(std::slice::from_ref(&promised)), "record an intent");
    }
    let (same, now) = must(look(&path), "open the log after a record");
    assert!(same == lineage && now.contains(&promised));
    assert!(open.iter().filter(|intent| intent.key != key).all(|intent| now.contains(intent)));
}

const OWNER: &str = "g";

fn look(path: &Path) -> Result<(u64, Vec<Intent>), IntentError> {
    let log = FileIntents::open_or_create(path, 7)?;
    Ok((log.lineage(), log.open(OWNER)))
}
