//! The program under the name `containerpilot`: its flags, its texts, its exit codes.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use regrow_init::Channel;
use regrow_supervise::config::{ConfigError, Source};
use regrow_supervise::flags::{self, Flags, Mode, USAGE_EXIT};

use super::{CONFIG_VARIABLE, VERSION, environment, surroundings};
use crate::cli::one_shot;

/// The name under which these flags are taken.
const NAME: &str = "containerpilot";

/// True where the program was called by that name.
pub fn is_called(words: &[OsString]) -> bool {
    words.first().map(Path::new).and_then(Path::file_name).is_some_and(|name| name == NAME)
}

/// True where these words make a supervisor of this process.
pub fn begins(words: &[OsString]) -> bool {
    read(words).is_ok_and(|flags| flags.mode == Mode::Run && flags.source.is_some())
}

/// Does what the words say.
pub fn main(words: &[OsString], channel: Option<Channel>) -> ExitCode {
    let flags = match read(words) {
        Ok(flags) => flags,
        Err(fault) => {
            eprint!("{fault}\n{}", flags::usage());
            return ExitCode::from(USAGE_EXIT);
        }
    };
    match run(flags, channel) {
        Ok(code) => code,
        Err(text) => {
            // The log goes to standard output unless a configuration says otherwise.
            println!("{} {text}", jiff::Timestamp::now());
            ExitCode::FAILURE
        }
    }
}

fn read(words: &[OsString]) -> Result<Flags, flags::UsageError> {
    let words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    let variable = std::env::var(CONFIG_VARIABLE).ok();
    flags::parse(&words.collect::<Vec<_>>(), variable.as_deref())
}

fn run(flags: Flags, channel: Option<Channel>) -> Result<ExitCode, String> {
    let Flags { mode, source, app } = flags;
    let source = || source.ok_or_else(|| ConfigError::NoFile.to_string());
    match mode {
        Mode::Help => print!("{}", flags::usage()),
        Mode::Version => print!("{}", version()),
        Mode::Template { out } => template(&source()?, out.as_deref())?,
        Mode::Run => {
            let source = Some(source()?);
            let code = super::supervise(channel, source, app).map_err(|fault| format!("{fault:#}"));
            return code.map(ExitCode::from);
        }
        asking => {
            let said = ask(&asking, &source()?)?;
            if !said.is_empty() {
                println!("{said}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The commit is known where the build says it.
fn version() -> String {
    let commit = option_env!("REGROW_COMMIT").unwrap_or("unknown");
    format!("Version: {VERSION}\nGitHash: {commit}\n")
}

/// Nothing is added to what the template says.
fn template(source: &Source, out: Option<&Path>) -> Result<(), String> {
    let text = source.render(&environment()).map_err(|fault| fault.to_string())?;
    match out {
        None => crate::output::print(&text).map_err(|fault| format!("{fault:#}")),
        Some(path) => fs::write(path, text)
            .map_err(|fault| format!("could not write {}: {fault}", path.display())),
    }
}

/// A reload is refused here already where the file is wrong; the other questions need the path of the
/// socket only.
fn ask(mode: &Mode, source: &Source) -> Result<&'static str, String> {
    let socket = match mode {
        Mode::Reload => {
            source.load(&surroundings(Vec::new())).map(|loaded| loaded.config.control_socket)
        }
        _ => source.control_socket(&environment()),
    };
    let socket = socket.map_err(|fault| fault.to_string())?;
    let mut said = Ok("");
    let asked = one_shot(async {
        said = flags::run_client(mode, &socket).await;
        Ok(())
    });
    asked.map_err(|fault| format!("{fault:#}"))?;
    said
}
