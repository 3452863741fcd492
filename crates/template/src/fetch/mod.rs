//! Documents by URL.

pub(crate) mod cache;
mod network;

use crate::error::FetchError;
use crate::options::Options;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// HTTP headers in the order they are sent; a name may occur more than once.
pub type Headers = Vec<(String, String)>;

/// Gets documents. Blocks; called from the rendering thread.
pub trait Fetcher: Send + Sync {
    /// The bytes of the document at `url`, which is absolute.
    ///
    /// # Errors
    ///
    /// [`FetchError`]; in particular [`FetchError::TooLarge`] for more than `max_bytes`.
    fn fetch(&self, url: &str, headers: &Headers, max_bytes: u64) -> Result<Vec<u8>, FetchError>;
}

/// The usual [`Fetcher`]: `file://`, `http://`, `https://`, and `unix://` for an HTTP GET over a
/// socket. In `unix:///run/x.sock/a/b` the socket is the part that is a socket, the rest is the
/// path asked for; `/` if there is none.
#[derive(Debug, Clone)]
pub struct UrlFetcher {
    /// Time for one request, from connecting to the last byte. Default 30 s.
    pub timeout: Duration,
}

impl Default for UrlFetcher {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30) }
    }
}

impl Fetcher for UrlFetcher {
    fn fetch(&self, url: &str, headers: &Headers, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        match url.split_once("://") {
            Some(("file", _)) => read_file(&local_path(url)?, max_bytes),
            Some(("http" | "https", _)) => network::get(url, headers, self.timeout, max_bytes),
            Some(("unix", _)) => {
                network::get_unix(&local_path(url)?, headers, self.timeout, max_bytes)
            }
            _ => Err(FetchError::Scheme(url.to_owned())),
        }
    }
}

/// The text of the document at `url`; `str://` is answered here, the rest by the fetcher.
pub(crate) fn document_text(
    options: &Options,
    url: &str,
    headers: &Headers,
) -> Result<Arc<str>, FetchError> {
    if let Some(text) = url.strip_prefix("str://") {
        return Ok(text.into());
    }
    let bytes = options.fetcher.fetch(url, headers, options.limits.max_fetch_bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| FetchError::NotText)?;
    Ok(text.into())
}

/// The path of a `file://` or `unix://` URL; a host, as in `file://localhost/x`, is ignored.
fn local_path(url: &str) -> Result<PathBuf, FetchError> {
    let bad = |message: &str| FetchError::Url { url: url.to_owned(), message: message.to_owned() };
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let slash = rest.find('/').ok_or_else(|| bad("it has no path; write file:///path"))?;
    let path = percent_decode(&rest[slash..]).ok_or_else(|| bad("bad % escape in the path"))?;
    if path.contains('\0') {
        return Err(bad("the path contains a zero byte"));
    }
    Ok(path.into())
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let failed = |source| FetchError::Io { path: path.to_owned(), source };
    // Opening a named pipe would block until somebody writes to it.
    let kind = std::fs::metadata(path).map_err(failed)?;
    if !kind.is_file() {
        return Err(failed(std::io::Error::other("not a regular file")));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    read_bounded(file, max_bytes).map_err(failed)?.ok_or(FetchError::TooLarge(max_bytes))
}

/// All bytes of `reader`, or `None` when there are more than `max_bytes`.
fn read_bounded(reader: impl Read, max_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}
