//! What to execute, as a file in memory: written by the worker, read by the child that becomes it.
//!
//! Layout: [`VERSION`], number of arguments, number of all strings (`u64`, little-endian); room for a
//! pointer to each string and one more, zero; then the strings, each ending in a zero byte: the arguments,
//! the folder, the environment's `NAME=VALUE`. The child fills the room and has the lists that the kernel
//! wants: the folder stands where there is a null between the two.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys;

/// Version of the layout.
const VERSION: u64 = 2;
/// Bytes of a pointer.
const POINTER: usize = size_of::<usize>();
/// Most bytes of a command. Linux takes a quarter of the stack limit, 2 MiB as it is usually set.
pub const BYTES_MAX: usize = 8 << 20;

/// What to execute. Borrowed, because environments are long and nearly the same for each of many starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Program and arguments; at least one. A program without a slash is looked up in the `PATH` of
    /// [`Command::environment`] when it starts; a script without `#!` is run by `/bin/sh`.
    pub arguments: Vec<&'a OsStr>,
    /// The whole environment, in this order. Nothing is inherited.
    pub environment: Vec<(&'a OsStr, &'a OsStr)>,
    /// Where it starts. Empty: where init started.
    pub directory: &'a Path,
}

impl Command<'_> {
    /// The command as [`Request::Start`](crate::Request::Start) takes it.
    ///
    /// [`io::ErrorKind::InvalidInput`] where there is no program, a string holds a zero byte, or it
    /// is over 8 MiB; otherwise what the kernel says of files in memory.
    pub fn encode(&self) -> io::Result<OwnedFd> {
        let file = sys::memory_file(c"command").map_err(io::Error::from_raw_os_error)?;
        let mut file = std::fs::File::from(file);
        file.write_all(&self.to_bytes()?)?;
        Ok(file.into())
    }

    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let count = self.arguments.len() + 1 + self.environment.len();
        let head = [VERSION, self.arguments.len() as u64, count as u64].map(u64::to_le_bytes);
        let mut block = head.as_flattened().to_vec();
        block.resize(block.len() + (count + 1) * POINTER, 0);
        let texts = block.len();
        for text in self.arguments.iter().copied().chain([self.directory.as_os_str()]) {
            block.extend(text.as_bytes());
            block.push(0);
        }
        for (name, value) in &self.environment {
            block.extend(name.as_bytes());
            block.push(b'=');
            block.extend(value.as_bytes());
            block.push(0);
        }
        let fault = if self.arguments.is_empty() {
            "a command without a program"
        } else if block[texts..].iter().filter(|byte| **byte == 0).count() > count {
            "a zero byte in a command"
        } else if block.len() > BYTES_MAX {
            "a command over 8 MiB"
        } else {
            return Ok(block);
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, fault))
    }
}

/// A command in the child: borrowed from its block, nothing copied.
pub struct Parts<'a> {
    /// Number of arguments.
    pub arguments: usize,
    /// Number of strings, and one.
    pub places: usize,
    /// So many pointers.
    pub room: &'a mut [u8],
    /// Arguments, then the folder, then environment entries, each with its zero byte.
    pub strings: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Reads a block; `None` unless every count and every end is right.
    pub fn parse(block: &'a mut [u8]) -> Option<Self> {
        let (version, rest) = block.split_first_chunk_mut()?;
        let (arguments, rest) = rest.split_first_chunk_mut()?;
        let (count, rest) = rest.split_first_chunk_mut()?;
        let arguments = usize::try_from(u64::from_le_bytes(*arguments)).ok()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        let places = count.checked_add(1)?;
        let (room, strings) = rest.split_at_mut_checked(places.checked_mul(POINTER)?)?;
        let right = u64::from_le_bytes(*version) == VERSION
            && strings.last() == Some(&0)
            && strings.iter().filter(|byte| **byte == 0).count() == count
            && (1..count).contains(&arguments);
        right.then_some(Self { arguments, places, room, strings })
    }
}

#[cfg(test)]
mod tests;
