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
    let rule = Rule::prefix(Resource::Key, "app/", Access::Write);
    let tokens = [
        token("root", "s3cret", Policy::Management),
        token("app", "app", Policy::Rules(vec![rule])),
    ];
    for token in tokens {
        catalog.client().execute(&token).await.expect("a token");
    }
    let acl = Acl::On { default, management: Some(Sha256::digest(b"of the node").into()) };
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
        "/v1/kv/a",
        "/v1/session/node/n1",
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

#[tokio::test]
async fn lists_show_what_the_token_may_see() {
    use crate::machine::{node, service, ttl_check};
    use regrow_catalog::machine::{NodePart, Registration};
    let world = world(Access::Deny).await;
    let put = async |path: &str, body: &str| {
        let root = [("X-Consul-Token", "s3cret")];
        let answer = send(world.address, "PUT", path, &root, body.to_owned()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    };
    for key in ["app/a", "app/b/c", "other"] {
        put(&format!("/v1/kv/{key}"), "1").await;
    }
    for (name, of) in [("n1", "web"), ("n2", "web"), ("n2", "db")] {
        let registration = Registration {
            node: NodePart::Set(node(name)),
            service: Some(service(of, of)),
            checks: vec![ttl_check(of, of, 1000)],
            replace_checks: false,
        };
        let register = Command::Register(registration);
        world.catalog.client().execute(&register).await.expect("entered");
    }
    let rule = |resource, prefix: &str| Rule::prefix(resource, prefix, Access::Read);
    let rules = vec![
        rule(Resource::Key, "app/"),
        rule(Resource::Node, "n2"),
        rule(Resource::Service, "web"),
    ];
    let reader = token("reader", "reader", Policy::Rules(rules));
    world.catalog.client().execute(&reader).await.expect("a token");
    let cases = [
        ("/v1/kv/?keys", r#"["app/a","app/b/c"]"#, "[]"),
        ("/v1/kv/?keys&separator=/", r#"["app/"]"#, "[]"),
        ("/v1/catalog/services", r#"{"web":[]}"#, "{}"),
        ("/v1/session/list", "[]", "[]"),
        ("/v1/event/list", "[]", "[]"),
        ("/v1/catalog/node/n1", "null", "null"),
        ("/v1/health/node/n1", "[]", "[]"),
        ("/v1/health/service/db", "[]", "[]"),
    ];
    for (path, reader, nobody) in cases {
        let shown = send(world.address, "GET", path, &[("X-Consul-Token", "reader")], "").await;
        assert_eq!((shown.status.as_u16(), shown.text().as_str()), (200, reader), "{path}");
        let shown = get(world.address, path).await;
        assert_eq!((shown.status.as_u16(), shown.text().as_str()), (200, nobody), "{path}");
    }
    let counts = [
        ("/v1/kv/?recurse", 2),
        ("/v1/catalog/nodes", 1),
        ("/v1/catalog/service/web", 1),
        ("/v1/health/service/web", 1),
        ("/v1/health/checks/web", 1),
        ("/v1/health/node/n2", 1),
        ("/v1/health/state/any", 1),
    ];
    for (path, count) in counts {
        let shown = send(world.address, "GET", path, &[("X-Consul-Token", "reader")], "").await;
        assert_eq!(shown.json().as_array().map(Vec::len), Some(count), "{path}: {}", shown.text());
    }
    assert_eq!(get(world.address, "/v1/kv/?recurse").await.status, 404);
}

#[tokio::test]
async fn a_tree_is_deleted_by_who_may_delete_all_of_it() {
    let world = world(Access::Write).await;
    let rules = Policy::Rules(vec![Rule::prefix(Resource::Key, "app/kept/", Access::Read)]);
    let most = token("most", "most", rules);
    world.catalog.client().execute(&most).await.expect("a token");
    let ask = async |method: &str, path: &str, body: &str| {
        let token = [("X-Consul-Token", "most")];
        send(world.address, method, path, &token, body.to_owned()).await.status.as_u16()
    };
    assert_eq!(ask("PUT", "/v1/kv/app/a", "1").await, 200);
    assert_eq!(ask("DELETE", "/v1/kv/app/?recurse", "").await, 403);
    assert_eq!(ask("DELETE", "/v1/kv/?recurse", "").await, 403);
    let tree = r#"[{"KV":{"Verb":"delete-tree","Key":"app"}}]"#;
    assert_eq!(ask("PUT", "/v1/txn", tree).await, 403);
    let read = r#"[{"KV":{"Verb":"get-tree","Key":"app"}}]"#;
    assert_eq!(ask("PUT", "/v1/txn", read).await, 200);
    assert_eq!(ask("DELETE", "/v1/kv/app/a?recurse", "").await, 200);
    assert_eq!(get(world.address, "/v1/kv/app/a").await.status, 404);
}

#[tokio::test]
async fn a_rule_for_one_name_is_for_this_name_alone() {
    let world = world(Access::Deny).await;
    let ask = async |method: &str, path: &str, token: &str, body: &str| {
        let token = [("X-Consul-Token", token)];
        send(world.address, method, path, &token, body.to_owned()).await
    };
    let rules = r#"{"Rules":"key \"mode\" { policy = \"write\" } key_prefix \"mode\" { policy = \"read\" }"}"#;
    let made = ask("PUT", "/v1/acl/token", "s3cret", rules).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(
        made["Rules"],
        r#"{"key":{"mode":{"policy":"write"}},"key_prefix":{"mode":{"policy":"read"}}}"#
    );
    let secret = made["SecretID"].as_str().expect("a secret");
    assert_eq!(ask("PUT", "/v1/kv/mode", secret, "1").await.status, 200);
    assert_eq!(ask("PUT", "/v1/kv/mode/x", secret, "1").await.status, 403);
    assert_eq!(ask("GET", "/v1/kv/mode/x", secret, "").await.status, 404);
    assert_eq!(ask("GET", "/v1/kv/mod", secret, "").await.status, 403);
    assert_eq!(ask("DELETE", "/v1/kv/mode?recurse", secret, "").await.status, 403);
    let path = format!("/v1/acl/token/{}", made["AccessorID"].as_str().expect("an id"));
    assert_eq!(ask("GET", &path, "s3cret", "").await.json()["Rules"], made["Rules"]);
}

#[tokio::test]
async fn transactions_over_services_ask_for_the_node_and_the_name() {
    let world = world(Access::Deny).await;
    let rules = vec![
        Rule::prefix(Resource::Node, "n", Access::Write),
        Rule::prefix(Resource::Service, "web", Access::Write),
        Rule::prefix(Resource::Node, "seen", Access::Read),
    ];
    let poor = token("poor", "poor", Policy::Rules(rules));
    world.catalog.client().execute(&poor).await.expect("a token");
    let ask = async |token: &str, ops: &str| {
        let token = [("X-Consul-Token", token)];
        let answer = send(world.address, "PUT", "/v1/txn", &token, ops.to_owned()).await;
        (answer.status.as_u16(), answer)
    };
    let node = r#"[{"Node":{"Verb":"set","Node":{"Node":"NODE","Address":"10.0.0.1"}}}]"#;
    let service = r#"[{"Service":{"Verb":"set","Node":"NODE","Service":{"Service":"NAME"}}}]"#;
    let on = |node: &str, name: &str| service.replace("NODE", node).replace("NAME", name);
    for name in ["n7", "seen", "other"] {
        assert_eq!(ask("s3cret", &node.replace("NODE", name)).await.0, 200);
        assert_eq!(ask("s3cret", &on(name, "db")).await.0, 200);
    }
    assert_eq!(ask("poor", &node.replace("NODE", "n7")).await.0, 200);
    assert_eq!(ask("poor", &on("n7", "web")).await.0, 200);
    for denied in [
        node.replace("NODE", "other"),
        on("n7", "db"),
        on("seen", "web"),
        r#"[{"Check":{"Verb":"set","Check":{"Node":"seen","Name":"c"}}}]"#.to_owned(),
        r#"[{"Node":{"Verb":"delete","Node":{"Node":"seen"}}}]"#.to_owned(),
        r#"[{"Service":{"Verb":"delete","Node":"other","Service":{"ID":"db"}}}]"#.to_owned(),
        r#"[{"Node":{"Verb":"get","Node":{"Node":"other"}}}]"#.to_owned(),
    ] {
        assert_eq!(ask("poor", &denied).await.0, 403, "{denied}");
    }
    // Whose name is only known once it was read.
    let get = r#"[{"Node":{"Verb":"get","Node":{"Node":"seen"}}},
        {"Service":{"Verb":"get","Node":"seen","Service":{"ID":"db"}}}]"#;
    let (status, seen) = ask("poor", get).await;
    assert_eq!(status, 200, "{}", seen.text());
    let seen = seen.json();
    assert_eq!(seen["Results"].as_array().map(Vec::len), Some(1), "{seen}");
    assert_eq!(seen["Results"][0]["Node"]["Node"], "seen");
}

#[tokio::test]
async fn tokens_are_made_and_removed_by_who_has_a_management_token() {
    let world = world(Access::Deny).await;
    let ask = async |method: &str, path: &str, token: &str, body: &str| {
        let token = [("X-Consul-Token", token)];
        send(world.address, method, path, &token, body.to_owned()).await
    };
    let body = r#"{"Description":"d","Rules":"key_prefix \"x/\" { policy = \"write\" }"}"#;
    for poor in ["app", ""] {
        assert_eq!(ask("PUT", "/v1/acl/token", poor, body).await.status, 403);
        assert_eq!(ask("GET", "/v1/acl/tokens", poor, "").await.status, 403);
        assert_eq!(ask("DELETE", "/v1/acl/token/root", poor, "").await.status, 403);
    }
    let made = ask("PUT", "/v1/acl/token", "of the node", body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    let secret = made["SecretID"].as_str().expect("a secret");
    let id = made["AccessorID"].as_str().expect("an id");
    assert_eq!(made["Rules"], r#"{"key_prefix":{"x/":{"policy":"write"}}}"#);
    assert_eq!(ask("PUT", "/v1/kv/x/1", secret, "1").await.status, 200);
    assert_eq!(ask("PUT", "/v1/kv/y", secret, "1").await.status, 403);
    assert_eq!(ask("GET", "/v1/acl/token/self", secret, "").await.json()["AccessorID"], id);
    let listed = ask("GET", "/v1/acl/tokens", "of the node", "").await;
    assert_eq!(listed.json().as_array().map(Vec::len), Some(3), "{}", listed.text());
    assert!(!listed.text().contains(secret) && !listed.text().contains("SecretID"));
    let path = format!("/v1/acl/token/{id}");
    assert_eq!(ask("GET", &path, "s3cret", "").await.json()["Description"], "d");
    assert_eq!(ask("DELETE", &path, "s3cret", "").await.text(), "true");
    assert_eq!(ask("GET", &path, "s3cret", "").await.status, 403);
    assert_eq!(ask("PUT", "/v1/kv/x/1", secret, "1").await.text(), "ACL not found");
    let all = r#"{"SecretID":"chosen and long enough","Policies":[{"Name":"global-management"}]}"#;
    assert_eq!(ask("PUT", "/v1/acl/token", "s3cret", all).await.status, 200);
    assert_eq!(ask("PUT", "/v1/kv/y", "chosen and long enough", "1").await.status, 200);
    for bad in [
        r#"{"SecretID":"short"}"#,
        r#"{"Policies":[{"Name":"other"}]}"#,
        r#"{"Rules":"query \"a\" { policy = \"read\" }"}"#,
    ] {
        assert_eq!(ask("PUT", "/v1/acl/token", "s3cret", bad).await.status, 400, "{bad}");
    }
    assert_eq!(ask("PUT", "/v1/acl/policy", "s3cret", "{}").await.status, 501);
}
