//! Documents from places that are no usual files.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{World, said};

/// What a command says whose argument `/dev/stdin` is a pipe, as one of `<(command)` is.
fn piped(world: &World, words: &[&str], text: &str) -> crate::support::Said {
    let mut command = world.command(words);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start");
    let mut input = child.stdin.take().expect("pipe");
    input.write_all(text.as_bytes()).expect("write");
    drop(input);
    said(&child.wait_with_output().expect("end"))
}

#[test]
fn a_pipe_is_a_document() {
    let world = World::new();
    let done = piped(&world, &["template", "/dev/stdin"], "{{ `a` | upper }}\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "A\n"), "{done:?}");
    let done = piped(&world, &["template", "file:///dev/stdin"], "{{ include `str://b` }}");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "b"), "{done:?}");
}
