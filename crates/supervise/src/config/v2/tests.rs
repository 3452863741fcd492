//! Files of version 2 beside what they become, `tests/golden/v2/NAME.json` and `NAME.v3.json5`.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{self, Interfaces, SignalAct, Surroundings, UserSignal};

/// Every golden file with its main application.
const GOLDEN: &[(&str, &str)] = &[
    ("full", "node /srv/web.js --port=8080"),
    ("one-service", "/usr/sbin/web -f"),
    ("app-among-services", "serve"),
    ("no-app", ""),
    ("nothing-to-follow", ""),
];

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn golden_files_become_what_is_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2");
    for (name, app) in GOLDEN {
        let text = fs::read_to_string(folder.join(format!("{name}.json"))).expect("a file");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert!(is_v2(&document), "{name}");
        let (text, warnings) = convert_text(&document, &words(app)).expect("converted");
        let warnings: String = warnings.iter().map(|line| format!("// {line}\n")).collect();
        let printed = warnings + &text;
        let file = folder.join(format!("{name}.v3.json5"));
        if std::env::var("REGROW_GOLDEN").as_deref() == Ok("update") {
            fs::write(&file, &printed).expect("write");
        }
        let recorded = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(printed, recorded, "{name}: REGROW_GOLDEN=update takes over what is said now");
        // Both forms of the result say the same.
        let (value, _) = convert(&document, &words(app)).expect("converted");
        assert_eq!(value, serde_json::from_str::<Value>(&text).expect("JSON"), "{name}");
        assert!(!is_v2(&value), "{name}: it is of version 3 now");
    }
}

#[test]
fn a_file_is_of_version_2_by_its_keys() {
    for key in ["services", "backends", "preStart", "preStop", "postStop", "coprocesses", "tasks"] {
        assert!(is_v2(&json!({"consul": "x", key: []})), "{key}");
        assert!(!is_v2(&json!({"consul": "x", key: [], "jobs": []})), "{key} beside jobs");
    }
    assert!(is_v2(&json!({"consul": "x", "telemetry": {"Sensors": []}})));
    assert!(!is_v2(&json!({"consul": "x", "telemetry": {"metrics": []}})));
    for other in [json!({}), json!({"consul": "x"}), json!([]), json!("services"), Value::Null] {
        assert!(!is_v2(&other), "{other}");
    }
}

fn here(app: &str) -> Surroundings {
    let address = "10.0.0.5".parse().expect("an address");
    Surroundings {
        env: [("PORT".to_owned(), "8080".to_owned())].into(),
        interfaces: Interfaces::known(vec![
            ("eth0".to_owned(), address),
            ("eth1".to_owned(), address),
        ]),
        app: words(app),
        ..Surroundings::default()
    }
}

#[test]
fn golden_files_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2");
    for (name, app) in GOLDEN {
        let old = folder.join(format!("{name}.json"));
        let new = folder.join(format!("{name}.v3.json5"));
        let old = config::load(Some(&old), &here(app)).expect("version 2 loads").config;
        let new = config::load(Some(&new), &here("")).expect("version 3 loads").config;
        assert_eq!(old, new, "{name}");
        assert_eq!(old.jobs.iter().filter(|job| job.main).count(), usize::from(!app.is_empty()));
    }
}

#[test]
fn complaint_21_an_application_on_the_command_line_is_what_the_program_is_about() {
    let text = r#"{"consul": "x", "services": [{"name": "app", "port": 80, "poll": 1, "ttl": 2}]}"#;
    let app = "serve {{.CONTAINERPILOT_APP_IP}}:{{.PORT}} {{.NOPE}}";
    let loaded = config::parse(text, Path::new("v2.json"), &here(app)).expect("loads");
    let job = &loaded.config.jobs[0];
    let exec = job.exec.as_ref().expect("a command");
    assert_eq!(
        (exec.program.as_str(), exec.args.join(" ")),
        ("serve", "10.0.0.5:8080 ".to_owned())
    );
    assert!(job.main && job.raw, "{job:?}");
    let act =
        |signal| loaded.config.signals.iter().find(|it| it.signal == signal).expect("used").act;
    assert_eq!(act(UserSignal::Hup), SignalAct::Reload);
    assert_eq!(act(UserSignal::Usr1), SignalAct::Maintenance);
}

#[test]
fn an_application_beside_a_file_of_version_3_is_told() {
    let load = |app| config::parse("{consul: 'x'}", Path::new("v3"), &here(app)).expect("loads");
    assert_eq!(load("").warnings, Vec::<String>::new());
    let text = "v3: an application after the flags is ignored in version 3";
    assert_eq!(load("serve").warnings, [text]);
}

#[test]
fn a_converted_file_keeps_its_templates_where_it_can() {
    let folder = tempfile::tempdir().expect("folder");
    let file = |text: &str| {
        let path = folder.path().join("v2.json");
        fs::write(&path, text).expect("write");
        config::Source::Path(path).convert(&here("serve"))
    };
    let (text, notes) = file(r#"{"consul": "{{ .C }}:8500", "preStart": "x"}"#).expect("converted");
    assert!(text.contains(r#""consul": "{{ .C }}:8500""#), "{text}");
    assert_eq!(notes, Vec::<String>::new());
    let (text, notes) = file(
        r#"{"consul": "{{ .C }}:8500", "services": [
            {"name": "app", "port": {{ .PORT }}, "poll": 1, "ttl": 2}]}"#,
    )
    .expect("converted");
    assert!(text.contains(r#""port": 8080"#), "{text}");
    assert_eq!(notes, ["templates were rendered: they stand where values must be known"]);
    let error = file("{consul: 'x', jobs: []}").expect_err("version 3").to_string();
    assert!(error.ends_with("it has none of the keys that only version 2 has"), "{error}");
}

fn converted(rest: Value) -> Value {
    let mut document = rest;
    document["consul"] = json!("localhost:8500");
    convert(&document, &words("app")).expect("converted").0
}

/// In version 2 the program ended with the failed hook; nothing else ran.
#[test]
fn the_hooks_at_the_end_do_not_run_after_a_failed_pre_start() {
    let document = converted(json!({"preStart": "a", "preStop": "b", "postStop": "c"}));
    let when = |index: usize| document["jobs"][index]["when"].clone();
    let all = |event: &str| {
        json!({"all": [{"source": "preStart", "once": "exitSuccess"},
            {"source": "app", "once": event}]})
    };
    assert_eq!((when(2), when(3)), (all("stopping"), all("stopped")));
    let document = converted(json!({"preStop": "b"}));
    assert_eq!(document["jobs"][1]["when"], json!({"source": "app", "once": "stopping"}));
}

#[test]
fn a_check_may_take_until_its_ttl() {
    let timeout = |service: Value| {
        let document = converted(json!({"services": [service]}));
        document["jobs"][0]["health"].get("timeout").cloned()
    };
    let base = json!({"name": "ab", "port": 1, "poll": 5, "ttl": 25, "health": "x"});
    assert_eq!(timeout(base.clone()), Some(json!("25s")));
    let with = |key: &str, value: Value| {
        let mut changed = base.clone();
        changed[key] = value;
        changed
    };
    assert_eq!(timeout(with("timeout", json!("3s"))), Some(json!("3s")));
    assert_eq!(timeout(with("health", Value::Null)), None);
    assert_eq!(timeout(with("ttl", json!(5))), None);
}

#[test]
fn words_of_a_sensor_reach_its_check_unchanged() {
    let sensor = json!({"name": "n", "poll": 1, "check": ["sh", "-c", "echo \"$HOME\" 'x'"]});
    let document = converted(json!({"telemetry": {"sensors": [sensor]}}));
    let exec = document["jobs"][1]["exec"].as_array().expect("words").clone();
    assert_eq!(exec[3..], [json!("n"), json!("sh"), json!("-c"), json!("echo \"$HOME\" 'x'")]);
}

/// The shell line itself, with a stand-in for the program.
#[test]
fn a_sensor_hands_over_what_its_check_prints() {
    let sensor = json!({"name": "n", "namespace": "a", "poll": 1, "check": ["echo", "1  2'"]});
    let document = converted(json!({"telemetry": {"sensors": [sensor]}}));
    let exec: Vec<String> =
        serde_json::from_value(document["jobs"][1]["exec"].clone()).expect("words");
    let line = exec[2].replace("exec \"/proc/$CONTAINERPILOT_PID/exe\"", "printf '<%s>'");
    let run = |check: &[String]| {
        let mut command = std::process::Command::new(&exec[0]);
        command.arg("-c").arg(&line).arg(&exec[3]).args(check).output().expect("a shell")
    };
    let output = run(&exec[4..]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(printed, "<supervise><putmetric><a_n=1  2'>");
    let output = run(&words("false"));
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
}

#[test]
fn every_fault_of_version_2_is_told() {
    let service = |rest: Value| {
        let mut service = json!({"name": "web", "port": 1, "poll": 1, "ttl": 1});
        service.as_object_mut().expect("object").extend(rest.as_object().expect("object").clone());
        json!({"consul": "x", "services": [service]})
    };
    let backend = |rest: Value| json!({"consul": "x", "backends": [rest]});
    let task = |rest: Value| json!({"consul": "x", "tasks": [rest]});
    let coprocess = |rest: Value| json!({"consul": "x", "coprocesses": [rest]});
    let sensor = |rest: Value| json!({"consul": "x", "telemetry": {"sensors": [rest]}});
    for (document, text) in [
        (json!([]), "could not parse configuration: expected an object"),
        (json!({"services": []}), "No discovery backend defined"),
        (json!({"consul": "x", "etcd": {}}), "More than one discovery backend defined"),
        (
            json!({"etcd": {"endpoints": ["x"]}, "services": []}),
            "discovery backend `etcd` is not supported: services are announced to a Consul agent or \
             to `regrow catalog`, which answers as one; name it under `consul` instead of `etcd`",
        ),
        (json!({"consul": "x", "tasks": [], "b": 1, "a": 1}), "Unknown config keys: [a b]"),
        (service(json!({"poll": 0})), "`poll` must be > 0 in service web"),
        (service(json!({"poll": null})), "`poll` must be > 0 in service web"),
        (service(json!({"ttl": -1})), "`ttl` must be > 0 in service web"),
        (service(json!({"port": "0"})), "`port` must be > 0 in service web"),
        (service(json!({"port": "x"})), "services[0].port: expected a number, found a text"),
        (
            service(json!({"health": 7})),
            "services[0].health: expected a command: a text or a list of words, found a number",
        ),
        (
            service(json!({"polll": 1, "b": 1})),
            "services[0] configuration error: 1 error(s) decoding:\n\n\
             * 'services[0]' has invalid keys: b, polll",
        ),
        (json!({"consul": "x", "services": {}}), "services: expected a list, found an object"),
        (
            json!({"consul": "x", "services": [1]}),
            "services[0]: expected an object, found a number",
        ),
        (backend(json!({"name": "db", "poll": 1})), "`onChange` is required in backend db"),
        (backend(json!({"name": "db", "onChange": "x"})), "`poll` must be > 0 in backend db"),
        (task(json!({"frequency": "1s"})), "Task did not provide a command"),
        (
            task(json!({"name": "t", "command": "x", "frequency": "soon"})),
            "Unable to parse frequency of task t: time: invalid duration \"soon\"",
        ),
        (coprocess(json!({"name": "c"})), "Coprocess did not provide a command"),
        (
            coprocess(json!({"command": "x", "restarts": "often"})),
            "Invalid 'restarts' field \"often\": accepts positive integers, \"unlimited\", or \"never\"",
        ),
        (
            coprocess(json!({"command": "x", "restarts": -1})),
            "Invalid 'restarts' field \"-1\": accepts positive integers, \"unlimited\", or \"never\"",
        ),
        (sensor(json!({"name": "s", "poll": 1})), "`check` is required in sensor s"),
        (sensor(json!({"name": "s", "check": "x"})), "`poll` must be > 0 in sensor s"),
        (
            json!({"consul": "x", "preStart": {"exec": "x"}}),
            "preStart: expected a command: a text or a list of words, found an object",
        ),
        (json!({"consul": "x", "telemetry": 1}), "telemetry: expected an object, found a number"),
    ] {
        let error = convert(&document, &[]).expect_err("a fault");
        assert_eq!(error.to_string(), text, "{document}");
    }
}

/// Anything that a file can hold, more often what version 2 knows.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9 \"$é]{0,6}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "name",
        "port",
        "poll",
        "ttl",
        "health",
        "onChange",
        "command",
        "frequency",
        "restarts",
        "sensors",
        "check",
        "tag",
        "x",
    ]);
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| {
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_converted_or_refused(
        keys in prop::collection::vec((prop::sample::select(OWN_KEYS), any_value()), 0..5),
        telemetry in prop::option::of(any_value()),
        app in prop::collection::vec(".{0,4}", 0..3),
    ) {
        let mut document = json!({"consul": "x"});
        for (key, value) in keys {
            document[key] = value;
        }
        if let Some(telemetry) = telemetry {
            document["telemetry"] = telemetry;
        }
        let _ = is_v2(&document);
        if let Ok((value, _)) = convert(&document, &app) {
            prop_assert!(value["jobs"].is_array());
            prop_assert!(!is_v2(&value));
        }
    }
}
