//! What the authority signs, and what it does not.

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use regrow_pki::{
    Authority, AuthorityError, BACK_DATE, CertificateError, Certificates, ClusterId, Credential,
    CredentialError, DEFAULT_LIFE, IdentityError, MIN_LIFE, NodeKey, Role, RootDigest, Secret,
    cluster_of, identity_of, validity_of,
};

use crate::world::{HOUR, authority, credential, identity, now};

#[test]
fn a_certificate_says_who_and_how_long() {
    let authority = authority();
    let credential = credential(&authority, Role::Worker, 4, now());
    let leaf = credential.chain().iter().next().expect("a certificate");
    assert_eq!(identity_of(leaf), Ok(identity(&authority, Role::Worker, 4)));
    let validity = validity_of(leaf).expect("a validity");
    assert_eq!(validity.not_before, now() - BACK_DATE);
    assert_eq!(validity.not_after, now() + DEFAULT_LIFE);
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).expect("a certificate");
    let usage = parsed.extended_key_usage().expect("readable").expect("a usage").value;
    assert!(usage.server_auth && usage.client_auth);
    assert!(!parsed.is_ca());
}

#[test]
fn no_two_certificates_share_a_serial_number() {
    let authority = authority();
    let serial = || {
        let credential = credential(&authority, Role::Server, 1, now());
        let leaf = credential.chain().iter().next().expect("a certificate").to_vec();
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).expect("a certificate");
        parsed.raw_serial().to_vec()
    };
    let (one, other) = (serial(), serial());
    assert_eq!(one.len(), 16);
    assert_ne!(one, other);
}

#[test]
fn wishes_in_a_request_are_ignored() {
    let authority = authority();
    let key = KeyPair::generate().expect("a key");
    let mut wishes = CertificateParams::default();
    let wanted = format!("regrow://{}/server/1", authority.cluster());
    wishes.subject_alt_names = vec![SanType::URI(wanted.try_into().expect("ascii"))];
    wishes.distinguished_name.push(DnType::CommonName, "server 1");
    let request = wishes.serialize_request(&key).expect("a request");
    let given = identity(&authority, Role::Worker, 9);
    let leaf = authority.issue(request.der(), &given, now(), DEFAULT_LIFE).expect("signed");
    assert_eq!(identity_of(&leaf), Ok(given));
}

#[test]
fn a_request_must_be_signed_by_its_key() {
    let authority = authority();
    let mut request = NodeKey::generate().and_then(|key| key.request()).expect("a request");
    let last = request.len() - 1;
    request[last] ^= 1;
    let given = identity(&authority, Role::Worker, 9);
    for bad in [request, vec![], vec![0x30; 100], vec![0; 9 * 1024]] {
        let result = authority.issue(&bad, &given, now(), DEFAULT_LIFE);
        assert!(matches!(result, Err(AuthorityError::Request(_))), "{} bytes", bad.len());
    }
}

#[test]
fn other_clusters_and_short_lives_are_refused() {
    let (authority, other) = (authority(), authority());
    let request = NodeKey::generate().and_then(|key| key.request()).expect("a request");
    let foreign = identity(&other, Role::Server, 1);
    let result = authority.issue(&request, &foreign, now(), DEFAULT_LIFE);
    assert!(matches!(result, Err(AuthorityError::OtherCluster { .. })));
    let own = identity(&authority, Role::Server, 1);
    assert!(authority.issue(&request, &own, now(), MIN_LIFE).is_ok());
    let short = authority.issue(&request, &own, now(), MIN_LIFE - HOUR / 3600);
    assert!(matches!(short, Err(AuthorityError::Life { .. })));
    assert!(matches!(authority.cross_sign(&other, now()), Err(AuthorityError::Mismatch)));
}

#[test]
fn an_authority_comes_back_from_its_texts() {
    let authority = authority();
    let (certificate, key) = (authority.certificate_pem(), authority.key_pem());
    let back = Authority::from_pem(&certificate, &key).expect("opened");
    assert_eq!((back.cluster(), back.digest()), (authority.cluster(), authority.digest()));
    assert_eq!(back.digest(), RootDigest::of(authority.certificate()));
    assert_eq!(cluster_of(authority.certificate()), Ok(authority.cluster()));
    let other = Authority::new(ClusterId::random(), now()).expect("an authority");
    let mixed = Authority::from_pem(&certificate, &other.key_pem());
    assert!(matches!(mixed, Err(AuthorityError::Mismatch)));
    let leaf = credential(&authority, Role::Server, 1, now()).chain().to_pem();
    let not_one = Authority::from_pem(&leaf, &key);
    assert!(matches!(not_one, Err(AuthorityError::Certificate(CertificateError::NotAuthority(_)))));
    let no_key = Authority::from_pem(&certificate, &Secret::new("no key".to_owned()));
    assert!(matches!(no_key, Err(AuthorityError::KeyText)));
}

#[test]
fn a_credential_needs_its_own_key() {
    let authority = authority();
    let credential = credential(&authority, Role::Server, 1, now());
    let chain = Certificates::from_pem(&credential.chain().to_pem()).expect("a chain");
    let key = NodeKey::from_pem(&credential.key().pem()).expect("a key");
    assert!(Credential::new(key, chain.clone()).is_ok());
    let other = NodeKey::generate().expect("a key");
    assert!(matches!(Credential::new(other, chain), Err(CredentialError::Mismatch)));
    let key = NodeKey::generate().expect("a key");
    let root = Certificates::new([authority.certificate().to_vec()]);
    let not_one = Credential::new(key, root);
    assert!(matches!(not_one, Err(CredentialError::Certificate(CertificateError::Authority))));
}

/// A certificate with these names, signed by its own key.
fn named(names: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("signed").der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}

#[test]
fn an_identity_is_exactly_one_uri_and_dns_names() {
    let good = "regrow://000102030405060708090a0b0c0d0e0f/server/1";
    let dns = SanType::DnsName("a.example".try_into().expect("ascii"));
    let address = SanType::IpAddress([10, 0, 0, 1].into());
    assert!(identity_of(&named(vec![uri(good), dns.clone()])).is_ok());
    for names in [
        vec![],
        vec![dns.clone()],
        vec![uri(good), uri("regrow://000102030405060708090a0b0c0d0e0f/server/2")],
        vec![uri(good), address],
    ] {
        let result = identity_of(&named(names.clone()));
        assert!(matches!(result, Err(CertificateError::Names(_))), "{names:?}: {result:?}");
    }
    let foreign = identity_of(&named(vec![uri("spiffe://example/server/1")]));
    assert!(matches!(foreign, Err(CertificateError::Identity(IdentityError::Form { .. }))));
    let mut trailing = named(vec![uri(good)]);
    trailing.push(0);
    assert!(matches!(identity_of(&trailing), Err(CertificateError::Form(_))));
    assert!(matches!(identity_of(b""), Err(CertificateError::Form(_))));
}

#[test]
fn texts_with_too_many_or_no_certificates_are_refused() {
    let root = authority().certificate_pem();
    assert_eq!(Certificates::from_pem(&root.repeat(8)).map(|found| found.len()), Ok(8));
    for bad in [String::new(), "no certificate".to_owned(), root.repeat(9)] {
        let result = Certificates::from_pem(&bad);
        assert!(matches!(result, Err(CertificateError::Pem(_))), "{} bytes", bad.len());
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_an_identity_or_not(bytes: Vec<u8>) {
        let _ = identity_of(&bytes);
    }

    #[test]
    fn a_damaged_certificate_never_panics(at in 0_usize..400, byte: u8) {
        let mut leaf = named(vec![uri("regrow://000102030405060708090a0b0c0d0e0f/server/1")]);
        let at = at % leaf.len();
        leaf[at] = byte;
        let _ = (identity_of(&leaf), validity_of(&leaf), cluster_of(&leaf));
    }
}
