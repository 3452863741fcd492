//! Where records go: standard output, standard error or a file. What is known of it, opening it, and
//! mending a record that a predecessor did not finish.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat};

use super::LogError;
use crate::config::Sink;

/// How far back a torn record is looked for: the longest record in the form that grows it most.
const MEND_BYTES: u64 = 8 << 20;

/// An open output.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// A file on a disk: takes large writes, can be full, can be cut.
    regular: bool,
    /// A write to it is the first one: a foreign beginning of a line must be ended before.
    first: bool,
}

impl Output {
    /// Opens it: a file is appended to and made where it is missing, 0666 less the umask.
    pub fn open(sink: &Sink) -> Result<Self, LogError> {
        let file = match sink {
            Sink::Stdout => duplicate(io::stdout().as_fd()),
            Sink::Stderr => duplicate(io::stderr().as_fd()),
            Sink::File(path) => return Self::open_file(path),
        };
        Self::new(file.map_err(LogError::Output)?).map_err(LogError::Output)
    }

    fn open_file(path: &Path) -> Result<Self, LogError> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(Self::new).map_err(|source| LogError::File { path: path.to_owned(), source })
    }

    fn new(file: File) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
        Ok(Self { file, regular: kind == FileType::RegularFile, first: true })
    }

    /// A file on a disk.
    pub fn is_regular(&self) -> bool {
        self.regular
    }

    /// Somebody looks at it.
    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Its length, where it is a file.
    pub fn length(&self) -> io::Result<u64> {
        Ok(fstat(&self.file)?.st_size.unsigned_abs())
    }

    /// Writes once, as much as it takes.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.file, bytes)?)
    }

    /// Before the first write: does a line have to be ended that somebody began.
    pub fn begins_within_line(&mut self) -> bool {
        self.regular && std::mem::take(&mut self.first) && self.ends_within_line().unwrap_or(false)
    }

    fn ends_within_line(&self) -> io::Result<bool> {
        let length = self.length()?;
        let tail = self.tail(length.saturating_sub(1), length)?;
        Ok(tail.last().is_some_and(|last| *last != b'\n'))
    }

    /// Takes back what a predecessor that died left of a record it was writing. `length` is that of
    /// the file before its write. True: it cannot be taken back, and the line has to be ended.
    pub fn mend(&mut self, length: u64) -> bool {
        !self.regular || self.cut(length).is_err()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let end = self.length()?;
        if end <= length {
            return Ok(());
        }
        let tail = self.tail(length.max(end.saturating_sub(MEND_BYTES)), end)?;
        let torn = tail.len() - memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1);
        if torn > 0 {
            self.file.set_len(end - torn as u64)?;
            self.file.seek(SeekFrom::End(0))?;
        }
        Ok(())
    }

    /// The bytes between two offsets. The descriptor may be open for writing only, so it is opened
    /// again.
    fn tail(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(to - from).read_to_end(&mut tail)?;
        Ok(tail)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(fd.try_clone_to_owned()?))
}
