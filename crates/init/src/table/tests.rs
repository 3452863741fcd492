//! Places are found again, given back and never over-filled.

use super::*;

fn full() -> Table {
    let mut table = Table::new();
    for number in 0..PLACES as u64 {
        let (slot, full) = table.add(ProcessId(number)).expect("a place");
        assert!(!full && slot.process == ProcessId(number));
    }
    table
}

#[test]
fn what_finds_no_place_is_known_as_refused_until_even_that_is_full() {
    let mut table = full();
    for number in 0..PLACES_REFUSED as u64 {
        assert!(table.add(ProcessId(1 << 32 | number)).expect("a place").1);
    }
    assert!(table.add(ProcessId(u64::MAX)).is_none());
    assert_eq!(table.slots().count(), PLACES + PLACES_REFUSED);
    // Those that are refused keep none of the places of others.
    let slot = table.of(ProcessId(7)).expect("known");
    slot.forgotten = true;
    table.sweep();
    assert!(table.of(ProcessId(7)).is_none());
    assert!(!table.add(ProcessId(u64::MAX)).expect("the place of 7").1);
    table.clear();
    assert_eq!(table.slots().count(), 0);
}

#[test]
fn a_process_that_was_reaped_is_not_found_by_its_number() {
    let mut table = Table::new();
    table.add(ProcessId(1)).expect("a place").0.pid = 100;
    assert_eq!(table.of_pid(100).and_then(|slot| slot.alive()), Some(100));
    table.of(ProcessId(1)).expect("known").end(Ended::Code(0));
    assert!(table.of_pid(100).is_none());
    assert_eq!(table.of(ProcessId(1)).expect("known").alive(), None);
    // Another one gets the same number.
    table.add(ProcessId(2)).expect("a place").0.pid = 100;
    assert_eq!(table.of_pid(100).map(|slot| slot.process), Some(ProcessId(2)));
}

#[test]
fn an_end_that_was_not_a_start_says_why() {
    let mut slot = Slot { failed: Some(libc::ENOENT), ..Slot::default() };
    slot.end(Ended::Code(127));
    assert_eq!(slot.ended, Some(Ended::NotStarted(libc::ENOENT)));
    slot.forgotten = true;
    slot.repeat();
    assert!(slot.tell_process && !slot.tell_ended);
}
