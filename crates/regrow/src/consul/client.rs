//! Calls to the HTTP interface, with a limit of time and size.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer that is not waited for on purpose.
const WITHIN: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 256 << 20;
/// Longest text of a refusal that is shown, in characters.
const REFUSAL_CHARS: usize = 400;

/// The flags of all these commands.
#[derive(Args, Clone)]
pub struct ClientArgs {
    /// Address of the catalog: HOST:PORT, or a URL
    #[arg(
        long,
        global = true,
        env = "CONSUL_HTTP_ADDR",
        hide_env_values = true,
        value_name = "ADDR",
        default_value = "127.0.0.1:8500"
    )]
    http_addr: String,
    /// Token that says what may be done; better in the environment than here
    #[arg(
        long,
        global = true,
        env = "CONSUL_HTTP_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        default_value = ""
    )]
    token: String,
}

impl std::fmt::Debug for ClientArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientArgs({})", self.http_addr)
    }
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// `X-Consul-Index`, zero where there is none.
    pub index: u64,
    /// Its body.
    pub body: Vec<u8>,
}

/// A catalog over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

/// One call, to be completed and sent.
pub struct Call<'c> {
    client: &'c Client,
    method: Method,
    url: Url,
    body: Vec<u8>,
    within: Duration,
}

impl ClientArgs {
    /// The client for these flags.
    ///
    /// # Errors
    /// The address is none.
    pub fn client(&self) -> Result<Client> {
        let about = || format!("read the catalog's address {:?}", self.http_addr);
        let expected = "expected HOST:PORT or http://HOST:PORT";
        let text = match self.http_addr.contains("://") {
            true => self.http_addr.clone(),
            false => format!("http://{}", self.http_addr),
        };
        let base = Url::parse(&text).context(expected).with_context(about)?;
        if !["http", "https"].contains(&base.scheme()) || base.host().is_none() {
            return Err(anyhow::anyhow!(expected)).with_context(about);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(tls()?)
            .no_proxy()
            .build()
            .context("make the HTTP client")?;
        Ok(Client { http, base, token: self.token.clone() })
    }
}

fn tls() -> Result<rustls::ClientConfig> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

impl Client {
    /// A call on `/v1/` and the segments, each escaped except for the slashes of a key.
    pub fn call(&self, method: Method, path: &str, name: &str) -> Result<Call<'_>> {
        let mut url = self.base.clone();
        {
            let Ok(mut segments) = url.path_segments_mut() else {
                bail!("the catalog's address {} has no path", self.base);
            };
            segments.pop_if_empty().push("v1").extend(path.split('/'));
            if !name.is_empty() {
                segments.extend(name.split('/'));
            }
        }
        Ok(Call { client: self, method, url, body: Vec::new(), within: WITHIN })
    }

    /// A GET.
    pub fn get(&self, path: &str, name: &str) -> Result<Call<'_>> {
        self.call(Method::GET, path, name)
    }

    /// A PUT.
    pub fn put(&self, path: &str, name: &str) -> Result<Call<'_>> {
        self.call(Method::PUT, path, name)
    }
}

impl Call<'_> {
    /// With a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With a parameter if there is one.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Waits for the answer for so long.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sends it and takes any answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn any(self) -> Result<Answer> {
        let (base, within) = (&self.client.base, self.within);
        let mut request = self.client.http.request(self.method, self.url).timeout(within);
        if !self.client.token.is_empty() {
            request = request.header("X-Consul-Token", &self.client.token);
        }
        let about = || {
            format!(
                "ask the catalog at {base}; is `regrow agent` or `regrow catalog --dev` running there? --http-addr names another"
            )
        };
        let mut response = request
            .body(self.body)
            .send()
            .await
            .map_err(|error| reason(&error, within))
            .with_context(about)?;
        let index = response.headers().get("X-Consul-Index").and_then(|index| index.to_str().ok());
        let index = index.and_then(|index| index.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| reason(&error, within)).with_context(about)?
        {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                bail!(
                    "ask the catalog at {base}: its answer is longer than {ANSWER_BYTES} bytes; ask for less"
                );
            }
        }
        Ok(Answer { status: response.status(), index, body })
    }

    /// Sends it; what is not done is an error.
    ///
    /// # Errors
    /// There is no answer, or it says no.
    pub async fn send(self) -> Result<Answer> {
        let what = format!("{} {}", self.method, self.url.path());
        let answer = self.any().await?;
        if !answer.status.is_success() {
            bail!("{what}: {}", answer.refusal());
        }
        Ok(answer)
    }
}

/// The innermost cause: what is around it only repeats the address.
fn reason(error: &reqwest::Error, within: Duration) -> anyhow::Error {
    if error.is_timeout() {
        return anyhow::anyhow!("no answer within {} s", within.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    anyhow::anyhow!("{cause}")
}

impl Answer {
    /// Its body as JSON.
    ///
    /// # Errors
    /// It is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let read = serde_json::from_slice(&self.body);
        read.context("read the catalog's answer; does a catalog answer at this address?")
    }

    /// What it says about why not.
    pub fn refusal(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.trim().chars().take(REFUSAL_CHARS).collect();
        if text.is_empty() { self.status.to_string() } else { format!("{}: {text}", self.status) }
    }
}
