//! Who talks to whom: every state of a certificate, in both directions.

use std::sync::Arc;

use regrow_pki::{
    BACK_DATE, Certificates, Clock, DEFAULT_LIFE, Expect, Member, NodeNumber, Role, joiner_config,
};

use crate::world::{HOUR, authority, credential, meet, member, now, shake, with};

fn server_expected() -> Expect {
    Expect { role: Some(Role::Server), node: None }
}

#[test]
fn members_of_one_cluster_meet() {
    let authority = authority();
    let server = member(&authority, Role::Server, 1);
    for role in Role::ALL {
        let client = member(&authority, role, 2);
        assert_eq!(meet(&client, &server, server_expected()), Ok(()));
    }
}

#[test]
fn a_worker_that_serves_as_a_server_is_refused() {
    let authority = authority();
    let (client, worker) =
        (member(&authority, Role::Server, 1), member(&authority, Role::Worker, 2));
    let error = meet(&client, &worker, server_expected()).expect_err("refused");
    assert!(error.contains("client") && error.contains("a worker, expected a server"), "{error}");
    assert_eq!(meet(&client, &worker, Expect::default()), Ok(()), "as a worker it may");
}

#[test]
fn another_node_at_the_address_is_refused() {
    let authority = authority();
    let (client, server) =
        (member(&authority, Role::Server, 1), member(&authority, Role::Server, 2));
    let expect = |node| Expect { role: None, node: Some(NodeNumber::new(node)) };
    assert_eq!(meet(&client, &server, expect(2)), Ok(()));
    let error = meet(&client, &server, expect(3)).expect_err("refused");
    assert!(error.contains("node 2, expected node 3"), "{error}");
}

#[test]
fn another_authority_is_refused_by_both_sides() {
    let (ours, theirs) = (authority(), authority());
    let (own, foreign) = (member(&ours, Role::Server, 1), member(&theirs, Role::Server, 1));
    let error = meet(&own, &foreign, Expect::default()).expect_err("refused");
    assert!(error.contains("client") && error.contains("UnknownIssuer"), "{error}");
    // A client that trusts our root as well, and shows its own certificate.
    let root = Certificates::new([ours.certificate().to_vec()]);
    let sneaky = with(credential(&theirs, Role::Server, 1, now()), root, now());
    let error = meet(&sneaky, &own, Expect::default()).expect_err("refused");
    // The client's own rule sees another cluster first.
    assert!(error.contains("cluster"), "{error}");
}

#[test]
fn one_root_for_two_clusters_does_not_mix_them() {
    // Both roots trusted, as by a careless operator: the cluster in the identity still decides.
    let (ours, theirs) = (authority(), authority());
    let roots = || Certificates::new([ours.certificate().to_vec(), theirs.certificate().to_vec()]);
    let own = with(credential(&ours, Role::Server, 1, now()), roots(), now());
    let foreign = with(credential(&theirs, Role::Server, 2, now()), roots(), now());
    let error = meet(&own, &foreign, Expect::default()).expect_err("refused");
    assert!(error.contains("belongs to cluster"), "{error}");
}

#[test]
fn time_decides_with_an_hour_of_tolerance_behind() {
    let authority = authority();
    let roots = || Certificates::new([authority.certificate().to_vec()]);
    let at = |time| with(credential(&authority, Role::Server, 1, now()), roots(), time);
    let second = HOUR / 3600;
    // When, whether a client accepts the server, whether a server accepts the client.
    let cases = [
        (now() - BACK_DATE - second, false, false),
        (now() - BACK_DATE, true, true),
        (now() + DEFAULT_LIFE, true, true),
        // A client that has expired may still ask for its next certificate.
        (now() + DEFAULT_LIFE + second, false, true),
    ];
    let always = member(&authority, Role::Server, 2);
    for (time, client, server) in cases {
        let judge = at(time);
        assert_eq!(meet(&judge, &always, Expect::default()).is_ok(), client, "at {time:?}");
        assert_eq!(meet(&always, &judge, Expect::default()).is_ok(), server, "at {time:?}");
    }
}

#[test]
fn an_expired_client_is_let_in_by_servers_only_and_by_nothing_but_its_time() {
    let ours = authority();
    let theirs = regrow_pki::Authority::new(ours.cluster(), now()).expect("an authority");
    let roots = || Certificates::new([ours.certificate().to_vec()]);
    let late = now() + 3 * DEFAULT_LIFE;
    let judge = |role| with(credential(&ours, role, 1, late), roots(), late);
    let client = |authority: &regrow_pki::Authority, node| {
        with(credential(authority, Role::Server, node, now()), roots(), late)
    };
    assert_eq!(meet(&client(&ours, 2), &judge(Role::Server), Expect::default()), Ok(()));
    let error = meet(&client(&ours, 2), &judge(Role::Worker), Expect::default());
    assert!(error.as_ref().is_err_and(|error| error.contains("ended at")), "{error:?}");
    let mut knows = judge(Role::Server);
    knows.refused = Arc::new(|node| node == NodeNumber::new(7));
    let error = meet(&client(&ours, 7), &knows, Expect::default());
    assert!(error.as_ref().is_err_and(|error| error.contains("was removed")), "{error:?}");
    // Expired, and signed by an authority that only calls itself the same.
    let error = meet(&client(&theirs, 2), &judge(Role::Server), Expect::default());
    assert!(error.as_ref().is_err_and(|error| error.contains("UnknownIssuer")), "{error:?}");
}

#[test]
fn a_clock_that_is_a_day_off_is_named_beside_the_clusters() {
    let authority = authority();
    let server = member(&authority, Role::Server, 1).server_config().expect("settings");
    let day = 24 * HOUR;
    let at = |time| {
        let clock = Clock::new(move || time);
        shake(joiner_config(authority.digest(), &clock).expect("settings"), server.clone())
            .expect_err("refused")
    };
    // The moment of these tests is 14 November 2023, 22:13:20.
    let behind = at(now() - day);
    assert!(behind.contains("showed Nov 14 22:13:20 2023"), "{behind}");
    assert!(behind.contains("here shows Nov 13 22:13:20 2023"), "{behind}");
    let ahead = at(now() + day + HOUR);
    assert!(ahead.contains("ended at Nov 15 22:13:20 2023"), "{ahead}");
    assert!(ahead.contains("here shows Nov 15 23:13:20 2023"), "{ahead}");
}

#[test]
fn a_removed_node_is_refused_by_both_sides() {
    let authority = authority();
    let removed = member(&authority, Role::Server, 7);
    let mut judge = member(&authority, Role::Server, 1);
    judge.refused = Arc::new(|node| node == NodeNumber::new(7));
    for result in
        [meet(&removed, &judge, Expect::default()), meet(&judge, &removed, Expect::default())]
    {
        let error = result.expect_err("refused");
        assert!(error.contains("node 7 was removed"), "{error}");
    }
}

#[test]
fn a_newcomer_talks_to_the_cluster_of_its_token_only() {
    let (ours, theirs) = (authority(), authority());
    let clock = Clock::new(now);
    let joiner = || joiner_config(ours.digest(), &clock).expect("settings");
    let at = |member: &Member| shake(joiner(), member.server_config().expect("settings"));
    assert_eq!(at(&member(&ours, Role::Server, 1)), Ok(()));
    let error = at(&member(&theirs, Role::Server, 1)).expect_err("refused");
    assert!(error.contains("client") && error.contains("does not show the root"), "{error}");
    // The man in the middle knows our root certificate, which is no secret, and shows it too.
    let both = Certificates::new([theirs.certificate().to_vec(), ours.certificate().to_vec()]);
    let middle = with(credential(&theirs, Role::Server, 1, now()), both, now());
    let error = at(&middle).expect_err("refused");
    assert!(error.contains("client") && error.contains("UnknownIssuer"), "{error}");
    // A worker of the right cluster must not get the secret either.
    let worker = member(&ours, Role::Worker, 2);
    assert!(at(&worker).is_err());
}

#[test]
fn a_stranger_may_knock_at_servers_only() {
    let authority = authority();
    let clock = Clock::new(now);
    let stranger = joiner_config(authority.digest(), &clock).expect("settings");
    let server = member(&authority, Role::Server, 1).server_config().expect("settings");
    assert_eq!(shake(stranger, server), Ok(()));
    // The worker's own settings ask for a certificate: a client that would accept it has none.
    let worker = member(&authority, Role::Worker, 1).server_config().expect("settings");
    let trusting = {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::clone(
            &joiner_config(authority.digest(), &clock).expect("settings"),
        );
        config.dangerous().set_certificate_verifier(Arc::new(AcceptAll(provider)));
        Arc::new(config)
    };
    let error = shake(trusting, worker).expect_err("refused");
    assert!(error.contains("server") && error.contains("no certificates"), "{error}");
}

/// A careless client.
#[derive(Debug)]
struct AcceptAll(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
