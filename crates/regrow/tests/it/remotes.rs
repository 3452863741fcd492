//! Managers on other machines: over their port, with TLS and a token, and behind SSH.

use std::net::TcpListener;
use std::process::Command;

use crate::support::{Daemon, World, wait};

/// Starts that are tried: between the choice of a free port and its use another process may take it.
const TRIES: usize = 5;

/// Starts a manager at a port that was free a moment ago; the port.
fn on_a_port(world: &World, start: impl Fn(u16) -> Command) -> (Daemon, u16) {
    for _ in 0..TRIES {
        let free = TcpListener::bind("127.0.0.1:0").expect("port");
        let port = free.local_addr().expect("address").port();
        drop(free);
        let daemon = world.spawn_command(start(port));
        // The socket is there once the port is.
        let serves = || world.state().join("plugins/group").exists();
        let is_taken = || daemon.output().contains("set Mux.Listen");
        wait("it serves or its port is taken", || serves() || is_taken());
        if !is_taken() {
            return (daemon, port);
        }
    }
    panic!("no port stayed free in {TRIES} tries");
}

/// A manager that says where it is.
fn advertised(world: &World) -> (Daemon, u16) {
    on_a_port(world, |port| {
        let mut start = world.command(&["plugin", "start", "manager", "group", "vars"]);
        start.env("INFRAKIT_MUX_LISTEN", format!("127.0.0.1:{port}"));
        start.env("INFRAKIT_ADVERTISE", format!("127.0.0.1:{port}"));
        start
    })
}

#[test]
fn a_manager_with_tls_and_a_token_is_reached_by_who_has_both() {
    let world = World::new();
    std::fs::create_dir_all(world.path().join("infrakit")).expect("folder");
    world.write("infrakit/leader", "manager1");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let file = |name: &str, text: &str| {
        world.write(name, text);
        world.path().join(name).to_string_lossy().into_owned()
    };
    let cert = file("cert.pem", &made.cert.pem());
    let key = file("key.pem", &made.signing_key.serialize_pem());
    let token = file("token", "open-sesame-open-sesame\n");
    let (_plugins, port) = on_a_port(&world, |port| {
        let rules = serde_json::json!([{"Key": "manager", "Launch": {"inproc": {
            "Kind": "manager", "Options": {"Mux": {
                "Listen": format!("127.0.0.1:{port}"), "Advertise": format!("localhost:{port}"),
                "TLS": {"Cert": cert, "Key": key}, "TokenFile": token}}}}}]);
        let rules = file("rules.json", &rules.to_string());
        world.command(&["plugin", "start", "manager", "group", "vars", "--config-url", &rules])
    });
    let url = format!("https://localhost:{port}");
    world.ok(&["remote", "set", "safe", &url, "--ca", &cert, "--token-file", &token]);
    world.ok(&["remote", "set", "tokenless", &url, "--ca", &cert]);
    world.ok(&["remote", "set", "trustless", &url]);
    let remote = |host: &str| {
        let mut command = world.command(&["manager", "leader"]);
        command.env("INFRAKIT_HOST", host).env("INFRAKIT_PLUGINS_DIR", "/nonexistent");
        crate::support::said(&command.output().expect("run"))
    };
    wait("it leads", || remote("safe").out.starts_with("IsLeader       : true"));
    let refused = remote("tokenless");
    assert!(refused.code == Some(1) && refused.err.contains("401"), "{refused:?}");
    let refused = remote("trustless");
    assert!(refused.code == Some(1) && refused.err.contains("--ca FILE"), "{refused:?}");
}

#[test]
fn another_manager_is_reached_over_its_port() {
    let world = World::new();
    std::fs::create_dir_all(world.path().join("infrakit")).expect("folder");
    world.write("infrakit/leader", "manager1");
    let (_plugins, port) = advertised(&world);
    world.ok(&["remote", "set", "prod", &format!("http://127.0.0.1:{port}")]);
    let remote = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("INFRAKIT_HOST", "prod").env("INFRAKIT_PLUGINS_DIR", "/nonexistent");
        crate::support::said(&command.output().expect("run"))
    };
    wait("it leads", || remote(&["manager", "leader"]).out.starts_with("IsLeader       : true"));
    let listed = remote(&["plugin", "ls", "-q"]);
    assert!(listed.out.contains("Stack/0.1.1         group "), "{listed:?}");
    // The subtree is named after the host, as InfraKit names it.
    let done = remote(&["prod", "vars", "change", "-c", "a=1"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(remote(&["prod", "vars", "cat", "a"]).out, "1\n");
}

/// Stands for ssh: connects its standard input and output as `-W` says, or fails as ssh does.
const FORWARDING: &str = r#"#!/usr/bin/env python3
import os, socket, sys, threading
words = sys.argv[1:]
with open(os.path.join(os.environ["HOME"], "calls"), "a") as calls:
    calls.write(f"{os.getpid()} {' '.join(words)}\n")
if words[-1] == "gone":
    sys.exit("ssh: Could not resolve hostname gone")
host, port = words[words.index("-W") + 1].rsplit(":", 1)
there = socket.create_connection((host, int(port)))
def up():
    while data := os.read(0, 65536):
        there.sendall(data)
    os._exit(0)
threading.Thread(target=up, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
"#;

#[test]
fn a_manager_behind_ssh_is_reached_and_no_process_stays() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("not run, promise untested: managers behind ssh need python3");
        return;
    }
    let world = World::new();
    world.write("infrakit/leader", "manager1");
    let (_plugins, port) = advertised(&world);
    let program = world.write("bin/ssh", FORWARDING);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(program, mode).expect("mode");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", world.path().join("bin").display());
    let url = format!("http://127.0.0.1:{port}");
    world.ok(&["remote", "set", "far", &url, "--ssh-addr", "jump:2222", "--ssh-user", "ann"]);
    world.ok(&["remote", "set", "lost", &url, "--ssh-addr", "gone"]);
    let remote = |host: &str, words: &[&str]| {
        let mut command = world.command(words);
        command.env("INFRAKIT_HOST", host).env("INFRAKIT_PLUGINS_DIR", "/nonexistent");
        crate::support::said(&command.env("PATH", &path).output().expect("run"))
    };
    let leads = || remote("far", &["manager", "leader"]).out;
    wait("it leads", || leads().starts_with("IsLeader       : true"));
    assert_eq!(remote("far", &["local", "vars", "change", "-c", "a=1"]).code, Some(0));
    assert_eq!(world.ok(&["local", "vars", "cat", "a"]), "1\n");
    let calls = std::fs::read_to_string(world.path().join("calls")).expect("calls");
    let line = format!(
        "-o BatchMode=yes -T -o ConnectTimeout=10 -W 127.0.0.1:{port} -p 2222 -l ann -- jump"
    );
    let mut pids = Vec::new();
    for call in calls.lines() {
        let (pid, words) = call.split_once(' ').expect("pid");
        assert_eq!(words, line);
        pids.push(pid.to_owned());
    }
    assert!(pids.len() >= 2, "{calls}");
    let marker = world.path().join("bin/ssh").display().to_string();
    let lives = |pid: &String| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.contains(&marker)
    };
    wait("every ssh has ended", || !pids.iter().any(lives));
    let refused = remote("lost", &["manager", "leader"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let hint = "ssh through gone to 127.0.0.1";
    assert!(refused.err.contains(hint) && refused.err.contains("Could not resolve"), "{refused:?}");
    let fault = world.fails(&["remote", "set", "x", &url, "--ssh-addr=-oProxyCommand=x"]);
    assert!(fault.contains("expected HOST or HOST:PORT"), "{fault}");
}

#[test]
fn the_port_is_served_without_a_manager_too() {
    let world = World::new();
    let mut plugins = world.plugins(&["vars"]);
    let mut mux = world.spawn(&["util", "mux", "-l", "127.0.0.1:0", "-s", "20ms", "--auto-stop"]);
    mux.says("serving plugins at ");
    let said = mux.output();
    let (_, rest) = said.split_once("serving plugins at ").expect("address");
    let url = format!("http://{}", rest.lines().next().expect("line"));
    world.ok(&["remote", "set", "port", &url]);
    let mut list = world.command(&["plugin", "ls", "-q"]);
    list.env("INFRAKIT_HOST", "port").env("INFRAKIT_PLUGINS_DIR", "/nonexistent");
    let listed = crate::support::said(&list.output().expect("run"));
    assert!(listed.out.contains("vars"), "{listed:?}");
    assert_eq!(plugins.stop(), Some(0));
    assert_eq!(mux.end(), Some(0));
    assert!(mux.output().contains("no plugin is left"), "{}", mux.output());
}

#[test]
fn a_port_follows_the_leader_file() {
    let world = World::new();
    let _plugins = world.plugins(&["vars"]);
    let leader = world.write("who", "one").display().to_string();
    let port = |name: &str| {
        let words =
            ["util", "mux", "-l", "127.0.0.1:0", "os", "--leader-file", &leader, "--name", name];
        let mux = world.spawn(&words);
        mux.says("serving plugins at ");
        mux
    };
    let url = |mux: &Daemon| {
        let said = mux.output();
        let (_, rest) = said.split_once("serving plugins at ").expect("address");
        format!("http://{}", rest.lines().next().expect("line"))
    };
    let (one, two) = (port("one"), port("two"));
    // Of several the one that leads is taken: the first answers that it does not.
    world.ok(&["remote", "set", "both", &format!("{},{}", url(&two), url(&one))]);
    let read = || {
        let mut list = world.command(&["local", "vars", "keys"]);
        list.env("INFRAKIT_HOST", "both").env("INFRAKIT_PLUGINS_DIR", "/nonexistent");
        crate::support::said(&list.output().expect("run")).code
    };
    wait("the leader answers", || read() == Some(0));
    world.write("who", "nobody");
    wait("nobody leads", || read() == Some(1));
}
