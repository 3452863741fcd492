use std::pin::Pin;
use std::sync::Arc;

use regrow_codec::{Any, decode};
use regrow_ids::PluginName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::envelope::{Fault, Outcome, any};
use crate::buffers::Buffers;
use crate::spi::{Interface, Result};
use crate::{Objects, Plugin, PluginError};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a repetition of a call does, and how long one may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes nothing: may be repeated when a connection turns out to be dead.
    Read,
    /// Changes something: sent once.
    Write,
    /// Changes something and may take minutes: sent once, with the long time limit.
    Slow,
}

/// One method: its request is the type itself.
pub(crate) trait Method: Serialize + DeserializeOwned + Default + Send + 'static {
    /// Its result.
    type Reply: Serialize + DeserializeOwned + Default + Send + 'static;
    /// The interface that it belongs to.
    const INTERFACE: Interface;
    /// `Service.Method`.
    const METHOD: &'static str;
    /// See [`Kind`].
    const KIND: Kind;

    /// Finds the object that the request means and calls it.
    fn serve(self, plugin: &Plugin) -> BoxFuture<Result<Self::Reply>>;
}

type Serve = fn(&Plugin, &RawValue, Arc<Buffers>) -> std::result::Result<BoxFuture<Outcome>, Fault>;

/// One method of the table, without its types.
#[derive(Clone, Copy)]
pub struct Row {
    interface: Interface,
    method: &'static str,
    kind: Kind,
    serve: Serve,
    zero: fn() -> (String, String),
}

impl Row {
    pub(super) const fn of<M: Method>() -> Self {
        Self {
            interface: M::INTERFACE,
            method: M::METHOD,
            kind: M::KIND,
            serve: serve::<M>,
            zero: zero::<M>,
        }
    }

    /// The interface that the method belongs to.
    pub const fn interface(&self) -> Interface {
        self.interface
    }

    /// `Service.Method`.
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// What a repetition does.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The zero-valued request and result as Go prints them: nil lists and maps as `null`.
    pub(crate) fn zero(&self) -> (String, String) {
        (self.zero)()
    }

    /// Reads the params and starts the call.
    pub(crate) fn serve(
        &self,
        plugin: &Plugin,
        params: &RawValue,
        buffers: Arc<Buffers>,
    ) -> std::result::Result<BoxFuture<Outcome>, Fault> {
        (self.serve)(plugin, params, buffers)
    }
}

fn serve<M: Method>(
    plugin: &Plugin,
    params: &RawValue,
    buffers: Arc<Buffers>,
) -> std::result::Result<BoxFuture<Outcome>, Fault> {
    let request: M = read_params(params)?;
    let call = request.serve(plugin);
    Ok(Box::pin(async move {
        match call.await {
            Ok(reply) => Outcome::result(&reply, &buffers),
            Err(error) => Outcome::Failed(Fault::of(&error)),
        }
    }))
}

/// Params are one object, or a list whose first element is that object; `null` is the zero value.
pub(crate) fn read_params<M: DeserializeOwned + Default>(
    params: &RawValue,
) -> std::result::Result<M, Fault> {
    let refuse = |text: String| Fault::params(text, any(params));
    let bytes = params.get().as_bytes();
    // The original tries the object first and the list second, and reports the second failure.
    let go_kind = match bytes.first() {
        Some(b'{' | b'n') => {
            return decode::from_slice(bytes).map_err(|fault| refuse(fault.to_string()));
        }
        Some(b'[') => {
            let list: Vec<Any> =
                decode::from_slice(bytes).map_err(|fault| refuse(fault.to_string()))?;
            let Some(first) = list.into_iter().next() else { return Ok(M::default()) };
            return first.decode().map_err(|mut fault: decode::DecodeError| {
                fault.pointer.insert_str(0, "/0");
                refuse(fault.to_string())
            });
        }
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        _ => "number",
    };
    Err(refuse(format!("json: cannot unmarshal {go_kind} into Go value of type [1]interface {{}}")))
}

fn zero<M: Method>() -> (String, String) {
    (zero_text(&M::default()), zero_text(&M::Reply::default()))
}

/// Only empty texts stand in a zero value, so that replacing within the text is safe.
fn zero_text<T: Serialize>(value: &T) -> String {
    Any::from_serialize(value).as_text().replace(":[]", ":null").replace(":{}", ":null")
}

/// How a request finds the object that it means.
pub(crate) mod find {
    use super::{Arc, Objects, PluginError, PluginName, Result};
    use crate::lookup::rule;

    /// By the bare type; for the instance-like interfaces.
    pub(crate) fn typed<T: ?Sized>(objects: Option<&dyn Objects<T>>, kind: &str) -> Result<Arc<T>> {
        rule::typed(offered(objects)?, &PluginName::with_subtype("", kind))
    }

    /// By the full name; for everything that a manager offers.
    pub(crate) fn keyed<T: ?Sized>(
        objects: Option<&dyn Objects<T>>,
        name: &PluginName,
    ) -> Result<Arc<T>> {
        rule::keyed(offered(objects)?, name)
    }

    /// The default object; for interfaces whose requests carry no name.
    pub(crate) fn sole<T: ?Sized>(objects: Option<&dyn Objects<T>>) -> Result<Arc<T>> {
        typed(objects, "")
    }

    fn offered<T: ?Sized>(objects: Option<&dyn Objects<T>>) -> Result<&dyn Objects<T>> {
        // Dispatch has checked this already; the text is for a plugin that changes meanwhile.
        objects.ok_or_else(|| PluginError::Protocol("the plugin lacks this interface".into()))
    }
}

impl Outcome {
    pub(crate) fn result<T: Serialize>(reply: &T, buffers: &Arc<Buffers>) -> Self {
        let mut buffer = buffers.take();
        buffer.extend_from_slice(super::envelope::RESULT_OPEN);
        match serde_json::to_writer(&mut buffer, reply) {
            Ok(()) => Self::Result(buffer),
            Err(fault) => Self::Failed(Fault::internal(format!("encode the result: {fault}"))),
        }
    }
}
