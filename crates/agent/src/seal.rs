//! Sealing what only servers may read: the authority's private key lies in the control group's
//! tables, which workers hold too.
//!
//! A sealed text is `nonce (12 bytes) | ciphertext | tag (16 bytes)`, ChaCha20-Poly1305 (RFC 8439)
//! under a random key that servers keep in their state folders and hand to servers only. The nonce
//! is random; there are a few sealings in a cluster's life.

use data_encoding::HEXLOWER;
use regrow_pki::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// The key that only servers hold.
#[derive(Clone)]
pub struct SealKey(Secret<[u8; 32]>);

/// Why a text was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key's text is none.
    #[error("read the servers' key: expected 64 hexadecimal digits")]
    Key,
    /// It was sealed with another key, for another purpose, or changed.
    #[error("open a sealed record: it was changed, or sealed with another key")]
    Open,
    /// The system's cipher refused.
    #[error("seal a record: the cipher failed")]
    Seal,
}

impl SealKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Self {
        Self(Secret::new(rand::random()))
    }

    /// The text form, for the file and for other servers.
    pub fn text(&self) -> Secret<String> {
        Secret::new(HEXLOWER.encode(self.0.expose()))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// It is no key.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let bytes = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| SealError::Key)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SealError::Key)?;
        Ok(Self(Secret::new(bytes)))
    }

    fn key(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.0.expose());
        key.map(LessSafeKey::new).map_err(|_| SealError::Seal)
    }

    /// Seals a text for one purpose, whose name must be told again when it is opened.
    ///
    /// # Errors
    /// The cipher failed.
    pub fn seal(&self, purpose: &str, text: &Secret<String>) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = text.expose().as_bytes().to_vec();
        let aad = Aad::from(purpose.as_bytes());
        let sealed = self.key()?.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            aad,
            &mut bytes,
        );
        sealed.map_err(|_| SealError::Seal)?;
        Ok([nonce.as_slice(), &bytes].concat())
    }

    /// Opens what was sealed for this purpose.
    ///
    /// # Errors
    /// It was changed, or sealed with another key or for another purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Secret<String>, SealError> {
        let (nonce, bytes) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Open)?;
        let mut bytes = bytes.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key()?.open_in_place(nonce, aad, &mut bytes);
        let text = std::str::from_utf8(opened.map_err(|_| SealError::Open)?);
        Ok(Secret::new(text.map_err(|_| SealError::Open)?.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_purpose_open() -> Result<(), SealError> {
        let key = SealKey::generate();
        let sealed = key.seal("authority", &Secret::new("private".into()))?;
        let again = SealKey::parse(key.text().expose())?;
        assert_eq!(again.open("authority", &sealed)?.expose(), "private");
        assert!(key.open("other", &sealed).is_err());
        assert!(SealKey::generate().open("authority", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("authority", &changed).is_err(), "byte {at}");
            assert!(key.open("authority", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        Ok(())
    }

    #[test]
    fn a_key_is_64_digits() {
        for text in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(SealKey::parse(text).err(), Some(SealError::Key));
        }
    }
}
