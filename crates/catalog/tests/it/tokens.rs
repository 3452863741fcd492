//! Tokens: who may do what, and what is no token.

use regrow_catalog::http::{Acl, HttpOptions};
use regrow_catalog::machine::Command;
use regrow_catalog::model::{Access, Policy, Resource, Rule, Token};
use sha2::{Digest as _, Sha256};

use crate::client::{get, send};
use crate::world::{World, catalog};

fn token(id: &str, secret: &str, policy: Policy) -> Command {
    Command::PutToken(Token {
        id: id.to_owned(),
        description: String::new(),
        secret_hash: Sha256::digest(secret.as_bytes()).into(),
        policy,
    })
}

async fn world(default: Access) -> World {
    let catalog = catalog().await;
    let rule = Rule { resource: Resource::Key, prefix: "app/".into(), access: Access::Write };
    let tokens = [
        token("root", "s3cret", Policy::Management),
        token("app", "app", Policy::Rules(vec![rule])),
    ];
    for token in tokens {
        catalog.client().execute(&token).await.expect("a token");
    }
    let acl = Acl::On { default };
    World::with(catalog, HttpOptions { acl, ..HttpOptions::default() }).await
}

#[tokio::test]
async fn tokens_open_what_their_rules_say() {
    let world = world(Access::Deny).await;
    let put = async |key: &str, headers: &[(&str, &str)]| {
        let answer = send(world.address, "PUT", &format!("/v1/kv/{key}"), headers, "1").await;
        (answer.status.as_u16(), answer.text())
    };
    let denied = (403, "Permission denied".to_owned());
    let unknown = (403, "ACL not found".to_owned());
    let done = (200, "true".to_owned());
    assert_eq!(put("app/a", &[]).await, denied);
    assert_eq!(put("app/a", &[("X-Consul-Token", "nope")]).await, unknown);
    assert_eq!(put("app/a", &[("X-Consul-Token", "app")]).await, done);
    assert_eq!(put("app/a", &[("Authorization", "Bearer app")]).await, done);
    assert_eq!(put("other", &[("X-Consul-Token", "app")]).await, denied);
    assert_eq!(put("other?token=s3cret", &[("X-Consul-Token", "app")]).await, done);
    // The login of a proxy in front is no token of ours.
    assert_eq!(put("app/a", &[("Authorization", "Basic YXBwOmFwcA==")]).await, denied);
}

#[tokio::test]
async fn every_endpoint_with_data_asks_for_a_token() {
    let world = world(Access::Deny).await;
    let paths = [
        "/v1/agent/self",
        "/v1/agent/members",
        "/v1/agent/services",
        "/v1/agent/checks",
        "/v1/agent/service/x",
        "/v1/agent/health/service/id/x",
        "/v1/agent/health/service/name/x",
        "/v1/catalog/services",
        "/v1/catalog/service/web",
        "/v1/catalog/nodes",
        "/v1/catalog/node/n1",
        "/v1/health/service/web",
        "/v1/health/checks/web",
        "/v1/health/node/n1",
        "/v1/health/state/any",
        "/v1/kv/a",
        "/v1/kv/?keys",
        "/v1/kv/?recurse",
        "/v1/session/list",
        "/v1/session/node/n1",
        "/v1/event/list",
        "/v1/operator/raft/configuration",
    ];
    for path in paths {
        let answer = get(world.address, path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        let answer = send(world.address, "GET", path, &[("X-Consul-Token", "s3cret")], "").await;
        assert!(answer.status == 200 || answer.status == 404, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn without_a_token_the_default_decides() {
    let world = world(Access::Read).await;
    assert_eq!(get(world.address, "/v1/kv/a").await.status, 404);
    assert_eq!(send(world.address, "PUT", "/v1/kv/a", &[], "1").await.status, 403);
}

#[tokio::test]
async fn a_removed_token_opens_nothing() {
    let world = world(Access::Deny).await;
    let remove = Command::RemoveToken("root".to_owned());
    world.catalog.client().execute(&remove).await.expect("removed");
    let answer = send(world.address, "GET", "/v1/kv/a?token=s3cret", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (403, "ACL not found"));
}
