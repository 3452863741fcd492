//! What the kernel tells about changes in a directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use inotify::{EventMask, Inotify, WatchMask};

/// Room for events that are read in one go; an event takes up to 272 bytes.
const BUFFER_BYTES: usize = 16 * 1_024;

/// File systems whose files change without this kernel knowing: NFS, SMB, CIFS, SMB2, FUSE and
/// virtio, 9P, Ceph, AFS, Coda.
const REMOTE_FILE_SYSTEMS: [u64; 9] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x7375_7245,
];

/// Watches one directory.
pub(super) struct Changes {
    inotify: Inotify,
    buffer: Vec<u8>,
}

/// What happened since the last look.
pub(super) enum Drained {
    /// These names may mean something else now.
    Names(BTreeSet<OsString>),
    /// Anything may have happened, and the watch may have come to its end.
    Anything,
}

impl Changes {
    /// Starts to watch; `None` when the kernel would not see all changes.
    pub(super) fn watch(dir: &Path) -> io::Result<Option<Self>> {
        let kind = rustix::fs::statfs(dir)?.f_type;
        // The numbers have 32 bits, whatever the type of the field is here.
        if REMOTE_FILE_SYSTEMS.contains(&(kind as u64 & 0xffff_ffff)) {
            return Ok(None);
        }
        let inotify = Inotify::init()?;
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        inotify.watches().add(dir, mask)?;
        Ok(Some(Self { inotify, buffer: vec![0; BUFFER_BYTES] }))
    }

    /// Takes the events that are there, without waiting. The kernel puts an event there before the
    /// call that caused it returns.
    pub(super) fn drain(&mut self) -> Drained {
        let ends = EventMask::Q_OVERFLOW
            | EventMask::IGNORED
            | EventMask::UNMOUNT
            | EventMask::DELETE_SELF
            | EventMask::MOVE_SELF;
        let mut names = BTreeSet::new();
        loop {
            match self.inotify.read_events(&mut self.buffer) {
                Ok(events) => {
                    let mut any = false;
                    for event in events {
                        any = true;
                        if event.mask.intersects(ends) {
                            return Drained::Anything;
                        }
                        names.extend(event.name.map(OsString::from));
                    }
                    if !any {
                        return Drained::Names(names);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Drained::Names(names),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Drained::Anything,
            }
        }
    }

    /// A second handle that becomes readable when something happens.
    pub(super) fn handle(&self) -> io::Result<OwnedFd> {
        self.inotify.as_fd().try_clone_to_owned()
    }
}
