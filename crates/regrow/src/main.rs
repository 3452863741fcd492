//! The program `regrow`: one binary for people, scripts and machines.
//!
//! What it is: arguments, wiring and printing. Everything that decides something lives in a crate
//! below; this one chooses which parts run in a process and shows what they say.
//!
//! What it must never do: work before the arguments are read, decide about groups or instances, or
//! store anything that a check has not seen.
//!
//! Where to start reading: `cli` for the tree of commands, `up` for the first thing that a new user
//! runs, `kinds` for the plugins that a process can start, `local` for commands on any plugin, `cluster`
//! for the agent.

mod absent;
mod cli;
mod client_tls;
mod cluster;
mod consul;
mod documents;
mod example_server;
mod fileserver;
mod finder;
mod kinds;
mod lists;
mod local;
mod logging;
mod managing;
mod metadata;
mod mux;
mod nouns;
mod output;
mod places;
mod plan;
mod playbooks;
mod plugins;
mod remote_tls;
mod remotes;
mod signals;
mod ssh;
mod supervise;
mod templates;
mod tunnel;
mod up;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let mut channel = None;
    if supervise::begins(&words) {
        // From here on this is the worker: the parent stays behind as the first process.
        match regrow_init::split() {
            Ok(split) => channel = Some(split),
            Err(error) => {
                eprintln!("regrow: split off the first process: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if supervise::pilot::is_called(&words) {
        return supervise::pilot::main(&words, channel);
    }
    cli::main(words, channel)
}
