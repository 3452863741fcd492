//! Other servers: who is asked, what is believed, and what ends a circle.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::{A, PTR};
use hickory_proto::rr::rdata;
use hickory_proto::rr::{RData, Record};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::task::AbortOnDropHandle;

use super::data::{question, text};
use super::sockets::{Served, ask_udp, catalog, dig, framed, ports, read, serve};
use crate::dns::{DnsError, DnsOptions};
use crate::model::Service;

/// Another server, on both kinds of sockets of one port.
struct Other {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// Knows one address of every name but `missing…`, and refuses what begins with `refused`.
fn known(packet: &[u8]) -> Vec<u8> {
    let asked = Message::from_vec(packet).expect("a question");
    let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
    reply.metadata.recursion_desired = asked.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    let query = asked.queries[0].clone();
    let name = query.name.to_ascii();
    if name.starts_with("missing") {
        reply.metadata.response_code = ResponseCode::NXDomain;
    } else if name.starts_with("refused") {
        reply.metadata.response_code = ResponseCode::Refused;
    } else {
        let data = RData::A(rdata::A::new(192, 0, 2, 7));
        reply.answers.push(Record::from_rdata(query.name.clone(), 60, data));
    }
    reply.add_query(query);
    reply.to_vec().expect("a reply")
}

async fn other(answer: fn(&[u8]) -> Vec<u8>) -> Other {
    let (udp, tcp) = ports().await;
    let address = udp.local_addr().expect("its address");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let datagrams = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::Relaxed);
            // First what somebody else might send: under another number, to another question.
            let reply = answer(&buffer[..length]);
            let mut forged = reply.clone();
            forged[0] ^= 0xff;
            let mut stray = reply.clone();
            stray[13] ^= 0x01;
            for packet in [forged, stray, reply] {
                let _ = udp.send_to(&packet, peer).await;
            }
        }
    });
    let count = Arc::clone(&asked);
    let streams = tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let packet = crate::dns::serve::message(&mut stream, 4096).await.expect("a question");
            let _ = stream.write_all(&framed(&answer(&packet))).await;
        }
    });
    let _tasks = [datagrams, streams].map(AbortOnDropHandle::new);
    Other { address, asked, _tasks }
}

/// A port where nobody is.
async fn nobody() -> SocketAddr {
    let (udp, _tcp) = ports().await;
    udp.local_addr().expect("an address")
}

fn asking(recursors: &[SocketAddr]) -> DnsOptions {
    DnsOptions {
        recursors: recursors.to_vec(),
        recursor_timeout: Duration::from_secs(20),
        ..DnsOptions::default()
    }
}

async fn ask(served: &Served, name: &str) -> String {
    text(&ask_udp(served.udp, &question(name, A, None)).await)
}

#[tokio::test]
async fn others_are_asked_for_what_is_not_ours() {
    let other = other(known).await;
    let served = serve(asking(&[other.address])).await;
    let found = "NoError rd ra\n= www.example.com. 60 A 192.0.2.7";
    assert_eq!(ask(&served, "www.example.com").await, found);
    let mut stream = TcpStream::connect(served.tcp).await.expect("connected");
    let packet = framed(&question("www.example.com", A, None));
    stream.write_all(&packet).await.expect("sent");
    assert_eq!(text(&read(&mut stream).await), found);
    assert_eq!(ask(&served, "missing.example.com").await, "NXDomain rd ra");
    let unknown = question("9.9.9.10.in-addr.arpa", PTR, None);
    assert!(text(&ask_udp(served.udp, &unknown).await).starts_with("NoError rd ra"));
    assert_eq!(other.asked.load(Ordering::Relaxed), 4);
    if let Some(shown) = dig(&served, &["+short", "www.example.com"]).await {
        assert_eq!(shown, "192.0.2.7\n");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_ours_or_was_not_to_be_asked() {
    let other = other(known).await;
    let served = serve(asking(&[other.address])).await;
    assert!(ask(&served, "web.service.consul").await.starts_with("NoError aa rd ra\n= web"));
    assert!(ask(&served, "nope.service.consul").await.starts_with("NXDomain aa rd ra"));
    assert!(ask(&served, "x.service.dc9.consul").await.starts_with("NXDomain aa rd ra"));
    let owned = question("2.1.1.10.in-addr.arpa", PTR, None);
    assert!(text(&ask_udp(served.udp, &owned).await).contains("Odd-Case"));
    let mut packet = question("www.example.com", A, None);
    packet[2] &= !1; // recursion is not desired
    assert_eq!(text(&ask_udp(served.udp, &packet).await), "Refused ra");
    assert_eq!(other.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_next_is_asked_when_one_has_no_answer() {
    let (first, second) = (other(known).await, other(known).await);
    let served = serve(asking(&[nobody().await, first.address])).await;
    assert!(ask(&served, "www.example.com").await.contains("192.0.2.7"));
    let served = serve(asking(&[first.address, second.address])).await;
    assert_eq!(ask(&served, "refused.example.com").await, "ServFail rd ra");
    assert_eq!(second.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_host_name_of_a_service_is_followed() {
    let other = other(known).await;
    let served = serve(asking(&[other.address])).await;
    let register = async |name: &str, address: &str| {
        let service = Service {
            id: name.to_owned(),
            name: name.to_owned(),
            address: address.to_owned(),
            ..Service::default()
        };
        let agent = served.catalog.agent();
        agent.register(service, Vec::new(), false).await.expect("registered");
    };
    register("ext", "www.example.com").await;
    register("inner", "n1.node.consul").await;
    assert_eq!(
        ask(&served, "ext.service.consul").await,
        "NoError aa rd ra\n= ext.service.consul. 0 CNAME www.example.com.\n= www.example.com. 60 \
         A 192.0.2.7"
    );
    assert_eq!(other.asked.load(Ordering::Relaxed), 1);
    let inner = ask(&served, "inner.service.consul").await;
    assert!(inner.ends_with("CNAME n1.node.consul."), "{inner}");
    assert_eq!(other.asked.load(Ordering::Relaxed), 1, "a name of ours goes to nobody");
}

/// Passes every question on to an address that is known later, and counts them.
async fn relay(to: Arc<OnceLock<SocketAddr>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    let address = socket.local_addr().expect("its address");
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::Relaxed);
            let mut packet = buffer[..length].to_vec();
            let (socket, to) = (Arc::clone(&socket), to.get().copied().expect("an address"));
            tokio::spawn(async move {
                let own = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
                let number = [packet[0], packet[1]];
                packet[0] ^= 0xff; // a number of its own
                own.send_to(&packet, to).await.expect("sent");
                let mut buffer = [0; 4096];
                let length = own.recv(&mut buffer).await.expect("a reply");
                buffer[..2].copy_from_slice(&number);
                let _ = socket.send_to(&buffer[..length], peer).await;
            });
        }
    });
    (address, passed)
}

#[tokio::test]
async fn a_circle_of_servers_ends() {
    let to = Arc::new(OnceLock::new());
    let (relay, passed) = relay(Arc::clone(&to)).await;
    let timeout = Duration::from_secs(2);
    let served = serve(DnsOptions { recursor_timeout: timeout, ..asking(&[relay]) }).await;
    to.set(served.udp).expect("once");
    assert_eq!(ask(&served, "www.example.com").await, "ServFail rd ra");
    // What came back waited for itself. On a machine that stands still for the whole time-out it may
    // come back too late for that, and go round once more; unbounded, it would hundreds of times.
    assert!(passed.load(Ordering::Relaxed) < 20, "{passed:?}");
}

#[tokio::test]
async fn itself_and_too_many_are_refused() {
    let catalog = catalog().await;
    let (udp, tcp): (UdpSocket, TcpListener) = ports().await;
    let own = udp.local_addr().expect("its address");
    let stop = tokio_util::sync::CancellationToken::new();
    let refused = catalog.serve_dns(udp, tcp, asking(&[own]), stop.clone()).await;
    assert_eq!(refused, Err(DnsError::OwnRecursor(own)));
    let (udp, tcp) = ports().await;
    let many = asking(&[SocketAddr::from(([192, 0, 2, 1], 53)); 9]);
    let refused = catalog.serve_dns(udp, tcp, many, stop).await;
    assert_eq!(refused, Err(DnsError::Recursors { given: 9, limit: 8 }));
}
