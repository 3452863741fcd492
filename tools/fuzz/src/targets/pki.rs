//! Who is who: tokens, identities, certificates, and the records of keys.

use regrow_pki::{
    Authority, Certificates, ClusterId, JoinToken, NodeIdentity, NodeNumber, Papers, Role,
    Rotation, Secret, cluster_of, identity_of, key_hash_of, validity_of,
};

use crate::scratch::{choice, must, text};

/// A token prints as it was written; a fault names the first character that does not belong there.
pub fn join_tokens(data: &[u8]) {
    let text = text(data);
    match JoinToken::parse(&text) {
        Ok(token) => assert_eq!(token.text().expose(), &text),
        Err(fault) => {
            assert!(fault.at <= text.len() && text.is_char_boundary(fault.at), "{fault}");
            // What was right before the fault is right with anything behind it.
            let again = JoinToken::parse(&format!("{}~", &text[..fault.at]));
            assert_eq!(again.err(), Some(fault), "{text:?}");
        }
    }
}

/// Whom a certificate may name: each text reads as what prints so, and nothing else does.
pub fn identities(data: &[u8]) {
    let text = text(data);
    if let Ok(identity) = text.parse::<NodeIdentity>() {
        assert_eq!(identity.to_string(), text);
        assert!(identity.node.get() > 0);
    }
    if let Ok(cluster) = text.parse::<ClusterId>() {
        assert_eq!(cluster.to_string(), text);
    }
    if let Ok(role) = text.parse::<Role>() {
        assert_eq!(role.to_string(), text);
    }
    match text.parse::<NodeNumber>() {
        Ok(number) => assert_eq!(number.to_string(), text),
        Err(fault) => assert!(fault.to_string().len() < 1024, "{fault}"),
    }
}

/// Certificates and requests: read or refused with a reason, in DER and PEM.
pub fn certificates(data: &[u8]) {
    let (how, rest) = choice(data, 2);
    let ders = if how == 0 {
        vec![rest.to_vec()]
    } else {
        let text = text(rest);
        let Ok(found) = Certificates::from_pem(&text) else { return };
        let again = must(Certificates::from_pem(&found.to_pem()), "read certificates back");
        assert_eq!(again, found);
        assert!(!found.is_empty() && found.len() <= 8);
        found.iter().map(<[u8]>::to_vec).collect()
    };
    for der in ders {
        let identity = identity_of(&der);
        assert!(identity.is_err() || cluster_of(&der).is_err(), "a node's and an authority's");
        if let Ok(validity) = validity_of(&der) {
            let _ = validity.not_after.duration_since(validity.not_before);
        }
        let _ = key_hash_of(&der);
    }
}

/// What a node keeps of itself reads back as the same; a fault in the text has a place, and no fault
/// repeats what may be a key.
pub fn papers(data: &[u8]) {
    match Papers::from_record(&Secret::new(text(data))) {
        Ok(papers) => {
            let written = must(papers.to_record(), "write the papers");
            let again = must(Papers::from_record(&written), "read the papers back");
            assert_eq!(must(again.to_record(), "write them again").expose(), written.expose());
            assert_eq!(again.credential.identity(), papers.credential.identity());
        }
        Err(fault) => is_discreet(&fault.to_string()),
    }
}

/// The authority's record, in each state of a rotation, reads back as the same.
pub fn authorities(data: &[u8]) {
    match Rotation::from_record(&Secret::new(text(data))) {
        Ok(rotation) => {
            let written = must(rotation.to_record(), "write the authority");
            let again = must(Rotation::from_record(&written), "read the authority back");
            assert_eq!(must(again.to_record(), "write it again").expose(), written.expose());
            assert_eq!(again.name(), rotation.name());
            assert_eq!(again.roots(), rotation.roots());
            same_authority(rotation.issuer(), again.issuer());
        }
        Err(fault) => is_discreet(&fault.to_string()),
    }
}

fn same_authority(one: &Authority, other: &Authority) {
    assert_eq!((one.cluster(), one.digest()), (other.cluster(), other.digest()));
}

/// A fault of the record's form has its place, and none shows what may be a key.
fn is_discreet(fault: &str) {
    assert!(!fault.is_empty() && fault.len() < 512, "{fault}");
    assert!(!fault.contains("PRIVATE"), "{fault}");
    let record = fault.strip_prefix("read the node's papers: malformed");
    let record = record.or(fault.strip_prefix("read the authority's record: malformed"));
    assert!(record.is_none_or(|place| place.starts_with(" at line ")), "no place: {fault}");
}
