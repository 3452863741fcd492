//! What to say about a series of snapshots. Pure: time comes in as an argument.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use regrow_ids::GroupId;
use regrow_reconcile::{Level, Note};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineLevel {
    /// As wished.
    Good,
    /// Something happened.
    Info,
    /// Something went wrong and is dealt with.
    Warning,
}

/// One line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Time since the start.
    pub at: Duration,
    /// How much it matters.
    pub level: LineLevel,
    /// What happened.
    pub text: String,
}

impl Line {
    /// A line about something that happened.
    pub fn info(at: Duration, text: impl Into<String>) -> Self {
        Self { at, level: LineLevel::Info, text: text.into() }
    }

    /// A line about something that is as it should be.
    pub fn good(at: Duration, text: impl Into<String>) -> Self {
        Self { at, level: LineLevel::Good, text: text.into() }
    }

    /// A line about a fault.
    pub fn warning(at: Duration, text: impl Into<String>) -> Self {
        Self { at, level: LineLevel::Warning, text: text.into() }
    }

    /// A note of the controller.
    pub fn of_note(at: Duration, note: &Note) -> Self {
        let level = match note.level {
            Level::Info => LineLevel::Info,
            Level::Warning => LineLevel::Warning,
        };
        Self { at, level, text: format!("{}: {}", note.key, note.text) }
    }
}

/// One member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotView {
    /// Slot that it fills.
    pub slot: String,
    /// Id of the instance.
    pub instance: String,
    /// Nothing says that it is gone.
    pub present: bool,
    /// What its flavor says, if it was asked.
    pub healthy: Option<bool>,
    /// Made with the newest configuration.
    pub current: bool,
    /// It was there before this process.
    pub found: bool,
}

/// How a group stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// Name.
    pub id: String,
    /// Wanted members.
    pub wanted: u32,
    /// The members, in order of their ids.
    pub slots: Vec<SlotView>,
    /// Instances that were asked for and not seen yet.
    pub coming: usize,
    /// An update runs.
    pub updating: bool,
    /// The spec is met and nothing is under way.
    pub converged: bool,
    /// Why something is not done.
    pub blocked: Vec<String>,
}

impl GroupView {
    /// Members that are not known to be gone.
    pub fn alive(&self) -> usize {
        self.slots.iter().filter(|slot| slot.present).count()
    }

    /// Members that their flavor calls healthy; `None` when it was not asked.
    pub fn healthy(&self) -> Option<usize> {
        let asked = self.slots.iter().any(|slot| slot.healthy.is_some());
        let healthy = |slot: &&SlotView| slot.present && slot.healthy == Some(true);
        asked.then(|| self.slots.iter().filter(healthy).count())
    }
}

/// A member that is gone and not replaced yet.
#[derive(Clone, Debug)]
struct Loss {
    instance: String,
    since: Duration,
}

/// Remembers the last snapshots and finds what changed.
#[derive(Debug, Default)]
pub struct Tracker {
    groups: BTreeMap<String, GroupView>,
    /// By group and slot.
    losses: BTreeMap<(String, String), Loss>,
    /// Group and slot of members that are gone, the newest last: a provider's word may come late.
    former: VecDeque<(String, (String, String))>,
    /// Groups whose former members were told of.
    greeted: BTreeSet<String>,
}

/// From this size on a group's story is told in tenths instead of members.
const BIG_GROUP: u32 = 50;

/// Members that are gone and still known by name.
const FORMER_KEPT: usize = 256;

impl Tracker {
    /// The groups as they were last seen.
    pub fn groups(&self) -> &BTreeMap<String, GroupView> {
        &self.groups
    }

    /// True when all of these groups were seen and have converged.
    pub fn have_converged(&self, ids: &[GroupId]) -> bool {
        let converged = |id: &GroupId| self.groups.get(id.as_str()).is_some_and(|it| it.converged);
        ids.iter().all(converged)
    }

    /// A line of the controller. In a big group single members are not worth a line.
    pub fn note(&self, note: &Note, at: Duration) -> Vec<Line> {
        let group = self.groups.get(&note.key);
        let is_big = group.is_some_and(|group| group.wanted > BIG_GROUP);
        if is_big && note.level == Level::Info { Vec::new() } else { vec![Line::of_note(at, note)] }
    }

    /// A group is no longer watched.
    pub fn gone(&mut self, group: &str, at: Duration) -> Vec<Line> {
        self.losses.retain(|(id, _), _| id != group);
        match self.groups.remove(group) {
            Some(_) => vec![Line::info(at, format!("{group}: is no longer watched"))],
            None => Vec::new(),
        }
    }

    /// Takes in how a group stands.
    pub fn snapshot(&mut self, group: GroupView, at: Duration) -> Vec<Line> {
        let mut lines = Vec::new();
        let before = self.groups.remove(&group.id);
        if let Some(before) = &before {
            self.note_absences(before, &group, at);
        }
        let found = group.slots.iter().filter(|slot| slot.found).count();
        if found > 0 && self.greeted.insert(group.id.clone()) {
            let text = format!("{}: went on with {found} instances that were there", group.id);
            lines.push(Line::info(at, text));
        }
        lines.extend(self.note_healed(&group, at));
        if let (Some(before), true) = (&before, group.wanted > BIG_GROUP && !group.converged) {
            let tenths = |view: &GroupView| view.alive() * 10 / view.wanted.max(1) as usize;
            if tenths(before) != tenths(&group) {
                let text = format!("{}: {} of {} alive", group.id, group.alive(), group.wanted);
                lines.push(Line::info(at, text));
            }
        }
        let was = before.as_ref().is_some_and(|before| before.converged);
        if group.converged && !was {
            lines.push(Line::good(at, converged_text(&group)));
        }
        let said = before.as_ref().map_or(&[][..], |before| before.blocked.as_slice());
        let is_new = |reason: &&String| !said.iter().any(|old| same_reason(old, reason));
        for reason in group.blocked.iter().filter(is_new) {
            lines.push(Line::warning(at, format!("{}: waits: {reason}", group.id)));
        }
        self.groups.insert(group.id.clone(), group);
        lines
    }

    /// A provider says that an instance is gone; it was noticed at `since`.
    pub fn lost(&mut self, instance: &str, why: &str, since: Duration, at: Duration) -> Vec<Line> {
        let Some((group, slot)) = self.slot_of(instance) else { return Vec::new() };
        let key = (group.clone(), slot.clone());
        // Once the slot is filled again the word comes too late to time anything.
        if self.losses.contains_key(&key) || self.holds(&group, instance) {
            self.losses.insert(key, Loss { instance: instance.to_owned(), since });
        }
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        vec![Line::warning(at, format!("{group}: lost slot {slot}, instance {instance}{why}"))]
    }

    fn holds(&self, group: &str, instance: &str) -> bool {
        let group = self.groups.get(group);
        group.is_some_and(|group| group.slots.iter().any(|slot| slot.instance == instance))
    }

    fn slot_of(&self, instance: &str) -> Option<(String, String)> {
        let known = self.groups.values().find_map(|group| {
            let slot = group.slots.iter().find(|slot| slot.instance == instance)?;
            Some((group.id.clone(), slot.slot.clone()))
        });
        let former = || self.former.iter().rev().find(|(former, _)| former == instance);
        known.or_else(|| former().map(|(_, place)| place.clone()))
    }

    /// Members that vanished without a word of the provider.
    fn note_absences(&mut self, before: &GroupView, now: &GroupView, at: Duration) {
        for old in before.slots.iter().filter(|slot| slot.current) {
            let still = now.slots.iter().find(|slot| slot.instance == old.instance);
            if still.is_some_and(|slot| slot.present) {
                continue;
            }
            let key = (now.id.clone(), old.slot.clone());
            if still.is_none() {
                self.former.push_back((old.instance.clone(), key.clone()));
                if self.former.len() > FORMER_KEPT {
                    self.former.pop_front();
                }
            }
            let loss = Loss { instance: old.instance.clone(), since: at };
            self.losses.entry(key).or_insert(loss);
        }
    }

    fn note_healed(&mut self, group: &GroupView, at: Duration) -> Vec<Line> {
        let mut lines = Vec::new();
        for member in group.slots.iter().filter(|slot| slot.present) {
            let key = (group.id.clone(), member.slot.clone());
            let Some(loss) = self.losses.get(&key) else { continue };
            if loss.instance != member.instance {
                let took = at.saturating_sub(loss.since);
                // Seen gone and replaced at the same time: nobody knows how long it took.
                let took =
                    if took.is_zero() { String::new() } else { format!(" in {}", humane(took)) };
                let SlotView { slot, instance, .. } = member;
                let text =
                    format!("{}: healed slot {slot}{took} with instance {instance}", group.id);
                lines.push(Line::good(at, text));
            }
            // It is back, as itself or as another.
            self.losses.remove(&key);
        }
        // A group that was made smaller does not wait for its former slots.
        if group.converged && group.alive() == group.wanted as usize {
            self.losses.retain(|(id, _), _| *id != group.id);
        }
        lines
    }
}

/// A reason that differs in its numbers only, such as a remaining time, is not worth another line.
fn same_reason(a: &str, b: &str) -> bool {
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    words(a) == words(b)
}

fn converged_text(group: &GroupView) -> String {
    let healthy = match group.healthy() {
        Some(count) => format!(", {count} healthy"),
        None => String::new(),
    };
    format!("{}: converged, {} of {} alive{healthy}", group.id, group.alive(), group.wanted)
}

/// `31 ms`, `2.4 s`.
pub fn humane(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests;
