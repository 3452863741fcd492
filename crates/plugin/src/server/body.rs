use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::limits::SMALL_BODY_BYTES;
use crate::growing::Growing;

/// Bytes of an oversize body that are read and thrown away before it is refused, so that a client
/// which writes first and reads later gets to see why.
const DISCARDED_BYTES: usize = 64 << 20;

/// How long an oversize body may pause while it is thrown away.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

/// A body in memory, with the permission to be there if it is big.
pub(super) struct Read {
    pub(super) bytes: Bytes,
    permit: Option<OwnedSemaphorePermit>,
}

impl Read {
    /// Gives the bytes up and keeps the permission.
    pub(super) fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        self.permit
    }
}

/// Why a body was not read.
pub(super) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It pauses, or takes, for too long.
    TooSlow,
    /// The connection broke, or the chunks make no sense.
    Broken(hyper::Error),
}

/// Reads a body within the limits of size and time.
///
/// `asks_first` is true for a client that waits for a word from us before it sends the body.
pub(super) async fn read(
    shared: &Shared,
    mut body: Incoming,
    asks_first: bool,
) -> Result<Read, Unread> {
    let limit = shared.limits.max_body_bytes;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let deadline = Instant::now() + shared.limits.body_timeout;
    if announced > limit {
        if !asks_first {
            discard(body, deadline).await;
        }
        return Err(Unread::TooLarge);
    }
    let Some(first) = next(shared, &mut body, deadline).await? else {
        return Ok(Read { bytes: Bytes::new(), permit: None });
    };
    if body.is_end_stream() {
        // The usual case: one piece, nothing to copy.
        return Ok(Read { bytes: first, permit: None });
    }
    let mut permit = None;
    let mut bytes = Growing::announced(announced);
    bytes.push(&first);
    while let Some(piece) = next(shared, &mut body, deadline).await? {
        if bytes.len() + piece.len() > limit {
            drop(bytes);
            discard(body, deadline).await;
            return Err(Unread::TooLarge);
        }
        if permit.is_none() && bytes.len() + piece.len() > SMALL_BODY_BYTES {
            let wait = std::sync::Arc::clone(&shared.big_bodies).acquire_owned();
            let waited = timeout_at(deadline, wait).await.map_err(|_| Unread::TooSlow)?;
            permit = waited.ok();
        }
        bytes.push(&piece);
    }
    Ok(Read { bytes: bytes.finish(), permit })
}

async fn next(
    shared: &Shared,
    body: &mut Incoming,
    deadline: Instant,
) -> Result<Option<Bytes>, Unread> {
    loop {
        let frame = timeout(shared.limits.body_idle_timeout, body.frame());
        let frame = match timeout_at(deadline, frame).await {
            Ok(Ok(frame)) => frame,
            _ => return Err(Unread::TooSlow),
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Unread::Broken(error)),
            // Anything else are trailers, which mean nothing here.
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

async fn discard(mut body: Incoming, deadline: Instant) {
    let mut seen = 0;
    while seen < DISCARDED_BYTES {
        match timeout_at(deadline, timeout(DISCARD_PAUSE, body.frame())).await {
            Ok(Ok(Some(Ok(frame)))) => seen += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}
