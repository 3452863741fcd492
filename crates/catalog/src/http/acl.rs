//! `/v1/acl/`: tokens, for who holds a management token. Policies of their own do not exist: a
//! token has its rules in itself, or is a management token.
//!
//! Secrets are stored as hashes: only the answer to a creation shows one.

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::reply::{HttpError, Outcome};
use super::{Acl, decode};
use crate::machine::Command;
use crate::model::{Policy, SessionId, Token, rules};
use crate::query;

/// Name of Consul's policy that allows everything.
const MANAGEMENT: &str = "global-management";
/// Shortest secret that may be chosen, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// Longest secret and description, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PolicyBody {
    #[serde(rename = "ID")]
    id: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct TokenBody {
    #[serde(rename = "AccessorID")]
    accessor_id: String,
    #[serde(rename = "SecretID")]
    secret_id: String,
    description: String,
    policies: Vec<PolicyBody>,
    rules: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyShape {
    #[serde(rename = "ID")]
    id: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TokenShape<'t> {
    #[serde(rename = "AccessorID")]
    accessor_id: &'t str,
    #[serde(rename = "SecretID", skip_serializing_if = "Option::is_none")]
    secret_id: Option<&'t str>,
    description: &'t str,
    policies: Vec<PolicyShape>,
    rules: String,
    local: bool,
}

impl<'t> TokenShape<'t> {
    fn of(token: &'t Token, secret: Option<&'t str>) -> Self {
        let (policies, rules) = match &token.policy {
            Policy::Management => {
                let id = "00000000-0000-0000-0000-000000000001";
                (vec![PolicyShape { id, name: MANAGEMENT }], String::new())
            }
            Policy::Rules(list) => (Vec::new(), rules::print(list)),
        };
        Self {
            accessor_id: &token.id,
            secret_id: secret,
            description: &token.description,
            policies,
            rules,
            local: false,
        }
    }
}

impl TokenBody {
    fn policy(&self) -> Result<Policy, HttpError> {
        let named = |policy: &PolicyBody| {
            policy.name == MANAGEMENT || policy.id == "00000000-0000-0000-0000-000000000001"
        };
        match (self.policies.as_slice(), self.rules.as_str()) {
            ([policy], "") if named(policy) => Ok(Policy::Management),
            ([], text) => {
                let rules = rules::parse(text);
                Ok(Policy::Rules(rules.map_err(|error| HttpError::bad(error.to_string()))?))
            }
            _ => Err(HttpError::bad(format!(
                "a token has Rules, or the policy {MANAGEMENT} alone; other policies do not exist \
                 here"
            ))),
        }
    }

    fn check(&self) -> Result<(), HttpError> {
        let secret = self.secret_id.len();
        if secret > 0 && !(SECRET_BYTES_MIN..=TEXT_BYTES_MAX).contains(&secret) {
            return Err(HttpError::bad(format!(
                "SecretID: use {SECRET_BYTES_MIN} to {TEXT_BYTES_MAX} bytes, or none to have one \
                 made"
            )));
        }
        if self.description.len() > TEXT_BYTES_MAX {
            return Err(HttpError::bad(format!("Description: use {TEXT_BYTES_MAX} bytes at most")));
        }
        Ok(())
    }
}

pub(super) async fn handle(call: &Call) -> Outcome {
    if call.shared.options.acl == Acl::Off {
        return Err(HttpError::new(StatusCode::UNAUTHORIZED, "ACL support disabled"));
    }
    let path = call.tail.trim_end_matches('/');
    let below = path.strip_prefix("token/");
    match (&call.method, path, below) {
        (&Method::PUT, "token", _) => create(call).await,
        (&Method::GET, "tokens", _) => list(call).await,
        (&Method::GET, _, Some("self")) => own(call).await,
        (&Method::GET, _, Some(id)) => show(call, id).await,
        (&Method::DELETE, _, Some(id)) => remove(call, id).await,
        _ => Err(HttpError::not_done(
            "of the ACL endpoints these are carried out here: PUT /v1/acl/token, GET \
             /v1/acl/tokens, GET /v1/acl/token/self, and GET and DELETE /v1/acl/token/ID",
        )),
    }
}

async fn create(call: &Call) -> Outcome {
    call.allow_management().await?;
    let body: TokenBody = decode::body(&call.body)?;
    body.check()?;
    let fresh = |given: &str| match given {
        "" => SessionId::random().to_string(),
        given => given.to_owned(),
    };
    let secret = fresh(&body.secret_id);
    let token = Token {
        id: fresh(&body.accessor_id),
        description: body.description.clone(),
        secret_hash: Sha256::digest(secret.as_bytes()).into(),
        policy: body.policy()?,
    };
    call.client().execute(&Command::PutToken(token.clone())).await?;
    call.json(&TokenShape::of(&token, Some(&secret)))
}

async fn list(call: &Call) -> Outcome {
    call.allow_management().await?;
    let (meta, tokens) = call.ask(&query::sessions::tokens()).await?;
    let shapes: Vec<_> = tokens.iter().map(|token| TokenShape::of(token, None)).collect();
    Ok(call.json(&shapes)?.meta(meta))
}

async fn found(call: &Call, id: &str) -> Result<Token, HttpError> {
    let (_, tokens) = call.ask(&query::sessions::tokens()).await?;
    let token = tokens.into_iter().find(|token| token.id == id);
    token.ok_or_else(|| HttpError::new(StatusCode::FORBIDDEN, "ACL not found"))
}

async fn show(call: &Call, id: &str) -> Outcome {
    call.allow_management().await?;
    call.json(&TokenShape::of(&found(call, id).await?, None))
}

/// The caller's own token, without its secret. The management token of this node's command line is
/// none of the catalog's.
async fn own(call: &Call) -> Outcome {
    match call.own_token().await? {
        Some(token) => call.json(&TokenShape::of(&token, None)),
        None => Err(HttpError::new(StatusCode::FORBIDDEN, "ACL not found")),
    }
}

async fn remove(call: &Call, id: &str) -> Outcome {
    call.allow_management().await?;
    call.client().execute(&Command::RemoveToken(id.to_owned())).await?;
    call.json(&true)
}
