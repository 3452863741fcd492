//! The ACL token of the catalog.

use std::fs::File;
use std::io::Read as _;

use super::error::DiscoveryError;
use crate::config::Consul;

/// More than any token has; a larger file is not one.
const BYTES_MAX: u64 = 4 << 10;

/// The token that calls carry: that of the file, where one is named and not empty, as in Consul's own
/// client. White space around it does not belong to it.
pub(super) fn token(consul: &Consul) -> Result<Option<String>, DiscoveryError> {
    let given = consul.token.as_ref().map(|token| token.0.clone());
    let Some(path) = &consul.token_file else { return Ok(given) };
    let unreadable = |reason: String| DiscoveryError::File {
        what: "the token of the catalog",
        path: path.clone(),
        reason,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(unreadable(format!("it has more than {BYTES_MAX} bytes")));
    }
    let token = text.trim();
    Ok(if token.is_empty() { given } else { Some(token.to_owned()) })
}
