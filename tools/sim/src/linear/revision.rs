//! The check for histories whose revisions give the order: sort by revision, replay once, and see that no operation
//! stands before one that was over when it began.

use super::{Item, Model, Witness};

pub(super) enum Finding {
    Holds,
    Broken(Box<Witness>),
    /// Revisions are missing where they matter; only a search can tell.
    Silent,
}

/// Judges in O(n log n). Changes with unknown outcome and without revision are taken not to have happened; if that
/// explains the rest it is right, and if not the finding is [`Finding::Silent`].
pub(super) fn check<M: Model>(model: &M, items: &[Item<'_, M::Op>]) -> Finding {
    let (mut placed, loose): (Vec<_>, Vec<_>) =
        items.iter().copied().partition(|item| item.seen.revision.is_some());
    if loose.iter().any(|item| item.end.is_some()) {
        return Finding::Silent;
    }
    // Reads come after the change whose revision they carry, and among themselves in the order of invocation.
    placed.sort_by_key(|item| (item.seen.revision, !model.changes(item.op, item.seen), item.call));
    if let Some(witness) = out_of_time(&placed) {
        return Finding::Broken(witness);
    }
    match replay(model, &placed) {
        None => Finding::Holds,
        Some(witness) if loose.is_empty() => Finding::Broken(witness),
        Some(_) => Finding::Silent,
    }
}

/// Two operations whose revisions say the opposite of the clock.
fn out_of_time<O: crate::history::Op>(placed: &[Item<'_, O>]) -> Option<Box<Witness>> {
    let mut latest: Option<&Item<'_, O>> = None;
    for item in placed {
        if let Some(before) = latest
            && item.end.is_some_and(|end| end < before.call)
        {
            let reason = format!(
                "revision {:?} was over before revision {:?} began",
                item.seen.revision.unwrap_or_default(),
                before.seen.revision.unwrap_or_default(),
            );
            let operations = vec![item.id, before.id];
            return Some(Box::new(Witness {
                operations,
                conflict: before.id,
                start: None,
                reason,
            }));
        }
        if latest.is_none_or(|before| before.call < item.call) {
            latest = Some(item);
        }
    }
    None
}

fn replay<M: Model>(model: &M, placed: &[Item<'_, M::Op>]) -> Option<Box<Witness>> {
    let mut state = model.initial();
    for (position, item) in placed.iter().enumerate() {
        match model.step(state, item.op, item.seen) {
            Some(next) => state = next,
            None => return Some(contradiction(model, &placed[..position], item)),
        }
    }
    None
}

/// The operation that cannot be explained, with the last change of each key that it depends on.
fn contradiction<M: Model>(
    model: &M,
    before: &[Item<'_, M::Op>],
    item: &Item<'_, M::Op>,
) -> Box<Witness> {
    let changes = |other: &&Item<'_, M::Op>| model.changes(other.op, other.seen);
    let mut shown = vec![item];
    let keys = model.keys(item.op);
    for key in &keys {
        let touches = |other: &&Item<'_, M::Op>| {
            let touched = model.keys(other.op);
            touched.is_empty() || touched.contains(key)
        };
        shown.extend(before.iter().rev().filter(changes).find(touches));
    }
    let same_revision = |other: &&Item<'_, M::Op>| other.seen.revision == item.seen.revision;
    if keys.is_empty() || before.last().as_ref().is_some_and(same_revision) {
        shown.extend(before.iter().rev().find(changes));
    }
    shown.sort_by_key(|item| item.call);
    shown.dedup_by_key(|item| item.id);
    let reply =
        item.seen.reply.as_ref().map_or_else(|| "nothing".to_owned(), |reply| format!("{reply:?}"));
    Box::new(Witness {
        operations: shown.iter().map(|item| item.id).collect(),
        conflict: item.id,
        start: None,
        reason: format!(
            "in the order of revisions, {reply} at revision {} cannot be the reply to {:?}",
            item.seen.revision.unwrap_or_default(),
            item.op
        ),
    })
}
