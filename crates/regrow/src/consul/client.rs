//! Calls to the HTTP interface, with a limit of time and size.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::{Method, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer that is not waited for on purpose.
const WITHIN: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 256 << 20;
/// Longest file with a token, in bytes.
const TOKEN_BYTES: u64 = 4 << 10;
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
    /// The same, read from a file
    #[arg(
        long,
        global = true,
        env = "CONSUL_HTTP_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// Trust the certificates of this PEM file alone, for https [default: what this system trusts]
    #[arg(long, global = true, env = "CONSUL_CACERT", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
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
    /// Name and password of a login.
    login: Option<(String, String)>,
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
        let expected = "expected HOST:PORT, http://HOST:PORT or https://HOST:PORT";
        let text = match self.http_addr.contains("://") {
            true => self.http_addr.clone(),
            false if wants_tls() => format!("https://{}", self.http_addr),
            false => format!("http://{}", self.http_addr),
        };
        let base = Url::parse(&text).context(expected).with_context(about)?;
        if !["http", "https"].contains(&base.scheme()) || base.host().is_none() {
            return Err(anyhow::anyhow!(expected)).with_context(about);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(tls(self.ca_file.as_deref())?)
            .no_proxy()
            .build()
            .context("make the HTTP client")?;
        Ok(Client { http, base, token: self.token()?, login: login()? })
    }

    /// The token, from where it was given.
    fn token(&self) -> Result<String> {
        let Some(path) = self.token_file.as_deref().filter(|_| self.token.is_empty()) else {
            return Ok(self.token.clone());
        };
        let about = || format!("read the token from {}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(about)?;
        file.take(TOKEN_BYTES).read_to_string(&mut text).with_context(about)?;
        Ok(text.trim().to_owned())
    }
}

/// Whether an address without a scheme is an encrypted one.
fn wants_tls() -> bool {
    std::env::var("CONSUL_HTTP_SSL").is_ok_and(|text| ["1", "true"].contains(&text.as_str()))
}

/// The login for a catalog that asks for one.
fn login() -> Result<Option<(String, String)>> {
    let Ok(text) = std::env::var("CONSUL_HTTP_AUTH") else { return Ok(None) };
    match text.split_once(':') {
        _ if text.is_empty() => Ok(None),
        Some((user, password)) => Ok(Some((user.to_owned(), password.to_owned()))),
        None => bail!("read CONSUL_HTTP_AUTH: expected USER:PASSWORD"),
    }
}

/// Whom to trust: the certificates of a file, or what this system trusts.
fn tls(ca: Option<&Path>) -> Result<rustls::ClientConfig> {
    let Some(path) = ca else { return Ok(regrow_catalog::checks::system_trust()?) };
    let about = || format!("read the certificates to trust from {}", path.display());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(about)? {
        roots.add(certificate.with_context(about)?).with_context(about)?;
    }
    if roots.is_empty() {
        bail!("{}: there is none in it; name a PEM file with --ca-file", about());
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
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
        if let Some((user, password)) = &self.client.login {
            request = request.basic_auth(user, Some(password));
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
