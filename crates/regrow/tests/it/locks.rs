//! `regrow kv lock` while its catalog fails, and when its session ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{World, said, wait};

const SESSION: &str = "6b7ee887-56f2-8ada-87a5-222710f3568f";

/// A catalog that answers as it is told: what a request is answered with, by how often the lock was
/// tried for or its session renewed so far. An empty answer ends the connection.
fn answers(
    answer: impl Fn(&str, usize) -> String + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, tries, answer) = (asked.clone(), Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (seen, tries, answer) = (seen.clone(), tries.clone(), answer.clone());
            std::thread::spawn(move || converse(stream, &seen, &tries, &*answer));
        }
    });
    (address, asked)
}

fn converse(
    stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    tries: &AtomicUsize,
    answer: &dyn Fn(&str, usize) -> String,
) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(given) = header.strip_prefix("content-length:") {
                length = given.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let line = line.trim().to_owned();
        let steps = ["acquire=", "/v1/session/renew/"];
        let turn = match steps.iter().any(|step| line.contains(step)) {
            true => tries.fetch_add(1, Ordering::SeqCst) + 1,
            false => tries.load(Ordering::SeqCst),
        };
        let answer = answer(&line, turn);
        seen.lock().expect("a lock").push(line);
        if answer.is_empty() {
            return None;
        }
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nX-Consul-Index: 7\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn entry() -> String {
    format!(
        r#"[{{"Key":"lock","Value":null,"Flags":0,"LockIndex":1,"Session":"{SESSION}","CreateIndex":5,"ModifyIndex":6}}]"#
    )
}

#[test]
fn who_waits_for_a_lock_outlives_a_catalog_without_a_leader() {
    let world = World::new();
    let (address, asked) = answers(|line, turn| {
        let (method, path) = line.split_once(' ').unwrap_or_default();
        match (method, turn) {
            ("PUT", _) if path.starts_with("/v1/session/create") => {
                http("200 OK", &format!(r#"{{"ID":"{SESSION}"}}"#))
            }
            // The first try and the renewals after it find nobody; the fifth step finds a leader.
            ("PUT", 1 | 2) => http("500 Error", "No cluster leader"),
            ("PUT", 3 | 4) => String::new(),
            ("GET", _) => http("200 OK", &entry()),
            _ => http("200 OK", "true"),
        }
    });
    let mut command = world.command(&[
        "kv",
        "lock",
        "lock",
        "--wait",
        "2m",
        "--",
        "sh",
        "-c",
        "echo $REGROW_LOCK_FENCE",
    ]);
    let said = said(&command.env("CONSUL_HTTP_ADDR", &address).output().expect("run"));
    let asked = asked.lock().expect("a lock").join("\n");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "6\n"), "{said:?}\n{asked}");
}

#[test]
fn who_waits_for_a_lock_without_its_session_stops() {
    let world = World::new();
    let (address, asked) = answers(|line, _| {
        let (method, path) = line.split_once(' ').unwrap_or_default();
        match method {
            "PUT" if path.starts_with("/v1/session/create") => {
                http("200 OK", &format!(r#"{{"ID":"{SESSION}"}}"#))
            }
            "PUT" if path.contains("acquire=") => http("500 Error", "invalid session"),
            "PUT" if path.starts_with("/v1/session/renew") => {
                http("404 Not Found", "Session id not found")
            }
            "GET" => http("404 Not Found", ""),
            _ => http("200 OK", "true"),
        }
    });
    let mut command = world.command(&["kv", "lock", "lock", "--", "touch", "had"]);
    let said = said(&command.env("CONSUL_HTTP_ADDR", &address).output().expect("run"));
    let asked = asked.lock().expect("a lock").join("\n");
    assert_eq!(said.code, Some(1), "{said:?}\n{asked}");
    assert!(said.err.contains("renew the session of the lock"), "{said:?}");
    assert!(!world.path().join("had").exists());
}

#[test]
fn a_command_is_stopped_before_its_lock_passes_on() {
    let world = World::new();
    let daemon = world.spawn(&["catalog", "--dev", "--http", "127.0.0.1:0", "--dns", "none"]);
    daemon.says("ready");
    let output = daemon.output();
    let http = output.lines().find_map(|line| line.strip_prefix("HTTP on ")).expect("an address");
    let lock = |words: &[&str]| {
        let mut command = world.command(&[&["kv", "lock", "lock", "--ttl", "10s"], words].concat());
        command.env("CONSUL_HTTP_ADDR", http);
        command
    };
    let holds = "trap 'touch ended; exit 0' TERM; echo $REGROW_LOCK_SESSION > new; mv new held; \
        while :; do sleep 0.1; done";
    let mut holder = world.spawn_command(lock(&["--", "sh", "-c", holds]));
    wait("the lock is held", || world.path().join("held").exists());
    let session = std::fs::read_to_string(world.path().join("held")).expect("a session");
    let mut next = world.spawn_command(lock(&["--", "sh", "-c", "test -f ended"]));
    let mut destroy = world.command(&["session", "destroy", session.trim()]);
    let destroyed = said(&destroy.env("CONSUL_HTTP_ADDR", http).output().expect("run"));
    assert_eq!(destroyed.code, Some(0), "{destroyed:?}");
    assert_eq!(holder.end(), Some(1), "{}", holder.output());
    assert!(world.path().join("ended").exists(), "the command was told to end");
    assert_eq!(next.end(), Some(0), "the other command had ended: {}", next.output());
}
