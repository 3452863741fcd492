//! The one that writes: groups into the current segment, the next segment before it is needed.
//!
//! Knows nothing of locks and threads. An error is final: nothing here is called after it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::blocks::Blocks;
use crate::disk::{Disk, SECTOR};
use crate::error::Halt;
use crate::group::{self, BLOCK_SECTORS, Builder, Location};
use crate::record::Change;
use crate::segment::{self, Header, Name, Segment};
use crate::space::Space;
use crate::streams::Checkpoint;
use crate::{Options, StreamId, Sync};

/// Bytes that are formatted and flushed at a time, so that appends need not wait for a whole
/// segment. As many as the largest group has: the next segment is ready before it is needed.
const SLICE: u32 = 1024 * 1024;

/// The next segment.
enum Spare {
    Missing,
    /// There was no space for it.
    NoSpace,
    /// A new file, formatted up to this sector.
    Formatting(Segment, u32),
    Ready(Segment),
}

/// Writes one journal.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    options: Options,
    space: Space,
    journal: [u8; 16],
    /// Segments of the log, the current one last.
    segments: BTreeMap<u32, Segment>,
    /// Number of the current segment, and the sector where its next group begins.
    current: u32,
    end: u32,
    /// Number of the last group.
    number: u64,
    checkpoint: Checkpoint,
    spare: Spare,
    /// Purged files that wait for reuse.
    pool: Vec<(Name, Segment)>,
    buffer: Blocks,
}

/// Where the log ends, and the files that there are: what [`Writer::new`] goes on from.
pub(crate) struct Position {
    pub(crate) journal: [u8; 16],
    pub(crate) segments: BTreeMap<u32, Segment>,
    pub(crate) current: u32,
    pub(crate) end: u32,
    pub(crate) number: u64,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) spare: Option<Segment>,
    pub(crate) pool: Vec<(Name, Segment)>,
}

impl Writer {
    pub(crate) fn new(disk: Arc<dyn Disk>, options: Options, from: Position) -> Writer {
        Writer {
            disk,
            options,
            space: Space::new(options.segment_bytes),
            journal: from.journal,
            segments: from.segments,
            current: from.current,
            end: from.end,
            number: from.number,
            checkpoint: from.checkpoint,
            spare: from.spare.map_or(Spare::Missing, Spare::Ready),
            pool: from.pool,
            buffer: Blocks::default(),
        }
    }

    /// The files that hold entries.
    pub(crate) fn segments(&self) -> &BTreeMap<u32, Segment> {
        &self.segments
    }

    /// Sectors that can be written before another segment is needed.
    pub(crate) fn room(&self) -> u64 {
        self.space.room(self.end, matches!(self.spare, Spare::Ready(_)))
    }

    /// Whether there was no space for the next segment.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.spare, Spare::NoSpace)
    }

    /// Whether [`Writer::prepare`] has something to do.
    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.spare, Spare::Missing | Spare::Formatting(..))
    }

    /// Writes and flushes a group; returns where each record lies. `changes` fit into a group, and
    /// admission has seen to it that there is room.
    pub(crate) fn write(&mut self, changes: &[(StreamId, &Change)]) -> Result<Vec<Location>, Halt> {
        let mut builder = Builder::new();
        let mut offsets: Vec<_> =
            changes.iter().map(|(id, change)| builder.push(*id, change)).collect();
        if self.end + builder.sectors() > self.space.sectors {
            self.rotate()?;
            builder = Builder::new();
            for (id, change) in self.checkpoint.changes() {
                builder.push(id, &change);
            }
            offsets = changes.iter().map(|(id, change)| builder.push(*id, change)).collect();
        }
        self.flush(&mut builder)?;
        let at = self.end;
        self.end += builder.sectors();
        for (id, change) in changes {
            self.checkpoint.apply(*id, change);
        }
        Ok(offsets.into_iter().map(|offset| group::locate(self.current, at, offset)).collect())
    }

    fn flush(&mut self, builder: &mut Builder) -> Result<(), Halt> {
        let name = Name::Segment(self.current);
        let offset = u64::from(self.end) * SECTOR as u64;
        let Some(Segment { file, header }) = self.segments.get(&self.current) else {
            return Err(halt("find", name, 0, io::ErrorKind::NotFound.into()));
        };
        builder.lay(self.number + 1, header.key(), self.current, self.end, &mut self.buffer);
        segment::write_all(&**file, self.buffer.bytes(), offset)
            .map_err(|cause| halt("write", name, offset, cause))?;
        if self.options.sync == Sync::Always {
            file.sync().map_err(|cause| halt("flush", name, offset, cause))?;
        }
        self.number += 1;
        Ok(())
    }

    /// Goes on in the next segment.
    fn rotate(&mut self) -> Result<(), Halt> {
        match std::mem::replace(&mut self.spare, Spare::Missing) {
            Spare::Ready(next) => {
                self.current = next.header.segment;
                self.end = BLOCK_SECTORS;
                self.segments.insert(self.current, next);
                Ok(())
            }
            _ => Err(halt("go on in", Name::Segment(self.current + 1), 0, Errno::NOSPC.into())),
        }
    }

    /// Takes segments before `live`, the oldest with a live entry, out of the log.
    pub(crate) fn retire(&mut self, live: u32) -> Result<(), Halt> {
        let kept = self.segments.split_off(&live.min(self.current));
        let old = std::mem::replace(&mut self.segments, kept);
        if old.is_empty() {
            return Ok(());
        }
        for (number, segment) in old {
            let (name, free) = (Name::Segment(number), Name::Free(number));
            let done = if self.pool.len() < self.options.pool {
                self.pool.push((free, segment));
                self.disk.rename(&name.to_string(), &free.to_string())
            } else {
                self.disk.remove(&name.to_string())
            };
            done.map_err(|cause| halt("retire", name, 0, cause))?;
        }
        self.disk.sync().map_err(|cause| halt("retire", Name::Segment(live), 0, cause))?;
        if self.is_full() {
            self.spare = Spare::Missing;
        }
        Ok(())
    }

    /// Looks for space again.
    pub(crate) fn retry(&mut self) {
        if self.is_full() {
            self.spare = Spare::Missing;
        }
    }

    /// Does a part of what makes the next segment ready.
    pub(crate) fn prepare(&mut self) -> Result<(), Halt> {
        let next = self.current + 1;
        let spare = std::mem::replace(&mut self.spare, Spare::Missing);
        let done = match spare {
            Spare::Missing => match self.pool.pop() {
                Some((name, segment)) => self.christen(name, segment, next),
                None => self.create(next),
            },
            Spare::Formatting(segment, at) => self.format(segment, at),
            ready => Ok(ready),
        };
        match done {
            Ok(spare) => self.spare = spare,
            Err(error) if is_no_space(&error) => {
                self.spare = Spare::NoSpace;
                // What was made of the file goes; the next try begins anew.
                let _gone = self.disk.remove(&Name::Making(next).to_string());
            }
            Err(cause) => return Err(halt("prepare", Name::Segment(next), 0, cause)),
        }
        Ok(())
    }

    /// Prepares the next segment to the end, or finds that there is no space.
    pub(crate) fn prepare_all(&mut self) -> Result<(), Halt> {
        while self.is_preparing() {
            self.prepare()?;
        }
        Ok(())
    }

    fn create(&self, next: u32) -> io::Result<Spare> {
        let bytes = self.space.segment_bytes;
        let file = self.disk.create(&Name::Making(next).to_string(), u64::from(bytes))?;
        let header = Header { segment: next, bytes, birth: next, journal: self.journal };
        Ok(Spare::Formatting(Segment { file, header }, BLOCK_SECTORS))
    }

    fn format(&mut self, segment: Segment, at: u32) -> io::Result<Spare> {
        let sectors = (SLICE / SECTOR as u32).min(self.space.sectors - at);
        if sectors == 0 {
            let next = segment.header.segment;
            return self.christen(Name::Making(next), segment, next);
        }
        segment::format(&*segment.file, segment.header.key(), at, sectors, &mut self.buffer)?;
        segment.file.sync()?;
        Ok(Spare::Formatting(segment, at + sectors))
    }

    /// Makes a formatted or purged file the segment `number`.
    fn christen(&mut self, name: Name, segment: Segment, number: u32) -> io::Result<Spare> {
        let Segment { file, header } = segment;
        let header = Header { segment: number, ..header };
        header.write(&*file, &mut self.buffer)?;
        file.sync()?;
        self.disk.rename(&name.to_string(), &Name::Segment(number).to_string())?;
        self.disk.sync()?;
        Ok(Spare::Ready(Segment { file, header }))
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT))
}

/// A failure that ends all writing.
pub(crate) fn halt(operation: &'static str, file: Name, offset: u64, cause: io::Error) -> Halt {
    Halt { operation, file: file.to_string(), offset, cause }
}
