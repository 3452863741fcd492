//! Which checks run, and when.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::probe::Probe;
use super::{CheckOptions, Finding, INTERVAL_MIN};
use crate::agent::{Agent, AgentError, Local};
use crate::model::{CheckDefinition, CheckType};

/// Longest time for which an unchanged finding is not told again.
const REPEAT: Duration = Duration::from_secs(60);

struct Shared {
    agent: Agent,
    probe: Probe,
    looks: Semaphore,
}

/// A check that runs, or one that was told to stop and may not have.
struct Running {
    /// As it is run; `None` once it was told to stop.
    definition: Option<CheckDefinition>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Follows the registrations until told to stop.
pub(super) async fn run(
    agent: Agent,
    probe: Probe,
    options: &CheckOptions,
    stop: CancellationToken,
) {
    let mut changes = agent.watch();
    let looks = Semaphore::new(options.looks.clamp(1, Semaphore::MAX_PERMITS));
    let shared = Arc::new(Shared { agent, probe, looks });
    let mut running = HashMap::new();
    loop {
        let local = Arc::clone(&changes.borrow_and_update());
        arrange(&shared, &mut running, &wanted(&local), &stop);
        tokio::select! {
            () = stop.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
        }
    }
    for running in running.into_values() {
        running.stop.cancel();
        let _ = running.task.await;
    }
}

/// The checks that are run here, by id.
fn wanted(local: &Local) -> BTreeMap<&str, &CheckDefinition> {
    let specs = local.checks.values().map(|check| &check.spec);
    let runs = specs
        .filter(|spec| !matches!(spec.definition.check_type(), CheckType::Plain | CheckType::Ttl));
    runs.map(|spec| (spec.id.as_str(), &spec.definition)).collect()
}

/// Makes what runs what is wanted.
fn arrange(
    shared: &Arc<Shared>,
    running: &mut HashMap<String, Running>,
    wanted: &BTreeMap<&str, &CheckDefinition>,
    stop: &CancellationToken,
) {
    running.retain(|_, check| check.definition.is_some() || !check.task.is_finished());
    for (id, check) in running.iter_mut() {
        let same = check.definition.as_ref() == wanted.get(id.as_str()).copied();
        if !same {
            check.stop.cancel();
            check.definition = None;
        }
    }
    for (id, definition) in wanted {
        if running.get(*id).is_some_and(|check| check.definition.is_some()) {
            continue;
        }
        let former = running.remove(*id).map(|check| check.task);
        let own = stop.child_token();
        let check = check(Arc::clone(shared), (*id).to_owned(), (*definition).clone());
        let stopped = own.clone();
        let task = tokio::spawn(async move {
            // It was told to stop: this is the moment in which it does.
            if let Some(former) = former {
                let _ = former.await;
            }
            tokio::select! {
                biased;
                () = stopped.cancelled() => {}
                () = check => {}
            }
        });
        let definition = Some((*definition).clone());
        running.insert((*id).to_owned(), Running { definition, stop: own, task });
    }
}

/// Looks for ever.
async fn check(shared: Arc<Shared>, id: String, definition: CheckDefinition) {
    let every = definition.interval.unwrap_or(INTERVAL_MIN).max(INTERVAL_MIN);
    let mut told = Told { changes: shared.agent.watch(), last: None };
    sleep(every.mul_f64(rand::random_range(0.0..1.0))).await;
    loop {
        let finding = match shared.looks.acquire().await {
            Ok(_place) => shared.probe.look(&definition).await,
            Err(_) => return,
        };
        if let Err(error) = told.tell(&shared.agent, &id, finding).await {
            tracing::debug!(%error, check = id, "tell what a check found: told again soon");
        }
        sleep(every).await;
    }
}

/// What the agent was told.
struct Told {
    changes: watch::Receiver<Arc<Local>>,
    last: Option<(Finding, Instant)>,
}

impl Told {
    /// Tells the agent, where it may not know.
    async fn tell(&mut self, agent: &Agent, id: &str, finding: Finding) -> Result<(), AgentError> {
        let changed = self.changes.has_changed().unwrap_or(true);
        let known =
            self.last.as_ref().is_some_and(|(last, at)| *last == finding && at.elapsed() < REPEAT);
        if known && !changed {
            return Ok(());
        }
        self.changes.mark_unchanged();
        self.last = None;
        agent.report(id, finding.status, &finding.output).await?;
        self.last = Some((finding, Instant::now()));
        Ok(())
    }
}
