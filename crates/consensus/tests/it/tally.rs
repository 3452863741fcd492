//! A small machine: numbers under names, some of which expire.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

use regrow_consensus::{At, Change, Edit, Machine, Span, TableError, Time, View};
use serde::{Deserialize, Serialize};

/// What can be asked of it.
#[derive(Serialize, Deserialize)]
pub enum Ask {
    /// Adds to a number; replies with the sum.
    Add(String, u64),
    /// Keeps a name for some milliseconds.
    Keep(String, u64),
    /// Removes what is due; replies with how many.
    Expire,
}

impl Ask {
    pub fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("encodes")
    }
}

/// The machine, and what it was told of changes.
#[derive(Default)]
pub struct Tally {
    pub told: Mutex<Vec<Change>>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

pub fn reply(bytes: &[u8]) -> u64 {
    number(bytes)
}

/// The key under which a number is kept.
pub fn key(name: &str) -> Vec<u8> {
    format!("n/{name}").into_bytes()
}

impl Machine for Tally {
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        let sum = match postcard::from_bytes(command) {
            Ok(Ask::Add(name, more)) => {
                let sum = tables.get(&key(&name))?.map_or(0, |bytes| number(&bytes)) + more;
                tables.put(&key(&name), &sum.to_be_bytes())?;
                sum
            }
            Ok(Ask::Keep(name, millis)) => {
                let until = at.time.after(Duration::from_millis(millis)).as_millis();
                let mut due = b"d/".to_vec();
                due.extend_from_slice(&until.to_be_bytes());
                due.extend_from_slice(name.as_bytes());
                tables.put(&due, b"")?;
                until
            }
            Ok(Ask::Expire) => {
                let mut to = b"d/".to_vec();
                to.extend_from_slice(&(at.time.as_millis() + 1).to_be_bytes());
                let due = tables.list(&Span::between(b"d/", &to), usize::MAX)?;
                for (key, _) in &due {
                    tables.delete(key)?;
                }
                due.len() as u64
            }
            Err(_) => u64::MAX,
        };
        Ok(sum.to_be_bytes().to_vec())
    }

    fn deadline(&self, tables: &dyn View) -> Result<Option<Time>, TableError> {
        let mut first = None;
        tables.scan(&Span::prefix(b"d/"), &mut |key, _| {
            first = key.get(2..10).map(|bytes| Time::from_millis(number(bytes)));
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    fn expire(&self) -> Vec<u8> {
        Ask::Expire.bytes()
    }

    fn committed(&self, _: At, changes: &[Change]) {
        self.told.lock().expect("lock").extend_from_slice(changes);
    }
}
