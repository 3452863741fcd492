//! The server, spoken to as curl does.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::super::{JobStatus, ServiceStatus, Status, StatusBody, listen, serve, status_json};
use super::telemetry;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn example() -> Status {
    let job = |name: &str| JobStatus { name: name.to_owned(), status: "unknown".to_owned() };
    Status {
        version: "3.8.0".to_owned(),
        jobs: vec![job("preStart")],
        services: vec![ServiceStatus {
            name: "app".to_owned(),
            address: "10.0.0.1".to_owned(),
            port: 80,
            status: "healthy".to_owned(),
        }],
        watches: vec!["db".to_owned()],
    }
}

#[test]
fn the_status_is_that_of_containerpilot() {
    assert_eq!(
        status_json(&example()),
        concat!(
            r#"{"Version":"3.8.0","Jobs":[{"Name":"preStart","Status":"unknown"}],"#,
            r#""Services":[{"Name":"app","Address":"10.0.0.1","Port":80,"Status":"healthy"}],"#,
            r#""Watches":["db"]}"#,
            "\n"
        )
    );
    assert_eq!(
        status_json(&Status::default()),
        "{\"Version\":\"\",\"Jobs\":null,\"Services\":null,\"Watches\":null}\n"
    );
}

/// The whole answer to a request without a body.
async fn ask(port: u16, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect((LOCAL, port)).await.expect("a connection");
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn metrics_and_status_are_served_to_get_only() {
    let listener = listen(LOCAL, 0).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let status: StatusBody = Arc::new(|| Box::pin(async { Some(status_json(&example())) }));
    let server = tokio::spawn(serve(listener, Arc::new(telemetry(&[])), status));

    let metrics = ask(port, "GET", "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("\nprocess_open_fds "), "{metrics}");

    let status = ask(port, "GET", "/status").await;
    assert!(status.contains("content-type: application/json\r\n"), "{status}");
    assert!(status.ends_with(&format!("\r\n\r\n{}", status_json(&example()))), "{status}");

    for path in ["/status", "/metrics"] {
        let refused = ask(port, "POST", path).await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        assert!(refused.ends_with("\r\n\r\nMethod Not Allowed\n"), "{refused}");
    }
    let absent = ask(port, "GET", "/else").await;
    assert!(absent.starts_with("HTTP/1.1 404 "), "{absent}");
    assert!(absent.ends_with("\r\n\r\n404 page not found\n"), "{absent}");
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn listening_is_tried_ten_times_a_second_apart() {
    let taken = TcpListener::bind((LOCAL, 0)).await.expect("a port");
    let address = taken.local_addr().expect("an address");
    let begun = Instant::now();
    let error = listen(LOCAL, address.port()).await.expect_err("it is taken");
    assert_eq!(begun.elapsed().as_secs(), 9);
    let text = error.to_string();
    assert!(text.starts_with(&format!("error listening to {address} for telemetry")), "{text}");
}
