//! Places are found again, given back and never over-filled.

use super::*;

fn slot(process: u64, pid: i32) -> Slot {
    Slot { process: ProcessId(process), pid, ..Slot::default() }
}

fn file() -> OwnedFd {
    crate::sys::memory_file(c"test").expect("a file in memory")
}

#[test]
fn what_finds_no_place_is_known_as_refused_until_even_that_is_full() {
    let mut table = Table::new();
    for number in 0..PLACES as u64 {
        assert!(!table.is_full());
        table.add(slot(number, 1));
    }
    for number in 0..PLACES_REFUSED as u64 {
        assert!(table.is_full());
        table.add(slot(1 << 32 | number, 0));
        assert!(table.of(ProcessId(1 << 32 | number)).is_some());
    }
    table.add(slot(u64::MAX, 0));
    assert!(table.of(ProcessId(u64::MAX)).is_none());
    assert_eq!(table.slots.len(), PLACES + PLACES_REFUSED);
    // Those that are refused keep none of the places of others.
    table.of(ProcessId(7)).expect("known").forgotten = true;
    table.sweep();
    assert!(table.of(ProcessId(7)).is_none() && !table.is_full());
    table.add(slot(u64::MAX, 1));
    assert!(table.of(ProcessId(u64::MAX)).is_some() && table.is_full());
}

#[test]
fn a_process_is_kept_while_somebody_wants_its_end_or_its_output() {
    let mut table = Table::new();
    table.add(Slot { streams: Some([file(), file(), file(), file()]), ..slot(1, 100) });
    table.add(slot(2, 200));
    table.slots.iter_mut().for_each(|slot| slot.forgotten = true);
    table.sweep();
    assert!(table.of(ProcessId(1)).is_some() && table.of(ProcessId(2)).is_none());
    table.of(ProcessId(1)).expect("known").streams = None;
    table.sweep();
    assert_eq!(table.slots.len(), 0);
}

#[test]
fn a_process_that_was_reaped_is_not_found_by_its_number() {
    let mut table = Table::new();
    table.add(slot(1, 100));
    table.of_pid(100).expect("runs").ended = Some(Ended::Code(0));
    assert!(table.of_pid(100).is_none());
    // Another one gets the same number.
    table.add(slot(2, 100));
    assert_eq!(table.of_pid(100).map(|slot| slot.process), Some(ProcessId(2)));
}

#[test]
fn what_is_there_is_told_once_and_its_end_until_that_is_forgotten() {
    let mut slot = slot(1, 100);
    let told = |slot: &mut Slot| {
        let frame = slot.untold().map(|(frame, files)| (frame.kind, frame.detail, files.len()));
        slot.told += u8::from(frame.is_some());
        frame
    };
    assert_eq!((told(&mut slot), told(&mut slot)), (Some((wire::PROCESS, 0, 0)), None));
    slot.ended = Some(Ended::Signal(9));
    assert_eq!((told(&mut slot), told(&mut slot)), (Some((wire::ENDED, 1, 0)), None));
    (slot.told, slot.streams) = (0, Some([file(), file(), file(), file()]));
    assert_eq!(told(&mut slot), Some((wire::PROCESS, 1, 4)));
    slot.forgotten = true;
    assert_eq!(told(&mut slot), None);
}
