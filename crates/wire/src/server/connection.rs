//! One accepted connection: reads requests, decides whether each may run, and writes answers as
//! they come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::fault::{Fault, FaultCode};
use crate::frame::{FrameError, Head, Kind, encode_fault};
use crate::methods::{CallerKind, MAX_BODY, Method, Row, StreamMethod};
use crate::peer::Caller;
use crate::server::Inner;
use crate::server::gate::Pass;
use crate::server::request::Request;
use crate::stream::Stream;
use crate::transport::{Reader, TransportError, Writer};

/// Answers that wait to be written before handlers wait too, and frames written at once.
const QUEUE: usize = 64;

/// How often the peer of a stream is looked up among the removed nodes.
const LOOK: Duration = Duration::from_secs(1);

/// One accepted connection.
pub(super) struct Connection {
    inner: Arc<Inner>,
    caller: Caller,
    /// When the certificate that the peer showed expires.
    until: Option<SystemTime>,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    active: Active,
    work: JoinSet<()>,
    _pass: Pass,
}

/// The requests in work, by number.
#[derive(Clone, Default)]
pub(super) struct Active(Arc<Mutex<HashMap<u64, AbortHandle>>>);

impl Active {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remove(&self, request: u64) {
        self.lock().remove(&request);
    }
}

/// A frame to write, with the share of the limits that it still holds.
pub(super) struct Answer {
    head: Head,
    body: Bytes,
    _shares: Option<Shares>,
}

/// A request's share of the limits.
pub(super) type Shares = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Answer {
    pub(super) fn new(request: u64, result: Result<Bytes, Fault>, shares: Option<Shares>) -> Self {
        let (kind, body) = match result {
            Ok(body) => (Kind::Reply, body),
            Err(fault) => (Kind::Error, encode_fault(&fault).freeze()),
        };
        Self { head: Head::new(kind, request, body.len() as u32), body, _shares: shares }
    }
}

/// What follows from a head.
enum Verdict {
    Run(Method),
    Open(StreamMethod),
    /// Answered with a fault; the connection goes on.
    Refuse(Fault),
    /// Answered with a fault; the connection ends.
    HangUp(Fault),
}

impl Connection {
    pub(super) fn new(
        inner: Arc<Inner>,
        caller: Caller,
        until: Option<SystemTime>,
        pass: Pass,
    ) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(inner.limits.requests)),
            bytes: Arc::new(Semaphore::new(inner.limits.bytes)),
            inner,
            caller,
            until,
            active: Active::default(),
            work: JoinSet::new(),
            _pass: pass,
        }
    }

    /// Serves until the peer leaves, misbehaves, or the server stops.
    pub(super) async fn run(
        mut self,
        mut reader: Reader,
        mut writer: Writer,
        stop: CancellationToken,
    ) {
        let first = stop.run_until_cancelled(reader.head(self.inner.limits.idle)).await;
        let Some(Ok(first)) = first else {
            return;
        };
        if first.kind == Kind::Request
            && let Verdict::Open(method) = self.judge(&first)
        {
            let end = self.stream(reader, writer, first, method, &stop).await;
            return self.ended(end);
        }
        let (answers, queue) = mpsc::channel(QUEUE);
        let broken = CancellationToken::new();
        let writing = {
            let broken = broken.clone();
            async move {
                if write(&mut writer, queue).await.is_err() {
                    broken.cancel();
                }
                writer.close().await;
            }
        };
        let reading = async {
            let reading = self.read(&mut reader, first, &answers, &broken);
            let end = stop.run_until_cancelled(reading).await;
            match end {
                Some(end) => self.ended(end),
                None => self.drain().await,
            }
            self.work.shutdown().await;
            drop(answers);
        };
        tokio::join!(writing, reading);
    }

    fn ended(&self, end: Result<(), TransportError>) {
        match end {
            Ok(()) | Err(TransportError::End) => {}
            Err(error) => debug!(caller = %self.caller, %error, "a connection ended"),
        }
    }

    /// The end of the server: what is in work may finish within its grace.
    async fn drain(&mut self) {
        let all = async { while self.work.join_next().await.is_some() {} };
        let _ = timeout(self.inner.limits.grace, all).await;
    }

    async fn read(
        &mut self,
        reader: &mut Reader,
        first: Head,
        answers: &Sender<Answer>,
        broken: &CancellationToken,
    ) -> Result<(), TransportError> {
        let mut head = first;
        loop {
            let step = broken.run_until_cancelled(self.frame(reader, head, answers)).await;
            if !step.unwrap_or(Ok(false))? {
                return Ok(());
            }
            while self.work.try_join_next().is_some() {}
            let next = broken.run_until_cancelled(self.next(reader)).await;
            let Some(next) = next else {
                return Ok(());
            };
            head = next?;
        }
    }

    /// The next head. Silence ends the connection only when nothing is in work.
    async fn next(&mut self, reader: &mut Reader) -> Result<Head, TransportError> {
        loop {
            match reader.head(self.inner.limits.idle).await {
                Err(TransportError::Quiet(_)) if !self.active.lock().is_empty() => {}
                result => return result,
            }
        }
    }

    /// Takes one frame; false if the connection ends with it.
    async fn frame(
        &mut self,
        reader: &mut Reader,
        head: Head,
        answers: &Sender<Answer>,
    ) -> Result<bool, TransportError> {
        match head.kind {
            Kind::Request => return self.request(reader, head, answers).await,
            Kind::Cancel => {
                if let Some(work) = self.active.lock().remove(&head.request) {
                    work.abort();
                }
            }
            Kind::Ping => {
                let head = Head::new(Kind::Pong, head.request, 0);
                let pong = Answer { head, body: Bytes::new(), _shares: None };
                return Ok(answers.send(pong).await.is_ok());
            }
            found => {
                let expected = "a request";
                return Err(FrameError::Unexpected { found, expected }.into());
            }
        }
        Ok(true)
    }

    async fn request(
        &mut self,
        reader: &mut Reader,
        head: Head,
        answers: &Sender<Answer>,
    ) -> Result<bool, TransportError> {
        let refuse = |fault| Answer::new(head.request, Err(fault), None);
        match self.judge(&head) {
            Verdict::HangUp(fault) => {
                let _ = answers.send(refuse(fault)).await;
                return Ok(false);
            }
            Verdict::Refuse(fault) => {
                reader.skip(head.size).await?;
                return Ok(answers.send(refuse(fault)).await.is_ok());
            }
            Verdict::Open(_) => {
                let fault = Fault::new(
                    FaultCode::BadRequest,
                    "a stream is opened as the first request of a connection",
                );
                let _ = answers.send(refuse(fault)).await;
                return Ok(false);
            }
            Verdict::Run(method) => self.start(reader, head, method, answers).await?,
        }
        Ok(true)
    }

    /// Reads the body and starts the handler.
    async fn start(
        &mut self,
        reader: &mut Reader,
        head: Head,
        method: Method,
        answers: &Sender<Answer>,
    ) -> Result<(), TransportError> {
        let Ok(slot) = self.requests.clone().try_acquire_owned() else {
            reader.skip(head.size).await?;
            let text = format!("{} requests in work", self.inner.limits.requests);
            let fault = Fault::new(FaultCode::Busy, text);
            let _ = answers.send(Answer::new(head.request, Err(fault), None)).await;
            return Ok(());
        };
        // Waiting here is the back-pressure: nothing is read until bytes are free.
        let size = (head.size as usize).clamp(1, self.inner.limits.bytes) as u32;
        let Ok(bytes) = self.bytes.clone().acquire_many_owned(size).await else {
            return Ok(());
        };
        reader.restart_clock();
        let body = reader.body(head.size).await?;
        let request = Request {
            method,
            head,
            body,
            caller: self.caller,
            answers: answers.clone(),
            active: self.active.clone(),
        };
        let mut active = self.active.lock();
        if active.contains_key(&head.request) {
            let expected = "a request with a number of its own";
            return Err(FrameError::Unexpected { found: Kind::Request, expected }.into());
        }
        let handler = self.inner.router.handler(method).cloned();
        let handle = self.work.spawn(request.run(handler, (slot, bytes)));
        active.insert(head.request, handle);
        Ok(())
    }

    /// What a request comes to, by its head alone.
    fn judge(&self, head: &Head) -> Verdict {
        if let Some(fault) = self.unwelcome() {
            return Verdict::HangUp(fault);
        }
        let call = Method::from_number(head.method);
        let stream = StreamMethod::from_number(head.method);
        let Some(row) = call.map(Method::row).or(stream.map(StreamMethod::row)) else {
            let text = format!("method {} is in no table here", head.method);
            return self.refuse(head, FaultCode::UnknownMethod, text);
        };
        if let Some((code, text)) = self.objection(head, row) {
            return self.refuse(head, code, text);
        }
        match (call, stream) {
            (Some(method), _) => Verdict::Run(method),
            (None, Some(method)) => Verdict::Open(method),
            (None, None) => self.refuse(head, FaultCode::UnknownMethod, String::new()),
        }
    }

    fn objection(&self, head: &Head, row: &Row) -> Option<(FaultCode, String)> {
        if !row.accepts(self.caller.kind()) {
            let text = format!("{} does not accept a {}", row.name, self.caller);
            return Some((FaultCode::Forbidden, text));
        }
        if head.size > row.request_limit {
            let (size, limit) = (head.size, row.request_limit);
            let text = format!("{} has {size} bytes, expected at most {limit}", row.name);
            return Some((FaultCode::TooLarge, text));
        }
        None
    }

    /// A node's mistake is answered and read over; that of a stranger, or of a node whose certificate
    /// has expired, ends the connection, as does what nobody may send.
    fn refuse(&self, head: &Head, code: FaultCode, text: String) -> Verdict {
        let fault = Fault::new(code, text);
        let guest = matches!(self.caller.kind(), CallerKind::Stranger | CallerKind::Lapsed);
        if guest || head.size > MAX_BODY { Verdict::HangUp(fault) } else { Verdict::Refuse(fault) }
    }

    /// Why the peer has no business here any more, though it had when it connected.
    fn unwelcome(&self) -> Option<Fault> {
        let identity = self.caller.identity.as_ref()?;
        let held = self.inner.keys.held();
        let member = &held.member;
        let text = if (member.refused)(identity.node) {
            format!("node {} was removed from the cluster", identity.node)
        } else if self.until.is_some_and(|until| member.clock.now() > until) {
            "the certificate of this connection has expired; connect again".to_owned()
        } else {
            return None;
        };
        Some(Fault::new(FaultCode::Forbidden, text))
    }

    /// The connection becomes a stream.
    async fn stream(
        &self,
        mut reader: Reader,
        mut writer: Writer,
        head: Head,
        method: StreamMethod,
        stop: &CancellationToken,
    ) -> Result<(), TransportError> {
        let opening = reader.body(head.size).await?;
        let Some(handler) = self.inner.router.stream_handler(method) else {
            let text = format!("{method} is not served here");
            let fault = Fault::new(FaultCode::UnknownMethod, text);
            writer.fault(head.request, &fault).await?;
            writer.close().await;
            return Ok(());
        };
        writer.send(Head::new(Kind::Reply, head.request, 0), &[]).await?;
        let mut stream = Stream::new(reader, writer, head.request, self.inner.limits.idle);
        let result = tokio::select! {
            result = handler.serve(self.caller, opening, &mut stream) => result,
            fault = self.until_unwelcome() => Err(fault),
            () = stop.cancelled() => Err(Fault::new(FaultCode::Stopped, "the server ends")),
        };
        stream.conclude(result).await;
        Ok(())
    }

    /// Waits until the peer has no business here any more: a stream brings no requests at which
    /// that would show.
    async fn until_unwelcome(&self) -> Fault {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(fault) = self.unwelcome() {
                return fault;
            }
        }
    }
}

/// Writes answers, several at once when there are several.
async fn write(writer: &mut Writer, mut queue: Receiver<Answer>) -> Result<(), TransportError> {
    let mut batch = Vec::with_capacity(QUEUE);
    while queue.recv_many(&mut batch, QUEUE).await > 0 {
        for answer in batch.drain(..) {
            writer.put(&answer.head.encode(), &answer.body).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}
