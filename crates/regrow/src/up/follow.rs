//! Turns what the group controller and the providers tell into streams of notes and happenings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use regrow_groups::Groups;
use regrow_groups::state::GroupState;
use regrow_ids::GroupId;
use regrow_plugin::spi::Health;
use regrow_plugin::{Lookup, topics};
use regrow_reconcile::Note;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc::Sender;

use super::tracker::{GroupView, SlotView};

/// Time between looks for groups that came or went.
const NEW_GROUPS: Duration = Duration::from_millis(20);
/// A group is looked at so often even when it says nothing.
const QUIET: Duration = Duration::from_secs(1);
/// Pause after a look for each member that it showed: a big group changes hundreds of times while it
/// is made, and a picture of each change would cost more than making it.
const PAUSE_PER_MEMBER: Duration = Duration::from_micros(20);

/// Something to show.
pub enum Happening {
    /// How a group stands.
    Snapshot(GroupView),
    /// A group is no longer watched.
    Gone(String),
    /// A provider noticed that an instance is gone.
    Lost {
        /// Its id.
        instance: String,
        /// Why, as far as the provider knows.
        why: String,
        /// When we were told.
        seen: Instant,
    },
}

/// Follows all groups, also those that come later, until the receiver is gone.
pub fn start(groups: &Arc<Groups>, plugins: &Arc<dyn Lookup>, sender: &Sender<Happening>) {
    tokio::spawn(each(Arc::clone(groups), Arc::clone(plugins), sender.clone()));
}

/// Looks for groups that came or went.
async fn each(groups: Arc<Groups>, plugins: Arc<dyn Lookup>, sender: Sender<Happening>) {
    let mut known: BTreeSet<GroupId> = BTreeSet::new();
    let mut look = tokio::time::interval(NEW_GROUPS);
    while !sender.is_closed() {
        look.tick().await;
        let now: BTreeSet<_> = groups.watched().into_iter().collect();
        for id in now.difference(&known) {
            tokio::spawn(snapshots(Arc::clone(&groups), id.clone(), sender.clone()));
            let plugins = Arc::clone(&plugins);
            tokio::spawn(losses(Arc::clone(&groups), plugins, id.clone(), sender.clone()));
        }
        for id in known.difference(&now) {
            let _ = sender.send(Happening::Gone(id.to_string())).await;
        }
        known = now;
    }
}

/// Lines of the controller, in its order. They do not come with the happenings: a group tells of its
/// members before it shows that it has converged, and on two ways the last word could overtake them.
pub struct Notes(Receiver<Arc<Note>>);

impl Notes {
    /// Those from now on.
    pub fn of(groups: &Groups) -> Self {
        Self(groups.notes())
    }

    /// Waits for the next one; none when the controller is gone. Nothing is lost if it is dropped.
    pub async fn next(&mut self) -> Option<Arc<Note>> {
        loop {
            match self.0.recv().await {
                Ok(note) => return Some(note),
                Err(RecvError::Lagged(count)) => missed(count),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next one if it was said already.
    pub fn ready(&mut self) -> Option<Arc<Note>> {
        loop {
            match self.0.try_recv() {
                Ok(note) => return Some(note),
                Err(TryRecvError::Lagged(count)) => missed(count),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

fn missed(count: u64) {
    tracing::warn!(count, "some lines are not shown");
}

async fn snapshots(groups: Arc<Groups>, id: GroupId, sender: Sender<Happening>) {
    let Some(mut status) = groups.watch_status(&id) else { return };
    loop {
        let now = status.borrow_and_update().clone();
        let looked = |state: &GroupState| (view_of(state), state.last_look.is_some());
        let Ok((mut view, seen)) = groups.inspect(&id, looked).await else { return };
        view.converged = now.converged;
        // Before the first look every group waits for it, which is not worth a line.
        if seen {
            view.blocked = now.blocked;
        }
        let pause = PAUSE_PER_MEMBER * u32::try_from(view.slots.len()).unwrap_or(u32::MAX);
        if sender.send(Happening::Snapshot(view)).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        tokio::select! {
            changed = status.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(QUIET) => {}
        }
    }
}

fn view_of(state: &GroupState) -> GroupView {
    let slots = state.members.values().map(|member| SlotView {
        slot: member.slot.to_string(),
        instance: member.description.id.to_string(),
        present: member.absent.is_none()
            && !state.reported_lost.contains_key(&member.description.id),
        healthy: member.health.last.map(|health| health == Health::Healthy),
        current: member.is_current(&state.config.hash),
        found: member.found,
    });
    GroupView {
        id: state.config.id.to_string(),
        wanted: state.desired(),
        slots: slots.collect(),
        coming: state.claims.len(),
        updating: state.update.is_some(),
        converged: false,
        blocked: Vec::new(),
    }
}

/// The provider's own word is the earliest: it knows of a death before any list shows it.
async fn losses(
    groups: Arc<Groups>,
    plugins: Arc<dyn Lookup>,
    id: GroupId,
    sender: Sender<Happening>,
) {
    let plugin = groups.inspect(&id, |state| state.config.document.instance.plugin.clone()).await;
    let Ok(plugin) = plugin else { return };
    let Ok(provider) = plugins.instance(&plugin).await else { return };
    let Some(mut events) = provider.watch() else { return };
    while let Some(event) = events.next().await {
        if event.kind != topics::LOST {
            continue;
        }
        let lost = Happening::Lost {
            instance: event.id.clone(),
            why: event.message.clone(),
            seen: Instant::now(),
        };
        if sender.send(lost).await.is_err() {
            return;
        }
    }
}
