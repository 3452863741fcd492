//! One connection of a client: many calls in flight, answered in any order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::fault::{Fault, FaultCode, NotSent, Unknown};
use crate::frame::{FrameError, Head, Kind, decode_fault};
use crate::limits::ClientLimits;
use crate::methods::{MAX_BODY, Row};
use crate::transport::{Reader, TransportError, Writer};

/// Frames that are written before the buffer is sent.
const BATCH: usize = 64;

/// Why a call on a link has no reply.
pub(super) enum Failure {
    NotSent(NotSent),
    Unknown(Unknown),
    Fault(Fault),
}

/// One connection. It ends when the last holder drops it, or when it breaks.
pub(super) struct Link {
    shared: Arc<Shared>,
    outgoing: UnboundedSender<Outgoing>,
    next: AtomicU64,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    max_bytes: usize,
    /// The keys it was made with.
    pub(super) edition: u64,
}

/// What the tasks of a link share with its callers.
struct Shared {
    state: Mutex<State>,
    stop: CancellationToken,
    answered: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    /// Something was sent since the peer was last heard. Calls that ran late are no longer waiting, and
    /// yet a peer that answered none of them is silent.
    unheard: bool,
    closed: Option<Arc<str>>,
}

struct Waiting {
    answer: oneshot::Sender<Result<Bytes, Fault>>,
    limit: u32,
}

struct Outgoing {
    head: Head,
    body: Bytes,
    ticket: Option<Arc<Ticket>>,
}

/// Decides exactly once whether a request left: either the writer claims it, or the caller
/// abandons it. It also holds the call's share of the limits until both are done with it.
struct Ticket {
    state: AtomicU8,
    _shares: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const ABANDONED: u8 = 2;

impl Ticket {
    fn settle(&self, state: u8) -> bool {
        let order = Ordering::AcqRel;
        self.state.compare_exchange(QUEUED, state, order, Ordering::Acquire).is_ok()
    }
}

impl State {
    /// Whether the peer has nothing to say.
    fn owes_nothing(&self) -> bool {
        self.waiting.is_empty() && !self.unheard
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the link: whoever waits learns why.
    fn close(&self, why: &str) {
        let waiting = {
            let mut state = self.state();
            state.closed.get_or_insert_with(|| Arc::from(why));
            std::mem::take(&mut state.waiting)
        };
        self.stop.cancel();
        drop(waiting);
    }

    fn why(&self) -> Arc<str> {
        self.state().closed.clone().unwrap_or_else(|| Arc::from("it was closed"))
    }
}

impl Link {
    /// Starts the tasks of a connection that has exchanged its hellos.
    pub(super) fn start(
        reader: Reader,
        writer: Writer,
        limits: &ClientLimits,
        edition: u64,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            stop: CancellationToken::new(),
            answered: AtomicBool::new(false),
        });
        let (outgoing, queue) = mpsc::unbounded_channel();
        let listener = Listener {
            shared: shared.clone(),
            outgoing: outgoing.downgrade(),
            limits: *limits,
            silent: 0,
            idle: Duration::ZERO,
        };
        tokio::spawn(listener.run(reader));
        tokio::spawn(write(writer, queue, shared.clone()));
        Arc::new(Self {
            shared,
            outgoing,
            next: AtomicU64::new(1),
            requests: Arc::new(Semaphore::new(limits.requests)),
            bytes: Arc::new(Semaphore::new(limits.bytes)),
            max_bytes: limits.bytes,
            edition,
        })
    }

    /// True while calls may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.shared.state().closed.is_none()
    }

    /// True if the peer ever answered a call.
    pub(super) fn has_answered(&self) -> bool {
        self.shared.answered.load(Ordering::Relaxed)
    }

    pub(super) async fn call(
        &self,
        row: &Row,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        let late = |_| Failure::NotSent(NotSent::Late);
        let ticket = timeout_at(deadline, self.ticket(body.len())).await.map_err(late)?;
        let (mut flight, answer) = self.send(row, body, deadline, ticket)?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => {
                flight.landed = true;
                answer.map_err(Failure::Fault)
            }
            Ok(Err(_)) if flight.ticket.settle(ABANDONED) => {
                Err(Failure::NotSent(NotSent::Closed(self.shared.why())))
            }
            Ok(Err(_)) => Err(Failure::Unknown(Unknown::Closed(self.shared.why()))),
            Err(_) if flight.ticket.settle(ABANDONED) => Err(Failure::NotSent(NotSent::Late)),
            Err(_) => Err(Failure::Unknown(Unknown::Late)),
        }
    }

    /// Waits for a share of the limits. The semaphores are never closed.
    async fn ticket(&self, size: usize) -> Arc<Ticket> {
        let size = size.clamp(1, self.max_bytes) as u32;
        loop {
            let request = self.requests.clone().acquire_owned().await;
            let bytes = self.bytes.clone().acquire_many_owned(size).await;
            if let (Ok(request), Ok(bytes)) = (request, bytes) {
                let state = AtomicU8::new(QUEUED);
                return Arc::new(Ticket { state, _shares: (request, bytes) });
            }
        }
    }

    fn send(
        &self,
        row: &Row,
        body: Bytes,
        deadline: Instant,
        ticket: Arc<Ticket>,
    ) -> Result<(Flight<'_>, oneshot::Receiver<Result<Bytes, Fault>>), Failure> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if let Some(why) = &state.closed {
                return Err(Failure::NotSent(NotSent::Closed(why.clone())));
            }
            state.waiting.insert(request, Waiting { answer, limit: row.reply_limit });
            state.unheard = true;
        }
        let flight = Flight { link: self, request, ticket: ticket.clone(), landed: false };
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let head = Head {
            kind: Kind::Request,
            method: row.number,
            request,
            deadline_ms: left.clamp(1, u128::from(u32::MAX)) as u32,
            size: body.len() as u32,
        };
        // A failure means that the writer has ended; then the answer's channel is closed too.
        let _ = self.outgoing.send(Outgoing { head, body, ticket: Some(ticket) });
        Ok((flight, answered))
    }
}

/// A call that waits for its reply; dropping it cancels the call.
struct Flight<'a> {
    link: &'a Link,
    request: u64,
    ticket: Arc<Ticket>,
    landed: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        let waiting = self.link.shared.state().waiting.remove(&self.request);
        self.ticket.settle(ABANDONED);
        let sent = self.ticket.state.load(Ordering::Acquire) == SENT;
        if waiting.is_some() && sent {
            let head = Head::new(Kind::Cancel, self.request, 0);
            let _ = self.link.outgoing.send(Outgoing { head, body: Bytes::new(), ticket: None });
        }
    }
}

/// Writes what is queued, several frames at once when there are several.
async fn write(mut writer: Writer, mut queue: UnboundedReceiver<Outgoing>, shared: Arc<Shared>) {
    let mut batch = Vec::with_capacity(BATCH);
    let stop = shared.stop.clone();
    loop {
        match stop.run_until_cancelled(queue.recv_many(&mut batch, BATCH)).await {
            None | Some(0) => break,
            Some(_) => {}
        }
        match stop.run_until_cancelled(write_batch(&mut writer, &mut batch)).await {
            None => break,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                shared.close(&error.to_string());
                break;
            }
        }
    }
    // The queue goes first: what is still in it was not sent, and its callers say so.
    drop((batch, queue));
    shared.close("it is no longer used");
    writer.close().await;
}

async fn write_batch(writer: &mut Writer, batch: &mut Vec<Outgoing>) -> Result<(), TransportError> {
    for Outgoing { head, body, ticket } in batch.drain(..) {
        if ticket.is_none_or(|ticket| ticket.settle(SENT)) {
            writer.put(&head.encode(), &body).await?;
        }
    }
    writer.flush().await
}

/// Reads answers, and notices when the peer has gone silent.
struct Listener {
    shared: Arc<Shared>,
    outgoing: WeakUnboundedSender<Outgoing>,
    limits: ClientLimits,
    silent: u32,
    idle: Duration,
}

impl Listener {
    async fn run(mut self, mut reader: Reader) {
        let stop = self.shared.stop.clone();
        while let Some(head) = stop.run_until_cancelled(reader.head(self.limits.quiet)).await {
            let result = match head {
                Ok(head) => {
                    (self.silent, self.idle) = (0, Duration::ZERO);
                    self.shared.state().unheard = false;
                    match stop.run_until_cancelled(self.answer(&mut reader, head)).await {
                        Some(result) => result,
                        None => return,
                    }
                }
                Err(TransportError::Quiet(_)) => self.quiet(),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                self.shared.close(&error.to_string());
                return;
            }
        }
    }

    /// Nothing came for a while: fine when nothing was asked, else the peer must show that it lives.
    fn quiet(&mut self) -> Result<(), TransportError> {
        let quiet = self.limits.quiet;
        if self.shared.state().owes_nothing() {
            self.silent = 0;
            self.idle += quiet;
            let used_up = self.idle >= self.limits.idle;
            return if used_up { Err(TransportError::Quiet(self.idle)) } else { Ok(()) };
        }
        self.idle = Duration::ZERO;
        self.silent += 1;
        if self.silent > self.limits.quiet_times {
            return Err(TransportError::Quiet(quiet * self.silent));
        }
        if let Some(outgoing) = self.outgoing.upgrade() {
            let head = Head::new(Kind::Ping, 0, 0);
            let _ = outgoing.send(Outgoing { head, body: Bytes::new(), ticket: None });
        }
        Ok(())
    }

    async fn answer(&self, reader: &mut Reader, head: Head) -> Result<(), TransportError> {
        let Head { kind, request, size, .. } = head;
        match kind {
            Kind::Pong => return Ok(()),
            Kind::Reply | Kind::Error => {}
            found => {
                let expected = "a reply";
                return Err(FrameError::Unexpected { found, expected }.into());
            }
        }
        if size > MAX_BODY {
            return Err(FrameError::TooLarge { kind, size, limit: MAX_BODY }.into());
        }
        self.shared.answered.store(true, Ordering::Relaxed);
        // Without the body nothing is taken from the table: a connection that breaks within it
        // must wake the caller.
        let limit = self.shared.state().waiting.get(&request).map(|waiting| waiting.limit);
        let answer = match limit {
            None => return reader.skip(size).await,
            Some(_) if kind == Kind::Error => Err(decode_fault(&reader.body(size).await?)),
            Some(limit) if size > limit => {
                reader.skip(size).await?;
                let text = format!("{size} bytes, expected at most {limit}");
                Err(Fault::new(FaultCode::ReplyTooLarge, text))
            }
            Some(_) => Ok(reader.body(size).await?),
        };
        let waiting = self.shared.state().waiting.remove(&request);
        if let Some(waiting) = waiting {
            let _ = waiting.answer.send(answer);
        }
        Ok(())
    }
}
