//! An address to answer at, or `none`.

use std::net::SocketAddr;
use std::str::FromStr;

/// Where something is answered, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = address.as_deref().unwrap_or(text).parse();
        address
            .map(|address| Self(Some(address)))
            .map_err(|_| "expected ADDRESS:PORT such as 127.0.0.1:8500, or none".to_owned())
    }
}

impl Listen {
    /// The address.
    pub const fn address(self) -> Option<SocketAddr> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Listen;

    #[test]
    fn an_address_or_none() {
        let read = |text: &str| {
            text.parse::<Listen>()
                .ok()
                .map(|listen| listen.address().map(|address| address.to_string()))
        };
        assert_eq!(read("none"), Some(None));
        assert_eq!(read("127.0.0.1:8500"), Some(Some("127.0.0.1:8500".to_owned())));
        assert_eq!(read("localhost:8500"), Some(Some("127.0.0.1:8500".to_owned())));
        assert_eq!(read("8500"), None);
    }
}
