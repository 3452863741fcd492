use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::MuxBody;

/// Largest request body: the limit of a plugin's server.
pub const MAX_BODY_BYTES: u64 = 64 << 20;
/// How long a request body may pause.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request body was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It is too large.
    #[error("the body is too large")]
    TooLarge,
    /// It paused for too long.
    #[error("the body did not go on")]
    TooSlow,
}

/// The body of a request, bounded in size and in patience.
pub(super) struct Bounded {
    inner: Incoming,
    left_bytes: u64,
    idle: Pin<Box<Sleep>>,
}

pub(super) fn bounded(inner: Incoming) -> MuxBody {
    let idle = Box::pin(tokio::time::sleep(IDLE_TIMEOUT));
    Bounded { inner, left_bytes: MAX_BODY_BYTES, idle }.boxed_unsync()
}

/// A body from a peer that we trust as much as ourselves.
pub(super) fn streamed(inner: Incoming) -> MuxBody {
    inner.map_err(Into::into).boxed_unsync()
}

pub(super) fn whole(text: impl Into<Bytes>) -> MuxBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left_bytes.checked_sub(length) else {
                    return Poll::Ready(Some(Err(BodyFault::TooLarge.into())));
                };
                self.left_bytes = left;
                self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => Poll::Ready(Some(Err(fault.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.idle.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyFault::TooSlow.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
