//! Keeps the catalog at the latest word on each service of this supervisor.
//!
//! One task a service holds what is wanted now, so a silent agent costs a fixed amount of memory. A
//! service is known by its identity in the catalog, not by its job: when a reload gives it to another
//! job, the end of the old one takes nothing away from the new one.

mod body;
mod keeper;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::keeper::{Complaints, Keeper};
use self::plan::{Told, Wanted};
use super::client::Client;
use crate::config::{Service, Status};
use crate::machine::{Input, JobId};

/// How long a job waits for its service to be gone before it goes on.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);

/// Announces services. Dropping it leaves the catalog as it is.
pub struct Announcer {
    client: Client,
    answers: mpsc::UnboundedSender<Input>,
    /// What each job is announced as.
    known: HashMap<JobId, Known>,
    /// By identity in the catalog.
    slots: HashMap<String, Slot>,
}

struct Known {
    service: Arc<Service>,
    ttl: Duration,
    /// The worker before this one may have announced it.
    perhaps: bool,
}

struct Slot {
    /// Whose word counts.
    owner: JobId,
    wanted: watch::Sender<Wanted>,
    settled: watch::Receiver<u64>,
}

impl Slot {
    fn order(&self) -> u64 {
        self.wanted.borrow().order
    }

    /// Returns when everything that was wanted until now is so.
    fn settled(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut settled, order) = (self.settled.clone(), self.order());
        async move {
            let _ = settled.wait_for(|settled| *settled >= order).await;
        }
    }

    /// Nothing is wanted of it any more.
    fn done(&self) -> bool {
        !self.wanted.borrow().present && *self.settled.borrow() >= self.order()
    }
}

impl Announcer {
    /// An announcer that has nothing to announce yet. Answers go to `answers`.
    pub fn start(client: Client, answers: mpsc::UnboundedSender<Input>) -> Self {
        Self { client, answers, known: HashMap::new(), slots: HashMap::new() }
    }

    /// Tells what a job would be announced as, without doing so. A worker that follows one that died
    /// does this for each job: what the old one had announced can then be withdrawn.
    pub fn know(&mut self, job: JobId, service: Arc<Service>, ttl: Duration) {
        self.known.entry(job).or_insert(Known { service, ttl, perhaps: true });
    }

    /// Announces a service in a state, or changes what is announced of it.
    pub fn announce(&mut self, job: JobId, service: Arc<Service>, ttl: Duration, status: Status) {
        let perhaps = self.known.get(&job).is_some_and(|known| known.perhaps);
        let moved = self.known.get(&job).filter(|known| known.service.id != service.id);
        if let Some(former) = moved.map(|known| known.service.id.clone()) {
            self.take_out(job, &former);
        }
        let of_it = |known: &Known| known.service.id == service.id;
        let slots = &self.slots;
        let owned = |id: &str, job| slots.get(id).is_some_and(|slot| slot.owner == job);
        // Jobs that are over: another one has their service.
        self.known.retain(|old, known| *old == job || !of_it(known) || owned(&service.id, *old));
        self.known.insert(job, Known { service: service.clone(), ttl, perhaps });
        self.want(job, |wanted| {
            (wanted.service, wanted.ttl) = (service, ttl);
            (wanted.present, wanted.status) = (true, status);
        });
    }

    /// Says in which state a service is, and why; announces it where it is not announced. A job that
    /// was never announced nor known has nothing to say.
    pub fn heartbeat(&mut self, job: JobId, status: Status, mut output: String) {
        output.truncate(output.floor_char_boundary(body::OUTPUT_BYTES));
        self.want(job, |wanted| {
            (wanted.present, wanted.status, wanted.output) = (true, status, output);
            wanted.beat += 1;
        });
    }

    /// Takes the service of a job out of the catalog. [`Input::Withdrawn`] comes when it is gone, or
    /// after one second; then it is still taken out as soon as the agent answers.
    pub fn withdraw(&mut self, job: JobId) {
        let id = self.known.get(&job).map(|known| known.service.id.clone());
        let gone = id.and_then(|id| self.take_out(job, &id));
        let answers = self.answers.clone();
        let tell = move || {
            // Nobody listens any more: the program ends.
            let _ = answers.send(Input::Withdrawn { job });
        };
        let Some(gone) = gone else { return tell() };
        tokio::spawn(async move {
            let _ = tokio::time::timeout(WITHDRAWN_WITHIN, gone).await;
            tell();
        });
    }

    /// Returns when every service that was withdrawn is out of the catalog, or after that time. For
    /// the end of the program.
    pub async fn settle(&self, within: Duration) {
        let absent = self.slots.values().filter(|slot| !slot.wanted.borrow().present);
        let all = futures::future::join_all(absent.map(Slot::settled));
        let _ = tokio::time::timeout(within, all).await;
    }

    /// Wants a service to be gone; what says when it is. `None` where there is nothing to wait for.
    fn take_out(
        &mut self,
        job: JobId,
        id: &str,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let known = self.known.get(&job).filter(|known| known.service.id == id);
        let perhaps = known.is_some_and(|known| known.perhaps);
        if perhaps && !self.slots.contains_key(id) {
            self.want(job, |_| ());
        }
        let slot = self.slots.get(id).filter(|slot| slot.owner == job)?;
        slot.wanted.send_modify(|wanted| {
            wanted.present = false;
            wanted.order += 1;
        });
        Some(slot.settled())
    }

    /// Changes what is wanted of the service of a job.
    fn want(&mut self, job: JobId, change: impl FnOnce(&mut Wanted)) {
        let Some(known) = self.known.get(&job) else {
            tracing::debug!(?job, "a job without a service said how it is");
            return;
        };
        self.slots.retain(|id, slot| *id == known.service.id || !slot.done());
        let slot = self
            .slots
            .entry(known.service.id.clone())
            .or_insert_with(|| slot(&self.client, job, known));
        slot.owner = job;
        slot.wanted.send_modify(|wanted| {
            (wanted.service, wanted.ttl) = (known.service.clone(), known.ttl);
            wanted.at = Instant::now();
            wanted.order += 1;
            change(wanted);
        });
    }
}

/// The task of one service, which wants nothing yet.
fn slot(client: &Client, owner: JobId, known: &Known) -> Slot {
    let now = Instant::now();
    let (wanted, receiver) = watch::channel(Wanted {
        service: known.service.clone(),
        ttl: known.ttl,
        present: false,
        status: Status::Critical,
        output: String::new(),
        at: now,
        beat: 0,
        order: 0,
    });
    let (sender, settled) = watch::channel(0);
    let keeper = Keeper {
        client: client.clone(),
        wanted: receiver,
        settled: sender,
        told: Told::new(known.perhaps, now),
        complaints: Complaints::default(),
    };
    tokio::spawn(keeper.run());
    Slot { owner, wanted, settled }
}
