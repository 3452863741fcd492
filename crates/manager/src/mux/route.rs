use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri};
use regrow_codec::gojson;
use regrow_plugin::fence;
use serde_json::json;

use super::body::{MAX_BODY_BYTES, bounded, whole};
use super::{MuxBody, MuxFault, Shared, guard, leader};
use crate::leader::Leadership;

/// Answers one request.
pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<MuxBody> {
    let refusal = guard::refusal(&request, &shared.ours.host, shared.token.is_some());
    let mut response = match refusal {
        Some(reason) => text(StatusCode::FORBIDDEN, &reason),
        None => answer_client(shared, request).await,
    };
    // Plugins may let pages read their events; on their sockets no page can ask for them.
    response.headers_mut().remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    response
}

async fn answer_client(shared: &Shared, request: Request<Incoming>) -> Response<MuxBody> {
    if shared.token.as_ref().is_some_and(|token| !token.is_in(request.headers())) {
        return unauthorized();
    }
    let leadership = shared.source.now();
    if request.uri().path() == "/" && *request.method() == Method::OPTIONS {
        return about(shared, &leadership);
    }
    if announced_bytes(request.headers()) > MAX_BODY_BYTES {
        return of_fault(&MuxFault::TooLarge);
    }
    let request = request.map(bounded);
    let answer = match leadership {
        Leadership::Leading { .. } => to_plugin(shared, request).await,
        Leadership::Following => leader::forward(shared, request).await,
        Leadership::Unknown(why) => Ok(text(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("cannot determine leader: {why}; try again soon, or another replica"),
        )),
    };
    answer.unwrap_or_else(|fault| of_fault(&fault))
}

fn unauthorized() -> Response<MuxBody> {
    let what = "a token is needed: send it as `Authorization: Bearer TOKEN`";
    let mut response = text(StatusCode::UNAUTHORIZED, what);
    let bearer = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    response
}

/// What this replica is and has, as Go prints it.
fn about(shared: &Shared, leadership: &Leadership) -> Response<MuxBody> {
    let leads = matches!(leadership, Leadership::Leading { .. });
    let about = json!({"Leader": leads, "Plugins": shared.backend.plugins()});
    let mut response = Response::new(whole(gojson::indented(&about, "", "")));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn to_plugin(
    shared: &Shared,
    mut request: Request<MuxBody>,
) -> Result<Response<MuxBody>, MuxFault> {
    let Some((plugin, rest)) = split(request.uri()) else {
        return Ok(text(StatusCode::NOT_FOUND, "expected /PLUGIN/ or OPTIONS /"));
    };
    *request.uri_mut() = rest;
    // The token is for this port; plugins have no use for it and may log what they get.
    if shared.token.is_some() {
        request.headers_mut().remove(header::AUTHORIZATION);
    }
    request.headers_mut().remove(leader::FORWARDED);
    // Leaders call plugins, not clients of this port.
    request.headers_mut().remove(fence::HEADER);
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("h"));
    shared.backend.forward(&plugin, request).await
}

/// `/plugin/a/b?q` → `plugin` and `/a/b?q`.
fn split(uri: &Uri) -> Option<(String, Uri)> {
    let path = uri.path().strip_prefix('/')?;
    let (plugin, rest) = path.split_once('/').unwrap_or((path, ""));
    if plugin.is_empty() {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let rest: PathAndQuery = format!("/{rest}{query}").parse().ok()?;
    Some((plugin.to_owned(), Uri::from(rest)))
}

fn announced_bytes(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

fn of_fault(fault: &MuxFault) -> Response<MuxBody> {
    let code = match fault {
        // As the original: the status and nothing else.
        MuxFault::NoPlugin(_) => {
            let mut response = Response::new(whole(""));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return response;
        }
        MuxFault::Unreachable { .. } => StatusCode::BAD_GATEWAY,
        MuxFault::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        MuxFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        MuxFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
    };
    let mut response = text(code, &fault.to_string());
    if matches!(fault, MuxFault::TooLarge | MuxFault::TooSlow) {
        // What is left of the body is not worth reading.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A plain answer with a text.
pub(super) fn text(code: StatusCode, text: &str) -> Response<MuxBody> {
    let mut response = Response::new(whole(format!("{text}\n")));
    *response.status_mut() = code;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_first_element_is_the_plugin() {
        for (uri, expected) in [
            ("/vars/", Some(("vars", "/"))),
            ("/vars", Some(("vars", "/"))),
            ("/vars/events?topic=a/b", Some(("vars", "/events?topic=a/b"))),
            ("/vars//x", Some(("vars", "//x"))),
            ("http://h/vars/x", Some(("vars", "/x"))),
            ("/", None),
            ("//x", None),
        ] {
            let found = split(&uri.parse().expect(uri));
            let found = found.map(|(plugin, rest)| (plugin, rest.to_string()));
            let expected = expected.map(|(plugin, rest)| (plugin.to_owned(), rest.to_owned()));
            assert_eq!(found, expected, "{uri}");
        }
    }
}
