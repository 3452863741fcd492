//! A plugin that is started again knows which leader was there last.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::support::World;

/// Asks the file plugin for an instance, as a leader with this fence does.
fn provision(world: &World, fence: u64) -> String {
    let body = r#"{"jsonrpc":"2.0","method":"Instance.Provision","params":{"Spec":{"Properties":{}}},"id":1}"#;
    let socket = world.state().join("plugins/file");
    let mut stream = UnixStream::connect(socket).expect("connect");
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nRegrow-Fence: \
         {fence};lineage=1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

#[test]
fn an_earlier_leader_is_refused_after_a_restart_too() {
    let world = World::new();
    let mut first = world.plugins(&["file"]);
    let made = provision(&world, 5);
    assert!(made.contains("instance-"), "{made}");
    assert_eq!(first.stop(), Some(0));
    let mut second = world.plugins(&["file"]);
    let refused = provision(&world, 4);
    assert!(refused.contains("under fence 4: a leader with fence 5 was here"), "{refused}");
    let made = provision(&world, 5);
    assert!(made.contains("instance-"), "{made}");
    assert_eq!(second.stop(), Some(0));
}
