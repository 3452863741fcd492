use std::time::Duration;

use regrow_reconcile::{Level, Moment, Note};

use super::{GroupView, Line, SlotView, Tracker, humane};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn member(slot: u32, instance: &str) -> SlotView {
    SlotView {
        slot: slot.to_string(),
        instance: instance.to_owned(),
        present: true,
        current: true,
        ..SlotView::default()
    }
}

fn group(members: &[SlotView], converged: bool) -> GroupView {
    GroupView {
        id: "g".into(),
        wanted: 2,
        slots: members.to_vec(),
        converged,
        ..GroupView::default()
    }
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn a_heal_is_timed_from_the_providers_word() {
    let mut tracker = Tracker::default();
    let lines = tracker.snapshot(group(&[member(0, "a"), member(1, "b")], true), ms(1));
    assert_eq!(texts(&lines), ["g: converged, 2 of 2 alive"]);
    let lines = tracker.lost("b", "killed by signal 9", ms(100), ms(101));
    assert_eq!(texts(&lines), ["g: lost slot 1, instance b: killed by signal 9"]);
    assert!(tracker.snapshot(group(&[member(0, "a")], false), ms(105)).is_empty());
    let lines = tracker.snapshot(group(&[member(0, "a"), member(1, "c")], true), ms(131));
    assert_eq!(
        texts(&lines),
        ["g: healed slot 1 in 31 ms with instance c", "g: converged, 2 of 2 alive"]
    );
}

#[test]
fn a_loss_without_a_word_is_timed_from_its_first_absence() {
    let mut tracker = Tracker::default();
    tracker.snapshot(group(&[member(0, "a")], true), ms(1));
    let absent = SlotView { present: false, ..member(0, "a") };
    tracker.snapshot(group(&[absent], false), ms(10));
    let lines = tracker.snapshot(group(&[member(0, "b")], false), ms(60));
    assert_eq!(texts(&lines), ["g: healed slot 0 in 50 ms with instance b"]);
}

#[test]
fn a_late_word_is_told_and_times_nothing() {
    let mut tracker = Tracker::default();
    tracker.snapshot(group(&[member(0, "a")], true), ms(1));
    tracker.snapshot(group(&[], false), ms(10));
    tracker.snapshot(group(&[member(0, "b")], false), ms(20));
    let lines = tracker.lost("a", "exit status 1", ms(9), ms(21));
    assert_eq!(texts(&lines), ["g: lost slot 0, instance a: exit status 1"]);
    let lines = tracker.snapshot(group(&[member(0, "c")], false), ms(30));
    assert_eq!(texts(&lines), ["g: healed slot 0 with instance c"]);
    assert!(tracker.lost("stranger", "", ms(1), ms(2)).is_empty());
}

#[test]
fn what_comes_back_or_is_not_wanted_any_more_was_not_healed() {
    let mut tracker = Tracker::default();
    tracker.snapshot(group(&[member(0, "a"), member(1, "b")], true), ms(1));
    let absent = SlotView { present: false, ..member(0, "a") };
    tracker.snapshot(group(&[absent, member(1, "b")], false), ms(2));
    let back = tracker.snapshot(group(&[member(0, "a"), member(1, "b")], false), ms(3));
    assert!(back.is_empty());
    let small = GroupView { wanted: 1, ..group(&[member(0, "a")], true) };
    tracker.snapshot(small, ms(4));
    let grown = tracker.snapshot(group(&[member(0, "a"), member(1, "c")], true), ms(5));
    assert!(grown.is_empty(), "{grown:?}");
}

#[test]
fn reasons_for_waiting_are_said_once() {
    let mut tracker = Tracker::default();
    let waiting = GroupView { blocked: vec!["slot 2 waits 0.8 s".into()], ..group(&[], false) };
    assert_eq!(texts(&tracker.snapshot(waiting, ms(1))), ["g: waits: slot 2 waits 0.8 s"]);
    let later = GroupView { blocked: vec!["slot 2 waits 0.71 s".into()], ..group(&[], false) };
    assert!(tracker.snapshot(later, ms(2)).is_empty());
    assert!(!tracker.have_converged(&["g".into()]));
    assert_eq!(texts(&tracker.gone("g", ms(3))), ["g: is no longer watched"]);
    assert!(tracker.gone("g", ms(4)).is_empty());
}

#[test]
fn times_read_well() {
    assert_eq!(humane(ms(31)), "31 ms");
    assert_eq!(humane(ms(2_440)), "2.4 s");
}

#[test]
fn a_big_group_is_told_in_tenths() {
    let big = |alive: u32| {
        let members: Vec<_> = (0..alive).map(|n| member(n, &n.to_string())).collect();
        GroupView { wanted: 100, ..group(&members, false) }
    };
    let mut tracker = Tracker::default();
    assert!(tracker.snapshot(big(0), ms(1)).is_empty());
    assert!(tracker.snapshot(big(9), ms(2)).is_empty());
    assert_eq!(texts(&tracker.snapshot(big(31), ms(3))), ["g: 31 of 100 alive"]);
    let note = |level| Note { key: "g".into(), at: Moment::START, level, text: "x".into() };
    assert!(tracker.note(&note(Level::Info), ms(4)).is_empty());
    assert_eq!(texts(&tracker.note(&note(Level::Warning), ms(4))), ["g: x"]);
}
