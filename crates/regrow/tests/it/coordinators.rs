//! A manager on an etcd that wants to see certificates.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::{Daemon, World, wait};

/// Starts that are tried: between the choice of a free port and its use another process may take it.
const TRIES: usize = 5;

/// One certificate for all: the server's, ours, and the one that both trust.
struct Papers {
    cert: String,
    key: String,
}

impl Papers {
    fn make(world: &World) -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).expect("certificate");
        let file = |name: &str, text: &str| world.write(name, text).display().to_string();
        let cert = file("cert.pem", &made.cert.pem());
        Self { cert, key: file("key.pem", &made.signing_key.serialize_pem()) }
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}

/// An etcd that serves nobody without a certificate, and where it does.
fn etcd(world: &World, papers: &Papers) -> (Daemon, String) {
    for attempt in 0..TRIES {
        let (client, peer) = (free_port(), free_port());
        let url = format!("https://localhost:{client}");
        let listen = format!("https://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let data = world.path().join(format!("etcd-{attempt}"));
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(data)
            .args(["--listen-client-urls", &listen, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "info"])
            .args(["--cert-file", &papers.cert, "--key-file", &papers.key])
            .args(["--client-cert-auth", "--trusted-ca-file", &papers.cert])
            .stdin(Stdio::null());
        let daemon = world.spawn_command(command);
        let says = |word: &str| daemon.output().contains(word);
        wait("etcd serves or gives up", || {
            says("serving client") || says("address already in use")
        });
        if says("serving client") {
            return (daemon, url);
        }
    }
    panic!("etcd did not start in {TRIES} tries");
}

#[test]
fn a_manager_leads_by_an_etcd_that_wants_certificates() {
    if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("not run, promise untested: managers on etcd over TLS (needs `etcd`)");
        return;
    }
    let world = World::new();
    let papers = Papers::make(&world);
    let (_etcd, url) = etcd(&world, &papers);
    let start = ["plugin", "start", "manager", "--leader", "etcd", "--store", "etcd"];
    let start = [start.as_slice(), &["--coordinator", &url]].concat();
    let fault = world.fails(&start);
    assert!(fault.contains("needs TLS settings; give the CA to trust"), "{fault}");
    let trusting = [start.as_slice(), &["--coordinator-ca", &papers.cert]].concat();
    let fault = world.fails(&trusting);
    assert!(fault.contains("join etcd election manager"), "{fault}");
    let half = [trusting.as_slice(), &["--coordinator-cert", &papers.cert]].concat();
    let fault = world.fails(&half);
    assert!(fault.contains("--coordinator-key"), "{fault}");
    let whole = [half.as_slice(), &["--coordinator-key", &papers.key]].concat();
    let manager = world.spawn(&whole);
    wait("the manager leads", || {
        let said = world.run(&["manager", "leader"]);
        said.out.contains("IsLeader       : true")
    });
    drop(manager);
}
