//! Corner cases of HTTP and of the JSON-RPC envelope (InfraKit specification §1.3, §1.4).

use std::path::PathBuf;

use regrow_plugin::Running;

use crate::support::{directory, post, raw, rpc, start, typed_plugin};

async fn site() -> (tempfile::TempDir, Running, PathBuf) {
    let dir = directory();
    let running = start(typed_plugin("file", &["."]), dir.path()).await;
    let path = dir.path().join("file");
    (dir, running, path)
}

#[tokio::test]
async fn the_table_of_the_specification() {
    let (_dir, _running, path) = site().await;
    for (sent, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Nope","params":{},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"rpc: can't find method \"Instance.Nope\"","data":null},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"instance.describeInstances","params":{},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"rpc: can't find service \"instance.describeInstances\"","data":null},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"1.0","method":"Instance.Validate","params":{"a":1},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"jsonrpc must be 2.0","data":{"jsonrpc":"1.0","method":"Instance.Validate","params":{"a":1},"id":1}},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Validate","params":{"Type":"zzz"},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"no-plugin:zzz","data":null},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Validate","params":"x","id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"json: cannot unmarshal string into Go value of type [1]interface {}","data":"x"},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Validate","params":{},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"rpc: service/method request ill-formed: \"Validate\"","data":null},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Label","params":{"Labels":{"a":7}},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"at /Labels/a: invalid type: integer `7`, expected a string (line 1, column 16)","data":{"Labels":{"a":7}}},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Validate","params":"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse the request: EOF while parsing a value at line 1 column 55","data":null},"id":null}"#,
        ),
        (
            r#"{"jsonrpc":2,"method":"Instance.Validate","id":"x"}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"read the request: at /jsonrpc: invalid type: integer `2`, expected a string (line 1, column 12)","data":null},"id":"x"}"#,
        ),
    ] {
        assert_eq!(rpc(&path, sent).await, format!("{answer}\n"), "{sent}");
    }
}

#[tokio::test]
async fn params_may_be_missing_null_or_in_a_list() {
    let (_dir, _running, path) = site().await;
    let ok = "{\"jsonrpc\":\"2.0\",\"result\":{\"Type\":\"\",\"OK\":true},\"id\":7}\n";
    for params in [
        "",
        r#","params":null"#,
        r#","params":{}"#,
        r#","params":[]"#,
        r#","params":[{"Type":""}]"#,
        r#","params":[{"type":null,"PROPERTIES":null}, 5]"#,
        r#","Params":{"tYPE":"","Unknown":[1]}"#,
    ] {
        let sent = format!(r#"{{"jsonrpc":"2.0","method":"Instance.Validate"{params},"id":7}}"#);
        assert_eq!(rpc(&path, &sent).await, ok, "{sent}");
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were() {
    let (_dir, _running, path) = site().await;
    for id in ["9223372036854775807", "-1", "1.5e300", r#""abc""#, r#"{"a":[1]}"#, "false", "[]"] {
        let sent = format!(r#"{{"jsonrpc":"2.0","method":"Instance.Validate","id":{id}}}"#);
        let answer = rpc(&path, &sent).await;
        assert!(answer.ends_with(&format!(",\"id\":{id}}}\n")), "{answer}");
    }
}

#[tokio::test]
async fn who_gives_no_id_gets_no_answer() {
    let (_dir, _running, path) = site().await;
    for sent in [
        r#"{"jsonrpc":"2.0","method":"Instance.Validate"}"#,
        r#"{"jsonrpc":"2.0","method":"Instance.Validate","id":null}"#,
        r#"{"jsonrpc":"2.0","method":"Instance.Nope"}"#,
        r#"[{"jsonrpc":"2.0","method":"Instance.Validate","id":1}]"#,
        "[]",
    ] {
        assert_eq!(rpc(&path, sent).await, "", "{sent}");
    }
    // The call is made all the same.
    rpc(&path, r#"{"jsonrpc":"2.0","method":"Instance.Provision","params":{}}"#).await;
    let list = r#"{"jsonrpc":"2.0","method":"Instance.DescribeInstances","id":1}"#;
    assert!(rpc(&path, list).await.contains(r#"{"ID":"made-0","LogicalID":null,"Tags":{}"#));
}

#[tokio::test]
async fn http_outside_of_the_protocol() {
    let (_dir, _running, path) = site().await;
    for (request, status, text) in [
        ("GET / HTTP/1.1", 405, "rpc: POST method required, received GET\n"),
        ("PUT / HTTP/1.1", 405, "rpc: POST method required, received PUT\n"),
        ("GET /nope HTTP/1.1", 404, "404 page not found\n"),
        ("POST /nope HTTP/1.1", 404, "404 page not found\n"),
        (
            "POST /info/api.json HTTP/1.1",
            405,
            "/info/api.json: GET method required, received POST\n",
        ),
        ("GET /events HTTP/1.1", 404, "this plugin publishes no events\n"),
        (
            "POST / HTTP/1.1\r\nContent-Type: text/xml; charset=utf-8",
            415,
            "rpc: unrecognized Content-Type: text/xml\n",
        ),
    ] {
        let request = format!("{request}\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        let answer = raw(&path, request.as_bytes()).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, text), "{request}");
    }
    let body = r#"{"jsonrpc":"2.0","method":"Instance.Validate","id":7}"#;
    for kind in ["application/json; charset=utf-8", "", "APPLICATION/JSON"] {
        let request = String::from_utf8(post(body)).expect("text");
        let request =
            request.replace("Content-Type: application/json", &format!("Content-Type: {kind}"));
        assert_eq!(raw(&path, request.as_bytes()).await.status, 200, "{kind}");
    }
    let untyped = String::from_utf8(post(body)).expect("text");
    let untyped = untyped.replace("Content-Type: application/json\r\n", "");
    let answer = raw(&path, untyped.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.to_ascii_lowercase().contains("content-type: application/json"));
}
