//! Backends that pipe the script to a shell, here or on other hosts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{BackendFlag, Job};
use crate::ssh::{Host, is_plain_word};

/// The host that stands for this machine.
const HERE: &str = "localhost";

const HOSTS: BackendFlag = BackendFlag {
    name: "ssh-hostport",
    alias: "hostport",
    about: "Hosts to run on, such as 10.10.100.101:22, with commas between them; localhost is here",
};
const TARGET: BackendFlag =
    BackendFlag { name: "target", alias: "", about: "The same as --ssh-hostport" };
const USER: BackendFlag = BackendFlag { name: "ssh-user", alias: "user", about: "User there" };
const KEY: BackendFlag = BackendFlag {
    name: "ssh-keyfile",
    alias: "keyfile",
    about: "File with the private key; FILE:USER names the user too",
};
const PASSWORD: BackendFlag = BackendFlag {
    name: "ssh-password",
    alias: "password",
    about: "Refused: the ssh program takes no password from others; use a key or an agent",
};

/// Flags of the backend `ssh`.
pub(super) const SSH_FLAGS: &[BackendFlag] = &[HOSTS, TARGET, USER, KEY, PASSWORD];

/// Pipes the script to a shell on this machine.
pub(super) fn here(job: &Job<'_>) -> Result<()> {
    let mut shell = Command::new("/bin/sh");
    pipe(shell.args(job.words), "/bin/sh", job.script)
}

/// Pipes the script to a shell on each of the hosts, one after the other. A host where it fails does
/// not keep the script from the others; the command fails in the end.
pub(super) fn there(job: &Job<'_>) -> Result<()> {
    if job.option(&PASSWORD).is_some() {
        bail!(
            "run with backend ssh: a password cannot be handed to the ssh program; name a key with \
             --ssh-keyfile, or use an agent"
        );
    }
    let mut user = job.option(&USER);
    let mut key = job.option(&KEY);
    if let (None, Some((file, name))) = (user, key.and_then(|key| key.rsplit_once(':'))) {
        (key, user) = (Some(file), Some(name));
    }
    let hosts = job.option(&TARGET).or_else(|| job.option(&HOSTS)).unwrap_or(HERE);
    let mut commands = Vec::new();
    for host in hosts.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        commands.push((host, command(job, host, user, key)?));
    }
    let mut failed = Vec::new();
    for (host, command) in &mut commands {
        if let Err(fault) = pipe(command, &format!("the shell on {host}"), job.script) {
            failed.push(format!("{fault:#}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("; ")) }
}

fn command(job: &Job<'_>, host: &str, user: Option<&str>, key: Option<&str>) -> Result<Command> {
    let arguments = job.positional();
    // ssh hands its arguments to a shell there as one line.
    if let Some(word) = arguments.iter().find(|word| !is_plain_word(word)) {
        bail!("run with backend ssh: {word:?} on its line could mean something to a shell");
    }
    if host == HERE {
        let mut shell = Command::new("/bin/sh");
        shell.args(arguments);
        return Ok(shell);
    }
    let host = Host::parse(host, user.unwrap_or(""))?;
    let mut ssh = host.command();
    if let Some(key) = key {
        ssh.arg("-i").arg(key);
    }
    host.address(&mut ssh);
    ssh.arg("/bin/sh").args(arguments);
    Ok(ssh)
}

/// Runs a command with the script as its standard input.
fn pipe(command: &mut Command, name: &str, script: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::piped()).spawn().with_context(|| format!("start {program}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A shell that ends early does not read the rest.
        match input.write_all(script.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(error).with_context(|| format!("write the script to {name}"));
            }
            _ => {}
        }
    }
    let status = child.wait().with_context(|| format!("wait for {name}"))?;
    if status.success() { Ok(()) } else { bail!("run the script: {name} ended with {status}") }
}
