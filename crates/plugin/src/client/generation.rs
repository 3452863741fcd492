use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use super::Client;
use crate::discovery::Endpoint;
use crate::spi::Result;
use crate::wire::Hello;

/// What a plugin said when we met it, good for as long as it is the same process.
pub(super) struct Greeting {
    pub(super) hello: Hello,
    /// Objects whose instances it publishes hints about.
    pub(super) hinting: OnceCell<Vec<String>>,
    identity: Identity,
}

/// Tells one process at the other end from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    generation: u64,
    /// Device, inode and time of change of the socket.
    file: Option<(u64, u64, i64, i64)>,
}

impl Identity {
    fn of(client: &Client) -> Self {
        let file = match client.endpoint() {
            Endpoint::Unix(path) => std::fs::metadata(path)
                .ok()
                .map(|meta| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec())),
            Endpoint::Tcp(_) | Endpoint::Http { .. } => None,
        };
        Self { generation: client.exchange.pool.generation(), file }
    }
}

/// The handshake with one plugin, made once for each process at the other end. The original makes
/// it before nearly every call.
#[derive(Default)]
pub(super) struct Greetings(Mutex<Option<Arc<Greeting>>>);

impl Greetings {
    pub(super) async fn current(&self, client: &Client) -> Result<Arc<Greeting>> {
        // Held during the call on purpose: whoever comes meanwhile wants the same answer.
        let mut known = self.0.lock().await;
        if let Some(greeting) = &*known
            && greeting.identity == Identity::of(client)
        {
            return Ok(Arc::clone(greeting));
        }
        *known = None;
        let hello = client.say_hello().await?;
        let identity = Identity::of(client);
        let greeting = Arc::new(Greeting { hello, identity, hinting: OnceCell::new() });
        *known = Some(Arc::clone(&greeting));
        Ok(greeting)
    }
}
