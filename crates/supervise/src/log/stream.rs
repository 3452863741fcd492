//! One stream of a process: from its pipe to the log.

use std::io;
use std::os::fd::OwnedFd;

use jiff::Timestamp;
use rustix::io::Errno;

use super::batch::Batch;
use super::form::{Form, Frame, Who};
use super::lines::{CONTINUED, first};
use super::spool::{Spool, SpoolError};
use super::tail::Tail;
use super::writer::{Abandoned, Sheet};
use super::{Label, lines::LINE_BYTES};

/// How much is taken from a pipe at once: what a pipe holds that was made larger.
pub const TAKE_BYTES: usize = 256 << 10;
/// A pipe that gave this much at once was full: it is made larger.
const FULL_BYTES: usize = 64 << 10;
/// An unfinished line up to this length is read again with what follows it.
const SHORT_BYTES: u64 = 4096;
/// Records are written and recorded as written in batches of about this size: what comes twice
/// after a death, and what a worker must live through to get on.
const BATCH_BYTES: usize = 64 << 10;
/// Memory that is kept for the next turn.
const KEEP_BYTES: usize = 512 << 10;

/// What is used in each turn and has no meaning between turns.
#[derive(Debug, Default)]
pub struct Scratch {
    input: Vec<u8>,
    batch: Batch,
}

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// So many bytes were taken.
    Took(usize),
    /// There was nothing.
    Empty,
    /// The stream has ended and all of it is written.
    Ended,
}

/// Why a turn failed.
#[derive(Debug)]
pub enum TurnError {
    /// The time to finish is over.
    Abandoned,
    /// The pipe or the spool failed.
    Io(io::Error),
}

impl From<Abandoned> for TurnError {
    fn from(_: Abandoned) -> Self {
        Self::Abandoned
    }
}

impl From<io::Error> for TurnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    pipe: OwnedFd,
    spool: Spool,
    /// No end of line is before this offset of the spool.
    searched: u64,
    enlarged: bool,
    mark: Option<u64>,
}

impl Stream {
    /// Goes on with the stream where a predecessor stopped.
    pub fn open(stream: regrow_init::protocol::Stream) -> Result<Self, SpoolError> {
        let (spool, mark) = Spool::open(stream.spool)?;
        let searched = spool.begin();
        Ok(Self { pipe: stream.pipe, spool, searched, enlarged: false, mark })
    }

    /// Its pipe.
    pub fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Mends the record that a predecessor wrote in part.
    pub fn mend(&mut self, to: &mut Destination<'_, impl Sheet>) -> Result<(), Abandoned> {
        self.mark.take().map_or(Ok(()), |length| to.sheet.mend(length))
    }

    /// Takes what there is, at most [`TAKE_BYTES`], and writes the lines that are complete.
    pub fn turn(&mut self, to: &mut Destination<'_, impl Sheet>) -> Result<Turn, TurnError> {
        let taken = match self.spool.take(&self.pipe, TAKE_BYTES) {
            Ok(taken) => taken,
            Err(error)
                if matches!(Errno::from_io_error(&error), Some(Errno::AGAIN | Errno::INTR)) =>
            {
                return Ok(Turn::Empty);
            }
            Err(error) => return Err(error.into()),
        };
        if taken >= FULL_BYTES && !self.enlarged {
            self.enlarged = true;
            // Refused where the user's pipes have too much memory: then it stays as it is.
            let _: rustix::io::Result<usize> =
                rustix::pipe::fcntl_setpipe_size(&self.pipe, TAKE_BYTES);
        }
        self.write_out(taken == 0, to)?;
        Ok(if taken == 0 { Turn::Ended } else { Turn::Took(taken) })
    }

    /// Writes what was taken: lines that are complete, with `ended` the last one too.
    pub fn write_out(
        &mut self,
        ended: bool,
        to: &mut Destination<'_, impl Sheet>,
    ) -> Result<(), TurnError> {
        if !self.has_record(ended, &mut to.scratch.input)? {
            return Ok(());
        }
        let begin = self.spool.begin();
        let Scratch { input, batch } = &mut *to.scratch;
        self.spool.read(begin, input)?;
        self.searched = self.spool.end();
        let frame = to.form.frame(Timestamp::now(), Who::process(to.label));
        let mut at = 0;
        while let Some(taken) = gather(&input[at..], ended, batch, to.shown.then_some(&frame)) {
            if let Some(length) = to.sheet.mark(batch) {
                self.spool.mark(length)?;
            }
            to.sheet.write(batch)?;
            at += taken;
            self.spool.written(begin + at as u64)?;
        }
        if let Some(said) = &mut to.said {
            said.push(&input[..at]);
        }
        input.shrink_to(KEEP_BYTES);
        Ok(())
    }

    /// Does what was taken hold a record. Looks at the new bytes only, so that a long line that comes
    /// byte by byte is not read again and again.
    fn has_record(&mut self, ended: bool, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let held = self.spool.end() - self.spool.begin();
        if held == 0 || ended || held > LINE_BYTES as u64 {
            return Ok(held > 0);
        }
        if self.searched - self.spool.begin() <= SHORT_BYTES {
            return Ok(true);
        }
        self.spool.read(self.searched, buffer)?;
        self.searched = self.spool.end();
        Ok(memchr::memchr(b'\n', buffer).is_some())
    }
}

/// Fills the batch with the first records of `bytes`; without a frame they are passed over. Returns
/// what they take; `None` where there is none.
fn gather(bytes: &[u8], ended: bool, batch: &mut Batch, frame: Option<&Frame>) -> Option<usize> {
    batch.clear(KEEP_BYTES);
    let mut at = 0;
    while batch.bytes().len() < BATCH_BYTES {
        let Some(piece) = first(&bytes[at..], ended) else { break };
        let end = if piece.continues { CONTINUED } else { b"" };
        if let Some(frame) = frame {
            batch.push(|out| frame.write(out, piece.text, end));
        }
        at += piece.taken;
    }
    (at > 0).then_some(at)
}

/// Where the lines of a stream go, and in which form.
#[derive(Debug)]
pub struct Destination<'a, S> {
    /// Who it is.
    pub label: &'a Label,
    /// The form.
    pub form: &'a Form,
    /// Are lines of jobs shown at all: they have the level info.
    pub shown: bool,
    /// Where to.
    pub sheet: &'a mut S,
    /// Memory.
    pub scratch: &'a mut Scratch,
    /// Where the end of it is kept too.
    pub said: Option<&'a mut Tail>,
}
