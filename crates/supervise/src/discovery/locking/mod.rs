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
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::contender::{Contender, Order};
use super::client::LONGEST;
use super::complaint::Complaint;
use super::error::DiscoveryError;
use super::tls;
use crate::config::{self, Lock};
use crate::machine::Input;

/// What the keys of locks begin with.
const PREFIX: &str = "regrow/supervise/";

/// The locks of this supervisor. Dropping it gives them back soon; [`settle`](Self::settle) waits
/// until that is done.
pub struct Locking {
    orders: HashMap<Arc<str>, UnboundedSender<Order>>,
    tasks: JoinSet<()>,
}

impl Locking {
    /// Competes for each lock. [`Input::Acquired`] and [`Input::Losing`] go to `answers`.
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
            return Ok(Self { orders: HashMap::new(), tasks: JoinSet::new() });
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
        let mut locking = Self { orders: HashMap::new(), tasks: JoinSet::new() };
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
        let (sender, receiver) = mpsc::unbounded_channel();
        let contender = Contender {
            election,
            lock: lock.clone(),
            identity: identity.to_owned().into(),
            held,
            orders: receiver,
            answers: answers.clone(),
            complaint: Mutex::new(Complaint::default()),
            hold_off: Instant::now(),
        };
        self.tasks.spawn(contender.run());
        self.orders.insert(lock.name.clone(), sender);
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
        for name in gone {
            // Its task ends with its orders, and gives back what it has.
            self.orders.remove(name);
        }
        for (lock, coordinator) in added.iter().zip(coordinator.iter().cycle()) {
            self.compete(coordinator, lock, identity, None, answers)?;
        }
        Ok(())
    }

    /// Gives a lock back, since nothing runs under it any more, and competes for it again after a
    /// third of its time: another that waits has it by then.
    pub fn release(&self, lock: &str) {
        self.order(lock, Order::Release);
    }

    /// Leaves a lock to others for this time, for a planned switch-over. Where it is held, its jobs
    /// are told to stop first, as if it were about to be lost.
    pub fn yield_for(&self, lock: &str, time: Duration) {
        self.order(lock, Order::Yield(time));
    }

    fn order(&self, lock: &str, order: Order) {
        let given = self.orders.get(lock).is_some_and(|orders| orders.send(order).is_ok());
        if !given {
            tracing::warn!("there is no lock {lock}");
        }
    }

    /// Gives everything back and returns when that is done, or after that time; what is left then ends
    /// with its lease. For the end of the program.
    pub async fn settle(mut self, within: Duration) {
        self.orders.clear();
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
        token: consul.token.as_ref().map(|token| token.0.clone()),
        login: consul.basic.clone().map(|(user, password)| (user, password.0)),
        deadline: shortest.min(LONGEST),
        tls: if encrypted { Some(tls::settings(consul)?) } else { None },
    };
    Consul::new(settings).map_err(refused)
}
