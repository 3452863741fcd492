//! Which path is answered by whom, with which methods.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::call::Call;
use super::params::{Params, percent_decoded};
use super::reply::{HttpError, Outcome, Reply, TEXT};
use super::{
    Shared, acl, agent_checks, agent_health, agent_node, agent_services, body, catalog, event,
    health, kv, rest, session, txn,
};

/// Methods that a path takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Get,
    Put,
    /// PUT; GET too, for clients older than 1.0.
    PutOrGet,
    GetPutDelete,
    /// Any: the answer is the same.
    Any,
}

impl Takes {
    /// As the `Allow` header says it.
    pub(super) const fn named(self) -> &'static str {
        match self {
            Self::Get => "OPTIONS,GET",
            Self::Put | Self::PutOrGet => "OPTIONS,PUT",
            Self::GetPutDelete => "OPTIONS,GET,PUT,DELETE",
            Self::Any => "OPTIONS,GET,PUT,POST,DELETE",
        }
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Get => *method == Method::GET,
            Self::Put => *method == Method::PUT,
            Self::PutOrGet => *method == Method::PUT || *method == Method::GET,
            Self::GetPutDelete => [Method::GET, Method::PUT, Method::DELETE].contains(method),
            Self::Any => *method != Method::HEAD,
        }
    }
}

/// Declares who answers: paths that end with `/` stand for all that begin so. The longest wins.
macro_rules! routes {
    ($($path:literal $takes:ident => $handler:path;)*) => {
        /// Paths and methods.
        pub(super) const ROUTES: &[(&str, Takes)] = &[$(($path, Takes::$takes),)*];

        async fn handle(path: &str, call: Call) -> Outcome {
            match path {
                $($path => $handler(&call).await,)*
                _ => Err(HttpError::missing("")),
            }
        }
    };
}

routes! {
    "/v1/acl/" Any => acl::handle;
    "/v1/agent/check/deregister/" PutOrGet => agent_checks::deregister;
    "/v1/agent/check/fail/" PutOrGet => agent_checks::fail;
    "/v1/agent/check/pass/" PutOrGet => agent_checks::pass;
    "/v1/agent/check/register" Put => agent_checks::register;
    "/v1/agent/check/update/" Put => agent_checks::update;
    "/v1/agent/check/warn/" PutOrGet => agent_checks::warn;
    "/v1/agent/checks" Get => agent_checks::list;
    "/v1/agent/force-leave/" Put => agent_node::force_leave;
    "/v1/agent/health/service/id/" Get => agent_health::by_id;
    "/v1/agent/health/service/name/" Get => agent_health::by_name;
    "/v1/agent/host" Get => rest::not_done;
    "/v1/agent/join/" Put => agent_node::join;
    "/v1/agent/leave" Put => agent_node::leave;
    "/v1/agent/maintenance" Put => agent_node::maintenance;
    "/v1/agent/members" Get => agent_node::members;
    "/v1/agent/metrics" Get => rest::not_done;
    "/v1/agent/monitor" Get => rest::not_done;
    "/v1/agent/reload" Put => agent_node::reload;
    "/v1/agent/self" Get => agent_node::own;
    "/v1/agent/service/" Get => agent_services::show;
    "/v1/agent/service/deregister/" PutOrGet => agent_services::deregister;
    "/v1/agent/service/maintenance/" Put => agent_services::maintenance;
    "/v1/agent/service/register" Put => agent_services::register;
    "/v1/agent/services" Get => agent_services::list;
    "/v1/agent/token/" Put => rest::agent_token;
    "/v1/catalog/datacenters" Get => catalog::datacenters;
    "/v1/catalog/deregister" Put => catalog::deregister;
    "/v1/catalog/node/" Get => catalog::node;
    "/v1/catalog/nodes" Get => catalog::nodes;
    "/v1/catalog/register" Put => catalog::register;
    "/v1/catalog/service/" Get => catalog::service;
    "/v1/catalog/services" Get => catalog::services;
    "/v1/coordinate/datacenters" Get => rest::coordinates;
    "/v1/coordinate/nodes" Get => rest::coordinates;
    "/v1/event/fire/" Put => event::fire;
    "/v1/event/list" Get => event::list;
    "/v1/health/checks/" Get => health::checks;
    "/v1/health/node/" Get => health::node;
    "/v1/health/service/" Get => health::service;
    "/v1/health/state/" Get => health::state;
    "/v1/kv/" GetPutDelete => kv::handle;
    "/v1/operator/autopilot/configuration" Any => rest::not_done;
    "/v1/operator/autopilot/health" Get => rest::not_done;
    "/v1/operator/keyring" Any => rest::not_done;
    "/v1/operator/raft/configuration" Get => rest::raft_configuration;
    "/v1/operator/raft/peer" Any => rest::not_done;
    "/v1/query" Any => rest::not_done;
    "/v1/query/" Any => rest::not_done;
    "/v1/session/create" PutOrGet => session::create;
    "/v1/session/destroy/" PutOrGet => session::destroy;
    "/v1/session/info/" Get => session::info;
    "/v1/session/list" Get => session::list;
    "/v1/session/node/" Get => session::of_node;
    "/v1/session/renew/" PutOrGet => session::renew;
    "/v1/snapshot" Any => rest::not_done;
    "/v1/status/leader" Get => rest::leader;
    "/v1/status/peers" Get => rest::peers;
    "/v1/txn" Put => txn::handle;
}

/// Answers one request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let reply = route(shared, request).await.unwrap_or_else(HttpError::into_reply);
    Ok(reply.into_response())
}

async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Outcome {
    let (head, incoming) = request.into_parts();
    if shared.options.logins.as_ref().is_some_and(|logins| !logins.admit(&head.headers)) {
        let reply = Reply::body(TEXT, "log in with a name and a password");
        let reply = reply.status(StatusCode::UNAUTHORIZED).header("Connection", "close");
        return Ok(reply.header("WWW-Authenticate", "Basic realm=\"catalog\""));
    }
    let unprintable = || HttpError::bad("");
    let path = percent_decoded(head.uri.path()).ok_or_else(unprintable)?;
    if path.chars().any(char::is_control) {
        return Err(unprintable());
    }
    let clean = cleaned(&path);
    if clean != path {
        return Ok(moved(&clean, head.uri.query(), &head.method));
    }
    if path == "/" {
        return Ok(Reply::body(TEXT, "Consul Agent"));
    }
    let found = ROUTES
        .iter()
        .filter(|(route, _)| path == *route || (route.ends_with('/') && path.starts_with(route)))
        .max_by_key(|(route, _)| route.len());
    let Some((route, takes)) = found else { return Err(HttpError::missing("")) };
    if head.method == Method::OPTIONS {
        return Ok(Reply::empty().header("Allow", takes.named()));
    }
    if !takes.takes(&head.method) {
        let text = format!("method {} not allowed", head.method);
        let reply = Reply::body(TEXT, text).status(StatusCode::METHOD_NOT_ALLOWED);
        return Ok(reply.header("Allow", takes.named()));
    }
    let call = Call {
        shared,
        route,
        tail: path.get(route.len()..).unwrap_or_default().to_owned(),
        params: Params::parse(head.uri.query().unwrap_or_default()),
        body: body::read(incoming, &head.headers).await?,
        method: head.method,
        headers: head.headers,
    };
    handle(route, call).await
}

/// The path without double slashes and without `.` and `..`, as Go cleans it.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let slash = path.ends_with('/') && !parts.is_empty();
    format!("/{}{}", parts.join("/"), if slash { "/" } else { "" })
}

fn moved(clean: &str, query: Option<&str>, method: &Method) -> Reply {
    let mut target = String::new();
    for byte in clean.bytes() {
        match byte {
            b'!' | b'$' | b'&'..=b';' | b'=' | b'@'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => {
                target.push(char::from(byte));
            }
            byte => target.push_str(&format!("%{byte:02X}")),
        }
    }
    if let Some(query) = query {
        target = format!("{target}?{query}");
    }
    let reply = match *method {
        Method::GET => {
            let text = target.replace('&', "&amp;").replace('"', "&#34;").replace('<', "&lt;");
            let page = format!("<a href=\"{text}\">Moved Permanently</a>.\n\n");
            Reply::body("text/html; charset=utf-8", page)
        }
        _ => Reply::empty(),
    };
    reply.status(StatusCode::MOVED_PERMANENTLY).header("Location", target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        let cases = [
            ("/v1/kv/a", "/v1/kv/a"),
            ("/v1/kv/a/", "/v1/kv/a/"),
            ("/v1/kv//a", "/v1/kv/a"),
            ("//v1/kv/a//", "/v1/kv/a/"),
            ("/v1/./kv/../x", "/v1/x"),
            ("/", "/"),
            ("/..", "/"),
        ];
        for (path, clean) in cases {
            assert_eq!(cleaned(path), clean, "{path}");
        }
    }

    #[test]
    fn no_route_stands_twice() {
        for (at, (route, _)) in ROUTES.iter().enumerate() {
            assert!(ROUTES[at + 1..].iter().all(|(other, _)| other != route), "{route}");
        }
    }
}
