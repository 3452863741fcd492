//! The way to init: requests that do not fit the socket at the moment wait here, in order.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram as StdDatagram;

use regrow_init::{Channel, Reply, Request};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The worker's end of the socket to init.
pub struct Link {
    channel: Channel,
    /// The same socket once more, for the runtime to watch.
    watched: UnixDatagram,
    waiting: VecDeque<Request>,
}

impl Link {
    /// A link over the channel that [`regrow_init::split`] returned.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(channel: Channel) -> io::Result<Self> {
        let again = StdDatagram::from(channel.as_fd().try_clone_to_owned()?);
        again.set_nonblocking(true)?;
        let watched = UnixDatagram::from_std(again)?;
        Ok(Self { channel, watched, waiting: VecDeque::new() })
    }

    /// Sends a request, now or as soon as there is room for it.
    ///
    /// # Errors
    /// Init is gone.
    pub fn send(&mut self, request: Request) -> io::Result<()> {
        self.waiting.push_back(request);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(request) = self.waiting.front() {
            let sent = self.watched.try_io(Interest::WRITABLE, || self.channel.send(request));
            match sent {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next reply. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// Init is gone, or said what this program does not understand or has no descriptors for.
    pub async fn receive(&mut self) -> io::Result<Reply> {
        loop {
            self.flush()?;
            let mut interest = Interest::READABLE;
            if !self.waiting.is_empty() {
                interest |= Interest::WRITABLE;
            }
            self.watched.ready(interest).await?;
            match self.watched.try_io(Interest::READABLE, || self.channel.recv()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                reply => return reply,
            }
        }
    }

    /// Waits until everything was sent.
    ///
    /// # Errors
    /// Init is gone.
    pub async fn sent(&mut self) -> io::Result<()> {
        loop {
            self.flush()?;
            if self.waiting.is_empty() {
                return Ok(());
            }
            self.watched.writable().await?;
        }
    }
}
