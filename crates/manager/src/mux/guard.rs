//! Keeping web pages away from the manager's port, as the plugins' own TCP ports do.

use hyper::Request;
use regrow_plugin::server::{foreign_host, page_request};

/// Why a request is refused, if it is. Names are free where a token is asked for: a page has none.
pub(super) fn refusal<B>(
    request: &Request<B>,
    advertised: &str,
    has_token: bool,
) -> Option<String> {
    if let Some(why) = page_request(request) {
        return Some(why.to_owned());
    }
    if has_token {
        return None;
    }
    foreign_host(request, advertised).map(|host| {
        format!(
            "this port is not called {host:?}: use an IP address, localhost or {advertised:?}, \
             which Mux.Advertise (INFRAKIT_ADVERTISE) sets"
        )
    })
}
