//! Join tokens: what an operator hands to a newcomer, and what the cluster keeps of it.
//!
//! Text form, version 1:
//! `regrow-1-DIGEST-ROLE-ID-SECRET`, with the SHA-256 of the root certificate (64 hexadecimal
//! digits, as `openssl x509 -fingerprint -sha256` shows it without colons), `s` or `w`, the public
//! id (8 digits) and the secret (32 digits). All digits are lowercase.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::certificate::RootDigest;
use crate::identity::Role;
use crate::secret::Secret;

const PREFIX: &str = "regrow-1-";

/// Public name of a token: stands in logs and lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(u32);

impl TokenId {
    /// Wraps a raw number.
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The raw number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl std::fmt::Debug for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Where a text stops being a token. The text itself is not repeated: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the join token: at character {at}: expected {expected}")]
pub struct TokenError {
    /// Characters before the fault.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// A join token as the newcomer holds it.
#[derive(Clone)]
pub struct JoinToken {
    /// Which root the cluster's servers must show before they are told the secret.
    pub root: RootDigest,
    /// The role that it gives.
    pub role: Role,
    /// Its public name.
    pub id: TokenId,
    /// What proves that the operator handed it out.
    pub secret: Secret<[u8; 16]>,
}

impl JoinToken {
    /// A new token from the operating system's randomness.
    pub fn new(root: RootDigest, role: Role) -> Self {
        let (id, secret) = (TokenId(rand::random()), Secret::new(rand::random()));
        Self { root, role, id, secret }
    }

    /// The text form, for the one place that shows it.
    pub fn text(&self) -> Secret<String> {
        let role = match self.role {
            Role::Server => 's',
            Role::Worker => 'w',
        };
        let secret = Secret::new(HEXLOWER.encode(self.secret.expose()));
        let (root, id) = (self.root, self.id);
        Secret::new(format!("{PREFIX}{root}-{role}-{id}-{}", secret.expose()))
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// [`TokenError`] names the place of the first fault.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut reader = Reader { rest: text, at: 0 };
        reader.skip(PREFIX, "regrow-1- (a token of version 1)")?;
        let root = reader.hex("64 hexadecimal digits, the digest of the root certificate")?;
        reader.skip("-", "a dash after the digest")?;
        let role = match reader.rest.chars().next() {
            Some('s') => Role::Server,
            Some('w') => Role::Worker,
            _ => return Err(reader.fault("s or w, the role")),
        };
        reader.advance(1);
        reader.skip("-", "a dash after the role")?;
        let id = reader.hex("8 hexadecimal digits, the id")?;
        reader.skip("-", "a dash after the id")?;
        let secret = Secret::new(reader.hex("32 hexadecimal digits, the secret")?);
        if !reader.rest.is_empty() {
            return Err(reader.fault("the end of the token"));
        }
        let id = TokenId(u32::from_be_bytes(id));
        Ok(Self { root: RootDigest(root), role, id, secret })
    }
}

struct Reader<'a> {
    rest: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn fault(&self, expected: &'static str) -> TokenError {
        TokenError { at: self.at, expected }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        self.at += bytes;
    }

    fn skip(&mut self, literal: &str, expected: &'static str) -> Result<(), TokenError> {
        let same = self.rest.bytes().zip(literal.bytes()).take_while(|(a, b)| a == b).count();
        if same < literal.len() {
            self.at += same;
            return Err(self.fault(expected));
        }
        self.advance(literal.len());
        Ok(())
    }

    fn hex<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], TokenError> {
        let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let good = self.rest.bytes().take(2 * N).take_while(digit).count();
        let mut bytes = [0; N];
        let field = self.rest.as_bytes().get(..good).unwrap_or_default();
        if good < 2 * N || HEXLOWER.decode_mut(field, &mut bytes).is_err() {
            self.at += good;
            return Err(self.fault(expected));
        }
        self.advance(2 * N);
        Ok(bytes)
    }
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TokenFault {
    /// No such token, or not its secret: which of both is not told.
    #[error("the token is not known here; make one with `regrow token create`")]
    Unknown,
    /// Its time has passed.
    #[error("the token has expired; make a new one with `regrow token create`")]
    Expired,
    /// It was used as often as it may be.
    #[error("the token was used up; make a new one with `regrow token create`")]
    Used,
    /// It gives another role than the one asked for.
    #[error("the token gives another role; make one with `regrow token create --role`")]
    WrongRole,
}

/// What the cluster keeps of a token: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// The role that it gives.
    pub role: Role,
    /// SHA-256 of the secret. The secret has 128 random bits, so there is nothing to guess from.
    pub hash: [u8; 32],
    /// End of its life, in milliseconds since 1970.
    pub expires_ms: u64,
    /// How many nodes may still join with it.
    pub uses_left: u32,
}

impl TokenRecord {
    /// How long a token lives unless told otherwise: 1 h for servers, 24 h for workers.
    pub const fn default_life(role: Role) -> Duration {
        match role {
            Role::Server => Duration::from_secs(3600),
            Role::Worker => Duration::from_secs(24 * 3600),
        }
    }

    /// How many nodes may join with a token unless told otherwise: one server, or 1,000 workers.
    pub const fn default_uses(role: Role) -> u32 {
        match role {
            Role::Server => 1,
            Role::Worker => 1000,
        }
    }

    /// What to keep of a new token.
    pub fn new(token: &JoinToken, now: SystemTime, life: Duration, uses: u32) -> Self {
        let expires_ms =
            millis(now).saturating_add(life.as_millis().try_into().unwrap_or(u64::MAX));
        let hash = secret_hash(&token.secret);
        Self { id: token.id, role: token.role, hash, expires_ms, uses_left: uses }
    }

    /// Whether a newcomer that shows this secret may join in this role now. The secret is looked at
    /// first and in constant time: who does not hold it learns nothing about the token.
    ///
    /// # Errors
    ///
    /// [`TokenFault`] says why not.
    pub fn check(
        &self,
        role: Role,
        secret: &Secret<[u8; 16]>,
        now: SystemTime,
    ) -> Result<(), TokenFault> {
        self.check_hash(&secret_hash(secret), now)?;
        if role == self.role { Ok(()) } else { Err(TokenFault::WrongRole) }
    }

    /// As [`TokenRecord::check`], from the hash of the secret alone and for the token's own role:
    /// for state machines, whose log must not hold the secret.
    ///
    /// # Errors
    ///
    /// [`TokenFault`] says why not.
    pub fn check_hash(&self, hash: &[u8; 32], now: SystemTime) -> Result<(), TokenFault> {
        if !bool::from(self.hash.ct_eq(hash)) {
            return Err(TokenFault::Unknown);
        }
        if millis(now) >= self.expires_ms {
            return Err(TokenFault::Expired);
        }
        if self.uses_left == 0 {
            return Err(TokenFault::Used);
        }
        Ok(())
    }

    /// Counts one use; call it in the same step of the state machine as [`TokenRecord::check`].
    pub fn spend(&mut self) {
        self.uses_left = self.uses_left.saturating_sub(1);
    }
}

/// SHA-256 of a token's secret.
pub fn secret_hash(secret: &Secret<[u8; 16]>) -> [u8; 32] {
    Sha256::digest(secret.expose()).into()
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
