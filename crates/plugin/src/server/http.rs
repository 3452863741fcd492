use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::Shared;
use super::body::{self, Unread};
use super::guarded::Phase;
use super::payload::Payload;
use super::{browser, rpc, sse};
use crate::fence::{self, BadMandate, Mandate};
use crate::wire::Api;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers one request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    phase: Arc<Phase>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Infallible> {
    let busy = phase.serve();
    let mut response = route(&shared, request).await;
    if *shared.crowded.borrow() {
        // Others wait to be accepted: whoever was served makes room.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|payload| payload.holding(busy)))
}

async fn route(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Payload> {
    if let Some(reason) = browser::refusal(&shared.endpoint, &request) {
        return status(StatusCode::FORBIDDEN, &format!("rpc: {reason}"));
    }
    let path = request.uri().path();
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "/" if *request.method() == Method::POST => call(shared, request).await,
        "/" => {
            let method = request.method();
            let text = format!("rpc: POST method required, received {method}");
            status(StatusCode::METHOD_NOT_ALLOWED, &text)
        }
        "/info/api.json" if get => json(&Api::of(&shared.plugin)),
        "/info/functions.json" if get => json(&shared.plugin.functions()),
        "/events" if get => sse::subscribe(shared, request.uri().query().unwrap_or("")).await,
        "/info/api.json" | "/info/functions.json" | "/events" => status(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("{path}: GET method required, received {}", request.method()),
        ),
        _ => status(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

async fn call(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Payload> {
    if let Some(refusal) = refuse_type(&request) {
        return refusal;
    }
    let mandate = match mandate(&request) {
        Ok(mandate) => mandate,
        Err(bad) => return status(StatusCode::BAD_REQUEST, &format!("rpc: {bad}")),
    };
    let asks_first = request.headers().contains_key(header::EXPECT);
    let (status_code, text) = match body::read(shared, request.into_body(), asks_first).await {
        Ok(read) => {
            let answer = rpc::answer(shared, mandate, read).await;
            let mut response = Response::new(Payload::whole(answer));
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            return response;
        }
        Err(Unread::TooLarge) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "rpc: the request body is larger than {} bytes; send less",
                shared.limits.max_body_bytes
            ),
        ),
        Err(Unread::TooSlow) => {
            (StatusCode::REQUEST_TIMEOUT, "rpc: the request body did not arrive in time".to_owned())
        }
        Err(Unread::Broken(error)) => {
            (StatusCode::BAD_REQUEST, format!("rpc: read the request body: {error}"))
        }
    };
    let mut response = status(status_code, &text);
    // What is left of the body is not worth reading.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Under whose leadership a request comes, when it says so.
fn mandate(request: &Request<Incoming>) -> Result<Option<Mandate>, BadMandate> {
    let Some(value) = request.headers().get(fence::HEADER) else { return Ok(None) };
    String::from_utf8_lossy(value.as_bytes()).parse().map(Some)
}

/// Refuses bodies that say they are something else than JSON; saying nothing is fine.
fn refuse_type(request: &Request<Incoming>) -> Option<Response<Payload>> {
    let bytes = request.headers().get(header::CONTENT_TYPE)?.as_bytes();
    let text = String::from_utf8_lossy(bytes);
    let kind = text.split(';').next().unwrap_or("").trim();
    if kind.is_empty() || kind.eq_ignore_ascii_case("application/json") {
        return None;
    }
    let text = format!("rpc: unrecognized Content-Type: {kind}");
    Some(status(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text))
}

/// A plain answer with a text, ending in a newline.
pub(super) fn status(code: StatusCode, text: &str) -> Response<Payload> {
    let mut response = Response::new(Payload::whole(format!("{text}\n")));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}

fn json<T: serde::Serialize>(value: &T) -> Response<Payload> {
    match serde_json::to_vec(value) {
        Ok(mut text) => {
            text.push(b'\n');
            let mut response = Response::new(Payload::whole(text));
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response
        }
        Err(fault) => status(StatusCode::INTERNAL_SERVER_ERROR, &format!("encode: {fault}")),
    }
}
