//! Documents from files, servers, sockets and the cache.

use regrow_template::{
    FetchError, Fetcher, Headers, Limits, Options, Template, TemplateError, UrlFetcher,
};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn render(url: &str, options: &Options) -> Result<String, TemplateError> {
    Template::from_url(url, options)?.render(&json!({"name": "x"})).map(|rendered| rendered.text)
}

/// Answers `count` requests with what `answer` makes of the request's head.
fn serve<S: Read + Write>(
    accept: impl Fn() -> S + Send + 'static,
    count: usize,
    answer: impl Fn(&str) -> String + Send + 'static,
) {
    std::thread::spawn(move || {
        for _ in 0..count {
            let mut stream = BufReader::new(accept());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|n| n > 0) {}
            stream.get_mut().write_all(answer(&head).as_bytes()).ok();
        }
    });
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn files_include_each_other_by_relative_names() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        "plugin/index.tpl",
        "{{ source `../common/vars.tpl` }}{{ include `./script.tpl` . | lines | toJson }} {{ fetch `raw%20one.txt` }}",
    );
    write(
        directory.path(),
        "plugin/script.tpl",
        "#!/bin/sh\n{{ include \"../common/setup.sh\" }}\n{{ .name }} {{ var `zone` }}",
    );
    write(directory.path(), "plugin/raw one.txt", "{{ not evaluated }}");
    write(directory.path(), "common/setup.sh", "echo setup");
    write(directory.path(), "common/vars.tpl", "{{ var `zone` `a1` }}");
    let url = format!("file://{}/plugin/index.tpl", directory.path().display());
    let text = render(&url, &Options::default()).unwrap();
    assert_eq!(text, r##"["#!/bin/sh","echo setup","x a1"] {{ not evaluated }}"##);
    let url = format!("file://localhost{}/common/setup.sh", directory.path().display());
    assert_eq!(render(&url, &Options::default()).unwrap(), "echo setup");
}

#[test]
fn failures_say_which_template_and_why() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a.tpl", "x\n{{ include `b.tpl` }}");
    write(directory.path(), "b.tpl", "\n\n{{ upper 1 }}");
    write(directory.path(), "c.tpl", "{{ fetch `none.txt` }}");
    let base = format!("file://{}", directory.path().display());
    let report =
        |name: &str| render(&format!("{base}/{name}"), &Options::default()).unwrap_err().report();
    assert_eq!(
        report("a.tpl"),
        format!(
            "render template {base}/a.tpl:2:4: executing <include `b.tpl`>: in included template: \
                 render template {base}/b.tpl:3:4: executing <upper 1>: \
                 upper: wrong type for argument 1: expected string; got int"
        )
    );
    assert!(report("c.tpl").contains(&format!(
        "fetch {base}/none.txt: read {}/none.txt: No such file",
        directory.path().display()
    )));
    assert!(report("none.tpl").starts_with(&format!("load template {base}/none.tpl: read ")));
    assert!(report("").contains("not a regular file"));
    assert!(
        render("ftp://x/y", &Options::default()).unwrap_err().report().contains("unsupported url")
    );
    assert_eq!(render("plain {{ .name }}", &Options::default()).unwrap(), "plain x");
    let literal = "{{ `http://x` }}{{ printf `%s` `a://b` }}";
    assert_eq!(render(literal, &Options::default()).unwrap(), "http://xa://b");
    assert_eq!(render("str://plain {{ .name }}", &Options::default()).unwrap(), "plain x");
}

#[test]
fn http_sends_headers_and_checks_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve(
        move || listener.accept().unwrap().0,
        4,
        |head| {
            if head.starts_with("GET /a/main.tpl ") {
                http("200 OK", "{{ include `../b.tpl` `X-Token=a b` }}")
            } else if head.starts_with("GET /b.tpl ")
                && head.to_lowercase().contains("x-token: a b")
            {
                http("200 OK", "got {{ .name }}")
            } else if head.starts_with("GET /big ") {
                http("200 OK", &"x".repeat(2000))
            } else {
                http("404 Not Found", "no")
            }
        },
    );
    let limits = Limits { max_fetch_bytes: 1000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    assert_eq!(render(&format!("http://{address}/a/main.tpl"), &options).unwrap(), "got x");
    assert!(
        render(&format!("http://{address}/big"), &options)
            .unwrap_err()
            .report()
            .contains("larger than 1000")
    );
    assert!(
        render(&format!("http://{address}/no"), &options)
            .unwrap_err()
            .report()
            .contains("status 404")
    );
}

#[test]
fn unix_sockets_are_asked_for_the_path_behind_them() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("p.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    serve(
        move || listener.accept().unwrap().0,
        3,
        |head| {
            assert!(head.contains("\r\nX: y\r\n") || !head.contains("/h "));
            http("200 OK", head.split(' ').nth(1).unwrap_or_default())
        },
    );
    let options = Options::default();
    let url = format!("unix://{}", socket.display());
    assert_eq!(render(&url, &options).unwrap(), "/");
    assert_eq!(
        render(&format!("{url}/info/functions.json"), &options).unwrap(),
        "/info/functions.json"
    );
    assert_eq!(render(&format!("str://{{{{ fetch `{url}/h` `X=y` }}}}"), &options).unwrap(), "/h");
    let missing = format!("unix://{}/none.sock", directory.path().display());
    assert!(render(&missing, &options).unwrap_err().report().contains("not a socket"));
}

#[test]
fn a_silent_server_times_out() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let fetcher = UrlFetcher { timeout: Duration::from_millis(100) };
    let error = fetcher.fetch(&format!("unix://{}", socket.display()), &Headers::new(), 10);
    assert!(matches!(error, Err(FetchError::Io { .. })), "{error:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let secure = fetcher.fetch(&format!("https://{address}/"), &Headers::new(), 10);
    assert!(matches!(secure, Err(FetchError::Request(_))), "{secure:?}");
    let url = format!("http://{address}/");
    let error = fetcher.fetch(&url, &Headers::new(), 10);
    assert!(matches!(error, Err(FetchError::Request(_))), "{error:?}");
}

#[test]
fn the_cache_answers_when_the_source_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a.tpl", "{{ include `b.tpl` }}");
    write(directory.path(), "b.tpl", "b");
    let url = format!("file://{}/a.tpl", directory.path().display());
    let cache_dir = Some(directory.path().join("cache/deep"));
    let options = Options { cache_dir, ..Options::default() };
    assert_eq!(render(&url, &options).unwrap(), "b");
    std::fs::remove_file(directory.path().join("a.tpl")).unwrap();
    std::fs::remove_file(directory.path().join("b.tpl")).unwrap();
    assert_eq!(render(&url, &options).unwrap(), "b");
    assert!(render(&url, &Options::default()).is_err());
}

#[test]
fn a_document_is_fetched_once_in_a_rendering_but_raw_always() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    serve(
        move || listener.accept().unwrap().0,
        3,
        move |_| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            http("200 OK", &count.to_string())
        },
    );
    let url = format!("http://{address}/n");
    let text = format!(
        "str://{{{{ $u := `{url}` }}}}{{{{ fetch $u }}}}{{{{ include $u }}}}{{{{ raw $u }}}}{{{{ raw $u }}}}"
    );
    assert_eq!(render(&text, &Options::default()).unwrap(), "0012");
}
