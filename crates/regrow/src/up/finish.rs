//! What becomes of the instances at the end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use regrow_groups::Groups;
use regrow_ids::GroupId;
use tokio::sync::watch;

use super::args::OnExit;
use super::stack::Stack;
use super::tracker::Line;
use crate::view::View;

/// Time between looks at what is left to destroy.
const LOOK: Duration = Duration::from_millis(200);
/// A destruction that takes longer is told about, and again after so long if something changed.
const MOMENT: Duration = Duration::from_secs(1);

/// What to do with the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Leave,
    /// Destroy them.
    Destroy,
}

/// Decides, asking if need be. Nobody is asked when `up` ends by itself.
pub fn decide(wish: OnExit, was_told: bool) -> Decision {
    match wish {
        OnExit::Leave => Decision::Leave,
        OnExit::Destroy => Decision::Destroy,
        OnExit::Ask if !was_told || !std::io::stdin().is_terminal() => Decision::Leave,
        OnExit::Ask => ask(),
    }
}

fn ask() -> Decision {
    eprint!("destroy the instances? [y/N] (they keep running otherwise) ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Decision::Destroy,
        _ => Decision::Leave,
    }
}

/// The last line when instances stay.
pub fn left(groups: &[GroupId]) -> String {
    let names: Vec<_> = groups.iter().map(GroupId::as_str).collect();
    format!(
        "stopped; instances of {} are left running, the next `up` with the same --state goes on \
         with them",
        names.join(", ")
    )
}

/// A group whose members are being destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    /// Members that may still exist.
    pub left: usize,
    /// Calls to its plugin that run or wait for their turn.
    calls: usize,
    /// What it waits for.
    blocked: Vec<String>,
}

/// How the destruction stands.
pub type Remaining = BTreeMap<GroupId, Going>;

impl Going {
    async fn look(id: &GroupId, groups: &Groups) -> Option<Self> {
        let members = groups.inspect(id, |state| {
            let doomed = state.doomed.iter().filter(|(_, doom)| doom.may_exist());
            let doomed = doomed.filter(|(id, _)| !state.members.contains_key(*id)).count();
            state.members.len() + doomed
        });
        let left = members.await.ok()?;
        let status = groups.status(id)?;
        Some(Self { left, calls: status.steps_open, blocked: status.blocked })
    }

    fn text(&self, id: &GroupId) -> String {
        let waits = match (self.blocked.as_slice(), self.calls) {
            ([], 0) => "waits for a look at what is there".to_owned(),
            ([], calls) => format!("{calls} under way"),
            (reasons, _) => format!("waits: {}", reasons.join(", ")),
        };
        format!("{id}: {} left to destroy; {waits}", self.left)
    }
}

/// What is said when a second signal ends everything at once.
pub fn last_words(remaining: &Remaining) -> String {
    let left = remaining.iter().filter(|(_, going)| going.left > 0);
    let left: Vec<_> = left.map(|(id, going)| format!("{} of {id}", going.left)).collect();
    match left.as_slice() {
        [] => "stopped at once; instances are left as they are".to_owned(),
        left => format!("stopped at once; not destroyed yet: {}", left.join(", ")),
    }
}

/// Destroys all members of all groups, through the manager: what is destroyed is not stored any more.
/// A destroy budget holds here as well. What takes longer than a moment is told, and is always known
/// to `remaining`.
pub async fn destroy(
    stack: &Stack,
    view: &mut View,
    began: Instant,
    remaining: &watch::Sender<Remaining>,
) {
    let ids = stack.controller.watched();
    let each = ids.iter().map(|id| async move { (id, stack.groups.destroy_group(id).await) });
    let each = futures::future::join_all(each);
    tokio::pin!(each);
    let mut look = tokio::time::interval(LOOK);
    let mut told_at = began.elapsed();
    let mut told = Remaining::new();
    let results = loop {
        tokio::select! {
            results = &mut each => break results,
            _ = look.tick() => {}
        }
        let now = all_going(&ids, &stack.controller).await;
        if began.elapsed() >= told_at + MOMENT {
            told_at = began.elapsed();
            for (id, going) in now.iter().filter(|(id, going)| told.get(*id) != Some(*going)) {
                view.line(&Line::info(told_at, going.text(id)));
            }
            told.clone_from(&now);
        }
        remaining.send_replace(now);
    };
    for (id, destroyed) in results {
        let at = began.elapsed();
        view.line(&match destroyed {
            Ok(()) => Line::good(at, format!("{id}: destroyed")),
            Err(fault) => Line::warning(at, format!("{id}: destroy: {fault}")),
        });
    }
}

async fn all_going(ids: &[GroupId], groups: &Groups) -> Remaining {
    let mut all = Remaining::new();
    for id in ids {
        // One that is gone already has nothing left.
        if let Some(going) = Going::look(id, groups).await {
            all.insert(id.clone(), going);
        }
    }
    all
}
