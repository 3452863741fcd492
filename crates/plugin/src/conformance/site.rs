use regrow_codec::{Any, decode};
use regrow_ids::PluginName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::raw::{Connection, Http};
use super::{Miss, Options, Verdict, fail, not_applicable};
use crate::PluginError;
use crate::client::{Client, Timeouts};
use crate::discovery::Endpoint;
use crate::spi::Interface;
use crate::wire::{Hello, Row};

/// Id of requests whose id does not matter.
const ID: u64 = 4_242;

/// The plugin that is checked.
pub(super) struct Site {
    pub(super) endpoint: Endpoint,
    pub(super) options: Options,
    /// What it offers, or why that is not known.
    hello: Result<Hello, String>,
}

/// An answer taken apart no further than its envelope.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope {
    pub(super) jsonrpc: String,
    pub(super) result: Any,
    pub(super) error: Option<EnvelopeError>,
    pub(super) id: Any,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EnvelopeError {
    pub(super) code: i64,
    pub(super) message: String,
}

impl From<String> for Miss {
    fn from(why: String) -> Self {
        Self::Fail(why)
    }
}

impl From<PluginError> for Miss {
    fn from(error: PluginError) -> Self {
        Self::Fail(error.to_string())
    }
}

impl Site {
    pub(super) async fn meet(endpoint: Endpoint, options: Options) -> Self {
        let timeouts = Timeouts {
            call: options.patience,
            slow: options.patience * 4,
            connect: options.patience,
        };
        let client = Client::with(endpoint.clone(), timeouts);
        let hello = client.hello().await.map_err(|error| error.to_string());
        Self { endpoint, options, hello }
    }

    pub(super) async fn connect(&self) -> Verdict<Connection> {
        Ok(Connection::open(&self.endpoint).await?)
    }

    /// The head and body of a request; `headers` are whole lines.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Vec<u8> {
        let (base, host) = (self.endpoint.base_path(), self.endpoint.host());
        let mut request = format!("{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// A POST as InfraKit's client sends it.
    pub(super) fn post(&self, body: &str) -> Vec<u8> {
        self.request("POST", "", &["Content-Type: application/json"], body.as_bytes())
    }

    /// Sends bytes on a new connection and reads the answer.
    pub(super) async fn exchange(&self, request: &[u8]) -> Verdict<Http> {
        let mut connection = self.connect().await?;
        connection.send(request).await?;
        Ok(connection.answer().await?)
    }

    /// Posts a body and takes the envelope of the answer apart.
    pub(super) async fn envelope(&self, body: &str) -> Verdict<Envelope> {
        let http = self.exchange(&self.post(body)).await?;
        envelope(&http)
    }

    /// Calls a method with any params.
    pub(super) async fn call(&self, method: &str, params: &Value) -> Verdict<Envelope> {
        self.envelope(&request(method, params)).await
    }

    /// Calls a method that must succeed.
    pub(super) async fn result<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
    ) -> Verdict<T> {
        let answer = self.call(method, params).await?;
        if let Some(error) = answer.error {
            return fail(format!("{method} answers the error {:?}", error.message));
        }
        if answer.result.is_null() {
            return fail(format!("{method} answers neither a result nor an error"));
        }
        answer
            .result
            .decode()
            .or_else(|fault| fail(format!("the result of {method} cannot be read: {fault}")))
    }

    /// Calls a method that must be refused, and returns the message.
    pub(super) async fn refusal(&self, method: &str, params: &Value) -> Verdict<String> {
        let answer = self.call(method, params).await?;
        match answer.error {
            Some(error) => Ok(error.message),
            None => fail(format!("{method} succeeds with {params}")),
        }
    }

    /// Checks that the plugin still answers after something bad.
    pub(super) async fn still_well(&self, after: &str) -> Verdict {
        match self.call("Handshake.Hello", &json!({})).await {
            Ok(_) => Ok(()),
            Err(Miss::Fail(why)) => fail(format!("after {after} it no longer answers: {why}")),
            Err(other) => Err(other),
        }
    }

    pub(super) fn hello(&self) -> Verdict<&Hello> {
        self.hello.as_ref().map_err(|why| Miss::Fail(format!("the handshake failed: {why}")))
    }

    /// Goes on only if the plugin offers an interface in our version.
    pub(super) fn offers(&self, interface: Interface) -> Verdict {
        match &self.hello {
            Ok(hello) if hello.require(interface).is_ok() => Ok(()),
            Ok(_) => not_applicable(format!("no {}", interface.spec())),
            Err(_) => not_applicable("the handshake failed"),
        }
    }

    /// The object of a typed interface that is checked.
    pub(super) fn kind(&self, interface: Interface) -> Verdict<String> {
        self.offers(interface)?;
        if let Some(object) = &self.options.object {
            return Ok(object.clone());
        }
        let names = self.hello()?.names(interface);
        // A default object answers to the empty type.
        Ok(names.first().filter(|name| **name != ".").map_or("", |name| *name).to_owned())
    }

    /// Full name of the object of a keyed interface that is checked.
    pub(super) fn name(&self, interface: Interface) -> Verdict<PluginName> {
        self.offers(interface)?;
        let plugin = match &self.endpoint {
            Endpoint::Unix(_) => self.endpoint.plugin(),
            Endpoint::Tcp(_) => "plugin".to_owned(),
            Endpoint::Http { path, .. } => {
                path.trim_matches('/').rsplit('/').next().unwrap_or("plugin").to_owned()
            }
        };
        let names = self.hello()?.names(interface);
        let object = match names.as_slice() {
            [] => return not_applicable("it has no object at the moment"),
            [first, ..] if *first != "." => first,
            _ => "",
        };
        Ok(PluginName::with_subtype(&plugin, object))
    }

    /// A method of the plugin that changes nothing and needs no object, with its params.
    pub(super) fn reads(&self) -> Vec<&'static Row> {
        let Ok(hello) = &self.hello else { return Vec::new() };
        let offered = |interface: &Interface| hello.require(*interface).is_ok();
        Interface::ALL.into_iter().filter(offered).flat_map(crate::wire::methods).collect()
    }
}

/// The body of a request.
pub(super) fn request(method: &str, params: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params},"id":{ID}}}"#)
}

/// A handshake, which every plugin answers, with a given id.
pub(super) fn hello_with_id(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"Handshake.Hello","params":{{}},"id":{id}}}"#)
}

pub(super) fn envelope(http: &Http) -> Verdict<Envelope> {
    if http.status != 200 {
        return fail(format!("HTTP status {} instead of 200", http.status));
    }
    let shown = || http.text().chars().take(80).collect::<String>();
    decode::from_slice(&http.body)
        .or_else(|fault| fail(format!("the answer cannot be read: {fault}: {:?}", shown())))
}
