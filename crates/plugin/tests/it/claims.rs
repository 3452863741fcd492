//! Who may have a name: leftovers of the dead are taken over, the living are named.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use regrow_plugin::server::ServeError;
use regrow_plugin::{Directory, Endpoint, Listen, Lookup, SocketPlugins, serve};

use crate::support::{directory, memory_plugin, name, start, timeouts};

async fn refusal(directory: &Path) -> ServeError {
    let refused = serve(memory_plugin("file"), Listen::unix(directory)).await;
    refused.err().expect("the name cannot be had")
}

/// Leaves a socket that nobody listens on.
fn leave_socket(path: &Path) {
    drop(UnixListener::bind(path).expect("bind"));
    assert!(path.exists());
}

/// The pid of a process that is gone.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().expect("true");
    let pid = child.id();
    child.wait().expect("wait");
    pid
}

#[tokio::test]
async fn leftovers_of_a_dead_owner_are_taken_over() {
    let dir = directory();
    leave_socket(&dir.path().join("file"));
    fs::write(dir.path().join("file.pid"), dead_pid().to_string()).expect("write");
    let _running = start(memory_plugin("file"), dir.path()).await;
    let pid = fs::read_to_string(dir.path().join("file.pid")).expect("pid");
    assert_eq!(pid, std::process::id().to_string());
    let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    plugins.instance(&name("file")).await.expect("it answers");
}

#[tokio::test]
async fn a_number_that_went_to_another_process_is_no_owner() {
    let dir = directory();
    leave_socket(&dir.path().join("file"));
    let path = dir.path().join("file.pid");
    // Process 1 runs, but began long after this file was written.
    fs::write(&path, "1").expect("write");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&path).expect("open").set_modified(old).expect("time");
    start(memory_plugin("file"), dir.path()).await;
}

#[tokio::test]
async fn a_live_owner_is_named() {
    let dir = directory();
    let _running = start(memory_plugin("file"), dir.path()).await;
    let text = refusal(dir.path()).await.to_string();
    let own = format!("process {} (", std::process::id());
    assert!(text.contains(&own), "{text}");
    assert!(text.contains("already serves it at"), "{text}");
    assert!(text.contains("regrow plugin stop file"), "{text}");
    assert!(dir.path().join("file").exists(), "the owner keeps its socket");
}

#[tokio::test]
async fn an_owner_that_runs_but_does_not_answer_is_named_too() {
    let dir = directory();
    leave_socket(&dir.path().join("file"));
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
    // A process that was just started has its parent's name for a moment.
    while fs::read_to_string(format!("/proc/{}/comm", child.id())).expect("name") != "sleep\n" {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(dir.path().join("file.pid"), child.id().to_string()).expect("write");
    let text = refusal(dir.path()).await.to_string();
    assert!(text.contains(&format!("process {} (sleep)", child.id())), "{text}");
    assert!(text.contains("still runs, but does not answer"), "{text}");
    child.kill().expect("kill");
    child.wait().expect("wait");
    start(memory_plugin("file"), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_starters_one_wins() {
    for round in 0..10 {
        let dir = directory();
        if round % 2 == 0 {
            leave_socket(&dir.path().join("file"));
            fs::write(dir.path().join("file.pid"), dead_pid().to_string()).expect("write");
        }
        let path = dir.path().to_owned();
        let starts = (0..20).map(|_| {
            let listen = Listen::unix(&path);
            tokio::spawn(async move { serve(memory_plugin("file"), listen).await })
        });
        let mut winners = Vec::new();
        for start in starts.collect::<Vec<_>>() {
            match start.await.expect("no panic") {
                Ok(running) => winners.push(running),
                Err(ServeError::Taken { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners.len(), 1);
    }
}

#[tokio::test]
async fn a_successor_keeps_its_files() {
    let dir = directory();
    let first = start(memory_plugin("file"), dir.path()).await;
    fs::remove_file(dir.path().join("file")).expect("remove");
    fs::remove_file(dir.path().join("file.pid")).expect("remove");
    let _second = start(memory_plugin("file"), dir.path()).await;
    first.stop(Duration::from_secs(1)).await;
    assert!(dir.path().join("file").exists());
    assert!(dir.path().join("file.pid").exists());
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let dir = directory();
    let nested = dir.path().join("a/b");
    let _running = start(memory_plugin("file"), &nested).await;
    let mode = |path: &Path| fs::metadata(path).expect("metadata").mode() & 0o777;
    assert_eq!(mode(&nested), 0o700);
    assert_eq!(mode(&nested.join("file")), 0o600);
}

#[tokio::test]
async fn a_planted_link_is_not_written_through() {
    let dir = directory();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("folder");
    let target = elsewhere.join("precious");
    fs::write(&target, "precious").expect("write");
    let plugins = dir.path().join("plugins");
    fs::create_dir(&plugins).expect("folder");
    fs::set_permissions(&plugins, fs::Permissions::from_mode(0o700)).expect("mode");
    for name in [".file.draft", "file.pid", "file.listen"] {
        std::os::unix::fs::symlink(&target, plugins.join(name)).expect("link");
    }
    let listen = Listen::tcp("127.0.0.1:0", &plugins);
    let running = serve(memory_plugin("file"), listen).await.expect("serve");
    assert_eq!(fs::read_to_string(&target).expect("read"), "precious");
    let listen = plugins.join("file.listen");
    assert!(fs::symlink_metadata(&listen).expect("metadata").is_file());
    assert_eq!(fs::metadata(&listen).expect("metadata").mode() & 0o777, 0o644);
    running.stop(Duration::from_secs(1)).await;
    let left = fs::read_dir(&plugins).expect("list").map(|entry| entry.expect("entry").file_name());
    assert_eq!(left.collect::<Vec<_>>(), [".file.draft"], "what was planted, and nothing of ours");
}

#[tokio::test]
async fn root_stays_out_of_the_directories_of_users() {
    let dir = directory();
    let theirs = dir.path().join("theirs");
    fs::create_dir(&theirs).expect("folder");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).expect("mode");
    if std::os::unix::fs::chown(&theirs, Some(1000), None).is_err() {
        // Only root can make a directory that is not its own; the rule has a test of its own.
        return;
    }
    let text = refusal(&theirs).await.to_string();
    let own = rustix::process::geteuid().as_raw();
    if own == 0 {
        assert!(text.contains("it belongs to user 1000, we are user 0; choose"), "{text}");
        assert!(text.contains("choose another directory with INFRAKIT_PLUGINS_DIR"), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_said() {
    let dir = directory();
    fs::write(dir.path().join("file"), "mine").expect("write");
    let text = refusal(dir.path()).await.to_string();
    assert!(text.contains("is not a socket"), "{text}");
    assert_eq!(fs::read_to_string(dir.path().join("file")).expect("kept"), "mine");

    let open = dir.path().join("open");
    fs::create_dir(&open).expect("folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("mode");
    let text = refusal(&open).await.to_string();
    assert!(text.contains("every user can write to it (mode 0777)"), "{text}");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o775)).expect("mode");
    let text = refusal(&open).await.to_string();
    assert!(text.contains("its group can write to it (mode 0775); run `chmod go-w /"), "{text}");
    assert!(text.contains("INFRAKIT_PLUGINS_DIR"), "{text}");
    assert_eq!(fs::read_dir(&open).expect("list").count(), 0, "nothing is put there");

    let long = dir.path().join("x".repeat(120));
    let text = refusal(&long).await.to_string();
    assert!(text.contains("the system takes 107"), "{text}");

    for bad in ["", ".hidden", "a/b"] {
        let refused = serve(memory_plugin(bad), Listen::unix(dir.path())).await;
        assert!(matches!(refused, Err(ServeError::Name(_))), "{bad}");
    }

    let file = dir.path().join("file");
    let text = refusal(&file.join("x")).await.to_string();
    assert!(text.contains("use plugin directory"), "{text}");
}

#[tokio::test]
async fn a_port_is_made_known_by_a_file() {
    let dir = directory();
    let listen = Listen::tcp("127.0.0.1:0", dir.path());
    let running = serve(memory_plugin("file"), listen.clone()).await.expect("serve");
    let text = fs::read_to_string(dir.path().join("file.listen")).expect("file");
    assert_eq!(text.parse::<Endpoint>().expect("a URL"), *running.endpoint());
    assert!(text.starts_with("tcp://127.0.0.1:"), "{text}");
    let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    assert_eq!(plugins.names(), ["file"]);
    plugins.instance(&name("file")).await.expect("it answers");
    // Neither kind of listener may take the name now. Our own pid would count as dead, so the file
    // names our parent, which runs as well.
    let parent = rustix::process::getppid().expect("a parent").as_raw_nonzero();
    fs::write(dir.path().join("file.pid"), parent.to_string()).expect("write");
    assert!(matches!(refusal(dir.path()).await, ServeError::Taken { .. }));
    running.stop(Duration::from_secs(1)).await;
    assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);

    fs::write(dir.path().join("file.listen"), "tcp://127.0.0.1:1").expect("write");
    fs::write(dir.path().join("file.pid"), dead_pid().to_string()).expect("write");
    let advertised = Listen::Tcp {
        address: "127.0.0.1:0".into(),
        advertise: Some("h:7".into()),
        directory: dir.path().into(),
    };
    let _running = serve(memory_plugin("file"), advertised).await.expect("the dead are no owners");
    let text = fs::read_to_string(dir.path().join("file.listen")).expect("file");
    assert_eq!(text, "tcp://h:7");
}
