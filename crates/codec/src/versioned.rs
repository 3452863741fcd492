//! Values that are kept and sent: one byte of version, then [postcard](https://postcard.jamesmunns.com).
//!
//! A form never changes under its version: a new field or a new variant is a new version, which older
//! programs name instead of guessing.

use serde::{Deserialize, Serialize};

/// Why bytes are no record of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionedError {
    /// There are none.
    #[error("it is empty")]
    Empty,
    /// Another version wrote it.
    #[error("it has version {found}, this program knows {known}; start the newer program")]
    Version {
        /// The version that it names.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// It does not fit its version.
    #[error("{0}")]
    Form(String),
}

/// The bytes of a record.
///
/// # Errors
/// Its type has no form in postcard, as maps of unknown length have none.
pub fn encode<T: Serialize + ?Sized>(version: u8, record: &T) -> Result<Vec<u8>, VersionedError> {
    let form = postcard::to_extend(record, vec![version]);
    form.map_err(|error| VersionedError::Form(error.to_string()))
}

/// The record in some bytes, which it may borrow from.
///
/// # Errors
/// The bytes are none of this version, or there are bytes behind the record.
pub fn decode<'b, T: Deserialize<'b>>(version: u8, bytes: &'b [u8]) -> Result<T, VersionedError> {
    match bytes.split_first() {
        Some((found, form)) if *found == version => match postcard::take_from_bytes(form) {
            Ok((record, [])) => Ok(record),
            Ok((_, rest)) => Err(VersionedError::Form(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(VersionedError::Form(error.to_string())),
        },
        Some((found, _)) => Err(VersionedError::Version { found: *found, known: version }),
        None => Err(VersionedError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_else() {
        let record = (300_u32, "name".to_owned(), Some([1_u8, 2]));
        let bytes = encode(3, &record).unwrap();
        assert_eq!(bytes, [3, 0xac, 2, 4, b'n', b'a', b'm', b'e', 1, 1, 2]);
        assert_eq!(decode::<(u32, String, Option<[u8; 2]>)>(3, &bytes), Ok(record));
        assert_eq!(
            decode::<(u32, &str, Option<[u8; 2]>)>(4, &bytes),
            Err(VersionedError::Version { found: 3, known: 4 })
        );
        assert_eq!(decode::<u8>(3, &[]), Err(VersionedError::Empty));
        for cut in 1..bytes.len() {
            let cut = decode::<(u32, &str, Option<[u8; 2]>)>(3, &bytes[..cut]);
            assert!(matches!(cut, Err(VersionedError::Form(_))), "{cut:?}");
        }
        let more = [bytes.as_slice(), &[0]].concat();
        let more = decode::<(u32, &str, Option<[u8; 2]>)>(3, &more);
        assert_eq!(more, Err(VersionedError::Form("1 bytes too many".into())));
    }
}
