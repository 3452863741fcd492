//! Locks: who may run what only one may run at a time.
//!
//! The supervisor owns the leases, not its jobs, so a slow check loses no lock. A lock is an election
//! of [`regrow_coord`]: its lease is renewed three times in its time, and by our own clock it ends a
//! tenth of its time before another could have it. `stop_before` before that end its jobs are told to
//! stop, and at the end they are killed: two never run at once, as far as clocks tell. What must be
//! safe also then compares the fence, which only grows.

mod contender;
mod term;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use regrow_coord::{Consul, ConsulSettings, Coordinator, Election, Prefix};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::contender::{Contender, Order};
use super::client::LONGEST;
use super::complaint::Complaint;
use super::error::DiscoveryError;
use super::tls;
use super::token::token;
use crate::config::{self, Lock};
use crate::machine::Input;

/// What the keys of locks begin with.
const PREFIX: &str = "regrow/supervise/";

/// What is known here of the one who competes for a lock.
struct Place {
    orders: UnboundedSender<Order>,
    /// The fence under which the lock is held.
    tenure: watch::Receiver<Option<u64>>,
    wanted: bool,
}

/// The locks of this supervisor. Dropping it gives them back soon; [`settle`](Self::settle) waits
/// until that is done.
pub struct Locking {
    places: HashMap<Arc<str>, Place>,
    tasks: JoinSet<()>,
}

impl Locking {
    /// Competes for each lock once [`want`](Self::want) says so. [`Input::Acquired`] and
    /// [`Input::Losing`] go to `answers`.
    ///
    /// `identity` is what others see of the holder. It must be that of this supervisor alone, and the
    /// same for the workers that follow one another: a worker goes on with the lock that one with its
    /// identity held, under the same fence. `held` are the fences under which the jobs run that the
    /// worker before this one started; those that are gone are told as [`Input::Losing`].
    ///
    /// # Errors
    /// The agent cannot be used as it is configured, or a name cannot be that of a lock.
    pub fn start(
        consul: &config::Consul,
        locks: &[Lock],
        identity: &str,
        held: &BTreeMap<Arc<str>, u64>,
        answers: &UnboundedSender<Input>,
    ) -> Result<Self, DiscoveryError> {
        if locks.is_empty() {
            return Ok(Self { places: HashMap::new(), tasks: JoinSet::new() });
        }
        let coordinator = Arc::new(coordinator(consul, locks)?);
        Self::on(&(coordinator as Arc<dyn Coordinator>), locks, identity, held, answers)
    }

    fn on(
        coordinator: &Arc<dyn Coordinator>,
        locks: &[Lock],
        identity: &str,
        held: &BTreeMap<Arc<str>, u64>,
        answers: &UnboundedSender<Input>,
    ) -> Result<Self, DiscoveryError> {
        let mut locking = Self { places: HashMap::new(), tasks: JoinSet::new() };
        for lock in locks {
            let held = held.get(&lock.name).copied();
            locking.compete(coordinator, lock, identity, held, answers)?;
        }
        Ok(locking)
    }

    fn compete(
        &mut self,
        coordinator: &Arc<dyn Coordinator>,
        lock: &Lock,
        identity: &str,
        held: Option<u64>,
        answers: &UnboundedSender<Input>,
    ) -> Result<(), DiscoveryError> {
        let refused = |error: regrow_coord::Invalid| DiscoveryError::Lock {
            name: lock.name.to_string(),
            reason: error.to_string(),
        };
        // The name is one part of a key. The sign is in no name of a lock.
        let name = lock.name.replace('/', "~");
        let election = Election::new(coordinator.clone(), &name).map_err(refused)?;
        let (orders, receiver) = mpsc::unbounded_channel();
        let (telling, tenure) = watch::channel(None);
        let contender = Contender {
            election,
            lock: lock.clone(),
            identity: identity.to_owned().into(),
            held,
            orders: receiver,
            answers: answers.clone(),
            complaint: Mutex::new(Complaint::default()),
            tenure: telling,
            wanted: false,
            hold_off: Instant::now(),
        };
        self.tasks.spawn(contender.run());
        self.places.insert(lock.name.clone(), Place { orders, tenure, wanted: false });
        Ok(())
    }

    /// Follows other settings: competes for `added`, and no longer for those of `gone`, which are
    /// given back. What is in neither goes on untouched.
    ///
    /// # Errors
    /// As [`start`](Self::start); nothing was changed then.
    pub fn follow(
        &mut self,
        consul: &config::Consul,
        added: &[Lock],
        gone: &[Arc<str>],
        identity: &str,
        answers: &UnboundedSender<Input>,
    ) -> Result<(), DiscoveryError> {
        let coordinator = match added {
            [] => None,
            _ => Some(Arc::new(coordinator(consul, added)?) as Arc<dyn Coordinator>),
        };
        self.change(coordinator.as_ref(), added, gone, identity, answers)
    }

    fn change(
        &mut self,
        coordinator: Option<&Arc<dyn Coordinator>>,
        added: &[Lock],
        gone: &[Arc<str>],
        identity: &str,
        answers: &UnboundedSender<Input>,
    ) -> Result<(), DiscoveryError> {
        for name in gone {
            // Its task ends with its orders, and gives back what it has.
            self.places.remove(name);
        }
        for (lock, coordinator) in added.iter().zip(coordinator.into_iter().cycle()) {
            self.compete(coordinator, lock, identity, None, answers)?;
        }
        Ok(())
    }

    /// Competes for the locks that are wanted, and leaves the queue for the others. What is held
    /// stays so until it is [released](Self::release).
    pub fn want(&mut self, wants: impl Fn(&str) -> bool) {
        for (lock, place) in &mut self.places {
            let wanted = wants(lock);
            if std::mem::replace(&mut place.wanted, wanted) != wanted {
                // Who competes lives as long as its orders.
                let _ = place.orders.send(Order::Want(wanted));
            }
        }
    }

    /// Gives a lock back that is held under this fence, since nothing runs under it any more, and
    /// competes for it again after a third of its time: another that waits has it by then.
    pub fn release(&self, lock: &str, fence: u64) {
        if let Some(place) = self.places.get(lock) {
            // As above.
            let _ = place.orders.send(Order::Release(fence));
        }
    }

    /// Whether an input that was sent by this still holds. A lock that was acquired and given back
    /// since, as when its settings changed, is not ours any more: nothing must begin under it.
    pub fn still_holds(&self, input: &Input) -> bool {
        let Input::Acquired { lock, fence } = input else { return true };
        self.places.get(lock).is_some_and(|place| *place.tenure.borrow() == Some(*fence))
    }

    /// Gives everything back and returns when that is done, or after that time; what is left then ends
    /// with its lease. For the end of the program.
    pub async fn settle(mut self, within: Duration) {
        self.places.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(within, all).await;
    }
}

fn coordinator(consul: &config::Consul, locks: &[Lock]) -> Result<Consul, DiscoveryError> {
    let refused = |error: regrow_coord::Invalid| DiscoveryError::Url {
        url: consul.url.clone(),
        reason: error.to_string(),
    };
    let encrypted = consul.url.starts_with("https://");
    let shortest = locks.iter().map(|lock| lock.ttl / 3).min().unwrap_or(LONGEST);
    let settings = ConsulSettings {
        endpoints: vec![consul.url.clone()],
        prefix: Prefix::new(PREFIX).map_err(refused)?,
        token: token(consul)?,
        login: consul.basic.clone().map(|(user, password)| (user, password.0)),
        deadline: shortest.min(LONGEST),
        tls: if encrypted { Some(tls::settings(consul)?) } else { None },
    };
    Consul::new(settings).map_err(refused)
}
