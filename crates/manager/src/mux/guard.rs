//! Keeping web pages out: a page of any site can make the browser of its reader send requests to an
//! address that only this machine, or this network, can reach.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::{self, HeaderName};
use hyper::http::uri::Authority;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused, if it is. Names are free where a token is asked for: a page has none.
pub(super) fn refusal<B>(
    request: &Request<B>,
    advertised: &str,
    has_token: bool,
) -> Option<String> {
    let headers = request.headers();
    // Browsers send one of these, or both, with whatever a page asks for.
    if headers.contains_key(header::ORIGIN) {
        return Some("requests of web pages (with the header Origin) are refused".to_owned());
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    if sites.any(|site| site != "none" && site != "same-origin") {
        return Some("requests of web pages (by Sec-Fetch-Site) are refused".to_owned());
    }
    if has_token {
        return None;
    }
    // A page may have its own name lead to our address, and then it is of the same origin.
    let stated = request.uri().authority().map(Authority::as_str);
    let hosts = headers.get_all(header::HOST).iter();
    let hosts = hosts.map(|host| host.to_str().unwrap_or_default()).chain(stated);
    hosts.into_iter().find(|host| !is_ours(host, advertised)).map(|host| {
        format!(
            "this port is not called {host:?}: use an IP address, localhost or {advertised:?}, \
             which Mux.Advertise (INFRAKIT_ADVERTISE) sets"
        )
    })
}

/// True for a host that no page can have chosen: the advertised one, or no name at all.
fn is_ours(host: &str, advertised: &str) -> bool {
    let (Some(host), advertised) = (bare(host), bare(advertised)) else { return false };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    // `h` is what clients say over a unix socket, and what a manager says to its plugins.
    literal.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host == "h"
        || advertised == Some(host)
}

/// The host without its port, in lower case; a final dot means the same name.
fn bare(authority: &str) -> Option<String> {
    let authority: Authority = authority.parse().ok()?;
    Some(authority.host().trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn names_that_a_page_may_have_chosen_are_not_ours() {
        for (host, ours) in [
            ("127.0.0.1:24864", true),
            ("10.0.0.1", true),
            ("[::1]:7", true),
            ("LocalHost.:7", true),
            ("Node1.Example.com:9", true),
            ("h", true),
            ("evil.example.com:24864", false),
            ("127.0.0.1.evil.example.com", false),
            ("localhost.evil.example.com", false),
            ("localhost@evil.example.com", false),
            ("", false),
            (":7", false),
        ] {
            assert_eq!(is_ours(host, "node1.example.com:24864"), ours, "{host}");
        }
    }
}
