use std::time::Duration;

/// Largest request body.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// A body up to this size needs no permission to be in memory.
pub(super) const SMALL_BODY_BYTES: usize = 1 << 20;

/// Read buffer of a connection; also the limit for the head of a request.
pub(super) const CONNECTION_BUFFER_BYTES: usize = 64 << 10;

/// Connections that the system may hold for us before we accept them.
pub(super) const LISTEN_BACKLOG: i32 = 4096;

/// What a client may cost a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request body; a larger one is answered with 413.
    pub max_body_bytes: usize,
    /// Bodies above 1 MiB that may be in memory at once; further ones wait.
    pub max_big_bodies: usize,
    /// Connections served at once; further ones wait in the system's queue, and idle ones make
    /// room for them.
    pub max_connections: usize,
    /// Subscribers of events at once; further ones get 503.
    pub max_subscribers: usize,
    /// How long the head of a request may take from its first byte.
    pub head_timeout: Duration,
    /// How long a body may pause.
    pub body_idle_timeout: Duration,
    /// How long a body may take in all.
    pub body_timeout: Duration,
    /// How long a peer may not read what we write.
    pub write_timeout: Duration,
    /// How long a connection may be kept without a request.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: MAX_BODY_BYTES,
            max_big_bodies: 4,
            max_connections: 1024,
            max_subscribers: 256,
            head_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
        }
    }
}
