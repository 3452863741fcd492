//! Replacing the certificate authority while the cluster runs.
//!
//! One record says where the rotation stands; each step makes the next record from the last, so a
//! crash leaves either of the two. The order of the steps keeps every node reachable:
//!
//! | state | who signs | nodes are told to trust | shown beside a node's certificate |
//! |---|---|---|---|
//! | `Steady` | the authority | its root | nothing |
//! | `CrossSigned` | the old one | both roots | nothing |
//! | `NewIssuing` | the new one | both roots | the new one, signed by the old |
//! | `Steady` | the new one | its root | nothing |
//!
//! A node that slept through the first two steps trusts the old root only; it accepts certificates
//! of the new authority by the cross certificate. The last step waits until no certificate of the
//! old authority holds any more and every node has taken the new root.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::authority::{Authority, AuthorityError};
use crate::certificate::Certificates;
use crate::identity::NodeIdentity;
use crate::secret::Secret;

/// Version of the stored record.
const VERSION: u32 = 1;

/// Where a rotation stands, with the authorities it concerns.
pub enum Rotation {
    /// One authority, nothing to do.
    Steady {
        /// The authority.
        authority: Authority,
    },
    /// The next authority exists; nodes learn to trust it, nobody uses it yet.
    CrossSigned {
        /// Signs.
        old: Authority,
        /// Will sign.
        new: Authority,
        /// The new authority's certificate, signed by the old one.
        cross: Vec<u8>,
    },
    /// The next authority signs; certificates of the old one still hold.
    NewIssuing {
        /// Signs no more.
        old: Authority,
        /// Signs.
        new: Authority,
        /// The new authority's certificate, signed by the old one.
        cross: Vec<u8>,
        /// The last moment at which a certificate of the old authority can hold.
        old_ends: SystemTime,
    },
}

/// Why a rotation does not go on, or its record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The step does not follow from the state.
    #[error("rotate the authority: {0}")]
    Order(&'static str),
    /// A certificate of the old authority may still hold.
    #[error("drop the old authority: its certificates may hold for another {0:?}")]
    TooEarly(Duration),
    /// Signing failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The stored record cannot be read.
    #[error("read the authority's record: {0}")]
    Record(String),
}

impl Rotation {
    /// The state of a cluster that rotates nothing.
    pub fn steady(authority: Authority) -> Self {
        Self::Steady { authority }
    }

    /// The word for this state.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Steady { .. } => "steady",
            Self::CrossSigned { .. } => "cross-signed",
            Self::NewIssuing { .. } => "new-issuing",
        }
    }

    /// The authority that signs.
    pub fn issuer(&self) -> &Authority {
        match self {
            Self::Steady { authority } => authority,
            Self::CrossSigned { old, .. } => old,
            Self::NewIssuing { new, .. } => new,
        }
    }

    /// The roots that nodes are told to trust.
    pub fn roots(&self) -> Certificates {
        match self {
            Self::Steady { authority } => Certificates::new([authority.certificate().to_vec()]),
            Self::CrossSigned { old, new, .. } | Self::NewIssuing { old, new, .. } => {
                Certificates::new([old.certificate().to_vec(), new.certificate().to_vec()])
            }
        }
    }

    /// Signs a node's certificate and returns the chain that the node shows.
    ///
    /// # Errors
    ///
    /// As for [`Authority::issue`].
    pub fn issue(
        &self,
        request: &[u8],
        identity: &NodeIdentity,
        now: SystemTime,
        life: Duration,
    ) -> Result<Certificates, AuthorityError> {
        let leaf = self.issuer().issue(request, identity, now, life)?;
        let cross = match self {
            Self::NewIssuing { cross, .. } => Some(cross.clone()),
            _ => None,
        };
        Ok(Certificates::new([leaf].into_iter().chain(cross)))
    }

    /// First step: a new authority, signed by the old one.
    ///
    /// # Errors
    ///
    /// If a rotation is under way, or signing fails.
    pub fn begin(self, now: SystemTime) -> Result<Self, RotationError> {
        let Self::Steady { authority: old } = self else {
            return Err(RotationError::Order("a rotation is under way; let it end first"));
        };
        let new = Authority::new(old.cluster(), now)?;
        let cross = old.cross_sign(&new, now)?;
        Ok(Self::CrossSigned { old, new, cross })
    }

    /// Second step: the new authority signs. `longest_life` is that of any certificate that the
    /// old one signed.
    ///
    /// # Errors
    ///
    /// If the state is another.
    pub fn switch(self, now: SystemTime, longest_life: Duration) -> Result<Self, RotationError> {
        let Self::CrossSigned { old, new, cross } = self else {
            return Err(RotationError::Order("there is no new authority to switch to"));
        };
        Ok(Self::NewIssuing { old, new, cross, old_ends: now + longest_life })
    }

    /// Last step: the old authority is forgotten. `all_trust_new` says that every node that is
    /// still a member confirmed the new root; a node that did not would lock itself out.
    ///
    /// # Errors
    ///
    /// If a certificate of the old authority may still hold, or a node has not confirmed.
    pub fn finish(self, now: SystemTime, all_trust_new: bool) -> Result<Self, RotationError> {
        let Self::NewIssuing { new, old_ends, .. } = self else {
            return Err(RotationError::Order("the new authority does not sign yet"));
        };
        if let Ok(left) = old_ends.duration_since(now)
            && !left.is_zero()
        {
            return Err(RotationError::TooEarly(left));
        }
        if !all_trust_new {
            return Err(RotationError::Order("a node has not taken the new root yet"));
        }
        Ok(Self::Steady { authority: new })
    }

    /// The record, keys included, as JSON text, for the one place that stores it.
    ///
    /// # Errors
    ///
    /// [`RotationError::Record`] if it cannot be written.
    pub fn to_record(&self) -> Result<Secret<String>, RotationError> {
        let (old_ends, cross) = match self {
            Self::Steady { .. } => (None, None),
            Self::CrossSigned { cross, .. } => (None, Some(cross)),
            Self::NewIssuing { cross, old_ends, .. } => (
                Some(old_ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
                Some(cross),
            ),
        };
        let (first, second) = match self {
            Self::Steady { authority } => (authority, None),
            Self::CrossSigned { old, new, .. } | Self::NewIssuing { old, new, .. } => {
                (old, Some(new))
            }
        };
        let cross = cross.map(|cross| Certificates::new([cross.clone()]).to_pem());
        let record = Record {
            version: VERSION,
            authority: AuthorityRecord::of(first),
            new: second.map(AuthorityRecord::of),
            cross,
            old_ends,
        };
        let text = serde_json::to_string(&record);
        text.map(Secret::new).map_err(|error| RotationError::Record(error.to_string()))
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`RotationError::Record`] if it is malformed or of another version.
    pub fn from_record(text: &Secret<String>) -> Result<Self, RotationError> {
        let malformed = |what: &str| RotationError::Record(what.to_owned());
        // Only the place of a fault is told: the text around it may be a key.
        let record: Record = serde_json::from_str(text.expose()).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            RotationError::Record(format!("malformed at line {line}, column {column}"))
        })?;
        if record.version != VERSION {
            let found = record.version;
            let what = format!("expected version {VERSION}, found {found}; use a newer program");
            return Err(RotationError::Record(what));
        }
        let first = record.authority.open()?;
        let Some(new) = record.new else {
            return Ok(Self::Steady { authority: first });
        };
        let (old, new) = (first, new.open()?);
        let cross = record.cross.ok_or_else(|| malformed("the cross certificate is missing"))?;
        let cross = Certificates::from_pem(&cross).map_err(AuthorityError::from)?;
        let cross = cross.iter().next().unwrap_or_default().to_vec();
        Ok(match record.old_ends {
            None => Self::CrossSigned { old, new, cross },
            Some(seconds) => {
                let old_ends = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
                let old_ends = old_ends.ok_or_else(|| malformed("old_ends is out of range"))?;
                Self::NewIssuing { old, new, cross, old_ends }
            }
        })
    }
}

/// The stored form, version 1. Which state it is follows from what is there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    authority: AuthorityRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<AuthorityRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cross: Option<String>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old_ends: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityRecord {
    certificate: String,
    key: String,
}

impl AuthorityRecord {
    fn of(authority: &Authority) -> Self {
        let key = authority.key_pem().expose().clone();
        Self { certificate: authority.certificate_pem(), key }
    }

    fn open(mut self) -> Result<Authority, RotationError> {
        let key = Secret::new(std::mem::take(&mut self.key));
        Ok(Authority::from_pem(&self.certificate, &key)?)
    }
}

impl Drop for AuthorityRecord {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}
