use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::json;

use crate::conformance::raw::Connection;
use crate::conformance::site::{Site, envelope, hello_with_id};
use crate::conformance::{Miss, Verdict, ensure, fail, not_applicable};
use crate::discovery::{Directory, Endpoint};

/// How long a plugin may take to close a connection that it was asked to close.
const CLOSE_PAUSE: Duration = Duration::from_secs(5);

/// Calls in a row on one connection.
const CALLS_IN_A_ROW: usize = 100;

async fn connects(site: &Site) -> Verdict {
    site.connect().await.map(drop)
}

async fn posts(site: &Site) -> Verdict {
    let http = site.exchange(&site.post(&hello_with_id("1"))).await?;
    ensure(http.status == 200, || format!("HTTP status {}", http.status))
}

async fn accepts_type(site: &Site, headers: &[&str]) -> Verdict {
    let request = site.request("POST", "", headers, hello_with_id("1").as_bytes());
    let answer = envelope(&site.exchange(&request).await?)?;
    ensure(!answer.result.is_null(), || "it answers no result".to_owned())
}

async fn charset(site: &Site) -> Verdict {
    accepts_type(site, &["Content-Type: application/json; charset=utf-8"]).await
}

async fn untyped(site: &Site) -> Verdict {
    accepts_type(site, &[]).await
}

async fn lower_case_header(site: &Site) -> Verdict {
    accepts_type(site, &["content-type: application/json", "ACCEPT-ENCODING: gzip"]).await
}

async fn status_of(site: &Site, request: &[u8], wanted: u16) -> Verdict {
    let http = site.exchange(request).await?;
    ensure(http.status == wanted, || format!("HTTP status {} instead of {wanted}", http.status))
}

async fn other_type(site: &Site) -> Verdict {
    let body = hello_with_id("1");
    let request = site.request("POST", "", &["Content-Type: text/xml"], body.as_bytes());
    status_of(site, &request, 415).await
}

async fn other_method(site: &Site) -> Verdict {
    status_of(site, &site.request("GET", "", &[], b""), 405).await
}

async fn other_path(site: &Site) -> Verdict {
    status_of(site, &site.request("GET", "no/such/path", &[], b""), 404).await
}

async fn newline(site: &Site) -> Verdict {
    let http = site.exchange(&site.post(&hello_with_id("1"))).await?;
    ensure(http.body.ends_with(b"\n"), || "the body does not end with a newline".to_owned())
}

async fn in_a_row(site: &Site) -> Verdict {
    let mut connection = site.connect().await?;
    for n in 0..CALLS_IN_A_ROW {
        let id = n.to_string();
        let told = |why: String| format!("call {n} on one connection: {why}");
        connection.send(&site.post(&hello_with_id(&id))).await.map_err(told)?;
        let http = connection.answer().await.map_err(told)?;
        let answer = envelope(&http)?;
        ensure(answer.id.as_text() == id, || format!("call {n} got the answer {}", answer.id))?;
    }
    Ok(())
}

async fn pipelined(site: &Site) -> Verdict {
    let mut connection = site.connect().await?;
    let both = [site.post(&hello_with_id("1")), site.post(&hello_with_id("2"))].concat();
    connection.send(&both).await?;
    for id in ["1", "2"] {
        let answer = envelope(&connection.answer().await?)?;
        ensure(answer.id.as_text() == id, || format!("answer {} stands in place {id}", answer.id))?;
    }
    Ok(())
}

async fn chunked(site: &Site) -> Verdict {
    let body = hello_with_id("1");
    let (one, two) = body.split_at(10);
    let head = String::from_utf8_lossy(&site.post("")).into_owned();
    let mut request = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    for part in [one, two, ""] {
        request.push_str(&format!("{:x}\r\n{part}\r\n", part.len()));
    }
    let answer = envelope(&site.exchange(request.as_bytes()).await?)?;
    ensure(!answer.result.is_null(), || "it answers no result".to_owned())
}

async fn in_pieces(site: &Site) -> Verdict {
    let mut connection = site.connect().await?;
    for piece in site.post(&hello_with_id("1")).chunks(16) {
        connection.send(piece).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let answer = envelope(&connection.answer().await?)?;
    ensure(!answer.result.is_null(), || "it answers no result".to_owned())
}

async fn closes(site: &Site) -> Verdict {
    let mut connection = site.connect().await?;
    let headers = ["Content-Type: application/json", "Connection: close"];
    let body = hello_with_id("1");
    connection.send(&site.request("POST", "", &headers, body.as_bytes())).await?;
    connection.answer().await?;
    ensure(connection.closes_within(CLOSE_PAUSE).await, || {
        "the connection stays open after `Connection: close`".to_owned()
    })
}

async fn large_body(site: &Site) -> Verdict {
    let params = json!({ "Unknown": "x".repeat(1 << 20) });
    let answer = site.call("Handshake.Hello", &params).await?;
    ensure(answer.error.is_none(), || "a body of 1 MiB is refused".to_owned())
}

async fn oversize_body(site: &Site) -> Verdict {
    let size = site.options.oversize_bytes;
    if size == 0 {
        return not_applicable("not asked for");
    }
    let mut request = site.request("POST", "", &["Content-Type: application/json"], b"");
    let head = String::from_utf8_lossy(&request).replace("Length: 0", &format!("Length: {size}"));
    request = head.into_bytes();
    let mut connection = site.connect().await?;
    let sent = async {
        connection.send(&request).await?;
        let piece = vec![b' '; 1 << 20];
        let mut left = size;
        while left > 0 {
            let now = left.min(piece.len());
            connection.send(&piece[..now]).await?;
            left -= now;
        }
        connection.answer().await
    };
    // Refusing, answering and hanging up are all fine; dying is not.
    let answered: Result<_, String> = sent.await;
    if let Ok(http) = &answered {
        ensure(http.status == 200 || http.status == 400 || http.status == 413, || {
            format!("HTTP status {}", http.status)
        })?;
    }
    site.still_well("an oversize body").await
}

async fn garbage(site: &Site) -> Verdict {
    for text in [&b"\0\x01\x02\xff\xfe garbage"[..], b"POST / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n"] {
        let mut connection = site.connect().await?;
        // Whether it hangs up before all is sent is its own business.
        let _ = connection.send(text).await;
    }
    site.still_well("bytes that are no HTTP").await
}

async fn half_requests(site: &Site) -> Verdict {
    for _ in 0..20 {
        let mut connection = site.connect().await?;
        let request = site.post(&hello_with_id("1"));
        let _ = connection.send(&request[..request.len() - 5]).await;
    }
    site.still_well("requests that were broken off").await
}

async fn unread_answers(site: &Site) -> Verdict {
    for _ in 0..20 {
        let mut connection = site.connect().await?;
        let _ = connection.send(&site.post(&hello_with_id("1"))).await;
    }
    site.still_well("callers that do not read the answer").await
}

async fn many_connections(site: &Site) -> Verdict {
    let count = site.options.connections;
    let mut open = Vec::new();
    for n in 0..count {
        let connection = Connection::open(&site.endpoint).await;
        open.push(connection.map_err(|why| format!("connection {n} of {count}: {why}"))?);
    }
    let calls = stream::iter(open.into_iter().enumerate()).map(|(n, mut connection)| async move {
        let told = |why: String| format!("connection {n} of {count}: {why}");
        connection.send(&site.post(&hello_with_id(&n.to_string()))).await.map_err(told)?;
        let answer = envelope(&connection.answer().await.map_err(told)?)?;
        ensure(answer.id.as_text() == n.to_string(), || format!("{n} got answer {}", answer.id))
    });
    let mut calls = calls.buffer_unordered(count.max(1));
    while let Some(done) = calls.next().await {
        done?;
    }
    Ok(())
}

/// Folder and file name of a plugin that listens on a unix socket.
fn place(site: &Site) -> Verdict<(&Path, String)> {
    match &site.endpoint {
        Endpoint::Unix(path) => match path.parent() {
            Some(folder) => Ok((folder, site.endpoint.plugin())),
            None => not_applicable("the socket has no folder"),
        },
        _ => not_applicable("not on a unix socket"),
    }
}

async fn pid_file(site: &Site) -> Verdict {
    let (folder, name) = place(site)?;
    let path = Directory::new(folder).pid_path(&name);
    let text = fs::read_to_string(&path)
        .map_err(|error| Miss::Fail(format!("read {}: {error}", path.display())))?;
    let Ok(pid) = text.trim().parse::<u32>() else {
        return fail(format!("{} holds {text:?}, not a number", path.display()));
    };
    ensure(Path::new(&format!("/proc/{pid}")).exists(), || format!("no process {pid} runs"))
}

async fn private(site: &Site) -> Verdict {
    let (folder, _) = place(site)?;
    let Endpoint::Unix(path) = &site.endpoint else { return Ok(()) };
    let open = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o002 != 0);
    let socket = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    ensure(socket, || format!("{} is not a socket", path.display()))?;
    // Either lock suffices: who cannot enter the folder cannot reach the socket.
    let closed = fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o001 == 0);
    ensure(closed || !open(path), || "every user of this machine can call it".to_owned())?;
    ensure(!open(folder), || "every user of this machine can replace its socket".to_owned())
}

super::checks! {
    "transport.connect" Must "accepts connections" = connects;
    "transport.post" Must "answers POST / with 200" = posts;
    "transport.charset" Must "accepts a charset in the content type" = charset;
    "transport.untyped" Must "accepts a request without a content type" = untyped;
    "transport.header-case" Must "reads header names in any case" = lower_case_header;
    "transport.other-type" Should "answers 415 to another content type" = other_type;
    "transport.other-method" Should "answers 405 to another method" = other_method;
    "transport.other-path" Should "answers 404 to an unknown path" = other_path;
    "transport.newline" Should "ends an answer with a newline" = newline;
    "transport.keep-alive" Must "answers 100 calls on one connection" = in_a_row within 8;
    "transport.pipeline" Should "answers pipelined calls in order" = pipelined;
    "transport.chunked" Should "reads a chunked body" = chunked;
    "transport.pieces" Must "reads a request that comes in pieces" = in_pieces;
    "transport.close" Should "closes a connection when asked to" = closes;
    "transport.large" Must "reads a body of 1 MiB" = large_body;
    "transport.oversize" Must "survives an oversize body" = oversize_body within 8;
    "transport.garbage" Must "survives bytes that are no HTTP" = garbage;
    "transport.broken-off" Must "survives requests that are broken off" = half_requests;
    "transport.unread" Must "survives callers that do not read" = unread_answers;
    "transport.many" Must "serves 1,000 connections at once" = many_connections within 8;
    "transport.pid" Should "writes a pid file that `plugin stop` can use" = pid_file;
    "transport.private" Should "cannot be reached or replaced by other users" = private;
}
