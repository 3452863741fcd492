//! Keeping web pages out.
//!
//! A page of any site can make the browser of whoever reads it send requests to an address that
//! only this machine, or this network, can reach. A unix socket is out of its reach; a TCP port is
//! not, so there we refuse what a browser sends on behalf of a page.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::{self, HeaderName};
use hyper::http::uri::Authority;

use crate::discovery::Endpoint;

/// What InfraKit's clients, and a manager's port, say where a socket has no host.
const SOCKET_HOST: &str = "h";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused, if it is.
pub(super) fn refusal<B>(endpoint: &Endpoint, request: &Request<B>) -> Option<String> {
    let advertised = match endpoint {
        Endpoint::Unix(_) => return None,
        Endpoint::Tcp(advertised) | Endpoint::Http { authority: advertised, .. } => advertised,
    };
    if let Some(why) = page_request(request) {
        return Some(why.to_owned());
    }
    foreign_host(request, advertised).map(|host| {
        format!(
            "this plugin is not called {host:?}; use an IP address, localhost or {advertised:?} \
             (set by REGROW_PLUGIN_ADVERTISE)"
        )
    })
}

/// Why a request is one that a web page made a browser send; `None` for any other.
pub fn page_request<B>(request: &Request<B>) -> Option<&'static str> {
    let headers = request.headers();
    // Browsers send one of these, or both, with whatever a page asks for.
    if headers.contains_key(header::ORIGIN) {
        return Some("requests of web pages (with the header Origin) are refused");
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    sites
        .any(|site| site != "none" && site != "same-origin")
        .then_some("requests of web pages (by Sec-Fetch-Site) are refused")
}

/// A host that a request is addressed to and that a page may have chosen: neither the advertised
/// one, nor `localhost`, nor an address. A page may have its own name lead to our address, and is of
/// the same origin then.
pub fn foreign_host<B>(request: &Request<B>, advertised: &str) -> Option<String> {
    let stated = request.uri().authority().map(Authority::as_str);
    let hosts = request.headers().get_all(header::HOST).iter();
    let hosts = hosts.map(|host| host.to_str().unwrap_or_default()).chain(stated);
    hosts.into_iter().find(|host| !is_ours(host, advertised)).map(str::to_owned)
}

/// True for a host that no page can have chosen: the advertised one, or no name at all.
fn is_ours(host: &str, advertised: &str) -> bool {
    let (Some(host), advertised) = (bare(host), bare(advertised)) else { return false };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    literal.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host == SOCKET_HOST
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
    fn names_of_others_are_not_ours() {
        for (host, ours) in [
            ("127.0.0.1:7", true),
            ("10.0.0.1", true),
            ("[::1]:7", true),
            ("LocalHost:7", true),
            ("localhost.", true),
            ("node1.example.com:9", true),
            ("Node1.Example.Com.", true),
            ("h", true),
            ("evil.example.com:7", false),
            ("127.0.0.1.evil.example.com", false),
            ("localhost.evil.example.com", false),
            ("user@evil.example.com", false),
            ("hh", false),
            ("", false),
            (":7", false),
        ] {
            assert_eq!(is_ours(host, "node1.example.com:7"), ours, "{host}");
        }
        assert!(!is_ours("evil.example.com", "localhost:7"));
    }
}
