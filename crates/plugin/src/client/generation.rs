use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, OnceCell};

use super::Client;
use crate::PluginError;
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
pub(super) struct Greetings {
    last: Mutex<Last>,
    /// Handshakes that failed. Who finds another number after the wait than before it waited for
    /// one of them.
    failures: AtomicU64,
}

/// What came of the last handshake.
#[derive(Default)]
enum Last {
    #[default]
    None,
    Met(Arc<Greeting>),
    Failed(PluginError),
}

impl Greetings {
    pub(super) async fn current(&self, client: &Client) -> Result<Arc<Greeting>> {
        let failures = self.failures.load(Ordering::Relaxed);
        // Held during the call on purpose: whoever comes meanwhile wants the same answer.
        let mut last = self.last.lock().await;
        match &*last {
            Last::Met(greeting) if greeting.identity == Identity::of(client) => {
                return Ok(Arc::clone(greeting));
            }
            // Also when it is an error: if each waiter tried for himself, the tenth would have
            // waited for ten time limits.
            Last::Failed(error) if self.failures.load(Ordering::Relaxed) != failures => {
                return Err(error.clone());
            }
            Last::None | Last::Met(_) | Last::Failed(_) => {}
        }
        *last = Last::None;
        match client.say_hello().await {
            Ok(hello) => {
                let identity = Identity::of(client);
                let greeting = Arc::new(Greeting { hello, identity, hinting: OnceCell::new() });
                *last = Last::Met(Arc::clone(&greeting));
                Ok(greeting)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                *last = Last::Failed(error.clone());
                Err(error)
            }
        }
    }
}
