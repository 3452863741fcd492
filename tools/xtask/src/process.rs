//! Running other programs from the workspace root, and the few questions about the machine that
//! decide how.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};

/// The workspace root: two folders above this crate. Cargo names the crate's folder when it runs
/// us, so a checkout that was moved after the build is still found.
pub fn root() -> Result<PathBuf> {
    let here = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(crate_dir) => PathBuf::from(crate_dir).join("../.."),
        None => std::env::current_dir().context("failed to find the current folder")?,
    };
    let root =
        here.canonicalize().with_context(|| format!("failed to resolve {}", here.display()))?;
    if !root.join("Cargo.toml").is_file() {
        bail!(
            "{} holds no Cargo.toml; run this as `cargo xtask` inside the checkout",
            root.display()
        );
    }
    Ok(root)
}

/// `cargo` with these arguments, in the workspace root.
pub fn cargo<S: AsRef<OsStr>>(root: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(root);
    command
}

/// Any other program, in the workspace root.
pub fn program<S: AsRef<OsStr>>(
    root: &Path,
    name: &str,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root);
    command
}

/// Prints the command line as one could type it, runs it with our own stdout and stderr, returns
/// its status.
pub fn show_and_run(command: &mut Command) -> Result<ExitStatus> {
    println!("$ {}", line(command));
    command.status().with_context(|| format!("failed to start `{}`", line(command)))
}

/// Runs a command silently and returns its stdout; a non-zero exit is an error that carries its
/// stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("failed to start `{}`", line(command)))?;
    if !done.status.success() {
        bail!(
            "`{}` ended with {}: {}",
            line(command),
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The command line of a command: environment first, the program without its folder.
fn line(command: &Command) -> String {
    let mut words = Vec::new();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", key.to_string_lossy(), quoted(&value.to_string_lossy())));
        }
    }
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    words.push(name.to_string_lossy().into_owned());
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '(', ')', '+']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// Whether a program of that name can be found: in `PATH` or in the system folders that `PATH`
/// often lacks.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .any(|folder| folder.join(name).is_file())
}

/// Whether we are root on Debian or a system derived from it: the one case in which `setup`
/// installs anything.
pub fn is_root_on_debian() -> bool {
    let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        // Real, effective, saved, file-system: the effective one decides.
        uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
    });
    root && Path::new("/etc/debian_version").is_file() && has_program("apt-get")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_printed_as_one_would_type_it() {
        let mut command =
            program(Path::new("/"), "/usr/bin/cargo", ["test", "-E", "test(a) + test(b)"]);
        command.env("A", "x y");
        assert_eq!(line(&command), "A='x y' cargo test -E 'test(a) + test(b)'");
    }

    #[test]
    fn programs_are_looked_up_in_the_system_folders_too() {
        assert!(has_program("sh"));
        assert!(!has_program("no-such-program-of-ours"));
    }

    #[test]
    fn the_root_holds_the_workspace_manifest() {
        let root = root().unwrap();
        assert!(root.join("tools/xtask/Cargo.toml").is_file());
    }
}
