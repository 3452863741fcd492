//! What to execute, as a file in memory: written by the worker, read by the child that becomes it.
//!
//! Layout: [`VERSION`], number of arguments and number of environment entries (`u32`, little-endian),
//! then strings that each end in a zero byte: the folder, the arguments, the entries `NAME=VALUE`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::sys;

/// Version of the layout.
const VERSION: u32 = 1;
/// Bytes before the strings.
const HEAD: usize = 12;
/// Most bytes of a command. Linux takes a quarter of the stack limit, 2 MiB as it is usually set.
pub const BYTES_MAX: usize = 8 << 20;

/// What to execute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; at least one. A program without a slash is looked up in the `PATH` of
    /// [`Command::environment`] when it starts; a script without `#!` is run by `/bin/sh`.
    pub arguments: Vec<OsString>,
    /// The whole environment, in this order. Nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts. Empty: where init started.
    pub directory: PathBuf,
}

impl Command {
    /// The command as [`Request::Start`](crate::Request::Start) takes it.
    ///
    /// [`io::ErrorKind::InvalidInput`] where there is no program, a string holds a zero byte, or it
    /// is over 8 MiB; otherwise what the kernel says of files in memory.
    pub fn encode(&self) -> io::Result<OwnedFd> {
        let block = self.to_bytes()?;
        let file = sys::memory_file(c"command").map_err(io::Error::from_raw_os_error)?;
        let mut file = std::fs::File::from(file);
        file.write_all(&block)?;
        Ok(file.into())
    }

    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        if self.arguments.is_empty() {
            return Err(invalid("a command without a program"));
        }
        let mut block = Vec::new();
        for number in [VERSION as usize, self.arguments.len(), self.environment.len()] {
            let number =
                u32::try_from(number).map_err(|_| invalid("a command of too many parts"))?;
            block.extend(number.to_le_bytes());
        }
        let mut add = |parts: &[&[u8]]| {
            let text = parts.concat();
            block.extend(&text);
            block.push(0);
            if text.contains(&0) { Err(invalid("a zero byte in a command")) } else { Ok(()) }
        };
        add(&[self.directory.as_os_str().as_bytes()])?;
        self.arguments.iter().try_for_each(|argument| add(&[argument.as_bytes()]))?;
        self.environment
            .iter()
            .try_for_each(|(name, value)| add(&[name.as_bytes(), b"=", value.as_bytes()]))?;
        if block.len() > BYTES_MAX {
            return Err(invalid("a command over 8 MiB"));
        }
        Ok(block)
    }
}

/// A command in the child: borrowed from its block, nothing copied. Every string has its zero byte.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub directory: &'a [u8],
    /// Number of arguments.
    pub arguments: usize,
    /// Number of arguments and environment entries.
    pub count: usize,
    strings: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Reads a block; `None` unless every count and every end is right.
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let (head, texts) = block.split_first_chunk::<HEAD>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *head;
        let arguments = usize::try_from(u32::from_le_bytes([e, f, g, h])).ok()?;
        let environment = usize::try_from(u32::from_le_bytes([i, j, k, l])).ok()?;
        let directory = Texts(texts).next()?;
        let strings = texts.get(directory.len()..)?;
        let count = arguments.saturating_add(environment);
        let right = u32::from_le_bytes([a, b, c, d]) == VERSION
            && block.len() <= BYTES_MAX
            && block.last() == Some(&0)
            && arguments > 0
            && Texts(strings).count() == count;
        right.then_some(Self { directory, arguments, count, strings })
    }

    /// Arguments, then environment entries.
    pub fn texts(&self) -> Texts<'a> {
        Texts(self.strings)
    }
}

/// Strings that each end in a zero byte.
#[derive(Clone, Debug)]
pub struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?.saturating_add(1);
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests;
