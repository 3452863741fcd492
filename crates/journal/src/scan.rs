//! Reads the bytes of one segment file: which groups are whole, and what is behind them.

use crate::disk::{BLOCK, SECTOR};
use crate::error::Damage;
use crate::group::{self, BLOCK_SECTORS};
use crate::replay::damage;
use crate::sector::{Sector, inspect};
use crate::segment::Header;

/// What a segment file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The whole groups before `tail`, in order.
    pub(crate) groups: Vec<Group>,
    /// Sector behind the last whole group.
    pub(crate) end: u32,
    /// What is there.
    pub(crate) tail: Tail,
}

/// A whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) number: u64,
    pub(crate) first: u32,
    pub(crate) sectors: u32,
}

/// What is behind the last whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing that was written in this life of the file.
    Clean,
    /// A part of one group, whose last fresh sector is before this one (a multiple of a block).
    Torn(u32),
    /// Damage, at this sector.
    Damaged(u32, &'static str),
}

/// Reads a file's bytes. `image` has the size that the header says.
pub(crate) fn scan(image: &[u8], header: &Header) -> Scan {
    let key = header.key();
    let sectors: Vec<Sector> = image
        .chunks_exact(SECTOR)
        .zip(0..)
        .skip(BLOCK_SECTORS as usize)
        .map(|(bytes, at)| inspect(bytes, key, header.segment, at))
        .collect();
    let class = |at: u32| sectors.get((at - BLOCK_SECTORS) as usize).copied();
    let mut groups = Vec::new();
    let mut end = BLOCK_SECTORS;
    while let Some(group) = whole_group(image, end, &class) {
        end += group.sectors;
        groups.push(group);
    }
    let rest = &sectors[(end - BLOCK_SECTORS) as usize..];
    Scan { groups, end, tail: tail(rest, end) }
}

/// The first sector of a purged file that does not belong there.
pub(crate) fn strange(image: &[u8], header: &Header) -> Option<Damage> {
    let key = header.key();
    let sectors = image.chunks_exact(SECTOR).zip(0..).skip(BLOCK_SECTORS as usize);
    let mut found = sectors.map(|(bytes, at)| (at, inspect(bytes, key, u32::MAX, at)));
    found.find_map(|(at, sector)| match sector {
        Sector::Damaged(what) => Some(damage(header.segment, at, what)),
        Sector::Fresh(_) | Sector::Stale => None,
    })
}

/// The group at `first`, if all of it is there.
fn whole_group(image: &[u8], first: u32, class: &dyn Fn(u32) -> Option<Sector>) -> Option<Group> {
    if class(first) != Some(Sector::Fresh(first)) {
        return None;
    }
    let (number, sectors) = group::head(&image[first as usize * SECTOR..]);
    let fits = sectors > 0 && sectors.is_multiple_of(BLOCK_SECTORS);
    let behind = first.checked_add(sectors)?;
    let whole = fits && (first..behind).all(|at| class(at) == Some(Sector::Fresh(first)));
    whole.then_some(Group { number, first, sectors })
}

/// What the sectors from `end` on, which begin no whole group, amount to.
fn tail(rest: &[Sector], end: u32) -> Tail {
    let mut last_fresh = None;
    for (sector, at) in rest.iter().zip(end..) {
        match *sector {
            Sector::Stale => {}
            Sector::Fresh(group) if group == end => last_fresh = Some(at),
            Sector::Fresh(_) => return Tail::Damaged(end, "a group is missing before others"),
            Sector::Damaged(what) => return Tail::Damaged(at, what),
        }
    }
    match last_fresh {
        None => Tail::Clean,
        Some(at) => Tail::Torn((at + 1).next_multiple_of((BLOCK / SECTOR) as u32)),
    }
}
