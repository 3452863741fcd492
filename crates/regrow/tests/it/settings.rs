//! Settings of a catalog from the command line: tokens, encryption, logins.

use crate::support::{Daemon, Said, World, said};

/// Where a started catalog answers, by what it says of it.
fn address(daemon: &Daemon, what: &str) -> String {
    let (output, start) = (daemon.output(), format!("{what} on "));
    let address =
        output.lines().find_map(|line| line.strip_prefix(start.as_str()).map(str::to_owned));
    address.expect("an address")
}

fn catalog(world: &World, more: &[&str]) -> Daemon {
    let words = ["catalog", "--dev", "--http", "127.0.0.1:0", "--dns", "none"];
    let daemon = world.spawn(&[&words, more].concat());
    daemon.says("ready");
    daemon
}

#[test]
fn tokens_are_made_with_the_token_of_the_node_and_decide() {
    let world = World::new();
    world.write("root", "the token of this node\n".replace(' ', "-").as_str());
    let catalog = catalog(&world, &["--acl-token-file", "root"]);
    let http = address(&catalog, "HTTP");
    let run = |words: &[&str], token: (&str, &str)| -> Said {
        let mut command = world.command(words);
        command.env("CONSUL_HTTP_ADDR", &http).env(token.0, token.1);
        said(&command.output().expect("run"))
    };
    let root = ("CONSUL_HTTP_TOKEN_FILE", "root");
    let nobody = ("CONSUL_HTTP_TOKEN", "");
    let denied = run(&["kv", "put", "app/a", "1"], nobody);
    assert!(denied.code == Some(1) && denied.err.contains("Permission denied"), "{denied:?}");
    let rules = "key_prefix \"app/\" { policy = \"write\" }";
    let words = [
        "acl",
        "token",
        "create",
        "--description",
        "the app",
        "--rules",
        rules,
        "--output",
        "json",
    ];
    let refused = run(&words, nobody);
    assert!(refused.code == Some(1) && refused.err.contains("Permission denied"), "{refused:?}");
    let made = run(&words, root);
    assert_eq!(made.code, Some(0), "{made:?}");
    let made: serde_json::Value = serde_json::from_str(&made.out).expect("JSON");
    let field = |name: &str| made[name].as_str().expect("a text").to_owned();
    let (id, secret) = (field("AccessorID"), field("SecretID"));
    let app = ("CONSUL_HTTP_TOKEN", secret.as_str());
    assert_eq!(run(&["kv", "put", "app/a", "1"], app).code, Some(0));
    assert_eq!(run(&["kv", "put", "other", "1"], app).code, Some(1));
    let listed = run(&["acl", "token", "ls"], root);
    assert!(listed.out.contains(&id) && listed.out.contains("the app"), "{listed:?}");
    assert!(!listed.out.contains(&secret));
    assert_eq!(run(&["acl", "token", "rm", &id, "--yes"], root).code, Some(0));
    let gone = run(&["kv", "put", "app/a", "2"], app);
    assert!(gone.err.contains("ACL not found"), "{gone:?}");
    let missing = run(&["acl", "token", "rm", &id, "--yes"], root);
    assert_eq!(missing.code, Some(1), "{missing:?}");
}

#[test]
fn https_with_a_login_serves_who_trusts_it() {
    let world = World::new();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate");
    world.write("cert.pem", &made.cert.pem());
    world.write("key.pem", &made.signing_key.serialize_pem());
    world.write("logins", "ann:secret\n");
    let flags = [
        "--https",
        "127.0.0.1:0",
        "--https-cert",
        "cert.pem",
        "--https-key",
        "key.pem",
        "--http-auth-file",
        "logins",
    ];
    let catalog = catalog(&world, &flags);
    let https = format!("https://{}", address(&catalog, "HTTPS"));
    let run = |more: &[&str], login: &str| {
        let mut command =
            world.command(&[&["kv", "put", "a", "1", "--http-addr", &https], more].concat());
        said(&command.env("CONSUL_HTTP_AUTH", login).output().expect("run"))
    };
    let trusting = ["--ca-file", "cert.pem"];
    assert_eq!(run(&trusting, "ann:secret").code, Some(0), "{:?}", run(&trusting, "ann:secret"));
    let refused = run(&trusting, "ann:wrong");
    assert!(refused.code == Some(1) && refused.err.contains("401"), "{refused:?}");
    let distrusting = run(&[], "ann:secret");
    assert!(
        distrusting.code == Some(1) && distrusting.err.contains("certificate"),
        "{distrusting:?}"
    );
}

#[test]
fn settings_that_make_no_sense_are_told_before_anything_starts() {
    let world = World::new();
    world.write("empty", "");
    let fails =
        |more: &[&str]| world.run(&[&["catalog", "--dev", "--http", "127.0.0.1:0"], more].concat());
    let empty = fails(&["--acl-token-file", "empty"]);
    assert!(empty.code == Some(1) && empty.err.contains("expected one token"), "{empty:?}");
    let missing = fails(&["--http-auth-file", "missing"]);
    assert!(missing.code == Some(1) && missing.err.contains("missing"), "{missing:?}");
    assert_eq!(fails(&["--https", "127.0.0.1:0"]).code, Some(2), "a certificate is needed");
    assert_eq!(fails(&["--http-connections", "0"]).code, Some(2));
}

#[test]
fn a_variable_that_is_set_to_nothing_counts_as_unset() {
    let world = World::new();
    // Refused for its key, before anybody is asked: until then all variables were read.
    let words = ["kv", "get", "/a"];
    for name in [
        "REGROW_STATE",
        "CONSUL_HTTP_ADDR",
        "CONSUL_HTTP_TOKEN",
        "CONSUL_HTTP_TOKEN_FILE",
        "CONSUL_CACERT",
    ] {
        let said = said(&world.command(&words).env(name, "").output().expect("run"));
        assert!(
            said.code == Some(1) && said.err.contains("does not begin with /"),
            "{name}: {said:?}"
        );
    }
    let without_poll = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("INFRAKIT_GROUP_POLL_INTERVAL", "");
        command
    };
    let up = said(&without_poll(&["up"]).output().expect("run"));
    assert!(up.code == Some(1) && up.err.contains("no spec is given"), "{up:?}");
    let mut group = world.spawn_command(without_poll(&["plugin", "start", "group"]));
    group.says("started");
    assert_eq!(group.stop(), Some(0));
}
