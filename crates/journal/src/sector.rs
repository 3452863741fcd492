//! The lowest layer of the format: every sector of a segment file says what it is.
//!
//! A sector (512 bytes, what a disk writes wholly or not at all) is a header of 16 bytes and a
//! payload of 496:
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | CRC32C of bytes 4..512, continued from the file's key |
//! | 4..8 | number of the segment that it was written for; 0 in a file that was only formatted |
//! | 8..12 | its place: sector number within the file |
//! | 12..16 | the first sector of the write group it belongs to |
//!
//! All integers are little-endian. Files are formatted with such sectors before use, so at any time
//! each sector is fresh, or stale (left from formatting or from the file's former life), or damaged.
//! That is what tells an interrupted write, which leaves fresh and stale sectors, from damage.

use crate::disk::SECTOR;

/// Bytes of a sector that carry payload.
pub(crate) const PAYLOAD: usize = SECTOR - HEAD;
const HEAD: usize = 16;

/// Seeds the checksum with the journal's id and the file's birth number, so that a sector of
/// another journal or of another file does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    pub(crate) fn new(journal: [u8; 16], birth: u32) -> Key {
        Key(crc32c::crc32c_append(crc32c::crc32c(&journal), &birth.to_le_bytes()))
    }
}

/// Where a sector belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the segment; 0 for formatting.
    pub(crate) segment: u32,
    /// Sector number within the file.
    pub(crate) sector: u32,
    /// First sector of the write group.
    pub(crate) group: u32,
}

/// What a sector of a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sector {
    /// Written in the present life of the file, in the group that begins at this sector.
    Fresh(u32),
    /// Left from before.
    Stale,
    /// Neither; with the reason.
    Damaged(&'static str),
}

/// The payload of a sector.
pub(crate) fn payload(sector: &[u8]) -> &[u8] {
    &sector[HEAD..SECTOR]
}

/// The payload of a sector, to be filled before [`seal`].
pub(crate) fn payload_mut(sector: &mut [u8]) -> &mut [u8] {
    &mut sector[HEAD..SECTOR]
}

/// Writes the header of a sector whose payload is complete.
pub(crate) fn seal(sector: &mut [u8], key: Key, place: Place) {
    sector[4..8].copy_from_slice(&place.segment.to_le_bytes());
    sector[8..12].copy_from_slice(&place.sector.to_le_bytes());
    sector[12..16].copy_from_slice(&place.group.to_le_bytes());
    let crc = crc32c::crc32c_append(key.0, &sector[4..SECTOR]);
    sector[0..4].copy_from_slice(&crc.to_le_bytes());
}

/// Tells what the sector found at number `at` of the file of `segment` is.
pub(crate) fn inspect(sector: &[u8], key: Key, segment: u32, at: u32) -> Sector {
    let crc = crc32c::crc32c_append(key.0, &sector[4..SECTOR]);
    if u32_at(sector, 0) != crc {
        return Sector::Damaged("a sector's checksum does not match");
    }
    if u32_at(sector, 8) != at {
        return Sector::Damaged("a sector belongs to another place in the file");
    }
    match u32_at(sector, 4).cmp(&segment) {
        std::cmp::Ordering::Less => Sector::Stale,
        std::cmp::Ordering::Equal => Sector::Fresh(u32_at(sector, 12)),
        std::cmp::Ordering::Greater => Sector::Damaged("a sector belongs to a later segment"),
    }
}

/// The little-endian integer at `at`. The caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// The little-endian integer at `at`. The caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}
