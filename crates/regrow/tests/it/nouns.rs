//! The own nouns, and the commands about the program itself.

use crate::support::{World, wait};

const WEB: &str = "kind: group
metadata: {name: web}
properties:
  Allocation: {Size: 2}
  Instance: {Plugin: simulator/compute, Properties: {a: b}}
  Flavor: {Plugin: vanilla}
---
ID: api
Properties:
  Allocation: {LogicalIDs: [one, two]}
  Instance: {Plugin: simulator/compute}
  Flavor: {Plugin: vanilla, Properties: {Tags: {tier: api}}}
";

#[test]
fn the_life_of_two_groups() {
    let world = World::new();
    let _plugins = world.plugins(&["group", "vanilla", "simulator"]);
    let spec = world.write("web.yaml", WEB).display().to_string();
    assert_eq!(
        world.ok(&["group", "commit", &spec, "--pretend"]),
        "Committing web would involve: Managing 2 instances\n\
         Committing api would involve: Managing 2 instances\n"
    );
    assert_eq!(world.ok(&["group", "ls", "-q"]), "");
    world.ok(&["group", "commit", &spec]);
    wait("converged", || world.ok(&["group", "ls"]).matches("converged").count() == 2);
    let listed = world.ok(&["group", "ls"]);
    assert!(
        listed.contains("api    2       2      converged  simulator/compute  vanilla"),
        "{listed}"
    );
    let members = world.ok(&["group", "describe", "api"]);
    assert!(members.contains("one") && members.contains("tier=api"), "{members}");
    let yaml = world.ok(&["group", "show", "web", "--output", "yaml"]);
    assert!(yaml.contains("ID: web"), "{yaml}");
    world.ok(&["group", "scale", "web", "0"]);
    wait("none", || world.ok(&["group", "describe", "web", "-q"]).is_empty());
    assert_eq!(world.ok(&["group", "pause", "web"]), "paused web\n");
    assert!(world.ok(&["group", "show", "web"]).contains("\"Pause\": true"));
    assert_eq!(world.ok(&["group", "resume", "web"]), "resumed web\n");
    let fault = world.fails(&["group", "destroy", "api"]);
    assert!(fault.contains("destroy group api with its 2 members: not confirmed"), "{fault}");
    assert_eq!(world.ok(&["group", "destroy", "api", "--yes"]), "Destroyed api\n");
    let fault = world.fails(&["group", "show", "wep"]);
    assert!(fault.contains("did you mean \"web\"?"), "{fault}");
}

#[test]
fn templates_and_forms() {
    let world = World::new();
    world.write("a.tpl", "{{ $n := var `n` 2 }}{\"n\": {{ var `n` }}}");
    assert_eq!(world.ok(&["template", "a.tpl"]), "{\"n\": 2}");
    assert_eq!(world.ok(&["template", "str://{{ upper `x` }}"]), "X");
    world.ok(&["template", "a.tpl", "-o", "out.json"]);
    assert!(world.path().join("out.json").exists());
    assert!(world.ok(&["template", "functions"]).lines().count() > 100);
}

#[test]
fn remotes_and_playbooks_are_lists_in_files() {
    let world = World::new();
    world.ok(&["remote", "set", "prod", "http://a:24864,http://b:24864"]);
    assert!(world.ok(&["remote", "ls"]).contains("prod  http://a:24864,http://b:24864"));
    assert_eq!(world.ok(&["remote", "current"]), "local\n");
    world.ok(&["remote", "rm", "prod"]);
    assert_eq!(world.ok(&["remote", "ls", "-q"]), "");
    let index = world.write("book/index.yml", "start: start.ikt\n").display().to_string();
    world.ok(&["playbook", "add", "book", &index, "--cache"]);
    assert!(world.ok(&["playbook", "ls"]).contains(&index));
    assert_eq!(world.ok(&["playbook", "update", "book"]), "updated book\n");
    let fault = world.fails(&["use", "book", "start"]);
    assert!(fault.contains("does not run them yet"), "{fault}");
    world.ok(&["playbook", "rm", "book"]);
}

#[test]
fn the_program_explains_itself() {
    let world = World::new();
    assert!(world.ok(&["version"]).starts_with("regrow 0."));
    assert!(world.ok(&["help"]).contains("exit-codes"));
    assert!(world.ok(&["help", "exit-codes"]).starts_with("0    done\n"));
    assert!(world.ok(&["help", "group", "scale"]).contains("New size"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.ok(&["completion", shell]).contains("example-server"), "{shell}");
    }
    world.ok(&["man", "pages"]);
    let pages = std::fs::read_dir(world.path().join("pages")).expect("pages").count();
    assert!(pages > 50, "{pages}");
    let said = world.run(&["grup"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(world.run(&["--help"]).code, Some(0));
}

#[test]
fn another_manager_is_reached_over_its_port() {
    let world = World::new();
    std::fs::create_dir_all(world.path().join("infrakit")).expect("folder");
    world.write("infrakit/leader", "manager1");
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        listener.local_addr().expect("address").port()
    };
    let mut start = world.command(&["plugin", "start", "manager", "group", "vars"]);
    start.env("INFRAKIT_MUX_LISTEN", format!("127.0.0.1:{port}"));
    start.env("INFRAKIT_ADVERTISE", format!("127.0.0.1:{port}"));
    let _plugins = world.spawn_command(start);
    world.ok(&["remote", "set", "prod", &format!("http://127.0.0.1:{port}")]);
    let remote = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("INFRAKIT_HOST", "prod").env("INFRAKIT_PLUGINS_DIR", "/nonexistent");
        crate::support::said(command.output().expect("run"))
    };
    wait("it leads", || remote(&["manager", "leader"]).out.starts_with("IsLeader       : true"));
    let listed = remote(&["plugin", "ls", "-q"]);
    assert!(listed.out.contains("Stack/0.1.1         group "), "{listed:?}");
    // The subtree is named after the host, as InfraKit names it.
    let done = remote(&["prod", "vars", "change", "-c", "a=1"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(remote(&["prod", "vars", "cat", "a"]).out, "1\n");
}
