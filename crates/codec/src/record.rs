//! The envelope of everything that we write to disk: kind, version, length, checksum.
//!
//! Layout, all numbers little-endian:
//!
//! ```text
//! offset  size  field
//!      0     4  magic "rgw1"
//!      4     2  kind     (what the payload is; a number from the table below, never reused)
//!      6     2  version  (of the payload's own layout, from 1)
//!      8     4  length   (of the payload in bytes, at most 64 MiB)
//!     12     4  CRC-32C  (over the 12 bytes before it and the payload)
//!     16     n  payload  (JSON)
//! ```
//!
//! Kinds in use: 1 intent log entry, 2 process instance, 16 registrations of a catalog's agent.
//!
//! A reader meets three endings: a whole record, [`RecordError::Torn`] (the bytes end inside a
//! record, as after a crash in the middle of a write) and damage ([`RecordError::Damaged`]), which
//! must stop whoever relies on the data. A flipped bit in the length looks like the second as well:
//! who cuts off a torn tail asks [`is_torn_tail`] first.

use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: [u8; 4] = *b"rgw1";
const HEADER_BYTES: usize = 16;
/// Largest payload in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// A type with a stored form.
pub trait Record: Serialize + DeserializeOwned {
    /// Number from the table of kinds.
    const KIND: u16;
    /// Version that this build writes.
    const VERSION: u16;

    /// Reads the payload of an older version, `version < Self::VERSION`.
    ///
    /// # Errors
    /// The default refuses: a type with one version only has nothing to migrate.
    fn migrate(version: u16, payload: &[u8]) -> Result<Self, RecordError> {
        let _ = payload;
        Err(RecordError::Version { found: version, supported: Self::VERSION })
    }
}

/// Why bytes are not a record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end inside the record.
    #[error("read record: it is cut off after {have} of {need} bytes")]
    Torn {
        /// Bytes present.
        have: usize,
        /// Bytes that the record needs, as far as known.
        need: usize,
    },
    /// The bytes are not what was written.
    #[error("read record: {what}; restore the file from a copy or move it away")]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
    /// A record of another type.
    #[error("read record: expected kind {expected}, found kind {found}")]
    Kind {
        /// The kind asked for.
        expected: u16,
        /// The kind stored.
        found: u16,
    },
    /// Written by a newer build, or by an older one that no migration covers.
    #[error("read record: version {found} is not supported (this build reads up to {supported})")]
    Version {
        /// The version stored.
        found: u16,
        /// The newest version that this build reads.
        supported: u16,
    },
    /// The payload does not fit its type although the checksum is right.
    #[error("read record payload: {0}")]
    Payload(String),
    /// The value is too large to store.
    #[error("write record: payload has {bytes} bytes, at most {MAX_PAYLOAD_BYTES} are allowed")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
    },
}

/// Appends the stored form of a value to a buffer.
///
/// # Errors
/// The value has no JSON form or is too large. The buffer is unchanged then.
pub fn encode_into<R: Record>(value: &R, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let payload = serde_json::to_vec(value).map_err(|e| RecordError::Payload(e.to_string()))?;
    let length = match u32::try_from(payload.len()) {
        Ok(length) if payload.len() <= MAX_PAYLOAD_BYTES => length,
        _ => return Err(RecordError::TooLarge { bytes: payload.len() }),
    };
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&R::KIND.to_le_bytes());
    out.extend_from_slice(&R::VERSION.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    let checksum = checksum_of(&out[start..], &payload);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&payload);
    Ok(())
}

/// The stored form of a value.
///
/// # Errors
/// As [`encode_into`].
pub fn encode<R: Record>(value: &R) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Reads the record at the start of the bytes; returns it and the number of bytes it took.
///
/// # Errors
/// See [`RecordError`].
pub fn decode<R: Record>(bytes: &[u8]) -> Result<(R, usize), RecordError> {
    let torn = |need| RecordError::Torn { have: bytes.len(), need };
    let field = |at: usize| -> Result<u32, RecordError> {
        let four = bytes.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        four.map(u32::from_le_bytes).ok_or_else(|| torn(HEADER_BYTES))
    };
    if !MAGIC.starts_with(&bytes[..bytes.len().min(4)]) {
        return Err(RecordError::Damaged { what: "the first bytes are not those of a record" });
    }
    let (kind_version, length, checksum) = (field(4)?, field(8)? as usize, field(12)?);
    if length > MAX_PAYLOAD_BYTES {
        return Err(RecordError::Damaged { what: "the length is beyond the limit" });
    }
    let end = HEADER_BYTES + length;
    let payload = bytes.get(HEADER_BYTES..end).ok_or_else(|| torn(end))?;
    if checksum_of(&bytes[..12], payload) != checksum {
        return Err(RecordError::Damaged { what: "the checksum does not match" });
    }
    let (kind, version) = ((kind_version & 0xffff) as u16, (kind_version >> 16) as u16);
    if kind != R::KIND {
        return Err(RecordError::Kind { expected: R::KIND, found: kind });
    }
    let value = if version == R::VERSION {
        serde_json::from_slice(payload).map_err(|e| RecordError::Payload(e.to_string()))?
    } else if version > R::VERSION {
        return Err(RecordError::Version { found: version, supported: R::VERSION });
    } else {
        R::migrate(version, payload)?
    };
    Ok((value, end))
}

fn checksum_of(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), payload)
}

/// Says whether bytes at the end of a file, which [`decode`] refused as torn or damaged, are the
/// remains of a write that never ended, so that they may be cut off: a record that stops too early,
/// or zeros where a page was never written. Anything else is damage to what was whole once, such
/// as a length that reaches beyond the records behind it.
pub fn is_torn_tail(bytes: &[u8]) -> bool {
    let later = |at: usize| holds_record(&bytes[at..]);
    if bytes.windows(MAGIC.len()).enumerate().any(|(at, four)| four == MAGIC && later(at)) {
        return false;
    }
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let written = &bytes[..bytes.len() - zeros];
    if !MAGIC.starts_with(&written[..written.len().min(MAGIC.len())]) {
        return false;
    }
    let Some((header, payload)) = bytes.split_at_checked(HEADER_BYTES) else { return true };
    let (length, checksum) = (number_at(header, 8), number_at(header, 12));
    let missing = written.len() < HEADER_BYTES.saturating_add(length as usize);
    if !missing || length as usize > MAX_PAYLOAD_BYTES {
        return false;
    }
    // Whole but for its length: the last record of all, with a flipped bit there.
    let mut mended = [0; 12];
    mended.copy_from_slice(&header[..12]);
    mended[8..].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    checksum_of(&mended, payload) != checksum
}

/// True when the bytes begin with a record of any kind whose checksum is right.
fn holds_record(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return false };
    let payload = rest.get(..number_at(header, 8) as usize);
    payload.is_some_and(|payload| checksum_of(&header[..12], payload) == number_at(header, 12))
}

/// The number at a place of a header; zero beyond its end.
fn number_at(header: &[u8], at: usize) -> u32 {
    let four = header.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    four.map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests;
