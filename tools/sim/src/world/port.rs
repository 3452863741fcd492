//! A node's end of the network.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use regrow_consensus::transport::{Ask, Chunks, Peer, Transport, TransportError};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::canary::Canary;
use super::net::{Answer, Body, Message, Place};
use super::observer::Window;

/// The connection of an image counts as broken when nothing comes back for this long.
const BROKEN: Duration = Duration::from_secs(5);

/// What a node sends, and what it waits for.
pub struct Port {
    node: u64,
    life: u64,
    resends: bool,
    /// The canary of clients that read without asking.
    pub canary: Option<Canary>,
    /// One command of a client at a time, so that those who wait for a leader go on in one order.
    pub writing: tokio::sync::Mutex<()>,
    calls: AtomicU64,
    window: Mutex<Option<Window>>,
    out: Mutex<Vec<(u64, Message)>>,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port {
    /// The port of a node in one of its lives.
    pub fn new(node: u64, life: u64, canary: Option<Canary>) -> Self {
        Self {
            node,
            life,
            resends: canary == Some(Canary::SentTwice),
            canary,
            writing: tokio::sync::Mutex::default(),
            calls: AtomicU64::new(0),
            window: Mutex::default(),
            out: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Begins a window.
    pub fn begin(&self, window: Window) {
        *lock(&self.window) = Some(window);
    }

    /// What was sent, with the time of the world.
    pub fn take(&self) -> Vec<(u64, Message)> {
        std::mem::take(&mut lock(&self.out))
    }

    /// Sends something. `life` is the receiver's where this is an answer, else this node's.
    pub fn send(&self, to: Place, life: u64, call: u64, body: Body) {
        let now = lock(&self.window).map_or(0, |window| window.now());
        let message = Message { from: Place::Node(self.node), life, to, call, body };
        lock(&self.out).push((now, message));
    }

    /// An answer arrived for a call of the life `life`.
    pub fn answered(&self, life: u64, call: u64, answer: Answer) {
        if life == self.life
            && let Some(waiting) = lock(&self.waiting).remove(&call)
        {
            // Who gave up does not need to hear.
            let _ = waiting.send(answer);
        }
    }

    async fn ask(&self, to: u64, body: Body, within: Duration) -> Result<Bytes, TransportError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let command = matches!(body, Body::Ask(Ask::Propose, _));
        let (told, hears) = oneshot::channel();
        lock(&self.waiting).insert(call, told);
        self.send(Place::Node(to), self.life, call, body);
        let answer = timeout(within, hears).await;
        lock(&self.waiting).remove(&call);
        let not_sent = |reason: String| TransportError::NotSent { node: to, reason };
        let unknown = |reason: String| TransportError::Unknown { node: to, reason };
        match answer {
            Ok(Ok(Answer::Done(bytes))) => Ok(bytes),
            Ok(Ok(Answer::NotReached)) => Err(not_sent("connection refused".into())),
            Ok(Ok(Answer::Failed(reason))) => Err(unknown(reason)),
            _ if command && self.resends => Err(not_sent("no answer".into())),
            _ => Err(unknown(format!("no answer within {within:?}"))),
        }
    }
}

#[async_trait]
impl Transport for Port {
    async fn call(
        &self,
        to: &Peer,
        _: u32,
        ask: Ask,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        // The wrong patience is what makes the bug show: the caller has time left to send again.
        let within = if self.resends { within.min(Duration::from_millis(300)) } else { within };
        self.ask(to.node, Body::Ask(ask, body), within).await
    }

    async fn send_image(
        &self,
        to: &Peer,
        _: u32,
        head: Bytes,
        mut chunks: Chunks,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        let mut image = Vec::new();
        while let Some(chunk) = chunks.next().await {
            image.push(chunk.map_err(|error| TransportError::NotSent {
                node: to.node,
                reason: error.to_string(),
            })?);
        }
        self.ask(to.node, Body::Image(head, image), within.min(BROKEN)).await
    }
}
