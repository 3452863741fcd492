//! HTTP: `ureq` for TCP and TLS; over a unix socket one plain exchange of version 1.0, in which
//! the answer ends with the connection.

use super::{Headers, read_bounded};
use crate::error::FetchError;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Most bytes of status line and headers of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;

fn agent() -> &'static ureq::Agent {
    static AGENT: OnceLock<ureq::Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .user_agent(concat!("regrow-template/", env!("CARGO_PKG_VERSION")))
            .build()
            .into()
    })
}

/// GET over TCP or TLS, following redirects, through the proxy of the environment if there is one.
pub(super) fn get(
    url: &str,
    headers: &Headers,
    timeout: Duration,
    max_bytes: u64,
) -> Result<Vec<u8>, FetchError> {
    let failed = |error: ureq::Error| FetchError::Request(error.to_string());
    let mut request = agent().get(url).config().timeout_global(Some(timeout)).build();
    for (name, value) in headers {
        request = request.header(name.as_str(), value.as_str());
    }
    let mut answer = request.call().map_err(failed)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(FetchError::Status(status));
    }
    let bytes = read_bounded(answer.body_mut().as_reader(), max_bytes)
        .map_err(|error| FetchError::Request(error.to_string()))?;
    bytes.ok_or(FetchError::TooLarge(max_bytes))
}

/// GET over the socket that is a prefix of `path`, for the rest of `path`.
pub(super) fn get_unix(
    path: &Path,
    headers: &Headers,
    timeout: Duration,
    max_bytes: u64,
) -> Result<Vec<u8>, FetchError> {
    let (socket, target) = split_socket(path)?;
    let request = request_text(&target, headers)?;
    let deadline = Instant::now() + timeout;
    let failed = |source| FetchError::Io { path: socket.clone(), source };
    let stream = UnixStream::connect(&socket).map_err(failed)?;
    let mut stream = Timed { stream, deadline };
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let limit = max_bytes.saturating_add(MAX_HEAD_BYTES as u64);
    let answer = read_bounded(&mut stream, limit).map_err(failed)?;
    let answer = answer.ok_or(FetchError::TooLarge(max_bytes))?;
    let (status, body) = split_answer(&answer)?;
    if status != 200 {
        return Err(FetchError::Status(status));
    }
    if body.len() as u64 > max_bytes {
        return Err(FetchError::TooLarge(max_bytes));
    }
    Ok(body.to_vec())
}

/// A stream whose reads and writes all end by one deadline.
struct Timed {
    stream: UnixStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
        }
        Ok(Some(left))
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// The socket in `path`, and the path asked for.
fn split_socket(path: &Path) -> Result<(PathBuf, String), FetchError> {
    let is_socket =
        |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let socket = path.ancestors().find(|prefix| is_socket(prefix));
    let socket = socket.ok_or_else(|| FetchError::Io {
        path: path.to_owned(),
        source: std::io::Error::other("not a socket"),
    })?;
    let rest = path.strip_prefix(socket).unwrap_or(Path::new(""));
    Ok((socket.to_owned(), format!("/{}", rest.display())))
}

fn request_text(target: &str, headers: &Headers) -> Result<String, FetchError> {
    let mut text = format!("GET {} HTTP/1.0\r\nHost: localhost\r\n", encode_target(target));
    for (name, value) in headers {
        let header = format!("{name}: {value}");
        if header.contains(['\r', '\n']) || name.contains([' ', ':']) {
            return Err(FetchError::Request(format!("bad header {name:?}")));
        }
        text.push_str(&header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    Ok(text)
}

fn encode_target(target: &str) -> String {
    let mut out = String::new();
    for byte in target.bytes() {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Status and body of an answer that ended with its connection.
fn split_answer(answer: &[u8]) -> Result<(u16, &[u8]), FetchError> {
    let bad = || FetchError::Request("the socket's answer is not HTTP".to_owned());
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(bad)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| bad())?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
    let body = &answer[end + 4..];
    let length = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if body.len() < length => {
            Err(FetchError::Request("the answer ended before its body was complete".to_owned()))
        }
        Some(length) => Ok((status, &body[..length])),
        None => Ok((status, body)),
    }
}
