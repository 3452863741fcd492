//! `plugin start`, `ls`, `stop`, `check`.

use crate::support::{Daemon, World, wait};

const SIX: [&str; 6] = ["group", "vanilla", "combo", "vars", "simulator", "file"];

#[test]
fn six_kinds_in_one_process_and_a_clean_stop() {
    let world = World::new();
    let mut plugins = world.plugins(&SIX);
    let listed = world.ok(&["plugin", "ls", "-q"]);
    for line in [
        "Group/0.1.1         group-stateless ",
        "Instance/0.6.1      file ",
        "Instance/0.6.1      simulator/compute ",
        "L4/0.6.1            simulator/lb3 ",
        "Flavor/0.1.1        combo ",
        "Updatable/0.1.1     vars ",
    ] {
        assert!(listed.lines().any(|found| found.starts_with(line)), "{line}:\n{listed}");
    }
    let with_header = world.ok(&["plugin", "ls"]);
    assert!(with_header.starts_with("INTERFACE           NAME                          LISTEN\n"));
    assert_eq!(with_header.lines().count(), listed.lines().count() + 1);
    let json: serde_json::Value =
        serde_json::from_str(&world.ok(&["plugin", "ls", "--output", "json"])).expect("json");
    assert_eq!(json.as_array().map(Vec::len), Some(listed.lines().count()));
    let stopped = world.ok(&["plugin", "stop", "vars"]);
    assert_eq!(stopped, "stopped vars\n");
    assert_eq!(plugins.end(), Some(0));
    wait("no sockets", || {
        std::fs::read_dir(world.state().join("plugins")).expect("plugins").count() == 0
    });
    assert_eq!(world.ok(&["plugin", "ls", "-q"]), "");
}

#[test]
fn leftovers_of_a_killed_process_are_taken_over() {
    let world = World::new();
    let mut first = world.plugins(&["vars", "vanilla"]);
    first.signal("KILL");
    first.end();
    assert!(world.state().join("plugins/vars").exists());
    assert!(world.state().join("plugins/vars.pid").exists());
    let fault = world.fails(&["plugin", "stop", "vars"]);
    assert!(fault.contains("nobody answers"), "{fault}");
    let mut second = world.spawn(&["plugin", "start", "vars", "vanilla"]);
    wait("it answers", || world.ok(&["plugin", "ls", "-q"]).lines().count() == 2);
    // A live owner is named instead.
    let fault = world.fails(&["plugin", "start", "vars"]);
    assert!(fault.contains("serve plugin vars: process"), "{fault}");
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn rules_give_options_and_names() {
    let world = World::new();
    let rules = world.write(
        "rules.json",
        r#"[{"Key": "cloud", "Launch": {"inproc": {"Kind": "simulator",
            "Options": {"InstanceTypes": ["vm"], "L4Names": ["front"]}},
            "docker-run": {"Cmd": "docker run infrakit/devbundle"}}}]"#,
    );
    let rules = rules.display().to_string();
    // A way of other programs is let be until somebody asks for it.
    let asked = world.run(&["plugin", "start", "cloud=docker-run", "--config-url", &rules]);
    assert!(asked.err.contains("\"docker-run\" is no way to run a plugin"), "{asked:?}");
    let _plugins = world.spawn(&["plugin", "start", "cloud:east", "--config-url", &rules]);
    wait("it listens", || world.state().join("plugins/east").exists());
    let listed = world.ok(&["plugin", "ls", "-q"]);
    assert!(listed.contains("east/vm") && listed.contains("east/front"), "{listed}");
    assert!(!listed.contains("disk"), "{listed}");
}

#[test]
fn a_plugin_in_a_process_of_its_own() {
    let world = World::new();
    let mut start = world.spawn(&["plugin", "start", "vars:other=os"]);
    assert_eq!(start.end(), Some(0), "{}", start.output());
    assert!(world.ok(&["plugin", "ls", "-q"]).contains("other"));
    world.ok(&["plugin", "stop", "--all"]);
    assert!(!world.state().join("plugins/other").exists());
}

#[test]
fn one_bad_plugin_starts_none() {
    let world = World::new();
    let rules = world.write(
        "rules.json",
        r#"[{"Key": "simulator", "Launch": {"inproc": {"Kind": "simulator", "Options": {"X": 1}}}}]"#,
    );
    let rules = rules.display().to_string();
    let fault = world.fails(&["plugin", "start", "vars", "simulator", "--config-url", &rules]);
    assert!(
        fault.contains("start plugin simulator of kind simulator: read options: at /X"),
        "{fault}"
    );
    assert_eq!(world.ok(&["plugin", "ls", "-q"]), "");
}

#[test]
fn a_manager_that_cannot_lead_as_told_says_why() {
    let world = World::new();
    for (options, text) in [
        (
            r#"{"Leader": "quorum"}"#,
            "lead by quorum: the quorum is the control group of our agents",
        ),
        (
            r#"{"Leader": "memory", "Store": "quorum"}"#,
            "store in quorum: the quorum is the control",
        ),
        (r#"{"Backend": "zookeeper"}"#, "use backend \"zookeeper\": this build has file, memory"),
        (r#"{"Leader": "etcd"}"#, "use backend etcd: it has no endpoints"),
        (
            r#"{"Leader": "etcd", "Coordinator": {"Endpoints": ["127.0.0.1"]}}"#,
            "check settings of etcd",
        ),
        // Nobody can listen at the first port without being asked for.
        (
            r#"{"Leader": "etcd", "Coordinator": {"Endpoints": ["http://127.0.0.1:1"]}}"#,
            "join etcd election manager",
        ),
        (
            r#"{"Leader": "consul", "Coordinator": {"Endpoints": ["http://127.0.0.1:1"]}}"#,
            "join consul election manager",
        ),
    ] {
        let rules = format!(
            r#"[{{"Key": "manager", "Launch": {{"inproc": {{"Kind": "manager", "Options": {options}}}}}}}]"#
        );
        let rules = world.write("rules.json", &rules).display().to_string();
        let fault = world.fails(&["plugin", "start", "manager", "--config-url", &rules]);
        assert!(fault.contains(text), "{options}: {fault}");
    }
    assert_eq!(world.ok(&["plugin", "ls", "-q"]), "");
}

/// A kind, its socket, what the kit is given beside, and how many checks apply to it.
type Kit = (&'static str, &'static str, &'static [&'static str], usize);

const EACH_CHOICE: &str = r#"str://{"default": {}}"#;
const SLEEPER: &str = r#"str://{"Command": ["sleep", "1000"]}"#;
const SCRIPT: &str = r#"str://{"Init": ["echo"], "Tags": {"a": "b"}}"#;
const SCRIPTS: &str =
    r#"str://{"Flavors": [{"Plugin": "vanilla", "Properties": {"Init": ["echo"]}}]}"#;

/// Every kind that the program can start.
const KITS: &[Kit] = &[
    ("combo", "combo", &["--flavor", SCRIPTS], 62),
    ("file", "file", &["--provision", "str://{}"], 83),
    ("group", "group-stateless", &[], 74),
    ("manager", "group", &[], 74),
    ("process", "process", &["--provision", SLEEPER], 83),
    ("selector", "selector", &["--provision", EACH_CHOICE], 85),
    ("selector/spread", "spread", &["--provision", EACH_CHOICE], 85),
    ("selector/tiered", "tiered", &["--provision", EACH_CHOICE], 85),
    ("selector/weighted", "weighted", &["--provision", EACH_CHOICE], 85),
    ("simulator", "simulator", &["--provision", "str://{}"], 89),
    ("vanilla", "vanilla", &["--flavor", SCRIPT], 62),
    ("vars", "vars", &[], 62),
];

/// Starts each kind as a process of its own.
fn start_all(world: &World) -> Vec<Daemon> {
    world.write("infrakit/leader", "manager1");
    let choices = r#"[{"Name": "simulator/compute"}, {"Name": "simulator/net"}]"#;
    let rule = |kind: &str| {
        format!(
            r#"{{"Key": "{kind}", "Launch": {{"inproc": {{"Kind": "{kind}", "Options": {choices}}}}}}}"#
        )
    };
    let kinds = KITS.iter().map(|(kind, ..)| *kind);
    let rules: Vec<_> = kinds.filter(|kind| kind.starts_with("selector")).map(rule).collect();
    let rules = world.write("rules.json", &format!("[{}]", rules.join(",")));
    let rules = rules.display().to_string();
    let started = KITS.iter().map(|(kind, socket, ..)| {
        world.spawn(&["plugin", "start", &format!("{kind}:{socket}"), "--config-url", &rules])
    });
    let started = started.collect();
    wait("all of them listen", || {
        KITS.iter().all(|(_, socket, ..)| world.state().join("plugins").join(socket).exists())
    });
    started
}

#[test]
fn the_kit_passes_every_kind_of_plugin() {
    let world = World::new();
    let kinds = world.ok(&["plugin", "kinds"]);
    let kinds: Vec<_> = kinds
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(kinds, KITS.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>());
    let _plugins = start_all(&world);
    // With a group to look at, all checks of group controllers apply.
    let spec = world.write(
        "cattle.json",
        r#"{"ID": "cattle", "Properties": {"Allocation": {"Size": 2},
            "Instance": {"Plugin": "simulator/compute", "Properties": {}},
            "Flavor": {"Plugin": "vanilla", "Properties": {"Init": ["echo"]}}}}"#,
    );
    world.ok(&["group", "commit", &spec.display().to_string()]);
    wait("two members", || {
        let groups = world.ok(&["group", "ls"]);
        groups.lines().any(|line| line.split_whitespace().take(3).eq(["cattle", "2", "2"]))
    });
    let list = world.ok(&["plugin", "check", "--list"]);
    let all = list.lines().count() - 1;
    assert!(all > 60, "{list}");
    for (kind, socket, with, passed) in KITS {
        let report = world.ok(&[&["plugin", "check", socket], *with].concat());
        let other = all - passed;
        let end = format!(": {passed} passed, 0 failed, 0 warnings, {other} not applicable\n");
        assert!(report.ends_with(&end), "{kind}:\n{report}");
    }
    let info = world.ok(&["plugin", "info", "vars"]);
    assert!(info.contains("Updatable.Changes"), "{info}");
}

#[test]
fn only_some_checks_are_run_when_told() {
    let world = World::new();
    let _plugins = world.plugins(&["vars"]);
    let report = world.ok(&["plugin", "check", "vars", "--only", "handshake.hello,info"]);
    assert!(report.ends_with(": 4 passed, 0 failed, 0 warnings, 0 not applicable\n"), "{report}");
    let fault = world.fails(&["plugin", "check", "vars", "--only", "handshake,http"]);
    assert!(fault.contains("no check's name begins with \"http\" (--only)"), "{fault}");
    assert!(fault.contains("`regrow plugin check --list`"), "{fault}");
}

#[test]
fn kinds_are_listed_with_their_options() {
    let world = World::new();
    let kinds = world.ok(&["plugin", "kinds"]);
    for part in
        ["selector/spread", "INFRAKIT_GROUP_POLL_INTERVAL", "process", "Coordinator.Endpoints"]
    {
        assert!(kinds.contains(part), "{part}:\n{kinds}");
    }
}

#[test]
fn plugins_are_completed_behind_local() {
    let world = World::new();
    let _plugins = world.plugins(&["vars", "simulator"]);
    let names = world.ok(&["local", "--names"]);
    assert!(names.lines().any(|name| name == "simulator/compute"), "{names}");
    if std::process::Command::new("bash").arg("--version").output().is_err() {
        eprintln!("not run, promise untested: completion needs bash");
        return;
    }
    std::fs::create_dir_all(world.path().join("bin")).expect("folder");
    let program = world.path().join("bin/regrow");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_regrow"), &program).expect("link");
    world.write("complete.bash", &world.ok(&["completion", "bash"]));
    let complete = |words: &str, at: usize| {
        let script = format!(
            "source complete.bash; f=$(complete -p regrow | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             COMP_WORDS=({words}); COMP_CWORD={at}; $f regrow \"${{COMP_WORDS[{at}]}}\" x; echo ${{COMPREPLY[@]}}"
        );
        let mut bash = world.command(&[]);
        let envs: Vec<_> =
            bash.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        bash = std::process::Command::new("bash");
        bash.args(["--norc", "-c", &script]).current_dir(world.path()).env_clear();
        bash.envs(envs.into_iter().filter_map(|(k, v)| Some((k, v?))));
        let path = std::env::var("PATH").unwrap_or_default();
        bash.env("PATH", format!("{}:{path}", world.path().join("bin").display()));
        crate::support::said(&bash.output().expect("run")).out
    };
    assert_eq!(complete("regrow local va", 2), "vars\n");
    assert!(complete("regrow local sim", 2).contains("simulator/compute"));
    assert!(complete("regrow comp", 1).contains("completion"));
}

#[test]
fn a_manager_finds_the_plugins_of_its_process_when_it_takes_over() {
    let world = World::new();
    world.write("infrakit/leader", "manager1");
    let spec = world.write(
        "pair.json",
        r#"{"ID": "pair", "Properties": {"Allocation": {"Size": 2},
            "Instance": {"Plugin": "file", "Properties": {}}, "Flavor": {"Plugin": "vanilla"}}}"#,
    );
    let kinds = ["manager", "group", "vanilla", "file", "vars"];
    let mut plugins = world.plugins(&kinds);
    wait("it leads", || world.ok(&["manager", "leader"]).contains("true"));
    world.ok(&["group", "commit", &spec.display().to_string()]);
    assert_eq!(plugins.stop(), Some(0));
    let plugins = world.plugins(&kinds);
    wait("the group is back", || world.ok(&["group", "ls"]).contains("pair"));
    let said = plugins.output();
    assert!(!said.contains("plugin not found"), "{said}");
}
