//! Frames between nodes.

use regrow_wire::frame::{
    FAULT_LIMIT, HEAD, HELLO_LIMIT, Head, Kind, Versions, decode_fault, encode_fault,
};

/// Most bytes of a fault's text that are sent.
const FAULT_TEXT: usize = FAULT_LIMIT as usize - 2;

/// A head reads back as the same 20 bytes, and promises no body that its kind may not have; what
/// follows reads as a hello or a fault, whatever it is.
pub fn frames(data: &[u8]) {
    let Some((head, body)) = data.split_first_chunk::<HEAD>() else { return fault(data) };
    match Head::decode(head) {
        Ok(read) => {
            assert_eq!(&read.encode(), head);
            let limit = match read.kind {
                Kind::Hello => HELLO_LIMIT,
                Kind::Error => FAULT_LIMIT,
                Kind::Cancel | Kind::End | Kind::Ping | Kind::Pong => 0,
                Kind::Request | Kind::Reply | Kind::Chunk => u32::MAX,
            };
            assert!(read.size <= limit, "{read:?}");
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    if let Ok(versions) = Versions::decode(body) {
        assert_eq!(Versions::decode(&versions.encode()), Ok(versions));
        assert!(body.starts_with(&versions.encode()));
        let common = versions.common(versions);
        assert_eq!(common, (versions.min <= versions.max).then_some(versions.max));
    }
    fault(body);
}

/// Anything is a fault; it is sent on as the same, cut at its limit.
fn fault(body: &[u8]) {
    let read = decode_fault(body);
    let sent = encode_fault(&read);
    assert!(sent.len() <= FAULT_LIMIT as usize);
    let again = decode_fault(&sent);
    assert_eq!(again.code, read.code);
    assert!(read.text.starts_with(&again.text));
    assert!(again.text == read.text || again.text.len() + 4 > FAULT_TEXT);
}
