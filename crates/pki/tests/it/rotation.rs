//! Rotation of the authority: nobody is locked out at any step, with certificates and roots from
//! any earlier step, and with a crash after each.

use regrow_pki::{
    Certificates, Clock, Credential, DEFAULT_LIFE, Expect, Member, NodeIdentity, NodeKey,
    NodeNumber, Role, Rotation, RotationError, Secret, joiner_config,
};

use crate::world::{authority, meet, now, shake, with};

/// The state after a crash: what the record says.
fn reopened(rotation: &Rotation) -> Rotation {
    let back = Rotation::from_record(&rotation.to_record().expect("a record")).expect("opened");
    assert_eq!(back.name(), rotation.name());
    assert_eq!(back.roots(), rotation.roots());
    assert_eq!(back.issuer().digest(), rotation.issuer().digest());
    back
}

/// All states of a whole rotation, each read back from its record.
fn states() -> [Rotation; 4] {
    let steady = Rotation::steady(authority());
    let crossed = reopened(&steady).begin(now()).expect("begun");
    let issuing = reopened(&crossed).switch(now(), DEFAULT_LIFE).expect("switched");
    let done = reopened(&issuing).finish(now() + DEFAULT_LIFE, true).expect("finished");
    [steady, crossed, issuing, done]
}

/// A node with its certificate from one state and its roots from another.
fn node(certified: &Rotation, trusting: &Rotation) -> Member {
    let key = NodeKey::generate().expect("a key");
    let request = key.request().expect("a request");
    let cluster = certified.issuer().cluster();
    let identity = NodeIdentity { cluster, role: Role::Server, node: NodeNumber::new(1) };
    let chain = certified.issue(&request, &identity, now(), DEFAULT_LIFE).expect("issued");
    with(Credential::new(key, chain).expect("a credential"), trusting.roots(), now())
}

/// Every node that can exist at a step. Roots come with each certificate, so they are as new as it
/// or newer. At the last step no certificate of the old authority holds, and everybody has taken
/// the new root: `finish` asks for both.
fn nodes_at(states: &[Rotation; 4], step: usize) -> Vec<Member> {
    let oldest = if step == 3 { 2 } else { 0 };
    let pairs = (oldest..=step)
        .flat_map(|certified| (certified..=step).map(move |trusting| (certified, trusting)));
    pairs.map(|(certified, trusting)| node(&states[certified], &states[trusting])).collect()
}

#[test]
fn no_node_is_locked_out_at_any_step() {
    let states = states();
    for step in 0..4 {
        let nodes = nodes_at(&states, step);
        assert_eq!(nodes.len(), [1, 3, 6, 3][step]);
        for client in &nodes {
            for server in &nodes {
                assert_eq!(meet(client, server, Expect::default()), Ok(()), "step {step}");
            }
        }
    }
}

#[test]
fn the_old_authority_is_not_trusted_after_the_end() {
    let states = states();
    let (old, new) = (node(&states[0], &states[2]), node(&states[3], &states[3]));
    let error = meet(&old, &new, Expect::default()).expect_err("refused");
    assert!(error.contains("server") && error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn without_the_cross_certificate_a_sleeper_would_be_locked_out() {
    let states = states();
    let sleeper = node(&states[0], &states[0]);
    let mut bare = node(&states[2], &states[2]);
    assert_eq!(meet(&sleeper, &bare, Expect::default()), Ok(()));
    let leaf = bare.credential.chain().iter().next().expect("a certificate").to_vec();
    let key = NodeKey::from_pem(&bare.credential.key().pem()).expect("a key");
    bare.credential = Credential::new(key, Certificates::new([leaf])).expect("a credential");
    assert!(meet(&sleeper, &bare, Expect::default()).is_err());
}

#[test]
fn tokens_from_before_and_after_work_while_both_roots_are_trusted() {
    let states = states();
    let clock = Clock::new(now);
    let server = node(&states[2], &states[2]).server_config().expect("settings");
    for root in [states[0].issuer().digest(), states[3].issuer().digest()] {
        let joiner = joiner_config(root, &clock).expect("settings");
        assert_eq!(shake(joiner, server.clone()), Ok(()));
    }
}

#[test]
fn steps_have_an_order() {
    let order = |result: Result<Rotation, RotationError>| {
        matches!(result.map(|_| ()), Err(RotationError::Order(_)))
    };
    let [steady, crossed, issuing, _] = states();
    assert!(order(reopened(&steady).switch(now(), DEFAULT_LIFE)));
    assert!(order(reopened(&steady).finish(now(), true)));
    assert!(order(reopened(&crossed).begin(now())));
    assert!(order(reopened(&crossed).finish(now(), true)));
    assert!(order(reopened(&issuing).begin(now())));
    assert!(order(reopened(&issuing).switch(now(), DEFAULT_LIFE)));
    assert!(order(reopened(&issuing).finish(now() + DEFAULT_LIFE, false)));
    let early = reopened(&issuing).finish(now(), true).map(|_| ());
    assert!(matches!(early, Err(RotationError::TooEarly(left)) if left == DEFAULT_LIFE));
}

#[test]
fn a_finished_rotation_can_begin_again() {
    let [.., done] = states();
    let again = done.begin(now()).expect("begun");
    assert_eq!(again.roots().len(), 2);
}

/// The record of version 1 in the middle of a rotation, as it was stored.
const SAMPLE: &str = include_str!("samples/authority-v1.json");

#[test]
fn an_end_that_no_clock_reaches_is_refused() {
    let [_, _, issuing, _] = states();
    let record = issuing.to_record().expect("a record");
    let (before, _) = record.expose().split_once("\"old_ends\":").expect("an end");
    let never = Secret::new(format!("{before}\"old_ends\":{}}}", u64::MAX));
    let error = Rotation::from_record(&never).map(|_| ()).expect_err("refused");
    assert_eq!(error.to_string(), "read the authority's record: old_ends is out of range");
}

#[test]
fn the_stored_sample_is_read() {
    let sample = Secret::new(SAMPLE.trim_end().to_owned());
    let rotation = Rotation::from_record(&sample).expect("opened");
    assert_eq!((rotation.name(), rotation.roots().len()), ("new-issuing", 2));
    assert_eq!(rotation.to_record().expect("a record").expose(), sample.expose());
}

#[test]
fn a_bad_record_is_refused_without_showing_it() {
    let newer = SAMPLE.replace("\"version\":1", "\"version\":2");
    let cut = &SAMPLE[..SAMPLE.len() / 2];
    let no_cross = {
        let mut value: serde_json::Value = serde_json::from_str(SAMPLE).expect("JSON");
        value.as_object_mut().expect("an object").remove("cross");
        value.to_string()
    };
    for (bad, expected) in
        [(&*newer, "expected version 1, found 2"), (cut, "line 1"), (&no_cross, "cross")]
    {
        let error = Rotation::from_record(&Secret::new(bad.to_owned())).map(|_| ());
        let text = error.expect_err("refused").to_string();
        assert!(text.contains(expected) && !text.contains("BEGIN"), "{text}");
    }
}
