//! What a node shows and trusts, replaceable while connections live.

use std::sync::{Arc, PoisonError, RwLock};

use regrow_pki::Member;
use rustls::ServerConfig;

/// A node's credential, roots and list of removed nodes, shared by its server and its client.
///
/// After [`Keys::replace`] new connections are made with the new ones. Accepted connections go on
/// until the certificate that their peer showed expires; the client moves its calls to new
/// connections at once and lets the old ones end when they have their replies.
#[derive(Clone)]
pub struct Keys(Arc<RwLock<Arc<Held>>>);

/// One state of the keys.
pub(crate) struct Held {
    pub member: Member,
    pub server: Arc<ServerConfig>,
    /// Grows with each replacement.
    pub edition: u64,
}

impl Keys {
    /// Keys of a member.
    ///
    /// # Errors
    ///
    /// If the credential or a root is malformed.
    pub fn new(member: Member) -> Result<Self, rustls::Error> {
        let server = member.server_config()?;
        Ok(Self(Arc::new(RwLock::new(Arc::new(Held { member, server, edition: 1 })))))
    }

    /// Takes new keys into use: after a renewal, a rotation step, a promotion.
    ///
    /// # Errors
    ///
    /// If the credential or a root is malformed; the old keys stay in use.
    pub fn replace(&self, member: Member) -> Result<(), rustls::Error> {
        let server = member.server_config()?;
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let edition = held.edition + 1;
        *held = Arc::new(Held { member, server, edition });
        Ok(())
    }

    pub(crate) fn held(&self) -> Arc<Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
