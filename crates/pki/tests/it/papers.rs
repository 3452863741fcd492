//! The record of a node's key, certificate and roots.

use regrow_pki::{Authority, Certificates, Papers, Role, Secret};

use crate::world::{authority, credential, now};

/// As version 1 wrote it.
const SAMPLE: &str = include_str!("samples/papers-v1.json");

fn read(text: &str) -> Result<Papers, String> {
    Papers::from_record(&Secret::new(text.to_owned())).map_err(|error| error.to_string())
}

#[test]
fn the_stored_sample_is_read_and_written_as_it_was() {
    let papers = read(SAMPLE).expect("read");
    let identity = papers.credential.identity();
    assert_eq!((identity.role, identity.node.get()), (Role::Server, 3));
    assert_eq!((papers.edition, papers.roots.len()), (5, 1));
    let again = papers.to_record().expect("written");
    assert_eq!(again.expose().trim_end(), SAMPLE.trim_end());
}

#[test]
fn a_newer_damaged_or_mixed_record_is_refused_without_showing_it() {
    let newer = SAMPLE.replace("\"version\": 1", "\"version\": 2");
    let error = read(&newer).err().expect("refused");
    assert!(error.contains("expected version 1, found 2"), "{error}");
    for end in 0..SAMPLE.trim_end().len() {
        let error = read(&SAMPLE[..end]).err().expect("cut");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    let authority = authority();
    let text = |node| {
        let papers = Papers {
            credential: credential(&authority, Role::Worker, node, now()),
            roots: Certificates::new([authority.certificate().to_vec()]),
            edition: 1,
        };
        let record = papers.to_record().expect("written").expose().clone();
        serde_json::from_str::<serde_json::Value>(&record).expect("JSON")
    };
    let (mut mixed, other) = (text(1), text(2));
    mixed["key"] = other["key"].clone();
    let error = read(&mixed.to_string()).err().expect("refused");
    assert!(error.contains("another key"), "{error}");
}

#[test]
fn a_key_that_was_torn_is_not_shown() {
    let mut record: serde_json::Value = serde_json::from_str(SAMPLE).expect("JSON");
    let key = record["key"].as_str().expect("a key").to_owned();
    let shown = key.lines().nth(1).expect("its first line").to_owned();
    // Written twice, and the first time without its dashes: the reader takes all of it for a name.
    let torn = key.replacen("KEY-----", "KEY", 1) + &key;
    record["key"] = torn.as_str().into();
    let error = read(&record.to_string()).err().expect("refused");
    assert!(error.contains("read the node's key") && !error.contains(&shown), "{error}");
    let refused = Authority::from_pem(&authority().certificate_pem(), &Secret::new(torn));
    let error = refused.map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("read the authority's key") && !error.contains(&shown), "{error}");
}
