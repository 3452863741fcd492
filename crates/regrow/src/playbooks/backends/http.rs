//! Backend that sends what is rendered as the body of a request: `http POST URL Name=value …`.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::{BackendFlag, Job};
use crate::output::print;

/// Time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is printed.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Longest part of a refusal that is shown.
const MAX_REFUSAL_CHARS: usize = 300;
/// Methods that may be named.
const METHODS: [&str; 6] = ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"];

const HEADER: BackendFlag = BackendFlag {
    name: "http-header",
    alias: "header",
    about: "Header such as Content-Type=text/plain; may be repeated",
};
const METHOD: BackendFlag =
    BackendFlag { name: "http-method", alias: "method", about: "Method; POST if none is given" };
const URL: BackendFlag = BackendFlag { name: "http-url", alias: "url", about: "URL to send to" };
const TARGET: BackendFlag =
    BackendFlag { name: "target", alias: "", about: "The same as --http-url" };

/// Flags of the backend.
pub(super) const FLAGS: &[BackendFlag] = &[METHOD, URL, TARGET, HEADER];

struct Message {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// Sends the script, and prints the answer.
pub(super) async fn send(job: &Job<'_>) -> Result<()> {
    let message = message(job)?;
    let sent = tokio::task::spawn_blocking(move || exchange(message)).await;
    print(&sent.context("send what the callable gives")??)
}

fn message(job: &Job<'_>) -> Result<Message> {
    let words = job.positional();
    let (line_method, line_url, line_headers) = match words.as_slice() {
        [] => (None, None, [].as_slice()),
        // A URL alone: the method is the usual one.
        [url] if url.contains("://") => (None, Some(*url), [].as_slice()),
        [method, rest @ ..] => {
            let (url, headers) = rest.split_first().unzip();
            (Some(*method), url.copied(), headers.unwrap_or_default())
        }
    };
    let method = job.option(&METHOD).or(line_method).unwrap_or("POST").to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        bail!("run with backend http: method {method:?} is none of {}", METHODS.join(", "));
    }
    let url = job.option(&TARGET).or_else(|| job.option(&URL)).or(line_url);
    let url = url.context(
        "run with backend http: no URL; write it behind the method, or give it with --http-url",
    )?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        bail!("run with backend http: {url:?} does not begin with http:// or https://");
    }
    // As elsewhere the command line wins: a header of the same name takes the other's place.
    let mut headers: Vec<(String, String)> = Vec::new();
    for text in line_headers.iter().copied().chain(job.options(&HEADER)) {
        let (name, value) = text.split_once('=').with_context(|| {
            format!("run with backend http: header {text:?} has no '='; write it like Accept=*/*")
        })?;
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(Message { method, url: url.to_owned(), headers, body: job.script.to_owned() })
}

fn exchange(message: Message) -> Result<String> {
    let Message { method, url, headers, body } = message;
    let about = || format!("send what the callable gives: {method} {url}");
    let bodiless = matches!(method.as_str(), "GET" | "HEAD");
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
    let mut request = ureq::http::Request::builder().method(method.as_str()).uri(url.as_str());
    for (name, value) in &headers {
        request = request.header(name.as_str(), value.as_str());
    }
    if !named {
        request = request.header("User-Agent", concat!("regrow/", env!("CARGO_PKG_VERSION")));
    }
    let answer = if bodiless {
        agent().run(request.body(()).with_context(about)?)
    } else {
        agent().run(request.body(body).with_context(about)?)
    };
    let mut answer = answer.map_err(|fault| anyhow!("{}: {fault}", about()))?;
    let status = answer.status();
    let mut bytes = Vec::new();
    let mut reader = answer.body_mut().as_reader().take(MAX_ANSWER_BYTES + 1);
    reader.read_to_end(&mut bytes).with_context(about)?;
    let text = String::from_utf8_lossy(&bytes);
    if !status.is_success() {
        let said: String = text.trim().chars().take(MAX_REFUSAL_CHARS).collect();
        bail!("{}: the answer is {status} {said:?}", about());
    }
    if bytes.len() as u64 > MAX_ANSWER_BYTES {
        bail!("{}: it was done, but its answer is over {MAX_ANSWER_BYTES} bytes", about());
    }
    Ok(text.into_owned())
}

fn agent() -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
}
