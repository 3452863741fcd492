//! The own nouns, and the commands about the program itself.

mod templates;

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
    let shown = world.ok(&["group", "commit", &spec, "--pretend"]);
    let plans = "Committing web would involve: Managing 2 instances\n\
                 Committing api would involve: Managing 2 instances\nplan ";
    let hash = &shown.strip_prefix(plans).expect("plans")[..16];
    assert_eq!(world.ok(&["group", "ls", "-q"]), "");
    // The world changes between showing and running: nothing is done, and the new plan is shown.
    let alone = world.write("api.yaml", WEB.split_once("---").expect("two").1);
    world.ok(&["group", "commit", &alone.display().to_string()]);
    wait("it rests", || world.ok(&["group", "ls", "-q"]).contains("converged"));
    let fault = world.fails(&["group", "commit", &spec, "--plan", hash]);
    assert!(fault.contains("no longer the one that was shown; nothing was committed"), "{fault}");
    assert_eq!(world.ok(&["group", "ls", "-q"]).lines().count(), 1);
    let (_, now) = fault.split_once("Now it is ").expect("the new plan");
    world.ok(&["group", "commit", &spec, "--plan", &now[..16]]);
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
    // What is not set yet prints itself back, unless this is the last time.
    let later = "str://{{ var `later` }}";
    assert_eq!(world.ok(&["template", later]), "{{ var `later` }}");
    for last in ["-f", "--final"] {
        assert_eq!(world.ok(&["template", last, later]), "<no value>");
    }
    for dump in ["-x", "--dump"] {
        let said = world.run(&["template", dump, "a.tpl"]);
        let expected = (Some(0), "{\"n\": 2}", "{\"n\": 2}\n");
        assert_eq!((said.code, &*said.out, &*said.err), expected);
    }
    for yaml in ["-y", "--yaml"] {
        let text = "str://a: {{ add 1 1 }}\nb: [x]\n";
        let shown = world.ok(&["template", yaml, text]);
        assert_eq!(shown, "{\n  \"a\": 2,\n  \"b\": [\n    \"x\"\n  ]\n}\n");
    }
    let fault = world.fails(&["template", "-y", "str://a: [x"]);
    assert!(fault.contains("as YAML"), "{fault}");
}

#[test]
fn trees_are_read_by_the_name_of_the_plugin_or_without() {
    let world = World::new();
    let cat = |path: &str| world.ok(&["metadata", "cat", path]);
    let ls = |path: &str| world.ok(&["metadata", "ls", path]);
    let _group = world.plugins(&["group"]);
    // It can be read, and not be changed.
    assert_eq!(world.ok(&["metadata", "ls"]), "groups\nspecs\n");
    let fault = world.fails(&["metadata", "change", "a=1"]);
    assert!(fault.contains("no running plugin offers Updatable/0.1.1"), "{fault}");
    let _vars = world.plugins(&["vars"]);
    world.ok(&["metadata", "change", "--commit", "--yes", "cluster/size=4"]);
    assert_eq!((cat("cluster/size"), cat("vars/cluster/size")), ("4\n".into(), "4\n".into()));
    assert_eq!((ls("cluster"), ls("vars/cluster")), ("size\n".into(), "size\n".into()));
    assert_eq!(ls("group-stateless"), "groups\nspecs\n");
    // What is in the tree itself comes first.
    world.ok(&["metadata", "change", "--commit", "--yes", "vars/cluster/size=5"]);
    assert_eq!(cat("vars/cluster/size"), "5\n");
    for words in [&["vars/nothing"][..], &["vars/cluster/size", "--plugin", "group-stateless"]] {
        let fault = world.fails(&[&["metadata", "cat"], words].concat());
        assert!(fault.contains("there is nothing at this path"), "{fault}");
    }
    world.write("infrakit/leader", "nobody");
    let _manager = world.plugins(&["manager"]);
    let fault = world.fails(&["metadata", "cat", "cluster/size"]);
    assert!(fault.contains("choose one with --plugin: group/status, group/vars, vars"), "{fault}");
    assert_eq!(
        (cat("vars/cluster/size"), cat("group/vars/cluster/size")),
        ("5\n".into(), "4\n".into())
    );
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
    world.ok(&["playbook", "rm", "book"]);
}

#[test]
fn operations_of_playbooks_run() {
    let world = World::new();
    let _plugins = world.plugins(&["simulator"]);
    let index = "hello: hello.ikt\nmore: more/index.yml\n";
    let index = world.write("book/index.yml", index).display().to_string();
    world.write("book/more/index.yml", "make: make.ikt\n");
    world.write(
        "book/hello.ikt",
        "{{/* =% sh %= */}}{{ $n := flag `count` `int` `how often` | prompt `How often?` `int` 2 }}\
         {{ $who := flag `who` `string` `whom to greet` `world` }}\
         {{ if flag `loud` `bool` `shout` | prompt `Loud?` `bool` `no` }}echo LOUD\n{{ end }}\
         {{ range $i := until $n }}echo hello {{ $who }} {{ $i }}\n{{ end }}",
    );
    world.write(
        "book/more/make.ikt",
        "{{/* =% instanceProvision --plugin simulator/compute %= */}}\
         Tags: {tier: {{ flag `tier` `string` `tag` }}}\nProperties: {}\n",
    );
    world.ok(&["playbook", "add", "book", &index]);
    assert_eq!(world.ok(&["use", "book"]), "operations of book:\n  hello\n  more\n");
    let hello = |words: &[&str]| world.ok(&[&["use", "book", "hello"], words].concat());
    assert_eq!(hello(&[]), "hello world 0\nhello world 1\n");
    assert_eq!(hello(&["--count", "1", "--who", "you"]), "hello you 0\n");
    assert_eq!(hello(&["--count", "1", "--print-only"]), "echo hello world 0\n");
    assert_eq!(hello(&["--count", "1", "--loud", "true"]), "LOUD\nhello world 0\n");
    assert!(hello(&["--help"]).contains("--count <INT>"));
    let said = world.run(&["use", "book", "hello", "--count", "many"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let id = world.ok(&["use", "book", "more", "make", "--tier", "web"]);
    let listed = world.ok(&["instance", "ls", "-q", "--plugin", "simulator/compute"]);
    assert!(listed.starts_with(id.trim()) && listed.contains("tier=web"), "{listed}");
    let fault = world.fails(&["use", "book", "helo"]);
    assert!(fault.contains("did you mean \"hello\"?"), "{fault}");
}

#[test]
fn a_script_of_infrakit_runs_unchanged() {
    let world = World::new();
    let program = world.path().join("bin/infrakit");
    std::fs::create_dir_all(world.path().join("bin")).expect("folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_regrow"), &program).expect("link");
    std::fs::create_dir_all(world.path().join("infrakit")).expect("folder");
    world.write("infrakit/leader", "manager1");
    world.write(
        "cattle.json",
        r#"{"ID": "cattle", "Properties": {"Allocation": {"Size": 2}, "Instance": {"Plugin":
            "file", "Properties": {}}, "Flavor": {"Plugin": "vanilla", "Properties": {}}}}"#,
    );
    let script = world.write(
        "e2e.sh",
        r#"set -e
infrakit plugin start manager:mystack group vanilla file vars --log 5 > start.log 2>&1 &
for i in $(seq 2000); do [ "$(infrakit plugin ls -q 2> /dev/null | wc -l)" -ge 12 ] && break; sleep 0.05; done
for i in $(seq 1000); do infrakit manager leader | grep -q true && break; sleep 0.05; done
infrakit local mystack/groups commit-group cattle.json
for i in $(seq 1000); do [ "$(infrakit local mystack/cattle ls -q | wc -l)" = 2 ] && break; sleep 0.05; done
infrakit local mystack/cattle ls -q | wc -l
infrakit local mystack/cattle scale 4
for i in $(seq 1000); do [ "$(infrakit local mystack/cattle ls -q | wc -l)" = 4 ] && break; sleep 0.05; done
infrakit local mystack/cattle ls -q | wc -l
infrakit local mystack/cattle free-group
infrakit local mystack/groups commit-group cattle.json
infrakit local mystack/cattle destroy
infrakit plugin stop --all > /dev/null
wait
ls infrakit/plugins | wc -l
"#,
    );
    let mut run = std::process::Command::new("/bin/sh");
    let path = std::env::var("PATH").unwrap_or_default();
    run.arg(script).current_dir(world.path()).env_clear();
    run.env("PATH", format!("{}:{path}", world.path().join("bin").display()));
    run.env("HOME", world.path()).env("INFRAKIT_HOME", world.path().join("infrakit"));
    run.env("INFRAKIT_MUX_LISTEN", "127.0.0.1:0").env("INFRAKIT_GROUP_POLL_INTERVAL", "200ms");
    run.env("INFRAKIT_INSTANCE_FILE_DIR", world.path().join("files"));
    run.env("REGROW_STATE", world.state());
    let said = crate::support::said(&run.output().expect("run"));
    assert_eq!(
        said.out,
        "Committed cattle: Managing 2 instances\n2\nGroup cattle at 2 instances, scale to 4\n4\n\
         Freed cattle\nCommitted cattle: Managing 2 instances\nDestroyed cattle\n0\n",
        "{said:?}\n{}",
        std::fs::read_to_string(world.path().join("start.log")).unwrap_or_default()
    );
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
