//! A catalog for development, and the commands on it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Daemon, World, repository, wait};

struct Catalog {
    daemon: Daemon,
    http: String,
}

fn catalog(world: &World, more: &[&str]) -> Catalog {
    let words =
        ["catalog", "--dev", "--node", "n1", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"];
    let mut command = world.command(&[&words, more].concat());
    command.env_remove("REGROW_STATE");
    let daemon = world.spawn_command(command);
    daemon.says("ready");
    let output = daemon.output();
    let http = output.lines().find_map(|line| line.strip_prefix("HTTP on ")).expect("an address");
    Catalog { http: http.to_owned(), daemon }
}

impl Catalog {
    fn run(&self, world: &World, words: &[&str]) -> crate::support::Said {
        let output = world.command(words).env("CONSUL_HTTP_ADDR", &self.http).output();
        crate::support::said(&output.expect("run"))
    }

    fn ok(&self, world: &World, words: &[&str]) -> String {
        let said = self.run(world, words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said.out
    }
}

#[test]
fn keys_sessions_services_and_events() {
    let world = World::new();
    let catalog = catalog(&world, &[]);
    let ok = |words: &[&str]| catalog.ok(&world, words);
    ok(&["kv", "put", "a/x y/z", "one"]);
    ok(&["kv", "put", "b", "-"]);
    assert_eq!(ok(&["kv", "get", "a/x y/z"]), "one");
    assert_eq!(ok(&["kv", "get", "b"]), "", "standard input is empty here");
    assert_eq!(ok(&["kv", "ls"]), "KEY\na/x y/z\nb\n");
    assert_eq!(ok(&["kv", "ls", "--separator", "/", "-r"]), "[\"a/\",\"b\"]\n");
    let stale = catalog.run(&world, &["kv", "put", "b", "two", "--cas", "1"]);
    assert_eq!(stale.code, Some(1), "{stale:?}");
    ok(&["kv", "delete", "a/", "--recurse", "--yes"]);
    assert_eq!(ok(&["kv", "ls"]), "KEY\nb\n");

    let session = ok(&["session", "create", "--ttl", "1h", "--name", "mine"]);
    assert!(ok(&["session", "ls"]).contains("mine"));
    ok(&["session", "renew", session.trim()]);
    ok(&["session", "destroy", session.trim()]);
    assert!(!ok(&["session", "ls"]).contains("mine"));

    ok(&["service", "register", "web", "--port", "80", "--tag", "v1"]);
    assert!(ok(&["service", "ls"]).contains("web      v1"));
    assert!(ok(&["service", "health", "web", "--passing"]).contains("127.0.0.1:80  passing"));
    ok(&["service", "deregister", "web"]);
    assert!(!ok(&["service", "ls"]).contains("web"));

    let event = ok(&["event", "fire", "deploy", "v2"]);
    let events = ok(&["event", "ls"]);
    assert!(events.contains(event.trim()) && events.contains("v2"), "{events}");
}

#[test]
fn a_lock_is_held_by_one_command_at_a_time_and_fences_grow() {
    let world = World::new();
    let catalog = catalog(&world, &[]);
    let lock = |more: &[&str]| catalog.run(&world, &[&["kv", "lock", "lock"], more].concat());
    let fence = |said: crate::support::Said| -> u64 { said.out.trim().parse().expect("a fence") };
    let show = ["--", "sh", "-c", "echo $REGROW_LOCK_FENCE"];
    let first = fence(lock(&show));
    catalog.ok(&world, &["kv", "delete", "lock"]);
    let second = fence(lock(&show));
    assert!(second > first, "{second} after {first}, although the key was deleted");
    assert_eq!(lock(&["--", "sh", "-c", "exit 7"]).code, Some(7));

    let mut holder =
        world.command(&["kv", "lock", "lock", "--", "sh", "-c", "touch held; exec cat fifo"]);
    assert!(std::process::Command::new("mkfifo").arg(world.path().join("fifo")).status().is_ok());
    let mut holder = world.spawn_command({
        holder.env("CONSUL_HTTP_ADDR", &catalog.http);
        holder
    });
    wait("the lock is held", || world.path().join("held").exists());
    let began = Instant::now();
    let denied = lock(&["--wait", "300ms", "--", "true"]);
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(began.elapsed() >= Duration::from_millis(300));
    holder.signal("TERM");
    // The command ends by the signal that it was sent.
    assert_eq!(holder.end(), Some(143), "{}", holder.output());
    assert_eq!(lock(&["--wait", "20s", "--", "true"]).code, Some(0), "given back at once");
}

#[test]
fn a_catalog_with_a_folder_remembers() {
    let world = World::new();
    let mut before = catalog(&world, &["--state", "kept"]);
    before.ok(&world, &["kv", "put", "a", "1"]);
    before.ok(&world, &["service", "register", "web"]);
    assert_eq!(before.daemon.stop(), Some(0), "{}", before.daemon.output());
    let mut after = catalog(&world, &["--state", "kept"]);
    assert_eq!(after.ok(&world, &["kv", "get", "a"]), "1");
    assert!(after.ok(&world, &["service", "ls"]).contains("web"));
    assert_eq!(after.daemon.stop(), Some(0));
}

/// Status of the answer to a request without a body.
fn status(http: &str, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(http).expect("connect");
    let head = "Host: h\r\nContent-Length: 0\r\nConnection: close";
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    answer.split_whitespace().nth(1).expect("a status").to_owned()
}

#[test]
fn the_page_about_taking_over_names_every_path_and_what_is_not_carried_out() {
    let page = std::fs::read_to_string(repository("docs/take-over.md")).expect("page");
    let world = World::new();
    let catalog = catalog(&world, &[]);
    for (path, methods) in regrow_catalog::http::endpoints() {
        let name = format!("`{}`", path.trim_start_matches("/v1/"));
        let row = page.lines().find(|line| line.starts_with('|') && line.contains(&name));
        let row = row.unwrap_or_else(|| panic!("no row names {name}"));
        let answer = row.split('|').nth(2).expect("an answer").trim();
        let method = if methods.contains("GET") { "GET" } else { "PUT" };
        let whole = if path.ends_with('/') { format!("{path}x") } else { path.to_owned() };
        let said = status(&catalog.http, method, &whole);
        assert_eq!(said == "501", answer.starts_with("501"), "{method} {path}: {said}, {row}");
    }
}
