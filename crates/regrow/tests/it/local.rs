//! The original spellings, with the outputs that were captured from InfraKit.

use std::os::unix::process::CommandExt as _;

use crate::support::{World, said, wait};

const CATTLE: &str = r#"{"ID": "cattle", "Properties": {
    "Allocation": {"Size": 2},
    "Instance": {"Plugin": "file", "Properties": {"Note": "v1"}},
    "Flavor": {"Plugin": "vanilla", "Properties": {"Init": ["echo hello"], "Tags": {"tier": "web"},
        "Attachments": [{"ID": "attachid", "Type": "attachtype"}]}}}}"#;

fn files(world: &World) -> usize {
    let entries = std::fs::read_dir(world.path().join("files"));
    let named = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("instance-");
    entries.map_or(0, |all| all.flatten().filter(|entry| named(&entry.file_name())).count())
}

#[test]
fn the_captured_session_with_a_manager() {
    let world = World::new();
    std::fs::create_dir_all(world.path().join("infrakit")).expect("folder");
    world.write("infrakit/leader", "manager1\n");
    let mut plugins = world.plugins(&["manager:mystack", "group", "vars", "vanilla", "file"]);
    wait("it leads", || world.ok(&["manager", "leader"]).starts_with("IsLeader       : true"));
    let cattle = world.write("cattle.json", CATTLE).display().to_string();
    let groups = ["local", "mystack/groups"];
    let commit = [&groups[..], &["commit-group", &cattle]].concat();
    assert_eq!(world.ok(&commit), "Committed cattle: Managing 2 instances\n");
    wait("two", || files(&world) == 2);
    let changed = CATTLE.replace("\"v1\"", "\"v2\"").replace("\"Size\": 2", "\"Size\": 3");
    let changed = world.write("cattle2.json", &changed).display().to_string();
    let own = ["local", "mystack/cattle"];
    assert_eq!(
        world.ok(&[&own[..], &["commit-group", &changed, "--pretend"]].concat()),
        "Committing cattle would involve: Performing a rolling update on 2 instances, then adding \
         1 instances to increase the group size to 3\n"
    );
    assert_eq!(
        world.ok(&[&own[..], &["commit-group", &cattle]].concat()),
        "Committed cattle: Noop\n"
    );
    assert_eq!(
        world.ok(&[&own[..], &["scale", "5"]].concat()),
        "Group cattle at 2 instances, scale to 5\n"
    );
    assert_eq!(world.ok(&[&own[..], &["scale"]].concat()), "Group cattle at 5 instances\n");
    wait("five", || files(&world) == 5);
    let listed = world.ok(&[&own[..], &["ls"]].concat());
    let mut lines = listed.lines();
    let header = "ID                            \tLOGICAL                       \tTAGS";
    assert_eq!(lines.next(), Some(header));
    let first = lines.next().expect("a member");
    let cells: Vec<_> = first.split('\t').collect();
    assert_eq!(
        cells[0].trim_end().len() + cells[0].len() - cells[0].trim_end().len(),
        cells[0].len()
    );
    assert_eq!(cells[1], "  -                           ");
    // The hash is the captured one: a state of InfraKit is taken over without a roll.
    assert!(cells[2].starts_with(
        "infrakit.config.hash=jwc4vmxxqwrpp72ce36c4tbzgfganbao,infrakit.group=cattle,"
    ));
    assert_eq!(world.ok(&[&own[..], &["ls", "-q"]].concat()).lines().count(), 5);
    // Switches of Go programs may have a value.
    let quiet = ["ls", "-q=false", "--raw=true"];
    assert!(world.ok(&[&own[..], &quiet].concat()).starts_with('{'));
    let pretend = ["commit-group", &cattle, "--pretend=true"];
    let said = world.ok(&[&own[..], &pretend].concat());
    assert!(said.starts_with("Committing cattle would involve: "), "{said}");
    // What the scripts of InfraKit look for.
    let listed = world.ok(&["--log-stack=false", "--log-debug-match-exclude=false", "local"]);
    assert!(listed.lines().any(|line| line == "  mystack/cattle"), "{listed}");
    let told = world.ok(&["local", "mystack/groups", "--help"]);
    assert!(
        told.contains("List the members of a group") && !told.contains("Arguments of"),
        "{told}"
    );
    let keys = ["local", "group-stateless", "keys", "-al"];
    let listed = world.ok(&keys);
    for key in ["specs/cattle/ID", "groups/cattle/Converged"] {
        assert!(listed.lines().any(|line| line == key), "{key}: {listed}");
    }
    assert_eq!(world.ok(&["local", "group-stateless", "keys"]), "groups\nspecs\n");
    // What is shown can be committed as it is: what became of the specs is no wish.
    let inspected = world.ok(&["manager", "inspect", "-y"]);
    assert!(inspected.contains("state:"), "{inspected}");
    let inspected = world.write("all.yml", &inspected).display().to_string();
    assert_eq!(
        world.ok(&["manager", "commit", "-y", &inspected, "--log-stdout=false"]),
        "Group cattle with plugin mystack plan: Noop\n"
    );
    let described = world.ok(&[&groups[..], &["describe"]].concat());
    assert_eq!(described, "KIND        NAME             ID\ngroup       mystack/cattle   cattle\n");
    assert_eq!(world.ok(&[&own[..], &["free-group"]].concat()), "Freed cattle\n");
    assert_eq!(files(&world), 5);
    world.ok(&commit);
    // The original spelling does not ask.
    assert_eq!(world.ok(&[&own[..], &["destroy"]].concat()), "Destroyed cattle\n");
    assert_eq!(files(&world), 0);
    world.ok(&["plugin", "stop", "--all"]);
    assert_eq!(plugins.end(), Some(0));
}

#[test]
fn values_change_with_the_captured_hash() {
    let world = World::new();
    let _plugins = world.plugins(&["vars"]);
    let vars = ["local", "vars"];
    let run = |words: &[&str]| world.ok(&[&vars[..], words].concat());
    let shown = run(&["change", "cluster/size=5", "cluster/name=foo"]);
    assert!(shown.starts_with("Proposing 2 changes, hash=fc16768af75aefe8c233b2430aa5c334\n"));
    assert_eq!(run(&["keys"]), "");
    let done = run(&["change", "-c", "cluster/size=5", "cluster/name=foo"]);
    assert!(done.starts_with("Committing 2 changes, hash=fc16768af75aefe8c233b2430aa5c334\n"));
    assert_eq!(run(&["keys", "-al"]), "total 2:\ncluster/name\ncluster/size\n");
    // Relative to the path, however they are listed.
    assert_eq!(run(&["keys", "-al", "cluster"]), "total 2:\nname\nsize\n");
    let all = run(&["change"]);
    let (said, all) = all.split_once('\n').expect("lines");
    assert!(said.starts_with("Proposing 0 changes, hash="), "{said}");
    let all: serde_json::Value = serde_json::from_str(all).expect("all values");
    assert_eq!(all, serde_json::json!({"cluster": {"name": "foo", "size": 5}}));
    assert_eq!(run(&["cat", "cluster/size"]), "5\n");
    assert_eq!(run(&["cat", "cluster/name"]), "foo\n");
    assert_eq!(run(&["cat", "nothing"]), "<no value>\n");
    assert_eq!(run(&["cat", "vars/cluster/size"]), "<no value>\n");
    world.write("t.tpl", "{{ metadata `vars/cluster/name` }}-{{ var `n` }}\n");
    assert_eq!(world.ok(&["template", "t.tpl", "--var", "n=3"]), "foo-3\n");
}

#[test]
fn load_balancers_and_instances_of_the_simulator() {
    let world = World::new();
    let _plugins = world.plugins(&["simulator"]);
    world.ok(&["local", "simulator/lb1", "routes", "add", "80", "8080"]);
    assert_eq!(
        world.ok(&["local", "simulator/lb1", "routes", "ls"]),
        "FRONTEND PORT    FRONTEND PROTOCOL      BACKEND PORT      BACKEND PROTOCOL        CERT\n\
         80               TCP                    8080              TCP\n"
    );
    let spec = world.write("i.json", r#"{"Properties": {"a": 1}, "Tags": {"k": "v"}}"#);
    let spec = spec.display().to_string();
    let id = world.ok(&["local", "simulator/compute", "provision", &spec]);
    let id = id.trim();
    let rows = world.ok(&["local", "simulator/compute", "describe", "-q", "--tags", "k=v"]);
    assert!(rows.starts_with(id), "{rows}");
    let view = ["local", "simulator/compute", "describe", "-z", "{{ .ID }} {{ .Properties.a }}"];
    assert_eq!(world.ok(&view), format!("{id} 1\n"));
    world.ok(&["local", "simulator/compute", "label", id, "x=y"]);
    assert!(world.ok(&["instance", "ls", "--plugin", "simulator/compute"]).contains("x=y"));
    // The own spelling asks, and without a terminal refuses.
    let fault = world.fails(&["instance", "destroy", id, "--plugin", "simulator/compute"]);
    assert!(fault.contains("not confirmed; add --yes"), "{fault}");
    let destroy = ["local", "simulator/compute", "destroy", id];
    assert_eq!(world.ok(&destroy), format!("destroyed {id}\n"));
}

#[test]
fn called_as_infrakit_it_follows_infrakits_places() {
    let world = World::new();
    let mut start = world.command(&["plugin", "start", "vars"]);
    start.arg0("infrakit").env_remove("INFRAKIT_PLUGINS_DIR");
    let _plugins = world.spawn_command(start);
    wait("it listens", || world.path().join("infrakit/plugins/vars").exists());
    let mut list = world.command(&["plugin", "ls", "-q"]);
    list.arg0("infrakit").env_remove("INFRAKIT_PLUGINS_DIR");
    let said = said(&list.output().expect("run"));
    assert!(said.out.starts_with("Updatable/0.1.1     vars"), "{said:?}");
}
