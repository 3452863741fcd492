//! Tokens: the stored sample, faults with their places, and the rules of acceptance.

use proptest::prelude::*;

use super::*;

/// A token of version 1 as it was handed out; must be readable for ever.
const SAMPLE: &str = "regrow-1-\
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f-s-00c0ffee-\
    f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[test]
fn the_stored_sample_is_read_and_written() {
    let token = JoinToken::parse(SAMPLE).unwrap();
    assert_eq!(token.root.0[31], 31);
    assert_eq!((token.role, token.id), (Role::Server, TokenId::new(0x00c0_ffee)));
    assert_eq!(token.secret.expose()[0], 0xf0);
    assert_eq!(token.text().expose(), SAMPLE);
}

#[test]
fn a_new_token_comes_back_and_no_two_are_alike() {
    let root = RootDigest([7; 32]);
    let (one, other) = (JoinToken::new(root, Role::Worker), JoinToken::new(root, Role::Worker));
    let back = JoinToken::parse(one.text().expose()).unwrap();
    assert!(back.secret == one.secret && back.id == one.id && back.role == Role::Worker);
    assert!(one.secret != other.secret);
}

#[test]
fn a_fault_names_its_place() {
    let cases = [
        (String::new(), 0),
        (SAMPLE.replace("regrow-1", "regrow-2"), 7),
        (SAMPLE.replace("0001", "00G1"), 11),
        (SAMPLE.replace("0c0d", "0C0D"), 34),
        (SAMPLE.replace("-s-", "-x-"), 74),
        (SAMPLE.replace("-s-", "-s_"), 75),
        (SAMPLE.replace("00c0ffee", "c0ffee"), 82),
        (SAMPLE[..SAMPLE.len() - 1].to_owned(), 116),
        (format!("{SAMPLE}0"), 117),
        (SAMPLE.replace("-s-", "-\u{e4}-"), 74),
    ];
    for (text, at) in cases {
        let error = JoinToken::parse(&text).map(|_| ()).unwrap_err();
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(!error.to_string().contains("f0f1"), "the secret is not repeated: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = JoinToken::parse(&text);
    }

    #[test]
    fn a_damaged_sample_is_refused_or_another_token(at in 0..SAMPLE.len(), byte in 0_u8..128) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(token) = JoinToken::parse(&text) {
            let back = token.text();
            prop_assert_eq!(back.expose(), &text);
        }
    }
}

#[test]
fn every_rule_of_acceptance_has_its_fault() {
    let token = JoinToken::parse(SAMPLE).unwrap();
    let life = TokenRecord::default_life(Role::Server);
    let mut record = TokenRecord::new(&token, now(), life, 1);
    let wrong = Secret::new([0; 16]);
    let end = now() + life;
    let check = |record: &TokenRecord, role, secret, now| record.check(role, secret, now);
    assert_eq!(check(&record, Role::Server, &token.secret, now()), Ok(()));
    assert_eq!(check(&record, Role::Server, &token.secret, end - Duration::from_millis(1)), Ok(()));
    assert_eq!(check(&record, Role::Server, &token.secret, end), Err(TokenFault::Expired));
    assert_eq!(check(&record, Role::Worker, &token.secret, now()), Err(TokenFault::WrongRole));
    assert_eq!(check(&record, Role::Server, &wrong, now()), Err(TokenFault::Unknown));
    assert_eq!(check(&record, Role::Worker, &wrong, end), Err(TokenFault::Unknown));
    record.spend();
    assert_eq!(check(&record, Role::Server, &token.secret, now()), Err(TokenFault::Used));
    record.spend();
    assert_eq!(record.uses_left, 0);
}

#[test]
fn what_is_kept_does_not_hold_the_secret() {
    let token = JoinToken::parse(SAMPLE).unwrap();
    let record = TokenRecord::new(&token, now(), Duration::from_secs(60), 3);
    let text = serde_json::to_string(&record).unwrap();
    let secret = serde_json::to_string(token.secret.expose()).unwrap();
    assert!(!text.contains(secret.trim_matches(['[', ']'])), "{text}");
    assert_eq!(serde_json::from_str::<TokenRecord>(&text).unwrap(), record);
}
