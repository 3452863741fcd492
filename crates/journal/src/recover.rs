//! Opens a folder: reads what is there, decides whether it is whole, and makes it ready for writing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::blocks::Blocks;
use crate::disk::{BLOCK, Disk, SECTOR};
use crate::error::Damage;
use crate::group::BLOCK_SECTORS;
use crate::replay::{Replay, damage};
use crate::scan;
use crate::segment::{self, Header, HeaderError, Name, Segment, VERSION};
use crate::shared::HALTED;
use crate::streams::Streams;
use crate::writer::{Position, Writer, halt};
use crate::{OpenError, Options, Report, Torn};

/// A journal that was read.
pub(crate) struct Opened {
    pub(crate) streams: Streams,
    pub(crate) writer: Writer,
    pub(crate) report: Report,
    /// As given, with the size of segments that the journal has.
    pub(crate) options: Options,
}

/// The files of a journal.
pub(crate) struct Files {
    pub(crate) journal: [u8; 16],
    /// Every segment whose header could be read, whole or not.
    pub(crate) segments: BTreeMap<u32, Segment>,
    pub(crate) pool: Vec<(Name, Segment)>,
    /// Numbers of all segments by name, readable or not.
    pub(crate) numbers: Vec<u32>,
    /// Files that are of no use.
    surplus: Vec<Name>,
}

/// Opens the journal that `disk` holds, or makes one.
pub(crate) fn open(disk: &Arc<dyn Disk>, mut options: Options) -> Result<Opened, OpenError> {
    let names = list(&**disk)?;
    let numbered = |pick: fn(&Name) -> Option<u32>| -> Vec<u32> {
        let mut numbers: Vec<u32> = names.iter().filter_map(pick).collect();
        numbers.sort_unstable();
        numbers
    };
    let numbers =
        numbered(|name| if let Name::Segment(number) = name { Some(*number) } else { None });
    let free = numbered(|name| if let Name::Free(number) = name { Some(*number) } else { None });
    let unfinished = names.iter().copied().filter(|name| matches!(name, Name::Making(_)));
    let mut report = Report { segments: numbers.len(), ..Report::default() };
    report.halted_before =
        disk.read_note(HALTED).map_err(|cause| disk_error("read", Name::Segment(0), cause))?;
    if let Some(text) = &report.halted_before {
        tracing::warn!(text = text.trim_end(), "an earlier process halted on this journal");
    }
    let mut files = Files {
        journal: [0; 16],
        segments: BTreeMap::new(),
        pool: Vec::new(),
        numbers,
        surplus: unfinished.collect(),
    };
    let mut replay = Replay::default();
    let mut found = if files.numbers.is_empty() && !free.is_empty() {
        Err(damage(free.first().copied().unwrap_or(0), 0, "all segments are missing"))
    } else {
        read_all(&**disk, &mut files, &mut replay)?
    };
    if let Some(segment) = files.segments.values().next() {
        options.segment_bytes = segment.header.bytes;
    }
    let strange = pool(&**disk, &mut files, &free, options)?;
    found = found.and(strange.map_or(Ok(()), Err));
    if found.is_ok() {
        found = complete(&files, &replay);
    }
    if let Err(damage) = found {
        tracing::error!(%damage, "journal refused");
        return Err(OpenError::Damaged(damage));
    }
    for name in &files.surplus {
        disk.remove(&name.to_string()).map_err(|cause| disk_error("remove", *name, cause))?;
    }
    let Replay { streams, number, end, torn } = replay;
    if let Some((segment, first, behind)) = torn {
        report.torn = Some(cut(&files, segment, first, behind)?);
    }
    report.created = files.numbers.is_empty();
    let writer = go_on(disk, options, files, &streams, number, end)?;
    report.entries = streams.iter().map(|(_, state)| state.next() - state.first()).sum();
    Ok(Opened { streams, writer, report, options })
}

fn list(disk: &dyn Disk) -> Result<Vec<Name>, OpenError> {
    let names = disk.list().map_err(|cause| disk_error("list", Name::Segment(0), cause))?;
    Ok(names.iter().filter_map(|name| Name::parse(name)).collect())
}

/// Reads all segments in order, up to the first damage.
fn read_all(
    disk: &dyn Disk,
    files: &mut Files,
    replay: &mut Replay,
) -> Result<Result<(), Damage>, OpenError> {
    let mut found = Ok(());
    for number in files.numbers.clone() {
        let name = Name::Segment(number);
        let file = disk.open(&name.to_string()).map_err(|cause| disk_error("open", name, cause))?;
        let size = file.size().map_err(|cause| disk_error("measure", name, cause))?;
        let image = image(&*file, size);
        let header = match check(&image, number) {
            Ok(header) => header,
            Err(HeaderError::Version(version)) => {
                let file = name.to_string();
                return Err(OpenError::Version { file, found: version, known: VERSION });
            }
            Err(HeaderError::Damaged(what)) => {
                found = found.and(Err(damage(number, 0, what)));
                continue;
            }
        };
        if files.segments.is_empty() {
            files.journal = header.journal;
        } else if files.journal != header.journal {
            return Err(OpenError::Foreign { file: name.to_string() });
        }
        files.segments.insert(number, Segment { file, header });
        found = found.and_then(|()| replay.segment(&image, &header));
    }
    Ok(found)
}

/// The content of a file; blocks that cannot be read are zero, which no sector is.
fn image(file: &dyn crate::disk::DiskFile, size: u64) -> Vec<u8> {
    let size = usize::try_from(size).unwrap_or(0).min(crate::SEGMENT_MAX as usize);
    let mut image = vec![0; size];
    if file.read_at(&mut image, 0).is_err() {
        for (block, at) in image.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
            if file.read_at(block, at).is_err() {
                block.fill(0);
            }
        }
    }
    image
}

fn check(image: &[u8], number: u32) -> Result<Header, HeaderError> {
    let header = Header::decode(image)?;
    if header.segment != number {
        return Err(HeaderError::Damaged("the header is that of another segment"));
    }
    if header.bytes as usize != image.len() {
        return Err(HeaderError::Damaged("the file has not the size that its header says"));
    }
    Ok(header)
}

/// Whether what was read fits together as a whole.
fn complete(files: &Files, replay: &Replay) -> Result<(), Damage> {
    let Some(first) = files.numbers.first() else { return Ok(()) };
    if let Some((_, missing)) = files.numbers.iter().zip(*first..).find(|(a, b)| *a != b) {
        return Err(damage(missing, 0, "a segment is missing"));
    }
    match replay.streams.gap() {
        Some((stream, index)) => Err(Damage {
            stream: Some(stream),
            index: Some(index),
            ..damage(*first, 0, "entries before this segment are missing")
        }),
        None => Ok(()),
    }
}

/// Opens the purged files that can be reused.
///
/// They are looked through as well: a sector that does not belong there may be a record that was
/// written to the wrong place, and so is missing where it should be.
fn pool(
    disk: &dyn Disk,
    files: &mut Files,
    free: &[u32],
    options: Options,
) -> Result<Option<Damage>, OpenError> {
    let mut strange = None;
    for number in free {
        let name = Name::Free(*number);
        let error = |cause| disk_error("open", name, cause);
        let file = disk.open(&name.to_string()).map_err(error)?;
        let image = image(&*file, file.size().map_err(error)?);
        // A crash while the file was made the next segment leaves a header that is not whole.
        let ours = |header: &Header| {
            header.journal == files.journal && header.bytes as usize == image.len()
        };
        let Some(header) = Header::decode(&image).ok().filter(ours) else {
            files.surplus.push(name);
            continue;
        };
        if let Some(damage) = scan::strange(&image, &header) {
            strange.get_or_insert(damage);
        } else if files.pool.len() < options.pool {
            files.pool.push((name, Segment { file, header }));
        } else {
            files.surplus.push(name);
        }
    }
    Ok(strange)
}

/// Formats what a torn group left, so that nothing of it can be taken for a part of a later one.
fn cut(files: &Files, segment: u32, first: u32, behind: u32) -> Result<Torn, OpenError> {
    let offset = u64::from(first) * SECTOR as u64;
    tracing::warn!(segment, offset, "cut the unfinished end of the last write");
    if let Some(Segment { file, header }) = files.segments.get(&segment) {
        let mut buffer = Blocks::default();
        segment::format(&**file, header.key(), first, behind - first, &mut buffer)
            .and_then(|()| file.sync())
            .map_err(|cause| OpenError::Disk(halt("cut", Name::Segment(segment), offset, cause)))?;
    }
    Ok(Torn { segment, offset })
}

/// A writer that goes on behind the last group.
fn go_on(
    disk: &Arc<dyn Disk>,
    options: Options,
    mut files: Files,
    streams: &Streams,
    number: u64,
    end: Option<(u32, u32)>,
) -> Result<Writer, OpenError> {
    let mut from = Position {
        journal: files.journal,
        segments: BTreeMap::new(),
        current: 0,
        end: options.segment_bytes / SECTOR as u32,
        number,
        checkpoint: streams.checkpoint(),
        spare: None,
        pool: files.pool,
    };
    if let Some(first) = files.numbers.first().copied() {
        (from.current, from.end) = end.unwrap_or((first, BLOCK_SECTORS));
        from.spare = files.segments.remove(&(from.current + 1));
        from.segments = files.segments;
        return Ok(Writer::new(Arc::clone(disk), options, from));
    }
    from.journal = disk.nonce().map_err(|cause| disk_error("name", Name::Segment(1), cause))?;
    let mut writer = Writer::new(Arc::clone(disk), options, from);
    writer.prepare_all().map_err(OpenError::Disk)?;
    Ok(writer)
}

/// A failure of the disk while opening.
pub(crate) fn disk_error(operation: &'static str, name: Name, cause: io::Error) -> OpenError {
    OpenError::Disk(halt(operation, name, 0, cause))
}
