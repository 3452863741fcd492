//! One request on its way to its handler.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method, header};
use regrow_consensus::Consistency;
use regrow_ids::GoDuration;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::params::Params;
use super::reply::{HttpError, JSON, Meta, Outcome, Reply};
use super::{Acl, Shared, filter};
use crate::agent::Agent;
use crate::machine::{Entry, KvOp, KvVerb, TxnOp};
use crate::model::{Access, Check, Policy, Resource, Token};
use crate::query::{self, Client, Read, ReadOptions};

/// A request, read and decoded.
pub(super) struct Call {
    pub shared: Arc<Shared>,
    pub method: Method,
    /// Path of the route; one that ends with `/` stands for all that begin so.
    pub route: &'static str,
    /// What stands behind the route's own path, decoded.
    pub tail: String,
    pub params: Params,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn client(&self) -> &Client {
        self.shared.catalog.client()
    }

    pub fn agent(&self) -> &Agent {
        self.shared.catalog.agent()
    }

    /// The tail, or a refusal with this text where there is none.
    pub fn named(&self, missing: HttpError) -> Result<&str, HttpError> {
        if self.tail.is_empty() { Err(missing) } else { Ok(&self.tail) }
    }

    /// Refuses other data centers.
    pub fn check_datacenter(&self) -> Result<(), HttpError> {
        let wanted = self.params.get("dc");
        if wanted.is_empty() || wanted == self.agent().options().datacenter {
            return Ok(());
        }
        Err(HttpError::internal("No path to datacenter"))
    }

    /// How the data is asked for.
    pub fn read_options(&self) -> Result<ReadOptions, HttpError> {
        let mut options =
            ReadOptions { consistency: self.consistency()?, ..ReadOptions::default() };
        let index = self.params.get("index");
        if !index.is_empty() {
            options.index = index.parse().map_err(|_| HttpError::bad("Invalid index"))?;
        }
        let wait = self.params.get("wait");
        if !wait.is_empty() {
            let wait: GoDuration = wait.parse().map_err(|_| HttpError::bad("Invalid wait time"))?;
            if !wait.is_zero() {
                options.wait = Duration::from(wait);
            }
        }
        Ok(options)
    }

    pub fn consistency(&self) -> Result<Consistency, HttpError> {
        match (self.params.has("stale"), self.params.has("consistent")) {
            (true, true) => Err(HttpError::bad(
                "Cannot specify ?stale with ?consistent, conflicting semantics.",
            )),
            (true, false) => Ok(Consistency::Stale),
            (false, true) => Ok(Consistency::Linearizable),
            (false, false) => Ok(Consistency::Lease),
        }
    }

    /// Asks, as the parameters say.
    pub async fn ask<T>(&self, read: &Read<T>) -> Result<(Meta, T), HttpError> {
        self.check_datacenter()?;
        let options = self.read_options()?;
        Ok(Meta::of(self.client().ask(read, &options).await?))
    }

    /// Asks what this node has, when there is a leader or none: for the agent's own answers.
    pub async fn ask_locally<T>(&self, read: &Read<T>) -> Result<T, HttpError> {
        let options = ReadOptions::default();
        match self.client().ask(read, &options).await {
            Ok(answer) => Ok(answer.value),
            Err(_) => Ok(self.client().ask(read, &ReadOptions::stale()).await?.value),
        }
    }

    /// 200 with JSON; indented where asked for.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Outcome {
        let encoded = if self.params.has("pretty") {
            let mut text = Vec::new();
            let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut printer = serde_json::Serializer::with_formatter(&mut text, indent);
            value.serialize(&mut printer).map(|()| {
                text.push(b'\n');
                text
            })
        } else {
            serde_json::to_vec(value)
        };
        let encoded = encoded.map_err(|error| HttpError::internal(format!("encode: {error}")))?;
        Ok(Reply::body(JSON, encoded))
    }

    /// A list of items, those that `?filter=` picks.
    pub fn filtered<T: Serialize>(&self, items: &[T]) -> Outcome {
        let expression = self.params.get("filter");
        if expression.is_empty() {
            return self.json(items);
        }
        let filter = filter::parse(expression)?;
        let mut picked = Vec::new();
        for item in items {
            let item = serde_json::to_value(item)
                .map_err(|error| HttpError::internal(format!("encode: {error}")))?;
            if filter.picks(&item)? {
                picked.push(item);
            }
        }
        self.json(&picked)
    }

    /// The token: of the query, else of `X-Consul-Token`, else a bearer's. Basic authentication is
    /// somebody else's and no token.
    fn token(&self) -> Option<&str> {
        let of_query = Some(self.params.get("token")).filter(|token| !token.is_empty());
        let header = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let of_header =
            || header(header::HeaderName::from_static("x-consul-token")).filter(|t| !t.is_empty());
        let bearer = || {
            let (scheme, token) = header(header::AUTHORIZATION)?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        };
        of_query.or_else(of_header).or_else(bearer)
    }

    /// The token of the catalog that was shown, `None` for the management token of this node.
    pub async fn own_token(&self) -> Result<Option<Token>, HttpError> {
        let Some(secret) = self.token() else { return Ok(None) };
        // Found by the hash of what was sent: how long that takes says nothing about the secrets
        // that are stored.
        let read = query::sessions::token(Sha256::digest(secret.as_bytes()).into());
        self.ask_locally(&read).await
    }

    /// What the request may do, as its token says.
    pub async fn rights(&self) -> Result<Rights, HttpError> {
        let Acl::On { default, management } = self.shared.options.acl else {
            return Ok(Rights { policy: Policy::Management, default: Access::Write });
        };
        let Some(secret) = self.token() else {
            return Ok(Rights { policy: Policy::Rules(Vec::new()), default });
        };
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        if management.is_some_and(|management| bool::from(management.ct_eq(&hash))) {
            return Ok(Rights { policy: Policy::Management, default });
        }
        let unknown = || HttpError::new(hyper::StatusCode::FORBIDDEN, "ACL not found");
        let token = self.own_token().await?.ok_or_else(unknown)?;
        Ok(Rights { policy: token.policy, default })
    }

    /// Refuses what the token does not allow.
    pub async fn allow(
        &self,
        resource: Resource,
        name: &str,
        wanted: Access,
    ) -> Result<(), HttpError> {
        granted(self.rights().await?.may(resource, name, wanted))
    }

    /// Refuses who has no management token.
    pub async fn allow_management(&self) -> Result<(), HttpError> {
        granted(self.rights().await?.policy == Policy::Management)
    }

    /// Access to a key.
    pub async fn allow_key(&self, key: &str, wanted: Access) -> Result<(), HttpError> {
        self.allow(Resource::Key, key, wanted).await
    }

    /// Access to something of this agent's node.
    pub async fn allow_agent(&self, wanted: Access) -> Result<(), HttpError> {
        self.allow(Resource::Agent, &self.agent().options().node_name, wanted).await
    }
}

fn granted(allowed: bool) -> Result<(), HttpError> {
    if allowed { Ok(()) } else { Err(HttpError::forbidden()) }
}

/// What a request may do.
pub(super) struct Rights {
    policy: Policy,
    default: Access,
}

impl Rights {
    pub fn may(&self, resource: Resource, name: &str, wanted: Access) -> bool {
        self.policy.allows(resource, name, wanted, self.default)
    }

    pub fn read(&self, resource: Resource, name: &str) -> bool {
        self.may(resource, name, Access::Read)
    }

    /// Access to a key as a deed on it needs it; to all keys below it for a deed on a tree.
    pub fn may_do(&self, op: &KvOp) -> bool {
        let wanted = if op.verb.only_reads() { Access::Read } else { Access::Write };
        match op.verb {
            KvVerb::GetTree | KvVerb::DeleteTree => {
                self.policy.allows_under(Resource::Key, &op.key, wanted, self.default)
            }
            _ => self.may(Resource::Key, &op.key, wanted),
        }
    }

    /// Access as a deed of a transaction needs it. What is on a node needs access to the node, and a
    /// service that is written to its name; results are looked at again when they are there.
    pub fn may_transact(&self, op: &TxnOp) -> bool {
        let (entry, wanted) = match op {
            TxnOp::Kv(op) => return self.may_do(op),
            TxnOp::Entry { entry, .. } => {
                (entry, if op.only_reads() { Access::Read } else { Access::Write })
            }
        };
        let of_service = match entry {
            Entry::Service { service, .. } if !service.name.is_empty() => {
                self.may(Resource::Service, &service.name, wanted)
            }
            _ => true,
        };
        of_service && self.may(Resource::Node, entry.node(), wanted)
    }

    /// A check is seen by who may see its node and its service.
    pub fn sees(&self, check: &Check) -> bool {
        self.read(Resource::Node, &check.node)
            && (check.service_id.is_empty() || self.read(Resource::Service, &check.service_name))
    }
}
