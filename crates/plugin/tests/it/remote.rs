//! Plugins behind a manager's port.

use std::path::{Path, PathBuf};

use regrow_plugin::spi::Tags;
use regrow_plugin::{Lookup, PluginError, RemotePlugins};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::support::{directory, memory_plugin, name, start, timeouts};

/// As much of a manager's port as a client needs: one request per connection.
async fn port(directory: &Path, leads: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let directory = directory.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, directory.clone(), leads));
        }
    });
    format!("http://{address}")
}

async fn pass(mut stream: TcpStream, directory: PathBuf, leads: bool) {
    let mut bytes = vec![0; 64 << 10];
    let read = stream.read(&mut bytes).await.expect("read");
    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
    let mut answer = Vec::new();
    if text.starts_with("OPTIONS / ") {
        let body = format!("{{\n\"Leader\":{leads},\n\"Plugins\":[\"file\",\"gone\"]\n}}");
        answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into();
    } else {
        let plugin = text.split('/').nth(1).expect("a plugin");
        match UnixStream::connect(directory.join(plugin)).await {
            Ok(mut inner) => {
                let inside = text.replacen(&format!("/{plugin}/"), "/", 1);
                let inside = inside.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                inner.write_all(inside.as_bytes()).await.expect("write");
                inner.read_to_end(&mut answer).await.expect("read");
            }
            Err(_) => answer.extend(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        }
    }
    let _ = stream.write_all(&answer).await;
}

#[tokio::test]
async fn the_one_that_leads_is_asked() {
    let dir = directory();
    let _running = start(memory_plugin("file"), dir.path()).await;
    let (follower, leader) = (port(dir.path(), false).await, port(dir.path(), true).await);
    let urls = ["http://127.0.0.1:1".to_owned(), follower.clone(), leader.clone()];
    let plugins = RemotePlugins::connect(&urls, timeouts()).await.expect("a leader");
    assert_eq!(plugins.url().to_string(), format!("{leader}/"));
    assert_eq!(plugins.names(), ["file", "gone"]);
    let instances = plugins.instance(&name("file")).await.expect("lookup");
    assert!(instances.describe_instances(&Tags::new(), false).await.expect("list").is_empty());
    let error = plugins.instance(&name("gone")).await.err().expect("not there");
    assert!(error.to_string().contains("502 Bad Gateway"), "{error}");
    let error = plugins.instance(&name("nope")).await.err().expect("unknown");
    assert_eq!(error, PluginError::NotFound("plugin not found:nope".into()));
    assert!(plugins.refresh().await.expect("refresh").leader);
}

#[tokio::test]
async fn without_a_leader_nobody_is_asked() {
    let dir = directory();
    let follower = port(dir.path(), false).await;
    // The only one is asked even so: it passes everything on.
    let address = follower.trim_start_matches("http://").to_owned();
    RemotePlugins::connect(&[address], timeouts()).await.expect("the only one");
    let urls = [follower.clone(), "http://127.0.0.1:1".to_owned()];
    let error = RemotePlugins::connect(&urls, timeouts()).await.err().expect("no leader");
    let text = error.to_string();
    assert!(text.contains("1 answer, but none of them leads"), "{text}");
    assert!(text.contains("127.0.0.1:1"), "{text}");
    let error = RemotePlugins::connect(&[], timeouts()).await.err().expect("no URL");
    assert!(error.to_string().contains("no URL is given"), "{error}");
}
