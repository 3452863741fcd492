//! Watches: what becomes of a service's instances or of a key, told as events.
//!
//! Questions are held open by the agent, so a change is told as it happens; where the agent cannot do
//! that it is asked at the pace of the watch. While it fails, what was seen last stays.

mod hold;
mod look;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::hold::Hold;
use self::look::{Seen, question};
use super::client::{Client, LONGEST};
use super::complaint::Complaint;
use super::error::CallError;
use super::pace::pause;
use crate::config::Watch;
use crate::event::Event;
use crate::machine::Input;

/// Is told how many healthy instances a watch sees.
type Gauge = Arc<dyn Fn(&str, usize) + Send + Sync>;

/// Watches that run. Dropping it ends them.
pub struct Watching {
    _tasks: JoinSet<()>,
}

impl Watching {
    /// Watches what is in the catalog; locks are not. Events come as [`Input::Published`] with the
    /// source `watch.NAME`; `gauge` is told the number of healthy instances after each look, by the
    /// name of the watch.
    pub fn start(
        client: &Client,
        watches: &[Watch],
        answers: &UnboundedSender<Input>,
        gauge: impl Fn(&str, usize) + Send + Sync + 'static,
    ) -> Self {
        let gauge: Gauge = Arc::new(gauge);
        let mut tasks = JoinSet::new();
        for watch in watches {
            let Some((path, nothing)) = question(watch) else { continue };
            let one = One {
                client: client.clone(),
                path,
                source: format!("watch.{}", watch.name).into(),
                hold: Hold::new(watch.interval),
                seen: nothing,
                watch: watch.clone(),
                answers: answers.clone(),
                complaint: Complaint::default(),
            };
            tasks.spawn(one.run(gauge.clone()));
        }
        Self { _tasks: tasks }
    }
}

/// One watch, with a state of its own: two on one service do not disturb one another.
struct One {
    client: Client,
    watch: Watch,
    path: String,
    source: Arc<str>,
    hold: Hold,
    seen: Seen,
    answers: UnboundedSender<Input>,
    complaint: Complaint,
}

impl One {
    async fn run(mut self, gauge: Gauge) {
        let mut failures = 0;
        loop {
            let asked = Instant::now();
            let pause = match self.look().await {
                Ok((seen, index)) => {
                    failures = 0;
                    self.worked();
                    gauge(&self.watch.name, seen.count());
                    if !self.tell(seen) {
                        return;
                    }
                    self.hold.answered(index, asked.elapsed())
                }
                Err(error) => {
                    failures += 1;
                    self.hold.failed();
                    self.failed(&error);
                    pause(failures).min(self.watch.interval)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self) -> Result<(Seen, Option<u64>), CallError> {
        let (path, within) = match self.hold.question() {
            None => (self.path.clone(), LONGEST),
            Some((index, wait)) => {
                let joint = if self.path.contains('?') { '&' } else { '?' };
                let path = format!("{}{joint}index={index}&wait={}s", self.path, wait.as_secs());
                // Agents add up to a sixteenth.
                (path, wait + wait / 16 + LONGEST)
            }
        };
        let answer = self.client.get(&path, within).await?;
        let seen = self.seen.next(&answer);
        Ok((seen.map_err(|reason| self.client.foreign(&reason))?, answer.index))
    }

    /// Tells what is new; false when nobody listens any more.
    fn tell(&mut self, seen: Seen) -> bool {
        let before = std::mem::replace(&mut self.seen, seen);
        let mut events = self.seen.events(&before).iter();
        events.all(|code| {
            let event = Event::new(*code, self.source.clone());
            self.answers.send(Input::Published(event)).is_ok()
        })
    }

    fn failed(&mut self, error: &CallError) {
        let text = format!("failed to query {}", self.watch.name);
        match self.complaint.failed(&text, error.kind(), error) {
            Some(line) => tracing::warn!("{line}"),
            None => tracing::debug!("{text}: {error}"),
        }
    }

    fn worked(&mut self) {
        if let Some(failures) = self.complaint.worked() {
            let name = &self.watch.name;
            tracing::info!("{name} can be queried again after {failures} failures");
        }
    }
}
