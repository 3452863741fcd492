//! Exit codes: 0 done, 1 failed, 2 not understood; that of a command which was run for the user.

use std::process::ExitCode;

/// The command line was not understood.
const USAGE: u8 = 2;

/// A command that was run for the user ended with this code, and said itself why.
#[derive(Debug, thiserror::Error)]
#[error("the command ended with code {0}")]
pub struct Ended(pub u8);

/// After a command: its errors go to standard error as one line.
pub fn code(ended: anyhow::Result<()>) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    // The verbs of a plugin are read once it has been asked for them.
    if let Some(fault) = error.downcast_ref::<clap::Error>() {
        return ExitCode::from(usage(fault));
    }
    if let Some(Ended(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("regrow: {error:#}");
    ExitCode::FAILURE
}

/// The code after clap's refusal, or its help.
pub fn usage(fault: &clap::Error) -> u8 {
    // Nobody reads what could not be printed.
    let _ = fault.print();
    if fault.use_stderr() { USAGE } else { 0 }
}

/// `regrow … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
