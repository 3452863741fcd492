//! What one side holds and waits for, in bytes, counts and time.

use std::time::Duration;

/// Longest time that a handler is given, whatever deadline the caller names.
pub const MAX_DEADLINE: Duration = Duration::from_secs(600);

/// Limits of an accepting side.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections with a verified certificate.
    pub connections: usize,
    /// Connections with a verified certificate from one address.
    pub connections_per_address: usize,
    /// Connections without one: those that still shake hands, and newcomers.
    pub strangers: usize,
    /// The same from one address.
    pub strangers_per_address: usize,
    /// Time for the TLS handshake and the hello together.
    pub handshake: Duration,
    /// Time of a stranger's connection from its first byte to its end.
    pub stranger_life: Duration,
    /// Time from the first byte of a frame to its last, and for writing one.
    pub frame: Duration,
    /// Time without any frame and without any request in work, after which a connection ends; also
    /// the longest silence within a stream.
    pub idle: Duration,
    /// Requests in work on one connection; the next one is answered `Busy`.
    pub requests: usize,
    /// Bytes of requests in work on one connection; above it, reading waits. At least as large as
    /// the largest request of the table.
    pub bytes: usize,
    /// Time that requests in work are given at the end of the server.
    pub grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 512,
            strangers: 256,
            strangers_per_address: 32,
            handshake: Duration::from_secs(10),
            stranger_life: Duration::from_secs(60),
            frame: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            requests: 1024,
            bytes: 32 << 20,
            grace: Duration::from_secs(2),
        }
    }
}

/// Limits of a calling side.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Time for a TCP connection.
    pub connect: Duration,
    /// Time for the TLS handshake and the hello together.
    pub handshake: Duration,
    /// Wait after the first failed dial; doubles with each further one.
    pub back_off: Duration,
    /// Longest wait after a failed dial.
    pub max_back_off: Duration,
    /// Time from the first byte of a frame to its last, and for writing one.
    pub frame: Duration,
    /// How long a peer that was asked something may say nothing at all before it is asked for a sign
    /// of life.
    pub quiet: Duration,
    /// After how many such times a silent connection counts as dead.
    pub quiet_times: u32,
    /// Time without any call, after which a connection is closed. Shorter than the other side's.
    pub idle: Duration,
    /// Longest silence within a stream.
    pub stream_idle: Duration,
    /// Requests in flight on one connection; the next one waits.
    pub requests: usize,
    /// Bytes of requests in flight on one connection; above it, calls wait. At least as large as
    /// the largest request of the table.
    pub bytes: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            handshake: Duration::from_secs(10),
            back_off: Duration::from_millis(50),
            max_back_off: Duration::from_secs(2),
            frame: Duration::from_secs(30),
            quiet: Duration::from_secs(1),
            quiet_times: 3,
            idle: Duration::from_secs(120),
            stream_idle: Duration::from_secs(15),
            requests: 1024,
            bytes: 32 << 20,
        }
    }
}
