use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{Request, Response};

/// A body on its way through: read as it is sent on, never held as a whole.
pub type MuxBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Why a request got no answer from a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MuxFault {
    /// There is no such plugin on this node.
    #[error("no plugin {0:?} on this node")]
    NoPlugin(String),
    /// It cannot be reached, or broke the connection.
    #[error("reach {at}: {reason}")]
    Unreachable {
        /// Plugin or address.
        at: String,
        /// What happened.
        reason: String,
    },
    /// It did not answer in time.
    #[error("reach {at}: no answer within {seconds} s")]
    TimedOut {
        /// Plugin or address.
        at: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The body of the request is larger than allowed.
    #[error("the request body is larger than {} bytes", super::body::MAX_BODY_BYTES)]
    TooLarge,
    /// The body of the request did not go on.
    #[error("the request body did not arrive in time")]
    TooSlow,
}

/// Where the calls of remote clients go: the plugins of this node.
#[async_trait]
pub trait MuxBackend: Send + Sync {
    /// Names of the plugins, sorted.
    fn plugins(&self) -> Vec<String>;

    /// Sends a request to a plugin as it is; its path is already that within the plugin. The
    /// response is returned when its head has arrived, and its body streams.
    ///
    /// # Errors
    /// There is no such plugin, or it does not answer.
    async fn forward(
        &self,
        plugin: &str,
        request: Request<MuxBody>,
    ) -> Result<Response<MuxBody>, MuxFault>;
}
