//! How a byte stream to an address comes about.

use std::io;

use async_trait::async_trait;
use tokio::net::TcpStream;

use crate::transport::BoxIo;

/// Makes byte streams to addresses; TLS comes on top of them. Another implementation puts another
/// network below, a simulated one for example.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Connects to `HOST:PORT`.
    async fn dial(&self, address: &str) -> io::Result<BoxIo>;
}

/// Plain TCP; a host name is looked up at each dial and its addresses are tried in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self, address: &str) -> io::Result<BoxIo> {
        let stream = TcpStream::connect(address).await?;
        // Frames are collected by us before they are written; waiting again would only add delay.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
