//! The place of one peer and class among a client's connections: at most one connection, one dial
//! at a time, and a wait after each failure.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout_at};

use crate::client::Inner;
use crate::client::link::Link;
use crate::fault::NotSent;
use crate::limits::ClientLimits;
use crate::peer::Peer;

type Dialling = Shared<BoxFuture<'static, Result<Arc<Link>, Arc<io::Error>>>>;

/// The place of one peer and class.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    dialling: Option<Dialling>,
    failures: u32,
    last: Option<(Arc<io::Error>, Instant)>,
}

/// A connection, and whether it was there before.
pub(super) struct Taken {
    pub link: Arc<Link>,
    pub reused: bool,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if nothing would be lost with it.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.state();
        state.dialling.is_none() && !state.link.as_ref().is_some_and(|link| link.is_open())
    }

    /// The connection, made if there is none. A dial goes on when its caller's deadline passes, so
    /// that short deadlines do not prevent a connection for ever.
    pub(super) async fn link(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        peer: &Peer,
        deadline: Instant,
    ) -> Result<Taken, NotSent> {
        let dialling = {
            let mut state = self.state();
            if let Some(link) = state.usable(inner.edition()) {
                return Ok(Taken { link, reused: true });
            }
            match &state.dialling {
                Some(dialling) => dialling.clone(),
                None => self.start(&mut state, inner, peer)?,
            }
        };
        match timeout_at(deadline, dialling).await {
            Ok(Ok(link)) => Ok(Taken { link, reused: false }),
            Ok(Err(error)) => Err(NotSent::Dial(error)),
            Err(_) => Err(NotSent::Late),
        }
    }

    fn start(
        self: &Arc<Self>,
        state: &mut State,
        inner: &Arc<Inner>,
        peer: &Peer,
    ) -> Result<Dialling, NotSent> {
        state.wait(&inner.limits)?;
        let (slot, inner, peer) = (self.clone(), inner.clone(), peer.clone());
        let task = tokio::spawn(async move {
            let result = inner.link(&peer).await.map_err(Arc::new);
            slot.state().dialled(&result);
            result
        });
        let dialling = task
            .map(|done| done.unwrap_or_else(|error| Err(Arc::new(io::Error::other(error)))))
            .boxed()
            .shared();
        state.dialling = Some(dialling.clone());
        Ok(dialling)
    }
}

impl State {
    /// The connection if it may carry a new call. One that ended without ever answering counts as
    /// a failed dial: a peer that accepts and hangs up must not be dialled without end.
    fn usable(&mut self, edition: u64) -> Option<Arc<Link>> {
        let link = self.link.take()?;
        if link.is_open() {
            if link.edition == edition {
                self.link = Some(link.clone());
                return Some(link);
            }
        } else if link.has_answered() {
            self.failures = 0;
            self.last = None;
        } else {
            let error = io::Error::other("the peer hung up without an answer");
            self.failed(&Arc::new(error));
        }
        None
    }

    fn dialled(&mut self, result: &Result<Arc<Link>, Arc<io::Error>>) {
        self.dialling = None;
        match result {
            Ok(link) => self.link = Some(link.clone()),
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: &Arc<io::Error>) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some((error.clone(), Instant::now()));
    }

    fn wait(&self, limits: &ClientLimits) -> Result<(), NotSent> {
        let Some((last, at)) = &self.last else {
            return Ok(());
        };
        let due = *at + back_off(limits, self.failures, rand::random_range(0.5..1.0));
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() { Ok(()) } else { Err(NotSent::BackOff { last: last.clone(), wait }) }
    }
}

/// The wait after so many failures in a row; `share` of it, so that peers do not come together.
fn back_off(limits: &ClientLimits, failures: u32, share: f64) -> Duration {
    let doubled = limits.back_off.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(limits.max_back_off).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let limits = ClientLimits {
            back_off: Duration::from_millis(50),
            max_back_off: Duration::from_millis(300),
            ..ClientLimits::default()
        };
        let waits = [1, 2, 3, 4, 100].map(|failures| back_off(&limits, failures, 1.0).as_millis());
        assert_eq!(waits, [50, 100, 200, 300, 300]);
        assert_eq!(back_off(&limits, 2, 0.5).as_millis(), 50);
    }
}
