//! What can go wrong in a call, and what is known about its effect afterwards.

use std::time::Duration;

use regrow_ids::Fence;

/// A failed call to a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The plugin answered with an error: its text, as it came.
    #[error("{0}")]
    Refused(String),
    /// The plugin answered that it did not make the call, such as when what it needs for it cannot be
    /// reached: its text, as it came.
    #[error("{0}")]
    NotMade(String),
    /// No plugin or object of that name. Texts as InfraKit's: `plugin not found:NAME`.
    #[error("{0}")]
    NotFound(String),
    /// The plugin could not be reached, so the call was not made.
    #[error("reach plugin {plugin}: {reason}; check that it runs (`regrow plugin ls`)")]
    Unreachable {
        /// Name or address of the plugin.
        plugin: String,
        /// Why not.
        reason: String,
    },
    /// No answer in time; whether the call took effect is unknown.
    #[error("call {method} of plugin {plugin}: no answer within {}", humane(*after))]
    TimedOut {
        /// Name or address of the plugin.
        plugin: String,
        /// RPC method, such as `Instance.Provision`.
        method: String,
        /// How long the caller waited.
        after: Duration,
    },
    /// The connection broke before the answer was whole; whether the call took effect is unknown.
    #[error("call {method} of plugin {plugin}: connection broke: {reason}")]
    Broken {
        /// Name or address of the plugin.
        plugin: String,
        /// RPC method.
        method: String,
        /// What happened to the connection.
        reason: String,
    },
    /// Another leader was here already; the call was not made.
    #[error(
        "call {object} under fence {fence}: a leader with fence {newest} was here already; another \
         replica leads now (if none does, because fences were begun anew: remove the plugin's .fences \
         file and restart it)"
    )]
    Stale {
        /// The object.
        object: String,
        /// Fence of the call.
        fence: Fence,
        /// Newest fence that the plugin has seen.
        newest: Fence,
    },
    /// The leadership that the call is made under ended before the call reached the object.
    #[error("call {object} under fence {fence}: that leadership ended meanwhile")]
    Ended {
        /// The object.
        object: String,
        /// Fence of the call.
        fence: Fence,
    },
    /// The peer does not speak the protocol, or not the version that we need.
    #[error("{0}")]
    Protocol(String),
}

/// What is known about the effect of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call was never made.
    None,
    /// The plugin said no. It may have left something behind, but it knows of the failure.
    Refused,
    /// The call may have taken effect, or may still do so.
    Unknown,
}

impl PluginError {
    /// An error of a plugin's own making, such as a trait implementation reports it.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// What the caller knows about the effect.
    pub const fn effect(&self) -> Effect {
        match self {
            Self::Refused(_) => Effect::Refused,
            Self::NotMade(_)
            | Self::NotFound(_)
            | Self::Unreachable { .. }
            | Self::Stale { .. }
            | Self::Ended { .. } => Effect::None,
            Self::TimedOut { .. } | Self::Broken { .. } | Self::Protocol(_) => Effect::Unknown,
        }
    }
}

fn humane(duration: Duration) -> regrow_ids::GoDuration {
    regrow_ids::GoDuration::new(duration)
}
