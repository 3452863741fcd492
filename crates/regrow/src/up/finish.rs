//! What becomes of the instances at the end.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use regrow_ids::GroupId;
use regrow_plugin::spi::Group;

use super::args::OnExit;
use super::tracker::Line;
use crate::view::View;

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

/// Destroys all members of all groups, through the manager: what is destroyed is not stored any more.
pub async fn destroy(ids: &[GroupId], groups: &Arc<dyn Group>, view: &mut View, began: Instant) {
    let each = ids.iter().map(|id| async move { (id, groups.destroy_group(id).await) });
    for (id, destroyed) in futures::future::join_all(each).await {
        let at = began.elapsed();
        view.line(&match destroyed {
            Ok(()) => Line::good(at, format!("{id}: destroyed")),
            Err(fault) => Line::warning(at, format!("{id}: destroy: {fault}")),
        });
    }
}
