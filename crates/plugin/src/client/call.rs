use bytes::Bytes;
use hyper::Method as HttpMethod;
use rand::RngExt;
use regrow_codec::{Any, decode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Client;
use super::exchange::{Exchange, Task};
use crate::error::Effect;
use crate::spi::Result;
use crate::wire::calls::HelloParams;
use crate::wire::envelope::{Answer, AnswerError};
use crate::wire::{Hello, Kind, Method, depth};
use crate::{PluginError, wire};

/// Ids stay below what a float holds exactly, for peers whose JSON library has no integers.
const ID_LIMIT: u64 = 1 << 53;

impl Client {
    /// Calls a method of the table.
    pub(crate) async fn call<M: Method + Sync>(&self, request: &M) -> Result<M::Reply> {
        self.exchange.call(M::METHOD, M::KIND, request).await
    }

    /// The handshake belongs to no interface and no object.
    pub(super) async fn say_hello(&self) -> Result<Hello> {
        self.exchange.call("Handshake.Hello", Kind::Read, &HelloParams {}).await
    }
}

impl Exchange {
    pub(super) async fn call_raw(&self, method: &str, params: &Any) -> Result<Any> {
        // A tool may send a known method with odd params, and a repetition might not do the same.
        let kind = match wire::kind(method) {
            Some(Kind::Slow) => Kind::Slow,
            Some(Kind::Read | Kind::Write) | None => Kind::Write,
        };
        self.call(method, kind, params).await
    }

    async fn call<P: Serialize + Sync + ?Sized, T: DeserializeOwned>(
        &self,
        method: &str,
        kind: Kind,
        params: &P,
    ) -> Result<T> {
        let id = rand::rng().random_range(0..ID_LIMIT);
        let body = encode(method, params, id).map_err(|fault| {
            PluginError::Protocol(format!("encode the params of {method}: {fault}"))
        })?;
        let post = HttpMethod::POST;
        let task = Task { what: method, kind, method: post, path: "", body };
        let answer = self.run(task).await?;
        self.read(method, id, &answer)
    }

    fn read<T: DeserializeOwned>(&self, method: &str, id: u64, body: &[u8]) -> Result<T> {
        let wrong = |text: &dyn std::fmt::Display| {
            PluginError::Protocol(format!("call {method} of plugin {}: {text}", self.plugin()))
        };
        depth::check(body).map_err(|deep| wrong(&deep))?;
        if body.trim_ascii().is_empty() {
            return Err(wrong(&"the answer is empty"));
        }
        let answer: Answer<T> = decode::from_slice(body)
            .map_err(|fault| wrong(&format!("read the answer: {fault}")))?;
        let error = answer.error;
        // A peer that could not read the request does not know its id.
        let anonymous = answer.id.is_null() && error.is_some();
        if answer.id.as_text() != id.to_string() && !anonymous {
            let id_text = answer.id;
            return Err(wrong(&format!(
                "the answer has id {id_text}, the call had {id}; the plugin mixes up its answers"
            )));
        }
        if let Some(error) = error {
            return Err(self.reported(method, error));
        }
        answer.result.ok_or_else(|| wrong(&"result is null"))
    }

    /// The plugin's error, its effect as the plugin says.
    fn reported(&self, method: &str, error: AnswerError) -> PluginError {
        let effect = error.effect();
        let text = match error.message {
            text if text.is_empty() => format!("error {} without a message", error.code),
            text => text,
        };
        match effect {
            Effect::Unknown => {
                let (plugin, method) = (self.plugin().to_owned(), method.to_owned());
                PluginError::Broken { plugin, method, reason: text }
            }
            Effect::None => PluginError::NotMade(text),
            Effect::Refused => PluginError::Refused(text),
        }
    }
}

fn encode<P: Serialize + ?Sized>(
    method: &str,
    params: &P,
    id: u64,
) -> std::result::Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Call<'a, P: ?Sized> {
        jsonrpc: &'static str,
        method: &'a str,
        params: &'a P,
        id: u64,
    }
    serde_json::to_vec(&Call { jsonrpc: "2.0", method, params, id }).map(Bytes::from)
}
