//! Who is who in a cluster: its certificate authority, join tokens, node certificates and the rules
//! of their renewal. No sockets and no files.
//!
//! What it is: plain functions and values; the time comes as an argument or from a [`Clock`] that
//! the caller gives.
//!
//! What it must never do: print, log or serialize a secret by accident; trust a name that a
//! requester wrote; read the machine's clock on its own.
//!
//! Where to start reading: [`NodeIdentity`] for what a certificate says, [`Authority`] for who
//! signs it, [`Member`] for what a node demands of its peers, [`Rotation`] for how an authority is
//! replaced, [`JoinToken`] for how a newcomer gets in.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use regrow_pki::{Authority, ClusterId, DEFAULT_LIFE, NodeIdentity, NodeKey, NodeNumber, Role};
//!
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
//! let authority = Authority::new(ClusterId::random(), now)?;
//! let key = NodeKey::generate()?;
//! let identity = NodeIdentity {
//!     cluster: authority.cluster(),
//!     role: Role::Worker,
//!     node: NodeNumber::new(4),
//! };
//! let certificate = authority.issue(&key.request()?, &identity, now, DEFAULT_LIFE)?;
//! assert_eq!(regrow_pki::identity_of(&certificate)?, identity);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod any;
mod authority;
mod certificate;
mod credential;
mod identity;
mod papers;
mod renewal;
mod rotation;
mod secret;
mod tls;
mod token;
mod verify;

pub use any::AnyServer;
pub use authority::{Authority, AuthorityError, BACK_DATE, DEFAULT_LIFE, MIN_LIFE, key_hash_of};
pub use certificate::{
    CertificateError, Certificates, RootDigest, Validity, cluster_of, identity_of, validity_of,
};
pub use credential::{Credential, CredentialError, NodeKey};
pub use identity::{ClusterId, IdentityError, NodeIdentity, NodeNumber, Role};
pub use papers::{Papers, PapersError};
pub use renewal::Renewal;
pub use rotation::{Rotation, RotationError};
pub use secret::Secret;
pub use tls::{Clock, Member, joiner_config};
pub use token::{JoinToken, TokenError, TokenFault, TokenId, TokenRecord, secret_hash};
pub use verify::{Expect, PeerFault, Refused, explain};
