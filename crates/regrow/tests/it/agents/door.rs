//! The local door of an agent: whose it is, and who gets in.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use super::begin;
use crate::support::{World, said};

/// A user that owns nothing here (`nobody` on most systems; it need not exist).
const STRANGER: &str = "65534";

#[test]
fn the_door_is_its_users_alone() {
    let world = World::new();
    let mut agent = begin(&world, "a", &["--bootstrap"]);
    let mode = |name: &str| fs::metadata(world.path().join(name)).expect(name).mode() & 0o777;
    assert_eq!(mode("a"), 0o700);
    for name in ["a/agent.sock", "a/papers.json", "a/servers.key", "a/node.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(agent.daemon.stop(), Some(0));
}

#[test]
fn another_user_is_turned_away_even_where_the_modes_let_it_in() {
    let world = World::new();
    // A copy that the other user can reach, wherever this one was built.
    let program = world.path().join("regrow");
    fs::copy(env!("CARGO_BIN_EXE_regrow"), &program).expect("copy");
    for path in [world.path(), program.as_path()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("mode");
    }
    let as_stranger = |words: &[&str]| {
        let id = ["--reuid", STRANGER, "--regid", STRANGER, "--clear-groups"];
        Command::new("setpriv").args(id).arg(&program).args(words).output()
    };
    let able = as_stranger(&["version"]).is_ok_and(|output| output.status.success());
    if !able {
        println!("not run, promise untested: the door and other users (needs root and setpriv)");
        return;
    }
    let mut agent = begin(&world, "a", &["--bootstrap"]);
    let state = world.path().join("a");
    let words = ["node", "ls", "--state", state.to_str().expect("a path")];
    let ask = || said(&as_stranger(&words).expect("run"));
    let refused = ask();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("Permission denied"), "{refused:?}");
    // Somebody opened the folder and the socket by mistake: the door looks at who knocks.
    fs::set_permissions(&state, Permissions::from_mode(0o755)).expect("mode");
    fs::set_permissions(state.join("agent.sock"), Permissions::from_mode(0o666)).expect("mode");
    let refused = ask();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("ask as its own user or as root"), "{refused:?}");
    assert!(!refused.out.contains("alive"), "{refused:?}");
    assert!(world.ok(&words).contains("alive"), "its own user is answered");
    assert_eq!(agent.daemon.stop(), Some(0));
}
