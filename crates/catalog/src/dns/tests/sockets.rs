//! A catalog that answers on loopback ports, asked by hand and by `dig`.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::{A, PTR, SRV};
use regrow_consensus::{
    Consistency, Leadership, LocalReplica, Machines, Outcome, ProposeError, ReadError, Replica,
    Scope, Scoped, Snapshot, Status,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::data::{question, text};
use crate::Catalog;
use crate::agent::AgentOptions;
use crate::dns::{DnsError, DnsOptions};
use crate::machine::CatalogMachine;
use crate::model::{CheckSpec, Service};
use crate::query::Client;

/// Longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

pub struct Served {
    pub catalog: Catalog,
    pub udp: SocketAddr,
    pub tcp: SocketAddr,
    _stop: DropGuard,
}

pub async fn catalog() -> Catalog {
    let machine = Arc::new(CatalogMachine::new());
    let hub = machine.hub();
    let scope = Scope::new(7).expect("a scope");
    let machines = Machines::new().with(scope, machine).expect("one machine");
    let replica = LocalReplica::start(machines).expect("a replica");
    let replica = Arc::new(Scoped::new(replica, scope));
    Catalog::start(replica, hub, AgentOptions::new("n1")).await.expect("a catalog")
}

/// Both protocols on one port, as `dig` wants it.
pub async fn ports() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = tcp.local_addr().expect("its address");
        // Somebody else may have the other one.
        if let Ok(udp) = UdpSocket::bind(address).await {
            return (udp, tcp);
        }
    }
}

pub async fn serve(options: DnsOptions) -> Served {
    let catalog = catalog().await;
    let register = |id: &str, name: &str, port, address: &str| {
        let service = Service {
            id: id.to_owned(),
            name: name.to_owned(),
            port,
            address: address.to_owned(),
            tags: vec!["v1".to_owned()],
            ..Service::default()
        };
        let agent = catalog.agent().clone();
        async move { agent.register(service, Vec::new(), false).await.expect("registered") }
    };
    register("web1", "web", 80, "").await;
    register("web2", "web", 81, "10.1.1.1").await;
    register("odd", "Odd-Case", 82, "10.1.1.2").await;
    for at in 1..=40 {
        register(&format!("many{at}"), "many", 90, &format!("10.2.0.{at}")).await;
    }
    let (udp, tcp) = ports().await;
    let addresses = (udp.local_addr().expect("udp"), tcp.local_addr().expect("tcp"));
    let stop = CancellationToken::new();
    let (serving, token) = (catalog.clone(), stop.clone());
    tokio::spawn(async move { serving.serve_dns(udp, tcp, options, token).await });
    Served { catalog, udp: addresses.0, tcp: addresses.1, _stop: stop.drop_guard() }
}

pub async fn ask_udp(address: SocketAddr, packet: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.send_to(packet, address).await.expect("sent");
    let mut buffer = [0; 8192];
    let length = patiently(socket.recv(&mut buffer)).await.expect("received");
    Message::from_vec(&buffer[..length]).expect("a message")
}

pub async fn read(stream: &mut TcpStream) -> Message {
    let reading = async {
        let length = stream.read_u16().await.expect("a length");
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await.expect("a packet");
        packet
    };
    Message::from_vec(&patiently(reading).await).expect("a message")
}

pub fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes()[..], packet].concat()
}

#[tokio::test]
async fn udp_answers_what_is_registered_whatever_its_letters() {
    let served = serve(DnsOptions::default()).await;
    let web = ask_udp(served.udp, &question("WEB.service.consul", A, None)).await;
    assert_eq!(
        text(&web),
        "NoError aa rd\n= WEB.service.consul. 0 A 10.1.1.1\n= WEB.service.consul. 0 A 127.0.0.1"
    );
    let odd = ask_udp(served.udp, &question("odd-case.service.consul", A, None)).await;
    assert!(text(&odd).ends_with(" A 10.1.1.2"), "{}", text(&odd));
    let node = ask_udp(served.udp, &question("N1.node.consul", A, None)).await;
    assert!(text(&node).contains(" A 127.0.0.1"), "{}", text(&node));
    let many = ask_udp(served.udp, &question("many.service.consul", A, None)).await;
    assert!(many.metadata.truncation && many.answers.len() == 3);
    let reverse = question("2.1.1.10.in-addr.arpa", PTR, None);
    let owner = ask_udp(served.udp, &reverse).await;
    assert!(text(&owner).ends_with("PTR Odd-Case.service.dc1.consul."), "{}", text(&owner));
    served.catalog.agent().deregister("odd").await.expect("deregistered");
    let gone = ask_udp(served.udp, &reverse).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn what_turns_critical_is_not_told_any_more() {
    let served = serve(DnsOptions::default()).await;
    let check = CheckSpec {
        id: "c".to_owned(),
        name: "c".to_owned(),
        service_id: "web2".to_owned(),
        status: Some(crate::model::Status::Critical),
        ..CheckSpec::default()
    };
    served.catalog.agent().register_check(check).await.expect("registered");
    let packet = question("web.service.consul", SRV, None);
    let found = text(&ask_udp(served.udp, &packet).await);
    assert!(found.contains("SRV 1 1 80 n1.node.dc1.consul.") && !found.contains(" 81 "), "{found}");
}

#[tokio::test]
async fn tcp_answers_questions_that_are_sent_at_once_in_their_order() {
    let served = serve(DnsOptions::default()).await;
    let mut stream = TcpStream::connect(served.tcp).await.expect("connected");
    let names = ["many", "web", "nope"].map(|name| format!("{name}.service.consul"));
    let mut all = Vec::new();
    for name in names.iter().cycle().take(60) {
        all.extend(framed(&question(name, A, None)));
    }
    let (first, second) = all.split_at(all.len() / 2 + 1);
    stream.write_all(first).await.expect("sent");
    stream.write_all(second).await.expect("sent");
    for (name, count) in names.iter().zip([40, 2, 0]).cycle().take(60) {
        let message = read(&mut stream).await;
        assert_eq!(message.queries[0].name.to_ascii(), format!("{name}."));
        assert_eq!(message.answers.len(), count, "{name}");
    }
    // One that says nothing more is answered and then left.
    stream.shutdown().await.expect("shut down");
    assert_eq!(patiently(stream.read(&mut [0; 1])).await.expect("the end"), 0);
}

#[tokio::test]
async fn connections_are_bounded_and_large_questions_refused() {
    let served = serve(DnsOptions { connections: 1, ..DnsOptions::default() }).await;
    let mut first = TcpStream::connect(served.tcp).await.expect("connected");
    let packet = framed(&question("web.service.consul", A, None));
    first.write_all(&packet).await.expect("sent");
    assert_eq!(read(&mut first).await.answers.len(), 2);
    // What is closed may be so before it takes the question.
    let mut second = TcpStream::connect(served.tcp).await.expect("connected");
    let _ = second.write_all(&packet).await;
    let ended = patiently(second.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let mut large = question("web.service.consul", A, None);
    large.resize(5000, 0);
    let _ = first.write_all(&framed(&large)).await;
    let ended = patiently(first.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn noise_does_not_stop_it() {
    let served = serve(DnsOptions::default()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for length in 0..200_usize {
        let noise: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        socket.send_to(&noise, served.udp).await.expect("sent");
    }
    let mut stream = TcpStream::connect(served.tcp).await.expect("connected");
    stream.write_all(&framed(&[0xff; 40])).await.expect("sent");
    let web = ask_udp(served.udp, &question("web.service.consul", A, None)).await;
    assert_eq!(web.answers.len(), 2);
}

#[tokio::test]
async fn it_ends_when_told_and_refuses_a_bad_domain() {
    let catalog = catalog().await;
    let (udp, tcp) = ports().await;
    let options = DnsOptions { domain: "..".to_owned(), ..DnsOptions::default() };
    let refused = catalog.serve_dns(udp, tcp, options, CancellationToken::new()).await;
    assert!(matches!(refused, Err(DnsError::Domain { .. })));
    let (udp, tcp) = ports().await;
    let _open = TcpStream::connect(tcp.local_addr().expect("an address")).await.expect("connected");
    let stop = CancellationToken::new();
    stop.cancel();
    patiently(catalog.serve_dns(udp, tcp, DnsOptions::default(), stop)).await.expect("served");
}

/// A replica that has lost its leader.
struct Leaderless(Arc<dyn Replica>);

#[async_trait]
impl Replica for Leaderless {
    async fn propose(&self, _command: Vec<u8>) -> Result<Outcome, ProposeError> {
        Err(ProposeError::NoLeader)
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError> {
        match consistency {
            Consistency::Stale => self.0.read(Consistency::Stale).await,
            Consistency::Lease | Consistency::Linearizable => Err(ReadError::NoLeader),
        }
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.0.applied()
    }

    fn status(&self) -> Status {
        self.0.status()
    }
}

#[tokio::test]
async fn without_a_leader_it_tells_what_this_node_has() {
    let served = serve(DnsOptions::default()).await;
    let client = served.catalog.client();
    let leaderless = Arc::new(Leaderless(Arc::clone(client.replica())));
    let client = Client::new(leaderless, client.hub().clone());
    let reader = crate::dns::reader::Reader::new(client);
    let want = crate::dns::Want::Service("WEB".to_owned());
    let crate::dns::Data::Instances(found) = reader.look(&want, false).await else {
        panic!("no instances")
    };
    assert_eq!(found.len(), 2);
}

/// What `dig` prints, `None` where there is none.
pub async fn dig(served: &Served, args: &[&str]) -> Option<String> {
    let child = tokio::process::Command::new("dig")
        .args(["@127.0.0.1", "-p", &served.udp.port().to_string(), "+time=20", "+tries=3"])
        .args(args)
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let output = patiently(child.wait_with_output()).await.expect("its output");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn dig_understands_the_answers() {
    let served = serve(DnsOptions::default()).await;
    let Some(web) = dig(&served, &["web.service.consul", "SRV"]).await else {
        println!("not run, promise untested: C11 with dig (needs the package bind9-dnsutils)");
        return;
    };
    // The address of each place, and the extensions, are what is additional.
    for expected in [
        "status: NOERROR",
        "flags: qr aa rd; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 3",
        "WARNING: recursion requested but not available",
        "EDNS: version: 0, flags:; udp: 4096",
        "1 1 81 0a010101.addr.dc1.consul.",
        "1 1 80 n1.node.dc1.consul.",
    ] {
        assert!(web.contains(expected), "{expected}: {web}");
    }
    let served = &served;
    let short = |args: Vec<&'static str>| async move {
        let args = [&["+short"], args.as_slice()].concat();
        let found = dig(served, &args).await.expect("dig");
        let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(short(vec!["web.service.consul"]).await, ["10.1.1.1", "127.0.0.1"]);
    assert_eq!(short(vec!["_web._v1.service.consul"]).await.len(), 2);
    assert_eq!(short(vec!["-x", "10.1.1.1"]).await, ["web.service.dc1.consul."]);
    assert_eq!(short(vec!["consul", "NS"]).await, ["n1.server.dc1.consul."]);
    assert_eq!(short(vec!["+tcp", "+keepopen", "many.service.consul"]).await.len(), 40);
    // Cut over UDP, so that it asks again over TCP.
    assert_eq!(short(vec!["+noedns", "many.service.consul"]).await.len(), 40);
    let missing = dig(served, &["nope.service.consul"]).await.expect("dig");
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("SOA\tns.consul."));
    let foreign = dig(served, &["example.com"]).await.expect("dig");
    assert!(foreign.contains("status: REFUSED"), "{foreign}");
}
