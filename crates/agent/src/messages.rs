//! What agents say to each other beside the control group's own requests. Bodies are postcard behind
//! one byte of version.

use bytes::Bytes;
use regrow_codec::versioned;
use regrow_pki::{ClusterId, NodeNumber, Role, TokenId};
use regrow_wire::{Fault, FaultCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// A newcomer shows its token. Sent only to a server that showed the token's root.
#[derive(Serialize, Deserialize)]
pub(crate) struct JoinRequest {
    pub(crate) token: TokenId,
    pub(crate) secret: [u8; 16],
    /// Certificate request, PKCS#10 in DER.
    pub(crate) request: Vec<u8>,
    pub(crate) name: String,
    pub(crate) address: String,
}

/// The newcomer is in.
#[derive(Serialize, Deserialize)]
pub(crate) struct JoinReply {
    pub(crate) cluster: ClusterId,
    pub(crate) number: NodeNumber,
    pub(crate) role: Role,
    pub(crate) papers: Papers,
    /// Where servers answer.
    pub(crate) servers: Vec<String>,
    /// The servers' key, for servers only.
    pub(crate) seal: Option<String>,
}

/// A certificate and what to trust, in PEM.
#[derive(Serialize, Deserialize)]
pub(crate) struct Papers {
    pub(crate) chain: String,
    pub(crate) roots: String,
    /// Edition of the authority that these roots are of.
    pub(crate) edition: u64,
}

/// A node asks for its next certificate.
#[derive(Serialize, Deserialize)]
pub(crate) struct RenewRequest {
    pub(crate) request: Vec<u8>,
}

/// The next certificate.
#[derive(Serialize, Deserialize)]
pub(crate) struct RenewReply {
    pub(crate) papers: Papers,
    /// The servers' key, for servers only.
    pub(crate) seal: Option<String>,
}

/// A node that lost what it had acknowledged asks for another number; answered as a newcomer is.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReplaceRequest {
    /// Certificate request, PKCS#10 in DER.
    pub(crate) request: Vec<u8>,
    pub(crate) address: String,
}

/// A node lives.
#[derive(Serialize, Deserialize)]
pub(crate) struct Beat {
    /// Where it answers.
    pub(crate) address: String,
    /// Edition of the authority whose roots it trusts.
    pub(crate) trusts: u64,
}

/// What the leader thinks of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct BeatReply {
    /// The asked node leads; otherwise it took no note.
    pub(crate) leads: bool,
    /// The authority's edition, so that a node learns of a rotation.
    pub(crate) edition: u64,
    /// What the node may do, so that it learns of a promotion.
    pub(crate) role: Role,
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, Fault> {
    let bytes = versioned::encode(VERSION, value);
    bytes.map(Bytes::from).map_err(|error| Fault::new(FaultCode::Failed, error.to_string()))
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    versioned::decode(VERSION, bytes).map_err(|error| {
        let text = format!("read the message: {error}; use the same program on both nodes");
        Fault::new(FaultCode::BadRequest, text)
    })
}
