//! `cargo xtask`: the chores of this repository, written in Rust so that they are read, tested and
//! refactored like everything else.
//!
//! **What it is.** Seven commands in one table: `setup`, `tidy`, `ci`, `bench`, `fuzz`,
//! `soak`, `golden`. Each has one module.
//!
//! **What it must never do.** Import a crate of the product (a broken product must not break the
//! check that says so), change a source file behind the user's back (`golden` is the one that
//! rewrites, and says what), or let a test that could not run look like one that passed.
//!
//! **Start reading** at [`COMMANDS`], then `ci.rs` for the order of a full run and `tidy/mod.rs`
//! for the house rules.

mod bench;
mod ci;
mod fuzz;
mod golden;
mod image;
mod process;
mod setup;
mod soak;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;

/// One sub-command: what the user types, what help prints, what runs.
struct Command {
    name: &'static str,
    args: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<ExitCode>,
}

/// Every sub-command. Help, dispatch and the "did you mean" list are made from this table.
const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        args: "",
        about: "install what the tests need (root on Debian), or say which tests will not run",
        run: setup::run,
    },
    Command {
        name: "tidy",
        args: "",
        about: "check floors, sizes, headers, marks, dependencies and licences",
        run: tidy::run,
    },
    Command {
        name: "ci",
        args: "[--package NAME] [--no-setup]",
        about: "setup, fmt, clippy, tidy, doc, doc tests, then all tests",
        run: ci::run,
    },
    Command {
        name: "bench",
        args: "NAME [-- ARGS]",
        about: "build in release and run one whole-system benchmark",
        run: bench::run,
    },
    Command {
        name: "fuzz",
        args: "[TARGET …] [--seconds N] [--list]",
        about: "run the decoders of tools/fuzz under libFuzzer, 60 s each",
        run: fuzz::run,
    },
    Command {
        name: "soak",
        args: "[--seeds N] [--from SEED] [--minutes M] [--machine NAME] [--canary NAME]",
        about: "run many seeds of the simulated world in release, 1,000 if nothing is said",
        run: soak::run,
    },
    Command {
        name: "golden",
        args: "[--package NAME]",
        about: "rerun the golden tests, accept what they print, show the difference",
        run: golden::run,
    },
];

/// Exit code for a wrong command line, as in sysexits.h.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first() else {
        print!("{}", help());
        return ExitCode::from(EXIT_USAGE);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprint!("xtask: there is no command `{name}`; these exist:\n\n{}", help());
        return ExitCode::from(EXIT_USAGE);
    };
    let rest = args.get(1..).unwrap_or_default();
    if rest.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--help" || arg == "-h") {
        println!("{}\n\nusage: cargo xtask {} {}", command.about, command.name, command.args);
        return ExitCode::SUCCESS;
    }
    (command.run)(rest).unwrap_or_else(|error| {
        eprintln!("xtask {name}: {error:#}");
        ExitCode::FAILURE
    })
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND\n\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.args);
        text.push_str(&format!("  {call:<36}{}\n", command.about));
    }
    text
}
