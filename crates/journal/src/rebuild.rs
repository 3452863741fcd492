//! Goes on after damage: copies what precedes it into new segments, marks every stream, and sets all
//! former segments aside as evidence.
//!
//! A crash in the middle leaves damage to be found again, because the copies continue with group
//! numbers that follow no former one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::{Disk, SECTOR};
use crate::fetch::fetch;
use crate::group::Location;
use crate::record::Change;
use crate::recover::{Files, disk_error};
use crate::segment::Name;
use crate::space::Space;
use crate::streams::Streams;
use crate::writer::{Position, Writer, halt};
use crate::{JournalError, OpenError, Options, StreamId};

/// Distance to the group numbers of the damaged segments.
const NUMBER_GAP: u64 = 1 << 32;

/// Copies the entries of `streams` out of `files`; `number` is the last whole group's.
pub(crate) fn rebuild(
    disk: &Arc<dyn Disk>,
    options: Options,
    files: Files,
    mut streams: Streams,
    number: u64,
) -> Result<(Streams, Writer), OpenError> {
    streams.drop_gaps();
    streams.mark_all();
    let journal = match files.segments.is_empty() {
        true => disk.nonce().map_err(|cause| disk_error("name", Name::Segment(0), cause))?,
        false => files.journal,
    };
    let freed = files.pool.iter().map(|(_, segment)| segment.header.segment);
    let last = files.numbers.iter().copied().chain(freed).max().unwrap_or(0);
    let from = Position {
        journal,
        segments: BTreeMap::new(),
        current: last,
        end: options.segment_bytes / SECTOR as u32,
        number: number + NUMBER_GAP,
        checkpoint: streams.checkpoint(),
        spare: None,
        pool: files.pool.clone(),
    };
    let mut writer = Writer::new(Arc::clone(disk), options, from);
    copy(&files, &mut streams, &mut writer, Space::new(options.segment_bytes))?;
    let segments = files.numbers.iter().map(|number| Name::Segment(*number));
    for from in segments.chain(files.strange) {
        let to = Name::Evidence(from.number());
        disk.rename(&from.to_string(), &to.to_string())
            .map_err(|cause| disk_error("set aside", from, cause))?;
    }
    disk.sync().map_err(|cause| disk_error("set aside", Name::Segment(last), cause))?;
    Ok((streams, writer))
}

fn copy(
    files: &Files,
    streams: &mut Streams,
    writer: &mut Writer,
    space: Space,
) -> Result<(), OpenError> {
    let entries: Vec<(StreamId, u64, Location)> = streams
        .iter()
        .flat_map(|(id, state)| {
            (state.first()..state.next()).map(move |index| (id, index, state.location(index)))
        })
        .collect();
    let mut rest = entries.as_slice();
    // The first write, which may be empty, brings marks, purges and slots.
    loop {
        let (mut bytes, mut count) = (0, 0);
        for (_, _, at) in rest {
            bytes += at.size as usize;
            if count > 0 && bytes > space.group_bytes() {
                break;
            }
            count += 1;
        }
        let (group, behind) = rest.split_at(count);
        let changes = group.iter().map(|entry| load(files, *entry));
        let changes: Vec<(StreamId, Change)> = changes.collect::<Result<_, _>>()?;
        let changes: Vec<_> = changes.iter().map(|(id, change)| (*id, change)).collect();
        writer.prepare_all().map_err(OpenError::Disk)?;
        let landed = writer.write(&changes).map_err(OpenError::Disk)?;
        for ((id, index, _), to) in group.iter().zip(landed) {
            streams.get_mut(*id).moved(*index, to);
        }
        rest = behind;
        if rest.is_empty() {
            return Ok(());
        }
    }
}

fn load(
    files: &Files,
    (id, index, at): (StreamId, u64, Location),
) -> Result<(StreamId, Change), OpenError> {
    let name = Name::Segment(at.segment);
    let Some(segment) = files.segments.get(&at.segment) else {
        return Err(disk_error("find", name, std::io::ErrorKind::NotFound.into()));
    };
    match fetch(id, index, at, segment) {
        Ok(bytes) => Ok((id, Change::Entry { index, bytes })),
        Err(JournalError::Damaged(damage)) => Err(OpenError::Damaged((*damage).clone())),
        Err(other) => {
            Err(OpenError::Disk(halt("copy", name, u64::from(at.at), std::io::Error::other(other))))
        }
    }
}
