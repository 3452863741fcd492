//! What the next worker goes on from: kept in memory that init holds, written before effects are
//! carried out.
//!
//! Two places far apart in the file are written in turn, then sixteen bytes at its start say which
//! one is whole. A worker that is killed in between leaves the older one.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Version of what is kept. Another one is not read: both ends are the same program.
const VERSION: u8 = 1;
/// Where the two places begin. The file has holes, so the distance costs nothing.
const PLACES: [u64; 2] = [4096, 1 << 40];
/// Bytes of the word at the start: which place, and how many bytes there.
const WORD: usize = 16;
/// More than any state; a length beyond it is damage.
const MOST: u64 = 1 << 30;

/// What went wrong with the memory of the worker.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file could not be read or written.
    #[error("{doing} the state that the next worker goes on from: {source}")]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What is in it is not what a worker wrote.
    #[error("read the state of the worker before: {reason}; its jobs are ended and started again")]
    Damaged {
        /// How that is known.
        reason: String,
    },
}

fn reading(source: io::Error) -> StateError {
    StateError::Io { doing: "read", source }
}

fn writing(source: io::Error) -> StateError {
    StateError::Io { doing: "write", source }
}

/// The memory.
#[derive(Debug)]
pub struct Memory {
    file: File,
    /// The place that is whole.
    current: usize,
}

impl Memory {
    /// The memory in a file that init keeps.
    pub fn new(file: OwnedFd) -> Self {
        Self { file: File::from(file), current: 1 }
    }

    /// What the worker before kept; `None` where there was none.
    ///
    /// # Errors
    /// It cannot be read, or is not what a worker wrote.
    pub fn load<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StateError> {
        let mut word = [0; WORD];
        match self.file.read_exact_at(&mut word, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(reading(error)),
        }
        let damaged = |reason: String| StateError::Damaged { reason };
        let (place, length) = parse(word).map_err(damaged)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, PLACES[place]).map_err(reading)?;
        self.current = place;
        let state = regrow_codec::versioned::decode(VERSION, &bytes);
        state.map(Some).map_err(|fault| damaged(fault.to_string()))
    }

    /// Keeps a state instead of the one before.
    ///
    /// # Errors
    /// It cannot be written: memory is short.
    pub fn store<T: Serialize>(&mut self, state: &T) -> Result<(), StateError> {
        let bytes = regrow_codec::versioned::encode(VERSION, state)
            .map_err(|fault| StateError::Damaged { reason: fault.to_string() })?;
        let place = 1 - self.current;
        self.file.write_all_at(&bytes, PLACES[place]).map_err(writing)?;
        let mut word = [0; WORD];
        word[..8].copy_from_slice(&(place as u64).to_le_bytes());
        word[8..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.file.write_all_at(&word, 0).map_err(writing)?;
        self.current = place;
        Ok(())
    }
}

fn parse(word: [u8; WORD]) -> Result<(usize, usize), String> {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&word[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let (place, length) = (number(0), number(8));
    if place > 1 || length > MOST {
        return Err(format!("place {place}, length {length}"));
    }
    let length = usize::try_from(length).map_err(|fault| fault.to_string())?;
    Ok((usize::from(place == 1), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> File {
        tempfile::tempfile().expect("a file")
    }

    fn reopened(file: &File) -> Memory {
        Memory::new(file.try_clone().expect("a second descriptor").into())
    }

    #[test]
    fn nothing_was_kept_in_new_memory() {
        let kept: Option<String> = reopened(&memory()).load().expect("readable");
        assert_eq!(kept, None);
    }

    #[test]
    fn the_next_worker_finds_what_was_stored_last() {
        let file = memory();
        let mut first = reopened(&file);
        for text in ["one", "a longer two", "three"] {
            first.store(&text.to_owned()).expect("stored");
            let kept: Option<String> = reopened(&file).load().expect("readable");
            assert_eq!(kept.as_deref(), Some(text));
        }
    }

    #[test]
    fn a_store_that_was_cut_short_leaves_the_state_before() {
        let file = memory();
        let mut first = reopened(&file);
        first.store(&"whole".to_owned()).expect("stored");
        let other = PLACES[1 - first.current];
        file.write_all_at(b"half of the nex", other).expect("written");
        let kept: Option<String> = reopened(&file).load().expect("readable");
        assert_eq!(kept.as_deref(), Some("whole"));
    }

    #[test]
    fn what_no_worker_wrote_is_refused() {
        let file = memory();
        file.write_all_at(&[7; WORD], 0).expect("written");
        let refused = reopened(&file).load::<String>().expect_err("damage");
        assert!(refused.to_string().contains("started again"), "{refused}");
    }
}
