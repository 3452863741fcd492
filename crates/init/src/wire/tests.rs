//! The layout against stored samples, and under random bytes.

use std::os::fd::AsRawFd;

use proptest::prelude::*;

use super::*;
use crate::sys;

const PROCESS_ID: ProcessId = ProcessId(0x0102_0304_0506_0708);

fn file() -> OwnedFd {
    sys::memory_file(c"test").expect("a file in memory")
}

/// The stored message of this name: bytes and number of files.
fn sample(name: &str) -> (Vec<u8>, usize) {
    let samples = include_str!("../../tests/samples/messages.txt");
    let line = samples.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
    let [_, hex, files] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    ((0..hex.len()).step_by(2).map(byte).collect(), files.parse().expect("a number"))
}

#[test]
fn requests_are_as_stored() {
    let process = PROCESS_ID;
    let start = |wrapped| Request::Start { process, wrapped, command: file() };
    for (name, request) in [
        ("hello", Request::Hello),
        ("start-own", start(false)),
        ("start-wrapped", start(true)),
        ("signal", Request::Signal { process, signal: 9 }),
        ("forget", Request::Forget(process)),
        ("drained", Request::Drained(process)),
        ("took", Request::Took(1)),
        ("bye", Request::Bye(255)),
    ] {
        let (frame, beside) = from_request(&request);
        let (bytes, files) = sample(name);
        assert_eq!((frame.encode().to_vec(), beside.len()), (bytes, files), "{name}");
        assert_eq!(Frame::decode(&frame.encode()), Some(frame), "{name}");
    }
}

#[test]
fn replies_are_as_stored() {
    for (name, shown) in [
        (
            "process-own",
            "Process { process: ProcessId(72623859790382856), pid: 1234, streams: None }",
        ),
        (
            "process-wrapped",
            "Process { process: ProcessId(72623859790382856), pid: 1234, streams: Some",
        ),
        ("ended-code", "Ended { process: ProcessId(72623859790382856), how: Code(3) }"),
        ("ended-signal", "Ended { process: ProcessId(72623859790382856), how: Signal(9) }"),
        (
            "ended-not-started",
            "Ended { process: ProcessId(72623859790382856), how: NotStarted(2) }",
        ),
        ("ready", "Ready { state: "),
        ("signalled", "Signal(10)"),
    ] {
        let (bytes, files) = sample(name);
        let frame = Frame::decode(&bytes).expect(name);
        assert_eq!(frame.encode(), bytes[..], "{name}");
        let beside = || {
            let mut places = Files::default();
            places.iter_mut().take(files).for_each(|place| *place = Some(file()));
            places
        };
        let text = format!("{:?}", to_reply(frame, beside()).expect(name));
        assert!(text.starts_with(shown), "{name}: {text}");
        if files > 0 {
            let mut lacking = beside();
            lacking[files - 1] = None;
            assert!(to_reply(frame, lacking).is_none(), "{name} without its last file");
        }
    }
}

#[test]
fn files_come_over_and_no_more_than_there_is_room_for() {
    let (ours, theirs) = sys::socket_pair().expect("a pair");
    let files = [file(), file(), file(), file(), file()];
    for count in 0..=5 {
        sys::send(&ours, Frame::plain(HELLO, 7), &files[..count]).expect("room");
        let Ok((frame, came)) = sys::receive(&theirs) else { panic!("nothing came") };
        assert_eq!((frame.value, came.iter().flatten().count()), (7, count.min(FILES_MAX)));
    }
    assert_eq!(sys::receive(&theirs).map(drop), Err(libc::EAGAIN));
    // SAFETY: so many bytes may be read there.
    unsafe { libc::send(ours.as_raw_fd(), [VERSION; 40].as_ptr().cast(), 40, 0) };
    assert_eq!(sys::receive(&theirs).map(drop), Err(libc::EBADMSG), "longer than a message");
    drop(ours);
    assert_eq!(sys::receive(&theirs).map(drop), Err(libc::EPIPE));
}

proptest! {
    #[test]
    fn what_is_read_writes_back_as_the_same(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(&frame.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn any_frame_is_a_reply_or_none(kind: u8, detail: u8, value: i32, process: u64) {
        let frame = Frame { kind, detail, value, process: ProcessId(process) };
        prop_assert_eq!(Frame::decode(&frame.encode()), Some(frame));
        let _ = to_reply(frame, Files::default());
    }
}
