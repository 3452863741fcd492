//! What jobs tell of themselves by `sd_notify`: a datagram socket for each process that may.
//!
//! The format is systemd's: lines of `NAME=VALUE` in one datagram. `READY=1`, `STOPPING=1` and
//! `WATCHDOG=1` are understood, everything else is ignored.

use std::io;
use std::path::{Path, PathBuf};

use regrow_init::ProcessId;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::machine::{Input, Notice};

/// Where a process finds the socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";
/// Bytes of one datagram that are looked at.
const MOST: usize = 4096;

/// The socket of one process. Dropping it closes it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listening: JoinHandle<()>,
}

impl Socket {
    /// Listens for what a process tells. A socket that a worker before left at the path is replaced,
    /// so that the process goes on telling.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn listen(
        folder: &Path,
        process: ProcessId,
        told: UnboundedSender<Input>,
    ) -> io::Result<Self> {
        let path = folder.join(format!("{}.sock", process.0));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        let listening = tokio::spawn(async move {
            let mut buffer = [0; MOST];
            while let Ok(length) = socket.recv(&mut buffer).await {
                for what in notices(&buffer[..length]) {
                    if told.send(Input::Notified { process, what }).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { path, listening })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.listening.abort();
        // Where it stays, the folder is removed at the end.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn notices(datagram: &[u8]) -> impl Iterator<Item = Notice> + '_ {
    datagram.split(|byte| *byte == b'\n').filter_map(|line| match line {
        b"READY=1" => Some(Notice::Ready),
        b"STOPPING=1" => Some(Notice::Stopping),
        b"WATCHDOG=1" => Some(Notice::Watchdog),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[tokio::test]
    async fn what_a_process_tells_arrives_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let (sender, mut inputs) = unbounded_channel();
        let socket = Socket::listen(folder.path(), ProcessId(7), sender).expect("a socket");
        let process = UnixDatagram::unbound().expect("a socket");
        for text in ["STATUS=warming\nREADY=1\n", "WATCHDOG=1", "READY=10", "STOPPING=1"] {
            process.send_to(text.as_bytes(), socket.path()).await.expect("sent");
        }
        for expected in [Notice::Ready, Notice::Watchdog, Notice::Stopping] {
            let input = inputs.recv().await.expect("told");
            let Input::Notified { process, what } = input else { panic!("{input:?}") };
            assert_eq!((process, what), (ProcessId(7), expected));
        }
    }

    #[tokio::test]
    async fn the_next_worker_listens_at_the_same_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let (sender, mut inputs) = unbounded_channel();
        let left = UnixDatagram::bind(folder.path().join("7.sock")).expect("of a dead worker");
        drop(left);
        let socket = Socket::listen(folder.path(), ProcessId(7), sender).expect("a socket");
        let process = UnixDatagram::unbound().expect("a socket");
        process.send_to(b"READY=1", socket.path()).await.expect("sent");
        assert!(inputs.recv().await.is_some());
    }
}
