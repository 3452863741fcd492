//! What is sent and read, against the documented format.

use super::*;
use crate::key::{Key, Prefix};

fn names() -> Names {
    Names { lead: "regrow/".into() }
}

#[test]
fn reads_name_their_keys_and_their_consistency() {
    let one = Span::One(Key::new("a b/ü?").expect("key"));
    let all = Span::Prefix(Prefix::new("a/").expect("prefix"));
    let path = |span: &Span, consistency, wait| read_path(&names(), span, consistency, wait);
    let linearizable = Consistency::Linearizable;
    assert_eq!(path(&one, linearizable, None), "/v1/kv/regrow/a%20b/%C3%BC%3F?consistent");
    assert_eq!(path(&one, Consistency::Lease, None), "/v1/kv/regrow/a%20b/%C3%BC%3F");
    assert_eq!(path(&all, Consistency::Stale, None), "/v1/kv/regrow/a/?recurse&stale");
    let wait = Some((Revision::new(7), Duration::from_secs(60)));
    assert_eq!(
        path(&all, linearizable, wait),
        "/v1/kv/regrow/a/?recurse&consistent&index=7&wait=60s"
    );
}

#[test]
fn a_renewal_tells_the_time_of_the_session() {
    let body = Bytes::from_static(br#"[{"ID":"x","TTL":"15000ms","Behavior":"delete"}]"#);
    assert_eq!(renewed(&body), Ok(Duration::from_secs(15)));
    assert!(renewed(&Bytes::from_static(b"[]")).is_err());
    assert!(renewed(&Bytes::from_static(br#"[{"TTL":"soon"}]"#)).is_err());
}

#[test]
fn what_consul_says_is_executed_or_unknown_or_not() {
    let answer = |status: u16, body: &'static str| Answer {
        status: StatusCode::from_u16(status).expect("status"),
        headers: reqwest::header::HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
    };
    let executed =
        |status, body| !fault("test", &answer(status, body), true).certainly_not_executed();
    assert!(executed(500, "rpc error: lost connection"));
    assert!(!executed(500, "No cluster leader"));
    assert!(!executed(429, "too many connections"));
    assert!(!executed(403, "Permission denied"));
    assert!(!fault("test", &answer(403, "Permission denied"), true).may_pass());
    assert!(fault("test", &answer(500, "rpc error"), false).certainly_not_executed());
}
