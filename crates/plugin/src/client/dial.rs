use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::discovery::Endpoint;

/// A connection that bytes go through.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Makes connections to one plugin.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Makes one connection.
    ///
    /// # Errors
    /// Nobody answers.
    async fn dial(&self) -> io::Result<Box<dyn Io>>;
}

/// The plain connections of the protocol.
pub(super) fn standard(endpoint: &Endpoint) -> Arc<dyn Dial> {
    match endpoint {
        Endpoint::Unix(path) => Arc::new(Unix(path.clone())),
        Endpoint::Tcp(authority) | Endpoint::Http { authority, .. } => {
            Arc::new(Tcp(authority.clone()))
        }
    }
}

/// First pause when the queue of a listener is full; doubles up to [`FULL_PAUSE_LIMIT`].
const FULL_PAUSE: Duration = Duration::from_millis(1);
const FULL_PAUSE_LIMIT: Duration = Duration::from_millis(50);

struct Unix(PathBuf);

#[async_trait]
impl Dial for Unix {
    async fn dial(&self) -> io::Result<Box<dyn Io>> {
        let mut pause = FULL_PAUSE;
        loop {
            match UnixStream::connect(&self.0).await {
                Ok(stream) => return Ok(Box::new(stream)),
                // The listener's queue is full. The original gives up here and leaves instances
                // unmade; the caller's time limit says when it is enough.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(FULL_PAUSE_LIMIT);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

struct Tcp(String);

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self) -> io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect(&self.0).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
