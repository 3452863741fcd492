//! A tiny HTTP server to have something to run: what `examples/quickstart` keeps alive.
//!
//! One thread, one connection at a time, no parsing beyond the request line: it must not become a
//! program that somebody uses for real.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::places::replace_file;

/// Longest head of a request.
const MAX_HEAD_BYTES: u64 = 8 << 10;
/// A client that says nothing for so long loses its turn.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// File in the working directory that holds the address.
const ADDRESS_FILE: &str = "address";

/// Arguments of `example-server`.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// Address to listen at; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT")]
    listen: SocketAddr,
}

impl ServerArgs {
    /// Serves until killed.
    pub fn run(&self) -> Result<()> {
        let listener = TcpListener::bind(self.listen)
            .with_context(|| format!("listen at {}; choose another port", self.listen))?;
        let address = listener.local_addr().context("ask for the own address")?;
        // Whole or not at all: whoever finds the file connects to what it says.
        replace_file(Path::new(ADDRESS_FILE), &format!("{address}\n"))
            .context("tell the address in the working directory")?;
        println!("listening at http://{address}/");
        let began = Instant::now();
        for client in listener.incoming() {
            let served = client.and_then(|client| serve(&client, address, began));
            if let Err(error) = served {
                eprintln!("serve a request: {error}");
            }
        }
        Ok(())
    }
}

fn serve(mut client: &TcpStream, address: SocketAddr, began: Instant) -> std::io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut reader = BufReader::new(client.take(MAX_HEAD_BYTES));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    // The rest of the head is read, so that closing does not reset the connection.
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, body) = answer(&first, address, began);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

fn answer(request: &str, address: SocketAddr, began: Instant) -> (&'static str, String) {
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if !["GET", "HEAD"].contains(&method) {
        return ("405 Method Not Allowed", "{\"error\":\"use GET\"}\n".to_owned());
    }
    match path.split('?').next().unwrap_or("") {
        "/" => ("200 OK", format!("{}\n", about(address, began))),
        "/health" => ("200 OK", "{\"status\":\"ok\"}\n".to_owned()),
        _ => ("404 Not Found", "{\"error\":\"only / and /health are here\"}\n".to_owned()),
    }
}

fn about(address: SocketAddr, began: Instant) -> serde_json::Value {
    let own = |name: &str| std::env::var(name).ok();
    json!({
        "instance": own("REGROW_INSTANCE_ID"),
        "group": own("REGROW_GROUP"),
        "slot": own("REGROW_TAG_REGROW_SLOT"),
        "logical_id": own("REGROW_LOGICAL_ID").filter(|id| !id.is_empty()),
        "address": address.to_string(),
        "pid": std::process::id(),
        "uptime_seconds": began.elapsed().as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::answer;

    #[test]
    fn answers_what_it_has_and_nothing_else() {
        let at = "127.0.0.1:1".parse().expect("address");
        for (request, status) in [
            ("GET / HTTP/1.1\r\n", "200"),
            ("GET /health?x=1 HTTP/1.1\r\n", "200"),
            ("GET /etc/passwd HTTP/1.1\r\n", "404"),
            ("POST / HTTP/1.1\r\n", "405"),
            ("\r\n", "405"),
        ] {
            let (found, _) = answer(request, at, Instant::now());
            assert!(found.starts_with(status), "{request:?}: {found}");
        }
    }
}
