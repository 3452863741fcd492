//! The socket, spoken to by hand and by the client.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use regrow_ids::GoDuration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::client::{self, ClientError};
use super::{Answer, Ask, BODY_BYTES_MAX, Control, What};

/// A server whose worker notes what it is asked and answers all alike.
struct Site {
    folder: TempDir,
    running: JoinHandle<()>,
    asked: Arc<Mutex<Vec<What>>>,
    counts: Arc<Mutex<Vec<(u16, &'static str)>>>,
}

impl Site {
    async fn new(answer: Answer) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let (asks, mut questions) = mpsc::channel::<Ask>(8);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some(ask) = questions.recv().await {
                noted.lock().expect("lock").push(ask.what);
                let _ = ask.answer.send(answer.clone());
            }
        });
        let counts = Arc::new(Mutex::new(Vec::new()));
        let counted = Arc::clone(&counts);
        let control = Control::bind(&folder.path().join("s")).await.expect("bind");
        let control = control.counted(Arc::new(move |code, path| {
            counted.lock().expect("lock").push((code, path));
        }));
        let running = tokio::spawn(control.run(asks));
        Self { folder, running, asked, counts }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn asked(&self) -> Vec<What> {
        std::mem::take(&mut self.asked.lock().expect("lock"))
    }

    async fn say(&self, method: &str, path: &str, body: &str) -> Said {
        say(&self.socket(), method, path, body).await
    }
}

/// What came back: the status line, the headers in small letters without the date, the body.
#[derive(Debug, PartialEq)]
struct Said {
    status: String,
    headers: Vec<String>,
    body: String,
}

async fn say(socket: &Path, method: &str, path: &str, body: &str) -> Said {
    let mut stream = UnixStream::connect(socket).await.expect("connect");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: control\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.expect("write");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().expect("a status").to_owned();
    let mut headers: Vec<_> = lines.map(str::to_ascii_lowercase).collect();
    headers.retain(|line| !line.starts_with("date: "));
    headers.sort();
    Said { status, headers, body: body.to_owned() }
}

fn said(status: &str, body: &str) -> Said {
    let headers = [
        "connection: close".to_owned(),
        format!("content-length: {}", body.len()),
        "content-type: text/plain; charset=utf-8".to_owned(),
    ];
    let status = format!("HTTP/1.1 {status}");
    Said { status, headers: headers.into(), body: body.to_owned() }
}

#[tokio::test]
async fn every_request_has_the_answer_of_the_contract() {
    let site = Site::new(Answer::Done).await;
    for (method, path, body) in [
        ("POST", "/v3/environ", r#"{"A":"1"}"#),
        ("POST", "/v3/env", r#"{"A":""}"#),
        ("POST", "/v3/reload", ""),
        ("POST", "/v3/reload", "nobody reads this"),
        ("POST", "/v3/metric", r#"{"m":"1"}"#),
        ("POST", "/v3/maintenance/enable", ""),
        ("POST", "/v3/maintenance/disable", ""),
        ("POST", "/v3/lock/yield", r#"{"lock":"db"}"#),
        ("GET", "/v3/ping", ""),
        ("PUT", "/v3/ping", ""),
        ("GET", "/v3/status", ""),
    ] {
        assert_eq!(site.say(method, path, body).await, said("200 OK", "\n"), "{method} {path}");
    }
    for (method, path) in [
        ("GET", "/v3/environ"),
        ("PUT", "/v3/reload"),
        ("GET", "/v3/maintenance/enable"),
        ("POST", "/v3/status"),
    ] {
        let expected = said("405 Method Not Allowed", "Method Not Allowed\n");
        assert_eq!(site.say(method, path, "").await, expected, "{method} {path}");
    }
    for path in ["/", "/v3", "/v3/ping/", "/v3/maintenance", "/v4/ping"] {
        let expected = said("404 Not Found", "404 page not found\n");
        assert_eq!(site.say("GET", path, "").await, expected, "{path}");
    }
    for (path, body) in [
        ("/v3/environ", ""),
        ("/v3/environ", "{"),
        ("/v3/environ", r#"{"A":1}"#),
        ("/v3/environ", r#"{"":"x"}"#),
        ("/v3/environ", r#"{"A=B":"x"}"#),
        ("/v3/environ", r#"{"A":"\u0000"}"#),
        ("/v3/environ", "[]"),
        ("/v3/metric", "nonsense"),
        ("/v3/metric", "[1]"),
        ("/v3/lock/yield", "{}"),
        ("/v3/lock/yield", r#"{"lock":"db","for":"soon"}"#),
        ("/v3/lock/yield", r#"{"lock":"db","fro":"1s"}"#),
    ] {
        let expected = said("422 Unprocessable Entity", "Unprocessable Entity\n");
        assert_eq!(site.say("POST", path, body).await, expected, "{path} {body}");
    }
}

fn yielded(seconds: u64) -> What {
    What::Yield { lock: "db".to_owned(), time: Duration::from_secs(seconds) }
}

#[tokio::test]
async fn the_worker_hears_what_was_asked() {
    let site = Site::new(Answer::Done).await;
    let variables = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        What::Environ(pairs.collect())
    };
    for (path, body, what) in [
        ("/v3/environ", r#"{"B":"2=3","A":""}"#, variables(&[("A", ""), ("B", "2=3")])),
        ("/v3/env", r#"{"A":null}"#, variables(&[("A", "")])),
        ("/v3/environ", "null", variables(&[])),
        ("/v3/reload", "", What::Reload),
        ("/v3/maintenance/enable", "", What::Maintenance(true)),
        ("/v3/maintenance/disable", "", What::Maintenance(false)),
        ("/v3/lock/yield", r#"{"lock":"db"}"#, yielded(10)),
        ("/v3/lock/yield", r#"{"lock":"db","for":"1m"}"#, yielded(60)),
    ] {
        site.say("POST", path, body).await;
        assert_eq!(site.asked(), [what], "{path} {body}");
    }
    site.say("POST", "/v3/metric", r#"{"a":"1.50","b":2,"c":true,"d":null}"#).await;
    let pairs = [("a", "1.50"), ("b", "2"), ("c", "true"), ("d", "null")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(site.asked(), [What::Metric(pairs.into())]);
    site.say("GET", "/v3/status", "").await;
    assert_eq!(site.asked(), [What::Status]);
    site.say("GET", "/v3/ping", "").await;
    site.say("POST", "/v3/environ", "{").await;
    assert_eq!(site.asked(), []);
}

#[tokio::test]
async fn answers_are_counted_by_status_and_known_path() {
    let site = Site::new(Answer::Done).await;
    site.say("POST", "/v3/reload", "").await;
    site.say("GET", "/v3/reload", "").await;
    site.say("GET", "/made/up", "").await;
    site.say("POST", "/v3/env", "x").await;
    let counts = site.counts.lock().expect("lock").clone();
    assert_eq!(counts, [(200, "/v3/reload"), (405, "/v3/reload"), (422, "/v3/env")]);
}

#[tokio::test]
async fn what_the_worker_refuses_is_told_with_its_reason() {
    let refused = |status, text: &str| Answer::Refused { status, text: text.to_owned() };
    let site = Site::new(refused(422, "jobs[1]: no")).await;
    let answer = site.say("POST", "/v3/reload", "").await;
    assert_eq!(answer, said("422 Unprocessable Entity", "jobs[1]: no\n"));
    let error = client::reload(&site.socket()).await.expect_err("refused");
    let text = "unprocessable entity received by control server: jobs[1]: no";
    assert_eq!(error.to_string(), text);
    let site = Site::new(refused(409, "")).await;
    assert_eq!(site.say("POST", "/v3/reload", "").await, said("409 Conflict", "Conflict\n"));
    let error = client::reload(&site.socket()).await.expect_err("refused");
    assert_eq!(error.to_string(), "control server answered 409");
    // A worker that refuses with a success does not make a success of it.
    let site = Site::new(refused(200, "odd")).await;
    assert_eq!(
        site.say("POST", "/v3/reload", "").await,
        said("500 Internal Server Error", "odd\n")
    );
}

#[tokio::test]
async fn the_client_asks_for_all_of_it() {
    let site = Site::new(Answer::Text("{\"up\":true}\n".to_owned())).await;
    let socket = site.socket();
    client::ping(&socket).await.expect("ping");
    client::reload(&socket).await.expect("reload");
    client::maintenance(&socket, true).await.expect("maintenance");
    client::maintenance(&socket, false).await.expect("maintenance");
    let variables = BTreeMap::from([("A".to_owned(), "é=\n".to_owned())]);
    client::yield_lock(&socket, "db", GoDuration::from_secs(90)).await.expect("yield");
    client::putenv(&socket, &variables).await.expect("putenv");
    let values = [("m", "1"), ("m", "2")].map(|(name, v)| (name.to_owned(), v.to_owned()));
    client::putmetric(&socket, &values).await.expect("putmetric");
    assert_eq!(client::status(&socket).await.expect("status"), "{\"up\":true}\n");
    let asked = [
        What::Reload,
        What::Maintenance(true),
        What::Maintenance(false),
        yielded(90),
        What::Environ(variables),
        What::Metric(values[1..].to_vec()),
        What::Status,
    ];
    assert_eq!(site.asked(), asked);
}

#[tokio::test]
async fn the_client_understands_the_original_server() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).expect("bind");
    tokio::spawn(async move {
        for reply in [
            "200 OK\r\nDate: x\r\nContent-Length: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Connection: close\r\n\r\n\n",
            "422 Unprocessable Entity\r\nContent-Length: 21\r\nConnection: close\r\n\r\n\
             Unprocessable Entity\n",
        ] {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.expect("read");
            stream.write_all(format!("HTTP/1.1 {reply}").as_bytes()).await.expect("write");
        }
    });
    client::reload(&socket).await.expect("reload");
    let error = client::putenv(&socket, &BTreeMap::new()).await.expect_err("422");
    assert_eq!(error.to_string(), "unprocessable entity received by control server");
}

#[tokio::test]
async fn the_client_says_where_nobody_listens() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s");
    let error = client::ping(&socket).await.expect_err("nobody");
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    let text = format!("connect to the control socket {}: ", socket.display());
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let site = Site::new(Answer::Done).await;
    let body = |bytes: usize| format!(r#"{{"A":"{}"}}"#, "x".repeat(bytes - r#"{"A":""}"#.len()));
    let most = site.say("POST", "/v3/environ", &body(BODY_BYTES_MAX)).await;
    assert_eq!(most, said("200 OK", "\n"));
    // The client writes all of it before it reads, and learns why all the same.
    let more = site.say("POST", "/v3/environ", &body(BODY_BYTES_MAX + 1)).await;
    assert_eq!(more, said("413 Payload Too Large", "Request Entity Too Large\n"));
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_client_holds_up_nobody() {
    let site = Site::new(Answer::Done).await;
    let mut hanging = Vec::new();
    // As many as there are places: some say nothing, some stop in the head, some in the body.
    for number in 0..64 {
        let mut stream = UnixStream::connect(site.socket()).await.expect("connect");
        let words =
            ["", "POST /v3/reload HT", "POST /v3/env HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"];
        stream.write_all(words[number % 3].as_bytes()).await.expect("write");
        hanging.push(stream);
    }
    // The client itself gives up after ten seconds: places must be free by then.
    let mut answered = false;
    for _ in 0..2 {
        answered |= client::ping(&site.socket()).await.is_ok();
    }
    assert!(answered, "all places are taken for ever");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_says_nothing_is_not_waited_for_forever() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s");
    let (asks, mut questions) = mpsc::channel::<Ask>(1);
    let control = Control::bind(&socket).await.expect("bind");
    tokio::spawn(control.run(asks));
    let error = client::reload(&socket).await.expect_err("no answer");
    assert!(matches!(error, ClientError::Refused { status: 504, .. }), "{error}");
    // One that ends says so at once.
    tokio::spawn(async move {
        while let Some(ask) = questions.recv().await {
            drop(ask.answer);
        }
    });
    let error = client::reload(&socket).await.expect_err("no answer");
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn complaint_7_the_socket_stays_open_while_a_reload_moves_it() {
    let folder = tempfile::tempdir().expect("folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let (asks, mut questions) = mpsc::channel::<Ask>(8);
    let first = Control::bind(&old).await.expect("bind");
    let first = tokio::spawn(first.run(asks.clone()));
    let socket = old.clone();
    let asking = tokio::spawn(async move { client::reload(&socket).await });
    let reload = questions.recv().await.expect("a question");
    assert_eq!(reload.what, What::Reload);
    let second = Control::try_bind(&new).await.expect("bind");
    let _second = tokio::spawn(second.run(asks));
    client::ping(&old).await.expect("both are open");
    client::ping(&new).await.expect("both are open");
    first.abort();
    assert!(first.await.is_err());
    assert!(!old.exists());
    client::ping(&new).await.expect("the new one is open");
    // Who asked for the reload through the old one hears the answer.
    reload.answer.send(Answer::Done).expect("the client waits");
    asking.await.expect("join").expect("reloaded");
}

#[tokio::test]
async fn nobody_else_may_open_the_socket() {
    let site = Site::new(Answer::Done).await;
    let mode = std::fs::metadata(site.socket()).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_file_goes_with_the_socket_but_not_that_of_another() {
    let site = Site::new(Answer::Done).await;
    let socket = site.socket();
    site.running.abort();
    let _ = site.running.await;
    assert!(!socket.exists());
    let control = Control::bind(&socket).await.expect("bind");
    // Kept under another name so that its inode is not used again.
    std::fs::rename(&socket, site.folder.path().join("moved")).expect("rename");
    let _other = UnixListener::bind(&socket).expect("bind");
    drop(control);
    assert!(socket.exists());
}

#[tokio::test]
async fn a_stale_file_is_replaced() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s");
    drop(UnixListener::bind(&socket).expect("bind"));
    assert!(socket.exists());
    let control = Control::try_bind(&socket).await.expect("bind");
    assert_eq!(control.path(), socket);
}

#[tokio::test(start_paused = true)]
async fn a_live_socket_of_another_is_left_alone() {
    let site = Site::new(Answer::Done).await;
    let begin = tokio::time::Instant::now();
    let error = Control::bind(&site.socket()).await.err().expect("taken");
    let text = format!(
        "error listening to socket at {}: another supervisor listens there; stop it or choose \
         another path",
        site.socket().display()
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(begin.elapsed().as_secs(), 9, "ten attempts, one second apart");
    client::ping(&site.socket()).await.expect("it still answers");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_becomes_free_is_taken() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s");
    let other = UnixListener::bind(&socket).expect("bind");
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        drop(other);
    });
    Control::bind(&socket).await.expect("free after a while");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("s");
    std::fs::write(&path, "precious").expect("write");
    let error = Control::bind(&path).await.err().expect("refused");
    assert!(error.to_string().contains("no socket is there"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious");
}

#[tokio::test]
async fn of_two_that_begin_together_the_second_waits() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s");
    // As the first does while it looks whether the file is stale.
    let lock = std::fs::File::open(folder.path()).expect("open");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("lock");
    let error = Control::try_bind(&socket).await.err().expect("not now");
    assert!(error.to_string().contains("somebody else opens a socket"), "{error}");
    drop(lock);
    Control::try_bind(&socket).await.expect("now");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_kept_forever_keeps_nobody_out() {
    let folder = tempfile::tempdir().expect("folder");
    let lock = std::fs::File::open(folder.path()).expect("open");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("lock");
    Control::bind(&folder.path().join("s")).await.expect("at the last attempt");
}
