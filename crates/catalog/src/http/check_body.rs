//! Checks as requests define them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::call::Call;
use super::decode::Span;
use super::reply::HttpError;
use crate::model::{CheckDefinition, CheckSpec, Status};

/// Shortest time after which a critical service goes away.
const DEREGISTER_MIN: Duration = Duration::from_secs(60);

/// A check inside a service, or by itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct CheckBody {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "CheckID", alias = "check_id")]
    pub check_id: String,
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "Status")]
    pub status: String,
    #[serde(rename = "Notes")]
    pub notes: String,
    #[serde(rename = "Output")]
    pub output: String,
    #[serde(rename = "ServiceID", alias = "service_id")]
    pub service_id: String,
    #[serde(rename = "TTL")]
    ttl: Span,
    #[serde(rename = "HTTP")]
    http: String,
    #[serde(rename = "Method")]
    method: String,
    #[serde(rename = "Header")]
    header: BTreeMap<String, Vec<String>>,
    #[serde(rename = "Body")]
    body: String,
    #[serde(rename = "TLSSkipVerify", alias = "tls_skip_verify")]
    tls_skip_verify: bool,
    #[serde(rename = "TCP")]
    tcp: String,
    #[serde(rename = "GRPC")]
    grpc: String,
    #[serde(rename = "GRPCUseTLS", alias = "grpc_use_tls")]
    grpc_use_tls: bool,
    #[serde(rename = "Args")]
    args: Vec<String>,
    #[serde(rename = "ScriptArgs", alias = "script_args")]
    script_args: Vec<String>,
    #[serde(rename = "Script")]
    script: String,
    #[serde(rename = "DockerContainerID", alias = "docker_container_id")]
    docker_container_id: String,
    #[serde(rename = "Shell")]
    shell: String,
    #[serde(rename = "Interval")]
    interval: Span,
    #[serde(rename = "Timeout")]
    timeout: Span,
    #[serde(
        rename = "DeregisterCriticalServiceAfter",
        alias = "deregister_critical_service_after"
    )]
    deregister_after: Span,
    /// How it finds out, in the form in which the catalog lists checks.
    #[serde(rename = "Definition")]
    listed: Option<Box<CheckBody>>,
}

fn given(span: Span) -> Option<Duration> {
    Some(span.0).filter(|duration| !duration.is_zero())
}

/// A status; the text is what is said about a bad one. None given is none.
pub(super) fn status(text: &str, bad: &str) -> Result<Option<Status>, HttpError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|()| HttpError::bad(bad)),
    }
}

impl CheckBody {
    /// Whether nothing is said: a check that nobody meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same of a check that is entered in the catalog: nobody runs it, so nobody would miss its
    /// heartbeats.
    pub fn listed_definition(&self) -> CheckDefinition {
        let definition = self.listed.as_deref().unwrap_or(self).definition();
        CheckDefinition { ttl: None, ..definition }
    }

    /// What finds out the status.
    pub fn definition(&self) -> CheckDefinition {
        let args = match (&self.args, &self.script_args, self.script.as_str()) {
            (args, _, _) if !args.is_empty() => args.clone(),
            (_, args, "") => args.clone(),
            (_, _, script) => ["/bin/sh", "-c", script].map(str::to_owned).into(),
        };
        CheckDefinition {
            ttl: given(self.ttl),
            http: self.http.clone(),
            method: self.method.clone(),
            header: self.header.clone(),
            body: self.body.clone(),
            tls_skip_verify: self.tls_skip_verify,
            tcp: self.tcp.clone(),
            grpc: self.grpc.clone(),
            grpc_use_tls: self.grpc_use_tls,
            args,
            docker_container_id: self.docker_container_id.clone(),
            shell: self.shell.clone(),
            interval: given(self.interval),
            timeout: given(self.timeout),
            deregister_critical_after: given(self.deregister_after)
                .map(|after| after.max(DEREGISTER_MIN)),
        }
    }

    /// The check under an id and a name, if it makes sense.
    pub fn spec(&self, call: &Call, id: String, name: String) -> Result<CheckSpec, HttpError> {
        let definition = self.definition();
        if !definition.docker_container_id.is_empty() {
            return Err(HttpError::not_done(
                "checks inside of containers are not carried out here: this agent does not talk to \
                 a container engine; use an HTTP, TCP, gRPC or TTL check",
            ));
        }
        validate(&definition).map_err(|why| HttpError::bad(format!("Invalid check: {why}")))?;
        if !definition.args.is_empty() && !call.shared.options.script_checks {
            return Err(HttpError::internal(
                "Scripts are disabled on this agent; to enable, start it with \
                 --enable-script-checks",
            ));
        }
        let status = status(&self.status, "Bad check status")?;
        Ok(CheckSpec {
            id,
            name,
            notes: self.notes.clone(),
            service_id: self.service_id.clone(),
            status,
            output: status.map(|_| self.output.clone()),
            definition,
        })
    }
}

fn validate(definition: &CheckDefinition) -> Result<(), &'static str> {
    let asks = !definition.args.is_empty()
        || !definition.http.is_empty()
        || !definition.tcp.is_empty()
        || !definition.grpc.is_empty();
    match (definition.interval, definition.ttl) {
        (Some(_), Some(_)) => Err("Interval and TTL cannot both be specified"),
        (None, _) if asks => Err("Interval must be > 0 for Script, HTTP, or TCP checks"),
        (_, None) if !asks => Err("TTL must be > 0 for TTL checks"),
        _ => Ok(()),
    }
}
