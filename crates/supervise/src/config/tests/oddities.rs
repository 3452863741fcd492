//! Warnings, weak typing, what was added, and laws that hold for all files.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::{here, job, jobs, loaded};
use crate::event::Code;

fn warnings(text: &str) -> Vec<String> {
    loaded(text).warnings
}

fn with_jobs(jobs: &str) -> String {
    format!("{{consul: 'a:1', jobs: [{jobs}]}}")
}

#[test]
fn oddities_are_warned_of() {
    for (jobs, expected) in [
        ("{name: 'a'}, {name: 'a'}", "app.json5: 2 jobs are named 'a': their events look the same"),
        (
            "{name: 'a', exec: 'sh -c \"x\"'}",
            "app.json5:1:42: job[a].exec has quotes, which stay in the arguments: write a list of arguments",
        ),
        (
            "{name: 'a', when: {}}",
            "app.json5:1:42: job[a].when names no event: the job never starts",
        ),
        (
            "{name: 'a', when: {source: 'SIGHUP'}, stopTimeout: '-5s'}",
            "app.json5:1:75: job[a].stopTimeout is negative and counts as 0",
        ),
        (
            "{name: 'a', when: {once: 'healthy'}}",
            "app.json5:1:42: job[a].when has no 'source': the job never starts",
        ),
        (
            "{name: 'a', when: {source: 'b', once: 'healthy'}}",
            "app.json5:1:42: job[a].when.source: no job, watch, lock or signal is called 'b'",
        ),
        (
            "{name: 'a', main: 1}, {name: 'b', main: 1}",
            "app.json5: several jobs are 'main': the first of them that ends is",
        ),
    ] {
        assert_eq!(warnings(&with_jobs(jobs)), [expected], "{jobs}");
    }
}

#[test]
fn oddities_of_the_whole_file_are_warned_of() {
    for (text, expected) in [
        (
            "{consul: {address: 'a:1', scheme: 'https', tls: {verify: false}}}",
            "app.json5:1:10: consul: certificates are not verified: anybody on the way can pose as \
             Consul; remove 'verify: false' or name the authority in 'tls.cafile'",
        ),
        (
            "{consul: 'a:1', stopTimeout: -1}",
            "app.json5:1:30: 'stopTimeout' is negative: processes are killed at once",
        ),
        ("{consul: 'a:1', jobs: {}}", "app.json5:1:23: 'jobs' is not a list and is ignored"),
        (
            "{consul: 'a:1', discovery: 'none'}",
            "app.json5:1:10: 'consul' is not used: 'discovery' is 'none'",
        ),
        (
            "{discovery: 'none', watches: [{name: 'db', interval: 1}]}",
            "app.json5: watches see nothing: 'discovery' is 'none'",
        ),
        (
            "{consul: 'a:1', locks: [{name: 'l'}]}",
            "app.json5:1:25: no job or watch waits for lock 'l'",
        ),
        (
            "{consul: 'a:1', watches: [{name: 'db', interval: 1}], jobs: [{name: 'a', when: {source: 'db', each: 'changed'}}]}",
            "app.json5:1:80: job[a].when.source: no job, watch, lock or signal is called 'db'; the watch is 'watch.db'",
        ),
        (
            "{consul: 'a:1', telemetry: {metrics: {}}}",
            "app.json5:1:38: 'telemetry.metrics' is not a list and is ignored",
        ),
    ] {
        assert_eq!(warnings(text), [expected], "{text}");
    }
}

#[test]
fn usual_files_have_no_warnings() {
    let text = "{consul: 'a:1', telemetry: {}, watches: [{name: 'db', interval: 1}], jobs: [
        {name: 'pre', exec: 'a'},
        {name: 'app', exec: ['b', \"it's\"], when: {source: 'pre', once: 'exitSuccess'}},
        {name: 'post', exec: 'c', when: {source: 'app', once: 'stopped'}},
        {name: 'hook', exec: 'd', when: {source: 'watch.db', each: 'changed'}},
        {name: 'late', exec: 'e', when: {source: 'check.app', each: 'exitFailed'}},
        {name: 'down', exec: 'e', when: {source: 'global', once: 'shutdown'}},
        {name: 'sig', exec: 'e', when: {source: 'SIGUSR2'}},
        {name: 'lead', exec: 'e', when: {source: 'lock:primary', each: 'acquired'}}]}";
    assert_eq!(warnings(text), Vec::<String>::new());
}

#[test]
fn weak_typing_as_measured_on_containerpilot() {
    let Loaded { config, .. } = loaded(
        "{CONSUL: 'a:1', stoptimeout: '7', jobs: [null,
          {NAME: 'web', Exec: 5, tags: 'a', when: {interval: 5}, restarts: 1.7, PORT: '80',
           health: {interval: 1.9, ttl: '0x10', exec: true}}], watches: 'none'}",
    );
    assert_eq!(config.stop_timeout, Duration::from_secs(7));
    let job = &config.jobs[0];
    assert_eq!((config.jobs.len(), &*job.name), (1, "web"));
    assert_eq!(job.exec.as_ref().map(|exec| exec.program.as_str()), Some("5"));
    assert_eq!(
        (job.restarts, &job.when),
        (Restarts::Times(1), &When::Interval(Duration::from_secs(5)))
    );
    let health = job.health.as_ref().expect("health");
    assert_eq!((health.interval, health.ttl), (Duration::from_secs(1), Duration::from_secs(16)));
    assert_eq!(job.service.as_ref().map(|service| service.tags.clone()), Some(vec!["a".into()]));
}

#[test]
fn restarts_in_all_their_forms() {
    for (text, expected) in [
        ("'never'", Restarts::Times(0)),
        ("'unlimited'", Restarts::Unlimited),
        ("3", Restarts::Times(3)),
        ("'3'", Restarts::Times(3)),
        ("2.9", Restarts::Times(2)),
        ("null", Restarts::Times(0)),
    ] {
        assert_eq!(job(&format!("{{name: 'a', restarts: {text}}}")).restarts, expected, "{text}");
    }
    let signal = "{name: 'a', restarts: 'unlimited', when: {source: 'SIGHUP'}}";
    assert_eq!(job(signal).restarts, Restarts::Unlimited);
}

#[test]
fn what_was_added_to_jobs() {
    let job = job(
        "{name: 'db', exec: 'mariadbd', main: true, env: {B: 1, A: 'x'}, restartDelay: '1s',
          maxRestartDelay: '10ms', restartReset: 60, notify: {readyWithin: '5m', watchdog: 10},
          secrets: [{name: 'root', env: 'ROOT'}, {name: 'k', key: 'db/k'}, {name: 'f', file: '/f'}],
          liveness: {tcp: 'localhost:3306', interval: '2s', failures: 5},
          health: {interval: 1, ttl: 5, failFast: false,
                   http: {url: 'http://localhost/h', method: 'head', headers: {X: 1}}},
          when: {all: [{source: 'lock:primary', each: 'acquired'}, {source: 'SIGHUP'}], timeout: 9}}",
    );
    assert!(job.main);
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(job.env, [pair("A", "x"), pair("B", "1")]);
    let seconds = Duration::from_secs;
    let backoff = Backoff { first: seconds(1), most: seconds(1), reset: seconds(60) };
    assert_eq!(job.backoff, backoff);
    let notify = Notify { ready_within: Some(seconds(300)), watchdog: Some(seconds(10)) };
    assert_eq!(job.notify, Some(notify));
    let from: Vec<SecretSource> = job.secrets.into_iter().map(|secret| secret.from).collect();
    let key = SecretSource::Key("db/k".into());
    assert_eq!(from, [SecretSource::Env("ROOT".into()), key, SecretSource::File("/f".into())]);
    let liveness = job.liveness.expect("liveness");
    assert_eq!(liveness.check, Check::Probe(Probe::Tcp("localhost:3306".into())));
    assert_eq!((liveness.interval, liveness.timeout), (seconds(2), seconds(2)));
    assert_eq!((liveness.grace, liveness.failures), (seconds(2), 5));
    let health = job.health.expect("health");
    let probe = Probe::Http {
        url: "http://localhost/h".into(),
        method: "HEAD".into(),
        headers: vec![pair("X", "1")],
        insecure: false,
    };
    assert_eq!(health.check, Some(Check::Probe(probe)));
    assert!(!health.fail_fast);
    let trigger = |source: &str, code| Trigger { source: source.into(), code };
    let triggers = vec![trigger("lock:primary", Code::Acquired), trigger("SIGHUP", Code::Signal)];
    let when = When::Events { triggers, all: true, each: true, timeout: Some(seconds(9)) };
    assert_eq!(job.when, when);
}

#[test]
fn locks_are_those_of_the_file_and_those_that_jobs_name() {
    let config = loaded(
        "{discovery: 'embedded', locks: [{name: 'b', ttl: '60s', stopBefore: 5}], jobs: [
          {name: 'x', when: {source: 'lock:b', each: 'acquired'}},
          {name: 'y', when: {any: [{source: 'lock:a', once: 'lost'}]}}]}",
    )
    .config;
    assert_eq!(
        config.discovery,
        Discovery::Embedded("127.0.0.1:8500".parse().expect("an address"))
    );
    let seconds = Duration::from_secs;
    let lock = |name: &str, ttl, stop_before| Lock { name: name.into(), ttl, stop_before };
    let expected = [lock("a", seconds(15), seconds(5)), lock("b", seconds(60), seconds(5))];
    assert_eq!(config.locks, expected);
}

#[test]
fn telemetry_adds_its_job() {
    let config = loaded(
        "{consul: 'a:1', telemetry: {tags: ['x'], interfaces: 'lo', metrics: [
          {namespace: 'n', name: 'm', help: 'h', type: 'summary'}]}, jobs: [{name: 'a'}]}",
    )
    .config;
    let job = config.jobs.last().expect("the job of telemetry");
    assert!(job.telemetry && &*job.name == "containerpilot");
    let service = job.service.as_ref().expect("a service");
    assert_eq!((service.port, service.tags.join(",")), (9090, "x,9.9.9".to_owned()));
    let health = job.health.as_ref().expect("health");
    assert_eq!((health.interval, health.ttl), (Duration::from_secs(5), Duration::from_secs(15)));
    let telemetry = config.telemetry.expect("telemetry");
    assert_eq!(telemetry.address.to_string(), "127.0.0.1");
    let metric = Metric {
        namespace: "n".into(),
        subsystem: String::new(),
        name: "m".into(),
        help: "h".into(),
        kind: MetricKind::Summary,
    };
    assert_eq!(telemetry.metrics, [metric]);
}

#[test]
fn watches_of_services_and_keys() {
    let config = loaded(
        "{consul: 'a:1', watches: [{name: 'db', interval: 3, tag: 't', dc: 'd'}, {name: 'bk', key: 'a/b'}]}",
    )
    .config;
    let [db, key] = config.watches.as_slice() else { panic!("{config:?}") };
    let what = Watched::Service { service: "db".into(), tag: Some("t".into()) };
    assert_eq!((&db.what, db.interval.as_secs(), db.dc.as_deref()), (&what, 3, Some("d")));
    assert_eq!((&key.what, key.interval.as_secs()), (&Watched::Key("a/b".into()), 10));
}

#[test]
fn a_watch_of_a_lock_declares_it() {
    let text = "{consul: 'a:1', jobs: [{name: 'j', when: {source: 'watch.p', each: 'acquired'}}],
        watches: [{name: 'p1', lock: 'db/p'}]}";
    let loaded = loaded(&text.replace("watch.p", "watch.p1"));
    assert_eq!(loaded.config.watches[0].what, Watched::Lock("db/p".into()));
    assert_eq!(&*loaded.config.locks[0].name, "db/p");
    assert_eq!(loaded.config.lock_of("watch.p1").as_deref(), Some("db/p"));
    assert_eq!(loaded.config.lock_of("watch.other"), None);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn complaint_20_a_stop_timeout_of_zero_is_the_default_and_a_negative_one_none() {
    let stop =
        |text: &str| loaded(&format!("{{consul: 'a:1', stopTimeout: {text}}}")).config.stop_timeout;
    assert_eq!(
        (stop("0"), stop("-3"), stop("2")),
        (Duration::from_secs(5), Duration::ZERO, Duration::from_secs(2))
    );
    assert!(stop("9223372036854775807") < Duration::from_secs(300 * 366 * 86_400));
}

/// Complaint 11: the copy of a service that moved to another agent stayed there, critical, for ever.
#[test]
fn complaint_11_a_service_that_is_critical_for_an_hour_is_taken_out() {
    let health = "health: {interval: 1, ttl: 1}";
    for (consul, expected) in [
        ("{enableTagOverride: true}", Some("1h")),
        ("{deregisterCriticalServiceAfter: ''}", Some("1h")),
        ("{deregisterCriticalServiceAfter: 90}", Some("90s")),
        ("{deregisterCriticalServiceAfter: '1h'}", Some("1h")),
    ] {
        let job = job(&format!("{{name: 'web', port: 1, {health}, consul: {consul}}}"));
        let service = job.service.expect("a service");
        assert_eq!(service.deregister_critical_after.as_deref(), expected, "{consul}");
    }
    let strict = loaded(&format!(
        "{{consul: 'a:1', compatibility: 'containerpilot', jobs: [{{name: 'web', port: 1, {health}}}]}}"
    ));
    let service = strict.config.jobs[0].service.as_ref().expect("a service");
    assert_eq!(service.deregister_critical_after, None);
}

fn consul(text: &str, env: &[(&str, &str)]) -> Result<Consul, String> {
    let mut here = here();
    here.env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let text = format!("{{consul: {text}}}");
    match parse(&text, Path::new("app.json5"), &here).map(|loaded| loaded.config.discovery) {
        Ok(Discovery::Consul(consul)) => Ok(*consul),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn consul_in_all_its_forms() {
    for (text, env, expected) in [
        ("'a:1'", vec![], "http://a:1"),
        ("'http://a:1'", vec![], "http://a:1"),
        ("'https://a:1/'", vec![], "https://a:1"),
        ("'unix:///run/consul.sock'", vec![], "unix:///run/consul.sock"),
        ("'a:1'", vec![("CONSUL_HTTP_SSL", "1")], "http://a:1"),
        ("{address: 'a:1'}", vec![("CONSUL_HTTP_SSL", "1")], "https://a:1"),
        ("{address: 'a:1', scheme: 'HTTPS'}", vec![], "https://a:1"),
        ("{address: 'https://a:1'}", vec![], "https://a:1"),
        ("{}", vec![], "http://127.0.0.1:8500"),
        ("{}", vec![("CONSUL_HTTP_ADDR", "https://b:2")], "https://b:2"),
        ("'a:1'", vec![("CONSUL_HTTP_ADDR", "b:2")], "http://a:1"),
    ] {
        let consul = consul(text, &env).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(consul.url, expected, "{text} {env:?}");
    }
}

#[test]
fn the_environment_completes_consul() {
    let env = [
        ("CONSUL_HTTP_TOKEN", "t"),
        ("CONSUL_HTTP_TOKEN_FILE", "/token"),
        ("CONSUL_CACERT", "/ca"),
        ("CONSUL_CAPATH", "/cas"),
        ("CONSUL_CLIENT_CERT", "/cert"),
        ("CONSUL_CLIENT_KEY", "/key"),
        ("CONSUL_TLS_SERVER_NAME", "name"),
        ("CONSUL_HTTP_SSL_VERIFY", "0"),
        ("CONSUL_HTTP_AUTH", "u:p:q"),
    ];
    let file =
        "{address: 'https://a:1', token: 'x', tokenFile: '/x', tls: {cafile: '/x', verify: true}}";
    let found = consul(file, &env).expect("it loads");
    let expected = Consul {
        url: "https://a:1".into(),
        token: Some(Secret("t".into())),
        token_file: Some("/token".into()),
        basic: Some(("u".into(), Secret("p:q".into()))),
        ca_file: Some("/ca".into()),
        ca_path: Some("/cas".into()),
        client_cert: Some("/cert".into()),
        client_key: Some("/key".into()),
        server_name: Some("name".into()),
        verify: false,
    };
    assert_eq!(found, expected);
    let wrong = consul("'a:1'", &[("CONSUL_HTTP_SSL_VERIFY", "maybe")]).expect_err("neither");
    assert!(wrong.starts_with("could not parse CONSUL_HTTP_SSL_VERIFY 'maybe': "), "{wrong}");
}

#[test]
fn story_5_certificates_are_verified_by_default() {
    assert!(consul("'https://a:1'", &[]).expect("it loads").verify);
    assert!(consul("{address: 'a:1', tls: {cafile: '/x'}}", &[]).expect("it loads").verify);
}

#[test]
fn without_discovery_a_machine_without_addresses_will_do() {
    let mut here = here();
    here.interfaces = Interfaces::default();
    let text = "{discovery: 'none', jobs: [{name: 'web', port: 1, health: {interval: 1, ttl: 1}}]}";
    let loaded = parse(text, Path::new("app.json5"), &here).expect("it loads");
    let service = loaded.config.jobs[0].service.as_ref().expect("a service");
    assert_eq!(service.address.to_string(), "127.0.0.1");
}

#[test]
fn yaml_says_the_same() {
    let json5 = "{consul: 'a:1', jobs: [{name: 'web', exec: ['a', 1], port: 80, health: {interval: 1, ttl: 2}}]}";
    let yaml = "consul: a:1\njobs:\n  - name: web\n    exec: [a, 1]\n    port: 80\n    health:\n      interval: 1\n      ttl: 2\n";
    for name in ["app.yaml", "app"] {
        let read = parse(yaml, Path::new(name), &here()).expect("it loads");
        assert_eq!(read.config, loaded(json5).config);
    }
    let error = parse("consul: a:1\njobs:\n  - nam: web\n", Path::new("app.yml"), &here());
    let text = error.expect_err("unknown").to_string();
    assert!(text.ends_with("\n  at app.yml:3:10"), "{text}");
}

#[test]
fn a_configuration_is_stored_and_read_back() {
    let config =
        loaded("{consul: 'a:1', telemetry: {}, jobs: [{name: 'a', when: {interval: 1}}]}").config;
    let text = serde_json::to_string(&config).expect("it is written");
    assert_eq!(serde_json::from_str::<Config>(&text).expect("it is read"), config);
}

/// The examples are complete: they load without a warning on a machine with the usual address.
#[test]
fn the_examples_load() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for folder in std::fs::read_dir(examples).expect("the examples") {
        for file in std::fs::read_dir(folder.expect("an example").path()).into_iter().flatten() {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|extension| extension == "json5") {
                let loaded = load(Some(&path), &here()).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(loaded.warnings, Vec::<String>::new(), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no example has a configuration");
}

#[test]
fn jobs_keep_their_order() {
    let names: Vec<String> = jobs("[{name: 'b'}, {name: 'a'}, {name: 'c'}]")
        .iter()
        .map(|job| job.name.to_string())
        .collect();
    assert_eq!(names, ["b", "a", "c"]);
}

/// A value of any shape, with names that mean something.
fn any_value() -> impl Strategy<Value = String> {
    let words: Vec<&str> = [keys::TOP, keys::JOB, keys::WHEN, keys::HEALTH].concat();
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        Just("NaN".to_owned()),
        (0u32..100_000).prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "a", "lock:a", "5s", "-5s", "healthy", "SIGHUP", "http://a", "none", "'"
        ])
        .prop_map(|text| format!("{text:?}")),
    ];
    scalar.prop_recursive(4, 40, 5, move |inner| {
        let key = prop::sample::select(words.clone());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key, inner), 0..5).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "\\PC{0,80}") {
        drop(parse(&text, Path::new("a.json5"), &here()));
    }

    #[test]
    fn no_value_breaks_it(jobs in any_value(), rest in any_value()) {
        for text in [
            format!("{{consul: 'a:1', jobs: [{jobs}, {rest}]}}"),
            format!("{{consul: {rest}, discovery: 'none', locks: {jobs}, watches: {rest}}}"),
            format!("{{consul: 'a:1', telemetry: {jobs}, logging: {rest}}}"),
            rest.clone(),
        ] {
            drop(parse(&text, Path::new("a.json5"), &here()));
        }
    }

    #[test]
    fn the_order_of_keys_does_not_matter(
        fields in Just(vec![
            "name: 'web'", "exec: ['a', 1]", "port: 80", "restarts: 3", "tags: ['a']", "timeout: '5s'",
            "health: {ttl: 2, interval: 1}", "when: {once: 'stopped', source: 'b', timeout: 3}",
            "env: {B: 1, A: 2}", "main: true",
        ]).prop_shuffle(),
    ) {
        let text = with_jobs(&format!("{{{}}}", fields.join(", ")));
        let sorted = with_jobs(
            "{name: 'web', exec: ['a', 1], port: 80, restarts: 3, tags: 'a', timeout: 5, main: 1,
              health: {interval: 1, ttl: 2}, when: {source: 'b', once: 'stopped', timeout: '3s'},
              env: {A: '2', B: '1'}}",
        );
        prop_assert_eq!(loaded(&text).config, loaded(&sorted).config);
    }
}
