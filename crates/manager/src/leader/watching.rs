//! Waking when one file may have changed, by whatever means: written in place, replaced, removed.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use inotify::{Inotify, WatchMask};
use tokio::net::unix::pipe;

/// Room for a few dozen events; what does not fit wakes us once more.
const EVENT_BUFFER_BYTES: usize = 4096;

/// Watches the folder of a file: the file itself may be replaced, which ends a watch on it. Which
/// file an event is about is not looked at; the reader reads one small file too often then.
pub(super) struct Watching {
    /// The descriptor of the inotify instance: a stream of bytes that can be waited for.
    events: pipe::Receiver,
    dir: PathBuf,
    /// Device and inode of the folder: its name may come to mean another one.
    watched: (u64, u64),
}

impl Watching {
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        let inotify = Inotify::init()?;
        // Not MODIFY and CREATE: between the truncation and the end of a rewrite the file is empty,
        // and to see that would be a change of leadership that nobody meant.
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        let watched = identity(&dir)?;
        inotify.watches().add(&dir, mask)?;
        let events = inotify.as_fd().try_clone_to_owned()?;
        let events = pipe::Receiver::from_owned_fd_unchecked(events)?;
        Ok(Self { events, dir, watched })
    }

    /// True while the name of the folder still means the folder that is watched.
    pub(super) fn is_current(&self) -> bool {
        identity(&self.dir).is_ok_and(|now| now == self.watched)
    }

    /// Waits until the file may have changed. An error means that this watch is of no more use.
    pub(super) async fn changed(&self) -> io::Result<()> {
        loop {
            self.events.readable().await?;
            match self.events.try_read(&mut [0; EVENT_BUFFER_BYTES]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(_) => return Ok(()),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                Err(fault) => return Err(fault),
            }
        }
    }
}

fn identity(dir: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(dir).map(|found| (found.dev(), found.ino()))
}
