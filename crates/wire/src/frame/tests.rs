//! Frames: stored samples, and the laws of the decoder.

use proptest::prelude::*;

use super::*;

/// A request of format 1 as it was sent: `raft.vote`, id 7, 1,500 ms, body of 3 bytes.
const REQUEST: [u8; HEAD] = [19, 0, 0, 0, 1, 1, 11, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0xdc, 5, 0, 0];

/// A hello of protocol versions 1 to 1.
const HELLO: [u8; 10] = *b"regrow\x01\x00\x01\x00";

#[test]
fn stored_samples_are_read_and_written() {
    let head = Head { kind: Kind::Request, method: 11, request: 7, deadline_ms: 1500, size: 3 };
    assert_eq!(Head::decode(&REQUEST), Ok(head));
    assert_eq!(head.encode(), REQUEST);
    assert_eq!(Versions::decode(&HELLO), Ok(Versions { min: 1, max: 1 }));
    assert_eq!(VERSIONS.encode(), HELLO);
    let fault = Fault::new(FaultCode::Busy, "later");
    assert_eq!(encode_fault(&fault).as_ref(), b"\x04\x00later");
    assert_eq!(decode_fault(b"\x04\x00later"), fault);
}

#[test]
fn kinds_keep_their_numbers() {
    let numbers: Vec<u8> =
        Kind::ALL.iter().map(|kind| Head::new(*kind, 0, 0).encode()[5]).collect();
    assert_eq!(numbers, (0..9).collect::<Vec<u8>>());
    assert_eq!(Head::new(Kind::Pong, 0, 0).encode()[5], 8);
}

#[test]
fn every_fault_of_a_head_is_named() {
    let change = |at: usize, byte: u8| {
        let mut bytes = REQUEST;
        bytes[at] = byte;
        Head::decode(&bytes).unwrap_err()
    };
    assert_eq!(change(0, 15), FrameError::Short(15));
    assert_eq!(change(4, 2), FrameError::Format(2));
    assert_eq!(change(5, 9), FrameError::Kind(9));
    let limit = FrameError::TooLarge { kind: Kind::Cancel, size: 3, limit: 0 };
    assert_eq!(change(5, 4), limit);
    assert_eq!(Versions::decode(b"GET / HTTP"), Err(FrameError::Hello));
    assert_eq!(Versions::decode(b"regrow\x01\x00\x01"), Err(FrameError::Hello));
}

#[test]
fn the_newest_common_version_is_spoken() {
    let common = |min, max| VERSIONS.common(Versions { min, max });
    assert_eq!((common(1, 1), common(1, 9), common(0, 1)), (Some(1), Some(1), Some(1)));
    assert_eq!((common(2, 9), common(0, 0), common(1, 0)), (None, None, None));
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_or_a_fault(bytes: [u8; HEAD]) {
        if let Ok(head) = Head::decode(&bytes) {
            prop_assert_eq!(head.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_a_hello_or_not(body: Vec<u8>) {
        if let Ok(versions) = Versions::decode(&body) {
            prop_assert!(body.starts_with(&versions.encode()));
        }
    }

    #[test]
    fn faults_come_back_cut_at_their_limit(number: u16, text in "\\PC{0,1200}") {
        let fault = Fault::new(FaultCode::from_number(number), text);
        let body = encode_fault(&fault);
        prop_assert!(body.len() <= FAULT_LIMIT as usize);
        let back = decode_fault(&body);
        prop_assert_eq!(back.code, fault.code);
        prop_assert!(fault.text.starts_with(&back.text));
        prop_assert!(back.text.len() + 4 > fault.text.len().min(FAULT_TEXT));
    }

    #[test]
    fn any_bytes_are_a_fault(body: Vec<u8>) {
        decode_fault(&body);
    }
}
