//! Follows the records of all segments in order and tells what the streams hold.
//!
//! Plain functions over bytes that were read before; nothing is written here.

use bytes::Bytes;

use crate::disk::SECTOR;
use crate::error::Damage;
use crate::group::{self, Location};
use crate::record::{self, Change};
use crate::scan::{Group, Scan, Tail, scan};
use crate::sector::PAYLOAD;
use crate::segment::Header;
use crate::streams::Streams;

/// No journal lives to write as many groups; there is always a number for the next one.
const LAST_NUMBER: u64 = u64::MAX / 2;

/// What was read so far.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) streams: Streams,
    /// Number of the last whole group; 0 when there is none.
    pub(crate) number: u64,
    /// The segment of the last group and the sector behind it.
    pub(crate) end: Option<(u32, u32)>,
    /// The torn group: segment, first sector, sector behind its last fresh one.
    pub(crate) torn: Option<(u32, u32, u32)>,
}

impl Replay {
    /// Follows the next segment.
    pub(crate) fn segment(&mut self, image: &[u8], header: &Header) -> Result<(), Damage> {
        let Scan { groups, end, tail } = scan(image, header);
        let segment = header.segment;
        if let (Some((torn, first, _)), Some(_)) = (self.torn, groups.first()) {
            return Err(damage(torn, first, "a group is incomplete before others"));
        }
        for group in &groups {
            if group.number > LAST_NUMBER {
                return Err(damage(segment, group.first, "a group's number is out of range"));
            }
            if self.number != 0 && group.number != self.number + 1 {
                return Err(damage(segment, group.first, "a group is missing before this one"));
            }
            let bytes = &image[group.first as usize * SECTOR..][..group.sectors as usize * SECTOR];
            self.group(segment, group, bytes)?;
            self.number = group.number;
            self.end = Some((segment, group.first + group.sectors));
        }
        match tail {
            Tail::Clean => {}
            Tail::Damaged(sector, what) => return Err(damage(segment, sector, what)),
            Tail::Torn(_) if self.torn.is_some() => {
                return Err(damage(segment, end, "two groups are incomplete"));
            }
            Tail::Torn(behind) => self.torn = Some((segment, end, behind)),
        }
        Ok(())
    }

    fn group(&mut self, segment: u32, group: &Group, sectors: &[u8]) -> Result<(), Damage> {
        let Some((bytes, mut at)) = group::content(group::chain(sectors)) else {
            return Err(damage(segment, group.first, "a group's head contradicts itself"));
        };
        // The whole group is looked at first, so that a damaged one is left out as a whole.
        let mut records = Vec::new();
        while at < bytes.len() {
            let rest: Bytes = bytes.slice(at..);
            let (stream, change, size) = record::decode(&rest).map_err(|what| {
                damage(segment, group.first + u32::try_from(at / PAYLOAD).unwrap_or(0), what)
            })?;
            let place = group::locate(segment, group.first, (at, size));
            records.extend(change.map(|change| (stream, change, place)));
            at += size;
        }
        for (stream, change, at) in records {
            self.record(stream, &change, at).map_err(|what| Damage {
                stream: Some(stream),
                index: match change {
                    Change::Entry { index, .. } => Some(index),
                    _ => None,
                },
                ..damage(segment, group.first, what)
            })?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        stream: crate::StreamId,
        change: &Change,
        at: Location,
    ) -> Result<(), &'static str> {
        let state = self.streams.get_mut(stream);
        let Change::Entry { index, .. } = *change else {
            if matches!(*change, Change::Purge { upto: u64::MAX }) {
                return Err("an index is out of range");
            }
            state.apply(change);
            return Ok(());
        };
        // Entries before the first one found may lie in segments that are gone; whether a purge
        // accounts for them is known at the end.
        let follows = index == state.next() || (state.is_empty() && index > state.next());
        if !follows || index == u64::MAX {
            return Err("an entry does not follow the one before");
        }
        state.push_found(index, at);
        Ok(())
    }
}

/// Damage at a sector.
pub(crate) fn damage(segment: u32, sector: u32, what: &'static str) -> Damage {
    let offset = u64::from(sector) * SECTOR as u64;
    Damage { segment, offset, stream: None, index: None, what }
}
