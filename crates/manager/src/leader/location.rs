use hyper::Uri;
use regrow_plugin::spi::LeaderLocation;

use super::LeaderError;

/// Reads a location such as `http://localhost:24864`, as it stands in `place`.
///
/// # Errors
/// The text is no URL with a scheme and a host.
pub fn parse_location(text: &str, place: &str) -> Result<LeaderLocation, LeaderError> {
    let bad = |reason: &str| LeaderError::BadLocation {
        text: text.chars().take(MAX_SHOWN_CHARS).collect(),
        place: place.to_owned(),
        reason: reason.to_owned(),
    };
    let url: Uri = text.trim().parse().map_err(|fault| bad(&format!("{fault}")))?;
    let scheme = url.scheme_str().ok_or_else(|| bad("it has no scheme"))?;
    if !matches!(scheme, "http" | "https") {
        return Err(bad("its scheme is neither http nor https"));
    }
    let host = url.authority().ok_or_else(|| bad("it has no host"))?;
    let path = url.path().trim_end_matches('/');
    Ok(LeaderLocation {
        scheme: scheme.to_owned(),
        host: host.as_str().to_owned(),
        path: path.to_owned(),
    })
}

/// The URL of a location.
pub fn print_location(location: &LeaderLocation) -> String {
    let LeaderLocation { scheme, host, path } = location;
    format!("{scheme}://{host}{path}")
}

/// Longest part of a bad location in an error text.
const MAX_SHOWN_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::{parse_location, print_location};

    #[test]
    fn locations_are_urls_with_a_host() {
        for (text, host) in [
            ("http://localhost:24999\n", Some("localhost:24999")),
            ("https://[::1]:7/", Some("[::1]:7")),
            ("localhost:24999", None),
            ("/just/a/path", None),
            ("ftp://x", None),
            ("", None),
            ("http://", None),
        ] {
            let found = parse_location(text, "test").ok();
            assert_eq!(found.as_ref().map(|found| found.host.as_str()), host, "{text}");
            if let Some(found) = found {
                assert_eq!(print_location(&found), text.trim().trim_end_matches('/'));
            }
        }
    }
}
