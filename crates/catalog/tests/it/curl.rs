//! What a person types with `curl`, and what comes back.
//!
//! Where the program is missing, the tests say so.

use std::process::Stdio;
use std::time::Duration;

use regrow_catalog::http::{Acl, HttpOptions};
use regrow_catalog::model::Access;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::world::{World, catalog};

/// Longest time of one request, on a busy machine; a blocked read waits less.
const PATIENCE: Duration = Duration::from_secs(120);

/// True where there is a curl to type with.
async fn is_there() -> bool {
    let version = Command::new("curl").arg("--version").stdout(Stdio::null()).status().await;
    let there = version.is_ok_and(|status| status.success());
    if !there {
        println!("not run, promise untested: C11 with curl (needs the package curl)");
    }
    there
}

/// What `curl ARGS… http://CATALOG/v1PATH` says: the status, and the body as text.
async fn curl(world: &World, args: &[&str], path: &str) -> (u16, String) {
    let child = Command::new("curl")
        .args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--noproxy", "*"])
        .args(args)
        .arg(format!("http://{}/v1{path}", world.address))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("curl starts");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("curl ends in time").expect("its output");
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?} {path}: {failed}");
    let said = String::from_utf8(output.stdout).expect("text");
    let (body, status) = said.rsplit_once('\n').expect("a status behind the body");
    (status.parse().expect("a status"), body.to_owned())
}

/// The body of an answer that must be 200.
async fn fine(world: &World, args: &[&str], path: &str) -> String {
    let (status, body) = curl(world, args, path).await;
    assert_eq!(status, 200, "{args:?} {path}: {body}");
    body
}

async fn parsed(world: &World, args: &[&str], path: &str) -> Value {
    serde_json::from_str(&fine(world, args, path).await).expect("JSON")
}

const PUT: [&str; 2] = ["-X", "PUT"];

#[tokio::test]
async fn keys_are_put_got_compared_and_deleted() {
    if !is_there().await {
        return;
    }
    let world = World::start().await;
    let put = async |data: &str, path: &str| fine(&world, &["-X", "PUT", "-d", data], path).await;
    assert_eq!(put("hello", "/kv/app/one").await, "true");
    assert_eq!(fine(&world, &["-T", "/dev/null"], "/kv/app/none").await, "true");
    assert_eq!(put("@-", "/kv/app/two?flags=7").await, "true", "a body from standard input");
    let entry = &parsed(&world, &[], "/kv/app/one").await[0];
    assert_eq!((&entry["Key"], &entry["Value"]), (&json!("app/one"), &json!("aGVsbG8=")));
    assert_eq!(fine(&world, &[], "/kv/app/one?raw").await, "hello");
    let tree = parsed(&world, &[], "/kv/app/?recurse").await;
    let keys: Vec<&Value> = tree.as_array().expect("a list").iter().map(|e| &e["Key"]).collect();
    assert_eq!(keys, ["app/none", "app/one", "app/two"]);
    assert_eq!(parsed(&world, &[], "/kv/?keys&separator=/").await, json!(["app/"]));
    let index = entry["ModifyIndex"].as_u64().expect("an index");
    assert_eq!(put("x", "/kv/app/one?cas=1").await, "false");
    assert_eq!(put("x", &format!("/kv/app/one?cas={index}")).await, "true");
    assert_eq!(fine(&world, &["-X", "DELETE"], "/kv/app/one").await, "true");
    assert_eq!(curl(&world, &[], "/kv/app/one").await, (404, String::new()));
    assert_eq!(fine(&world, &["-X", "DELETE"], "/kv/?recurse").await, "true");
    assert_eq!(curl(&world, &[], "/kv/?recurse").await, (404, String::new()));
}

#[tokio::test]
async fn a_blocked_read_answers_when_the_key_changes() {
    if !is_there().await {
        return;
    }
    let world = World::start().await;
    fine(&world, &["-X", "PUT", "-d", "0"], "/kv/watched").await;
    let index = parsed(&world, &[], "/kv/watched").await[0]["ModifyIndex"].clone();
    let path = format!("/kv/watched?raw&index={index}");
    let waited = format!("{path}&wait=10ms");
    assert_eq!(fine(&world, &[], &waited).await, "0", "after the wait there is the same");
    let path = format!("{path}&wait=60s");
    let (read, ()) = tokio::join!(fine(&world, &[], &path), async {
        // A read that only comes after this write is answered at once: right as well.
        fine(&world, &["-X", "PUT", "-d", "1"], "/kv/watched").await;
    });
    assert_eq!(read, "1");
}

#[tokio::test]
async fn a_service_is_healthy_once_its_check_says_so() {
    if !is_there().await {
        return;
    }
    let world = World::start().await;
    let web = r#"{"Name":"web","ID":"web-1","Port":80,"Tags":["a"],"Check":{"TTL":"600s"}}"#;
    let register = ["-X", "PUT", "-H", "Content-Type: application/json", "-d", web];
    assert_eq!(fine(&world, &register, "/agent/service/register").await, "");
    assert_eq!(parsed(&world, &[], "/health/service/web?passing").await, json!([]));
    let pass = "/agent/check/pass/service:web-1?note=well";
    assert_eq!(fine(&world, &PUT, pass).await, "");
    let healthy = parsed(&world, &[], "/health/service/web?passing&tag=a").await;
    assert_eq!(healthy[0]["Service"]["Port"], 80);
    assert_eq!(healthy[0]["Checks"][1]["Output"], "well");
    let services =
        parsed(&world, &["-G", "--data-urlencode", "pretty="], "/catalog/services").await;
    assert_eq!(services["web"], json!(["a"]));
    assert_eq!(fine(&world, &PUT, "/agent/service/deregister/web-1").await, "");
    assert_eq!(parsed(&world, &[], "/catalog/service/web").await, json!([]));
}

#[tokio::test]
async fn a_session_locks_a_key_and_nobody_else_does() {
    if !is_there().await {
        return;
    }
    let world = World::start().await;
    let create = async |name: &str| {
        let body = format!(r#"{{"Name":"{name}","TTL":"3600s"}}"#);
        let made = parsed(&world, &["-X", "PUT", "-d", &body], "/session/create").await;
        made["ID"].as_str().expect("an id").to_owned()
    };
    let (first, second) = (create("first").await, create("second").await);
    let lock = async |how: &str, session: &str| {
        let path = format!("/kv/leader?{how}={session}");
        fine(&world, &["-X", "PUT", "-d", "me"], &path).await
    };
    assert_eq!(lock("acquire", &first).await, "true");
    assert_eq!(lock("acquire", &second).await, "false");
    assert_eq!(parsed(&world, &[], "/kv/leader").await[0]["Session"], json!(first));
    assert_eq!(lock("release", &second).await, "false");
    assert_eq!(lock("release", &first).await, "true");
    assert_eq!(lock("acquire", &second).await, "true");
    let renewed = parsed(&world, &PUT, &format!("/session/renew/{second}")).await;
    assert_eq!(renewed[0]["TTL"], "3600s");
    assert_eq!(fine(&world, &PUT, &format!("/session/destroy/{second}")).await, "true");
    assert!(parsed(&world, &[], "/kv/leader").await[0].get("Session").is_none());
}

#[tokio::test]
async fn a_token_in_a_header_opens() {
    if !is_there().await {
        return;
    }
    let management = Some(Sha256::digest(b"a secret of the node").into());
    let acl = Acl::On { default: Access::Deny, management };
    let options = HttpOptions { acl, ..HttpOptions::default() };
    let world = World::with(catalog().await, options).await;
    let denied = (403, "Permission denied".to_owned());
    let opens = ["-H", "X-Consul-Token: a secret of the node"];
    assert_eq!(curl(&world, &["-T", "/dev/null"], "/kv/a").await, denied);
    assert_eq!(fine(&world, &[&["-T", "/dev/null"][..], &opens].concat(), "/kv/a").await, "true");
    let unknown = (403, "ACL not found".to_owned());
    assert_eq!(curl(&world, &["-H", "X-Consul-Token: nope"], "/kv/a").await, unknown);
    let bearer = ["-H", "Authorization: Bearer a secret of the node"];
    assert_eq!(fine(&world, &bearer, "/kv/a?raw").await, "");
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    if !is_there().await {
        return;
    }
    let world = World::start().await;
    assert_eq!(curl(&world, &[], "/kv/nope").await, (404, String::new()));
    assert_eq!(curl(&world, &[], "/nope").await, (404, String::new()));
    let wrong = (405, "method POST not allowed".to_owned());
    assert_eq!(curl(&world, &["-d", "{}"], "/agent/service/register").await, wrong);
    let (status, reason) = curl(&world, &PUT, "/agent/leave").await;
    assert!(status == 501 && reason.contains("regrow node rm"), "{status} {reason}");
    for (body, reason) in [
        ("{nope", "Request decode failed: invalid character 'n'"),
        (r#"{"Name":"web""#, "Request decode failed: unexpected EOF"),
        (r#"{"Name":7}"#, "Request decode failed: json: cannot unmarshal /Name"),
        ("{}", "Missing service name"),
    ] {
        let (status, said) =
            curl(&world, &["-X", "PUT", "-d", body], "/agent/service/register").await;
        assert!(status == 400 && said.starts_with(reason), "{body}: {status} {said}");
    }
    // One byte more than a value may have; and so many that curl asks first whether it may send.
    for bytes in [524_289_usize, 2 << 20] {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file, &vec![b'x'; bytes]).expect("written");
        let data = format!("@{}", file.path().display());
        let put = ["-X", "PUT", "--data-binary", &data];
        let (status, said) = curl(&world, &put, "/kv/large").await;
        let expected = format!(
            "Request body({bytes} bytes) too large, max size: 524288 bytes. See \
             https://www.consul.io/docs/agent/options.html#kv_max_value_size."
        );
        assert_eq!((status, said), (413, expected));
    }
    assert_eq!(curl(&world, &[], "/kv/large").await.0, 404, "nothing of it was kept");
}
