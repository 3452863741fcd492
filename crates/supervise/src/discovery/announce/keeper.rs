//! Keeps the agent at the latest word on one service: one task, one call at a time, so that nothing
//! overtakes anything.

use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::body;
use super::plan::{Outcome, Step, Told, Wanted};
use crate::discovery::client::{Client, LONGEST};
use crate::discovery::complaint::Complaint;
use crate::discovery::error::CallError;

/// How long a registration that is on its way may hold up the end of its service. Dropped earlier, it
/// might arrive after it.
const GRACE: Duration = Duration::from_millis(400);

/// The task of one service.
pub(super) struct Keeper {
    pub client: Client,
    pub wanted: watch::Receiver<Wanted>,
    /// The last order that has been carried out.
    pub settled: watch::Sender<u64>,
    pub told: Told,
    pub complaints: Complaints,
}

/// What failed so far, each said once.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    registration: Complaint,
    update: Complaint,
    deregistration: Complaint,
}

impl Keeper {
    /// Runs until nobody wants anything any more.
    pub async fn run(mut self) {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let step = self.told.next(&wanted, Instant::now());
            if self.told.settled(&wanted, step) {
                self.settled.send_replace(wanted.order);
            }
            if let Step::Rest(until) = step {
                if !self.rest(until).await {
                    return;
                }
                continue;
            }
            let outcome = tokio::select! {
                outcome = self.carry_out(step, &wanted) => outcome,
                () = self.urgent(step, wanted.present) => Outcome::Abandoned,
            };
            self.say(step, &wanted, &outcome);
            self.told.took(step, &wanted, &outcome, Instant::now());
        }
    }

    /// False when nobody is left who could want something.
    async fn rest(&mut self, until: Option<Instant>) -> bool {
        let Some(until) = until else { return self.wanted.changed().await.is_ok() };
        tokio::select! {
            changed = self.wanted.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(until) => true,
        }
    }

    /// Returns when a step is to be given up because its service ends.
    async fn urgent(&self, step: Step, present: bool) {
        let mut wanted = self.wanted.clone();
        let ends = wanted.wait_for(|wanted| !wanted.present).await.is_ok();
        if !present || !ends {
            std::future::pending::<()>().await;
        }
        if step == Step::Register {
            tokio::time::sleep(GRACE).await;
        }
    }

    async fn carry_out(&self, step: Step, wanted: &Wanted) -> Outcome {
        let (client, service) = (&self.client, &*wanted.service);
        let within = (wanted.ttl / 2).min(LONGEST);
        let put = async |path: &str, content| match client.put(path, content, within).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error),
        };
        match step {
            Step::Register => {
                let status = wanted.status(Instant::now());
                put(body::REGISTER, body::registration(service, wanted.ttl, status)).await
            }
            Step::Update(_) => {
                let content = body::update(wanted.status, &wanted.output);
                put(&body::update_path(service), content).await
            }
            Step::Deregister => put(&body::deregister_path(service), Default::default()).await,
            Step::Compare => {
                let looked = self.compare(wanted, within).await;
                looked.unwrap_or_else(Outcome::Failed)
            }
            Step::Rest(_) => Outcome::Done,
        }
    }

    async fn compare(&self, wanted: &Wanted, within: Duration) -> Result<Outcome, CallError> {
        let service = &*wanted.service;
        let shown = self.client.get(&body::show_path(service), within).await?;
        let same = match shown.status {
            // Agents before 1.3 do not have this question, and say nothing else.
            StatusCode::NOT_FOUND => shown.body.is_empty(),
            _ => body::same(&shown.body, service).map_err(|error| self.client.foreign(&error))?,
        };
        Ok(if same { Outcome::Done } else { Outcome::Differs })
    }

    fn say(&mut self, step: Step, wanted: &Wanted, outcome: &Outcome) {
        let (id, job) = (&wanted.service.id, &wanted.service.name);
        let (complaint, text) = match step {
            Step::Register => (&mut self.complaints.registration, "service registration failed"),
            Step::Update(_) => (&mut self.complaints.update, "service update TTL failed"),
            Step::Deregister => (&mut self.complaints.deregistration, "deregistering failed"),
            Step::Compare | Step::Rest(_) => {
                if *outcome == Outcome::Differs {
                    tracing::warn!(
                        job,
                        "the catalog lost {id} or has something else: announced again"
                    );
                }
                return;
            }
        };
        match outcome {
            Outcome::Failed(error) if step == Step::Deregister && error.says_unknown() => {}
            Outcome::Failed(error) => match complaint.failed(text, error.kind(), error) {
                Some(line) if step == Step::Deregister => tracing::info!(job, "{line}"),
                Some(line) => tracing::warn!(job, "{line}"),
                None => tracing::debug!(job, "{text}: {error}"),
            },
            Outcome::Done => {
                if let Some(failures) = complaint.worked() {
                    tracing::info!(job, "the catalog takes {id} again after {failures} failures");
                }
            }
            Outcome::Differs | Outcome::Abandoned => {}
        }
    }
}
