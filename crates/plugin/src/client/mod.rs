//! Calling plugins: typed proxies over a bounded set of kept connections.
//!
//! Where to start: [`Client`]; `exchange` makes one HTTP call and decides what a failure means;
//! `proxies` holds one implementation of each service interface.

mod call;
mod dial;
mod event_stream;
mod exchange;
mod generation;
mod pool;
mod proxies;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use regrow_codec::{Any, decode};
use regrow_ids::{GoDuration, PluginName};

pub use dial::{Dial, Io};

use crate::Functions;
use crate::discovery::{Endpoint, Mux};
use crate::spi::{
    Controller, EventStream, Events, Flavor, Group, Instance, Interface, L4, Metadata, Resource,
    Result, Stack, Updatable,
};
use crate::wire::{Api, Hello};
use crate::{PluginError, client};
use exchange::Exchange;
use generation::Greetings;

/// Largest answer that a client takes: the largest body and some room for what is around it.
pub const MAX_REPLY_BYTES: usize = (64 << 20) + (1 << 20);

/// Connections to one plugin; further calls wait for a free one.
pub const MAX_CONNECTIONS: usize = 32;

/// Of these, how many may be taken by calls that make or destroy something: a minute of slow ones
/// must leave some for the lists that tell how it goes.
pub const MAX_SLOW_CALLS: usize = 24;

/// Environment variable with the time limit of a call.
pub const TIMEOUT_VARIABLE: &str = "INFRAKIT_CLIENT_TIMEOUT";

/// How long calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Most calls.
    pub call: Duration,
    /// Calls that make or destroy something: the original gives them 15 s as well and then
    /// provisions a second instance although the first is on its way. To wait for its turn while
    /// [`MAX_SLOW_CALLS`] are under way counts too.
    pub slow: Duration,
    /// Finding a free connection (for other calls than slow ones), or making one.
    pub connect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let call = Duration::from_secs(15);
        Self { call, slow: Duration::from_secs(600), connect: call }
    }
}

impl Timeouts {
    /// The defaults, with the limit of calls taken from the environment. A value that is no
    /// duration is reported in the log and left out.
    pub fn from_env() -> Self {
        match std::env::var(TIMEOUT_VARIABLE) {
            Ok(text) => Self::from_text(&text),
            Err(_) => Self::default(),
        }
    }

    fn from_text(text: &str) -> Self {
        let mut timeouts = Self::default();
        match text.parse::<GoDuration>() {
            Ok(limit) if !limit.is_zero() => {
                timeouts.call = limit.into();
                timeouts.connect = limit.into();
                timeouts.slow = timeouts.slow.max(limit.into());
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "{TIMEOUT_VARIABLE} is not used"),
        }
        timeouts
    }
}

/// Talks to one plugin. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    exchange: Arc<Exchange>,
    greetings: Arc<Greetings>,
}

impl Client {
    /// A client for an endpoint, with the time limits of the environment. Connects when it is used.
    pub fn connect(endpoint: Endpoint) -> Self {
        Self::with(endpoint, Timeouts::from_env())
    }

    /// A client with its own time limits.
    pub fn with(endpoint: Endpoint, timeouts: Timeouts) -> Self {
        let dial = dial::standard(&endpoint);
        Self::over(endpoint, timeouts, dial)
    }

    /// A client over connections that somebody else makes, such as encrypted ones.
    pub fn over(endpoint: Endpoint, timeouts: Timeouts, dial: Arc<dyn Dial>) -> Self {
        let exchange = Arc::new(Exchange::new(endpoint, timeouts, dial));
        Self { exchange, greetings: Arc::default() }
    }

    /// Sends a header with every request, such as an authorization.
    ///
    /// # Errors
    /// The name or the value cannot stand in a header.
    pub fn with_header(self, name: &str, value: &str) -> Result<Self> {
        let exchange = self.exchange.with_header(name, value)?;
        Ok(Self { exchange: Arc::new(exchange), greetings: Arc::default() })
    }

    /// Where the plugin answers.
    pub fn endpoint(&self) -> &Endpoint {
        self.exchange.endpoint()
    }

    /// The time limits.
    pub fn timeouts(&self) -> Timeouts {
        self.exchange.timeouts()
    }

    /// Asks what the plugin offers now.
    ///
    /// # Errors
    /// The plugin does not answer, or not in our protocol.
    pub async fn hello(&self) -> Result<Hello> {
        self.say_hello().await
    }

    /// Reads `/info/api.json`.
    ///
    /// # Errors
    /// The plugin does not answer, or not in our protocol.
    pub async fn api(&self) -> Result<Api> {
        self.document("info/api.json").await
    }

    /// Reads `/info/functions.json`.
    ///
    /// # Errors
    /// The plugin does not answer, or not in our protocol.
    pub async fn functions(&self) -> Result<Functions> {
        self.document("info/functions.json").await
    }

    /// Asks a manager's port what is behind it.
    ///
    /// # Errors
    /// It does not answer, or is none.
    pub async fn options(&self) -> Result<Mux> {
        let body = self.exchange.options().await?;
        self.read_document("OPTIONS", &body)
    }

    async fn document<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.exchange.get(path).await?;
        self.read_document(path, &body)
    }

    fn read_document<T: serde::de::DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T> {
        decode::from_slice(body).map_err(|fault| {
            let plugin = self.exchange.plugin();
            PluginError::Protocol(format!("read {path} of plugin {plugin}: {fault}"))
        })
    }

    /// Calls any method with params as they are. Sent once; for tools.
    ///
    /// # Errors
    /// As every call.
    pub async fn call_raw(&self, method: &str, params: &Any) -> Result<Any> {
        self.exchange.call_raw(method, params).await
    }

    /// Events below a topic, until the plugin ends the stream.
    ///
    /// # Errors
    /// The plugin cannot be reached or refuses.
    pub async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        event_stream::subscribe(&self.exchange, topic).await
    }

    async fn require(&self, interface: Interface) -> Result<Arc<generation::Greeting>> {
        let greeting = self.greetings.current(self).await?;
        greeting.hello.require(interface)?;
        Ok(greeting)
    }

    /// A source of instances.
    ///
    /// # Errors
    /// The plugin does not answer or does not offer the interface in our version. The object is
    /// not looked for: calls to one that is missing are refused.
    pub async fn instance(&self, name: &PluginName) -> Result<Arc<dyn Instance>> {
        let greeting = self.require(Interface::Instance).await?;
        let hints = watch::topic(self, &greeting, name.subtype()).await;
        Ok(Arc::new(proxies::InstanceProxy::new(self, name, hints)))
    }

    /// A readable tree; also one that can be changed.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub async fn metadata(&self, name: &PluginName) -> Result<Arc<dyn Metadata>> {
        let greeting = self.greetings.current(self).await?;
        if greeting.hello.require(Interface::Metadata).is_err()
            && greeting.hello.require(Interface::Updatable).is_ok()
        {
            return Ok(Arc::new(proxies::UpdatableProxy::new(self, name)));
        }
        greeting.hello.require(Interface::Metadata)?;
        Ok(Arc::new(proxies::MetadataProxy::new(self, name)))
    }
}

macro_rules! proxies {
    ($($(#[$doc:meta])* $method:ident: $interface:ident, $object:ident => $proxy:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Client::instance`].
                pub async fn $method(&self, name: &PluginName) -> Result<Arc<dyn $object>> {
                    self.require(Interface::$interface).await?;
                    Ok(Arc::new(client::proxies::$proxy::new(self, name)))
                }
            )*
        }
    };
}

proxies! {
    /// A controller.
    controller: Controller, Controller => ControllerProxy;
    /// A publisher of events.
    events: Event, Events => EventsProxy;
    /// A flavor.
    flavor: Flavor, Flavor => FlavorProxy;
    /// A group controller.
    group: Group, Group => GroupProxy;
    /// A load balancer.
    l4: L4, L4 => L4Proxy;
    /// A resource manager.
    resource: Resource, Resource => ResourceProxy;
    /// The manager of a stack.
    stack: Stack, Stack => StackProxy;
    /// A changeable tree.
    updatable: Updatable, Updatable => UpdatableProxy;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timeouts;

    #[test]
    fn the_environment_sets_the_limit_of_calls() {
        let seconds = |text| {
            let Timeouts { call, slow, connect } = Timeouts::from_text(text);
            [call, slow, connect].map(|limit| limit.as_secs())
        };
        assert_eq!(seconds("5s"), [5, 600, 5]);
        assert_eq!(seconds("1h"), [3600, 3600, 3600]);
        assert_eq!(seconds("soon"), [15, 600, 15]);
        assert_eq!(seconds("0s"), [15, 600, 15]);
        assert_eq!(Timeouts::default().call, Duration::from_secs(15));
    }
}
