//! What a web page can make a browser send.

use std::path::Path;
use std::sync::Arc;

use regrow_plugin::spi::{Instance, Tags};
use regrow_plugin::{Endpoint, FixedObjects, Listen, Plugin, Running, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::{Memory, Raw, client, directory, name, read_answer};

const HELLO: &str = r#"{"jsonrpc":"2.0","method":"Handshake.Hello","id":1}"#;

fn plugin() -> Plugin {
    let object = Arc::new(Memory::watched()) as Arc<dyn Instance>;
    Plugin::new("file").with_instances(FixedObjects::single(object))
}

async fn on_port(directory: &Path) -> (Running, String) {
    let listen = Listen::Tcp {
        address: "127.0.0.1:0".into(),
        advertise: None,
        directory: directory.to_owned(),
    };
    let running = serve(plugin(), listen).await.expect("serve");
    let Endpoint::Tcp(address) = running.endpoint() else { panic!("a port") };
    let address = address.clone();
    (running, address)
}

async fn post(address: &str, headers: &str) -> Raw {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let length = HELLO.len();
    let request = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n{headers}\r\n{HELLO}");
    stream.write_all(request.as_bytes()).await.expect("write");
    read_answer(&mut stream).await
}

#[tokio::test]
async fn a_port_answers_programs_and_not_pages() {
    let dir = directory();
    let (running, address) = on_port(dir.path()).await;
    let of_host = format!("Host: {address}\r\n");
    for (headers, answered) in [
        (of_host.clone(), true),
        ("Host: localhost:1\r\n".to_owned(), true),
        ("Host: h\r\n".to_owned(), true),
        (format!("{of_host}Sec-Fetch-Site: none\r\n"), true),
        (format!("{of_host}Origin: http://evil.example.com\r\n"), false),
        (format!("{of_host}Origin: null\r\n"), false),
        (format!("{of_host}Origin: http://{address}\r\n"), false),
        (format!("{of_host}Sec-Fetch-Site: cross-site\r\n"), false),
        (format!("{of_host}Sec-Fetch-Site: same-site\r\n"), false),
        ("Host: evil.example.com\r\n".to_owned(), false),
        (format!("{of_host}Host: evil.example.com\r\n"), false),
    ] {
        let answer = post(&address, &headers).await;
        assert_eq!(answer.status, if answered { 200 } else { 403 }, "{headers}: {answer:?}");
        assert_eq!(answer.body.contains("Instance/0.6.1"), answered, "{answer:?}");
    }
    let refused = post(&address, "Host: evil.example.com\r\n").await.body;
    assert!(refused.contains(r#"this plugin is not called "evil.example.com""#), "{refused}");
    assert!(refused.contains("REGROW_PLUGIN_ADVERTISE"), "{refused}");
    // Our own clients are let in.
    let instances = client(&running).instance(&name("file")).await.expect("instance");
    assert!(instances.describe_instances(&Tags::new(), false).await.expect("list").is_empty());
}

#[tokio::test]
async fn only_a_socket_shows_events_to_every_origin() {
    const ASK: &[u8] = b"GET /events?topic=/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let dir = directory();
    let (_running, address) = on_port(&dir.path().join("port")).await;
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(ASK).await.expect("write");
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.expect("read");
    let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
    assert!(head.contains("text/event-stream"), "{head}");
    assert!(!head.contains("access-control"), "{head}");

    let socket = dir.path().join("socket");
    let _running = serve(plugin(), Listen::unix(&socket)).await.expect("serve");
    let mut stream = UnixStream::connect(socket.join("file")).await.expect("connect");
    // Nor does a socket, which no page can reach, ask where a request comes from.
    let ask = String::from_utf8_lossy(ASK).replace("localhost", "x\r\nOrigin: http://x");
    stream.write_all(ask.as_bytes()).await.expect("write");
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.expect("read");
    let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
}
