//! `consul` and `discovery`: where services are announced.

use std::collections::BTreeMap;

use super::super::decode::{Block, Faults};
use super::super::error::Fault;
use super::super::keys;
use super::super::model::{Consul, Discovery, Secret};
use super::super::tree::Value;
use super::{Context, checked};

const ABSENT: &str = "no discovery backend defined";

/// Where a Consul agent is, where nothing says.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

/// The backend of the file, completed from the environment.
pub(super) fn discovery(context: &mut Context<'_>, top: &Block<'_>) -> Result<Discovery, Fault> {
    let kind = checked(|faults| top.text(faults, "discovery"))?;
    let consul = consul(context, top)?;
    let discovery = match (kind.as_str(), consul) {
        ("" | "consul", Some(consul)) => Discovery::Consul(Box::new(consul)),
        ("" | "consul", None) => return Err(Fault::new(ABSENT, top.place)),
        ("embedded", consul) => embedded(top, consul.as_ref())?,
        (_, Some(_)) => {
            let text = format!("'consul' is not used: 'discovery' is '{kind}'");
            context.warn(text, top.place_of("consul"));
            other(top, &kind)?
        }
        (_, None) => other(top, &kind)?,
    };
    context.alone = discovery == Discovery::None;
    Ok(discovery)
}

/// The catalog of this process: `consul` says where it answers.
fn embedded(top: &Block<'_>, consul: Option<&Consul>) -> Result<Discovery, Fault> {
    let address = consul.map_or(DEFAULT_ADDRESS, |consul| consul.url.trim_start_matches("http://"));
    let address = address.replace("localhost", "127.0.0.1");
    address.parse().map(Discovery::Embedded).map_err(|_| {
        let text = format!("consul must be an address and a port of this machine, not '{address}', since discovery is 'embedded'");
        Fault::new(text, top.place_of("consul"))
    })
}

fn other(top: &Block<'_>, kind: &str) -> Result<Discovery, Fault> {
    match kind {
        "none" => Ok(Discovery::None),
        _ => {
            let text = format!("discovery must be 'consul', 'embedded' or 'none', not '{kind}'");
            Err(Fault::new(text, top.place_of("discovery")))
        }
    }
}

fn consul(context: &mut Context<'_>, top: &Block<'_>) -> Result<Option<Consul>, Fault> {
    let Some(node) = top.get("consul") else { return Ok(None) };
    let mut fields = match &node.value {
        Value::Text(text) => from_text(text),
        Value::Map(_) => checked(|faults| {
            let block = Block::open(faults, String::new(), node, keys::CONSUL);
            from_block(faults, &block)
        })?,
        _ => return Err(Fault::new(ABSENT, node.place)),
    };
    fields.complete(&context.surroundings.env).map_err(|text| Fault::new(text, node.place))?;
    let consul = fields.consul().map_err(|text| Fault::new(text, node.place))?;
    if !consul.verify && consul.url.starts_with("https:") {
        let text = "consul: certificates are not verified: anybody on the way can pose as Consul; \
                    remove 'verify: false' or name the authority in 'tls.cafile'";
        context.warn(text, node.place);
    }
    Ok(Some(consul))
}

/// What the file and the environment say, empty where they do not.
#[derive(Default)]
struct Fields {
    scheme: String,
    address: String,
    token: String,
    token_file: String,
    auth: String,
    ca_file: String,
    ca_path: String,
    client_cert: String,
    client_key: String,
    server_name: String,
    verify: Option<bool>,
}

/// `HOST:PORT` with a scheme or without; `unix:///PATH`.
fn from_text(text: &str) -> Fields {
    let (scheme, address) = match text.strip_prefix("https://") {
        Some(address) => ("https", address),
        None if text.starts_with("unix://") => ("", text),
        None => ("http", text.strip_prefix("http://").unwrap_or(text)),
    };
    Fields { scheme: scheme.to_owned(), address: address.to_owned(), ..Fields::default() }
}

fn from_block(faults: &mut Faults, block: &Block<'_>) -> Fields {
    let mut fields = Fields {
        scheme: block.text(faults, "scheme"),
        address: block.text(faults, "address"),
        token: block.text(faults, "token"),
        token_file: block.text(faults, "tokenFile"),
        ..Fields::default()
    };
    if let Some(tls) = block.block(faults, "tls", keys::TLS) {
        fields.ca_file = tls.text(faults, "cafile");
        fields.ca_path = tls.text(faults, "capath");
        fields.client_cert = tls.text(faults, "clientcert");
        fields.client_key = tls.text(faults, "clientkey");
        fields.server_name = tls.text(faults, "servername");
        fields.verify = tls.flag(faults, "verify");
    }
    fields
}

impl Fields {
    /// The environment overrides most fields, and fills in address, scheme and password where the
    /// file has none.
    fn complete(&mut self, env: &BTreeMap<String, String>) -> Result<(), String> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        for (name, field) in [
            ("CONSUL_HTTP_TOKEN", &mut self.token),
            ("CONSUL_HTTP_TOKEN_FILE", &mut self.token_file),
            ("CONSUL_CACERT", &mut self.ca_file),
            ("CONSUL_CAPATH", &mut self.ca_path),
            ("CONSUL_CLIENT_CERT", &mut self.client_cert),
            ("CONSUL_CLIENT_KEY", &mut self.client_key),
            ("CONSUL_TLS_SERVER_NAME", &mut self.server_name),
        ] {
            if let Some(value) = set(name) {
                *field = value;
            }
        }
        if let Some(value) = set("CONSUL_HTTP_SSL_VERIFY") {
            self.verify = Some(truth("CONSUL_HTTP_SSL_VERIFY", &value)?);
        }
        if self.address.is_empty() {
            self.address = set("CONSUL_HTTP_ADDR").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        }
        if let Some(auth) = set("CONSUL_HTTP_AUTH") {
            self.auth = auth;
        }
        if let Some(value) = set("CONSUL_HTTP_SSL").filter(|_| self.scheme.is_empty()) {
            self.scheme =
                if truth("CONSUL_HTTP_SSL", &value)? { "https" } else { "http" }.to_owned();
        }
        Ok(())
    }

    fn consul(self) -> Result<Consul, String> {
        let url = url(&self.scheme, &self.address)?;
        let some = |text: String| (!text.is_empty()).then_some(text);
        let basic = some(self.auth).map(|auth| match auth.split_once(':') {
            Some((user, password)) => (user.to_owned(), Secret(password.to_owned())),
            None => (auth, Secret::default()),
        });
        Ok(Consul {
            url,
            token: some(self.token).map(Secret),
            token_file: some(self.token_file).map(Into::into),
            basic,
            ca_file: some(self.ca_file).map(Into::into),
            ca_path: some(self.ca_path).map(Into::into),
            client_cert: some(self.client_cert).map(Into::into),
            client_key: some(self.client_key).map(Into::into),
            server_name: some(self.server_name),
            verify: self.verify.unwrap_or(true),
        })
    }
}

/// The base URL. A scheme in the address counts beside the field: `https` in either is `https`.
fn url(scheme: &str, address: &str) -> Result<String, String> {
    if address.starts_with("unix://") {
        return Ok(address.to_owned());
    }
    let (own, address) = address.split_once("://").unwrap_or(("", address));
    let mut secure = false;
    for scheme in [scheme, own] {
        match scheme.to_ascii_lowercase().as_str() {
            "" | "http" => {}
            "https" => secure = true,
            _ => return Err(format!("consul: unknown scheme '{scheme}': use http, https or unix")),
        }
    }
    let address = address.trim_end_matches('/');
    if address.is_empty() || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("consul: '{address}' is no address: write HOST:PORT"));
    }
    Ok(format!("{}://{address}", if secure { "https" } else { "http" }))
}

fn truth(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("could not parse {name} '{value}': it is neither true nor false")),
    }
}
