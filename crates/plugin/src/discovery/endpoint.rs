use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a plugin answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// At a unix socket.
    Unix(PathBuf),
    /// At a TCP address `host:port`.
    Tcp(String),
    /// Behind a manager's port: `http://authority/path/`.
    Http {
        /// `host:port`.
        authority: String,
        /// Path with a leading and a trailing slash.
        path: String,
    },
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "use {text:?} as the address of a plugin: {reason}; write it like /path/to/socket, tcp://host:port or http://host:port/plugin/"
)]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl Endpoint {
    /// Name of the plugin as far as the address tells it, for messages.
    pub fn plugin(&self) -> String {
        match self {
            Self::Unix(path) => path
                .file_name()
                .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into()),
            Self::Tcp(address) => format!("tcp://{address}"),
            Self::Http { .. } => self.to_string(),
        }
    }

    /// Path of the URL below which the plugin answers, with a trailing slash.
    pub(crate) fn base_path(&self) -> &str {
        match self {
            Self::Unix(_) | Self::Tcp(_) => "/",
            Self::Http { path, .. } => path,
        }
    }

    /// Value of the `Host` header.
    pub(crate) fn host(&self) -> &str {
        match self {
            // What Go's client sends; a socket has no host.
            Self::Unix(_) => "h",
            Self::Tcp(authority) | Self::Http { authority, .. } => authority,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let fail = |reason| EndpointError { text: text.to_owned(), reason };
        if let Some(address) = text.strip_prefix("tcp://") {
            let address = address.trim_end_matches('/');
            let (host, port) = address.rsplit_once(':').ok_or_else(|| fail("it has no port"))?;
            port.parse::<u16>().map_err(|_| fail("its port is not a number up to 65535"))?;
            // An address without a host means this machine.
            let host = if host.is_empty() { "localhost" } else { host };
            return Ok(Self::Tcp(format!("{host}:{port}")));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            if authority.is_empty() {
                return Err(fail("it has no host"));
            }
            let authority = match authority.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
                _ => format!("{authority}:80"),
            };
            let path = match path.trim_matches('/') {
                "" => "/".to_owned(),
                path => format!("/{path}/"),
            };
            return Ok(Self::Http { authority, path });
        }
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.is_empty() {
            return Err(fail("it is empty"));
        }
        if path.contains("://") {
            return Err(fail("this build does not speak that scheme"));
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Http { authority, path } => write!(f, "http://{authority}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn addresses_print_as_they_are_written() {
        for (text, printed) in [
            ("/run/x", "/run/x"),
            ("unix:///run/x", "/run/x"),
            ("tcp://h:1", "tcp://h:1"),
            ("tcp://:1/", "tcp://localhost:1"),
            ("http://h", "http://h:80/"),
            ("http://h:24864/file", "http://h:24864/file/"),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(endpoint.to_string(), printed);
        }
        for (text, reason) in [
            ("tcp://h", "no port"),
            ("tcp://h:99999", "65535"),
            ("http:///x", "no host"),
            ("", "empty"),
            ("https://h/x", "scheme"),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
