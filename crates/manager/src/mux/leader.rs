use std::io;
use std::time::Duration;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode, Uri};
use regrow_plugin::spi::LeaderLocation;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::exchange::{connect, exchange, strip};
use super::route::text;
use super::{MuxBody, MuxFault, Shared};
use crate::leader::print_location;

/// Marks a request that a replica has forwarded. It is forwarded once only: while the leadership
/// moves, two replicas may each take the other for the leader.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("x-regrow-forwarded");

/// How long the location of the leader may take to be read.
const LOCATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a request on to the leader, with its path and with the token of the client.
///
/// Where the leader is, the source of leadership says: whoever can write there gets the requests of
/// our clients. What limits that is TLS. A replica that has TLS speaks nothing else to the leader and
/// takes only a certificate for the leader's name that the client CA has signed, or without a client
/// CA the very certificate that the replicas share; note that a certificate of a client of the same
/// CA would do as well if it is one for servers. A replica without TLS trusts the source and the
/// network.
pub(super) async fn forward(
    shared: &Shared,
    mut request: Request<MuxBody>,
) -> Result<Response<MuxBody>, MuxFault> {
    let unavailable = |why: String| {
        let text = text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}; try again soon"));
        Ok(text)
    };
    if request.headers().contains_key(&FORWARDED) {
        return unavailable("forwarded to this replica, which does not lead either".into());
    }
    let location = tokio::time::timeout(LOCATION_TIMEOUT, shared.source.location()).await;
    let location = match location {
        Ok(Ok(Some(location))) if location == shared.ours => {
            return unavailable("the leader has not said yet where it is".into());
        }
        Ok(Ok(Some(location))) => location,
        Ok(Ok(None)) => return unavailable("nobody has said yet where the leader is".into()),
        Ok(Err(fault)) => return unavailable(format!("cannot find the leader: {fault}")),
        Err(_) => {
            let seconds = LOCATION_TIMEOUT.as_secs();
            return unavailable(format!("cannot find the leader: no answer within {seconds} s"));
        }
    };
    let tail = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    match format!("{}{tail}", location.path).parse::<PathAndQuery>() {
        Ok(path) => *request.uri_mut() = Uri::from(path),
        Err(fault) => return unavailable(format!("cannot use the leader's location: {fault}")),
    }
    // First, lest a client has our mark removed on the way by naming it in `Connection`.
    strip(request.headers_mut());
    request.headers_mut().insert(FORWARDED, HeaderValue::from_static("1"));
    if let Ok(host) = HeaderValue::from_str(&location.host) {
        request.headers_mut().insert(header::HOST, host);
    }
    send(shared, &location, request).await
}

async fn send(
    shared: &Shared,
    location: &LeaderLocation,
    request: Request<MuxBody>,
) -> Result<Response<MuxBody>, MuxFault> {
    let at = print_location(location);
    let is_tls = location.scheme == "https";
    if shared.tls.is_some() && !is_tls {
        let reason = "its location is one without TLS, where the token and the request could be \
                      read on the way; set Mux.TLS on all replicas";
        return Err(MuxFault::Unreachable { at, reason: reason.to_owned() });
    }
    let (name, port) = host_and_port(&location.host, if is_tls { 443 } else { 80 });
    let stream = connect(&at, TcpStream::connect((name, port))).await?;
    let _ = stream.set_nodelay(true); // small requests must not wait for more to send
    if !is_tls {
        return exchange(&at, stream, request).await;
    }
    let unreachable = |reason: String| MuxFault::Unreachable { at: at.clone(), reason };
    let tls = shared.tls.as_ref().ok_or_else(|| {
        unreachable("the leader uses TLS and this replica does not; set Mux.TLS here too".into())
    })?;
    let name = ServerName::try_from(name.to_owned()).map_err(|f| unreachable(f.to_string()))?;
    let agreeing = async { tls.connector.connect(name, stream).await.map_err(io::Error::other) };
    let stream = connect(&at, agreeing).await?;
    exchange(&at, stream, request).await
}

/// `host:port`, `[::1]:port`, or either without the port.
fn host_and_port(authority: &str, default: u16) -> (&str, u16) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(default)),
        _ => (authority, default),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn hosts_and_ports() {
        for (authority, expected) in [
            ("localhost:24864", ("localhost", 24864)),
            ("[::1]:7", ("::1", 7)),
            ("[::1]", ("::1", 80)),
            ("node1", ("node1", 80)),
        ] {
            assert_eq!(host_and_port(authority, 80), expected);
        }
    }
}
