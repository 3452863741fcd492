//! From a process that the machine wants to a command for init: program, environment, secrets,
//! the socket to tell on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use regrow_init::Command;
use rustix::fs::{Access, access};

use super::environment::fence_variable;
use super::{notify, secrets};
use crate::config::{Job, SecretSource};
use crate::machine::Start;

/// Everything that is particular to one process.
#[derive(Debug, Default)]
pub struct Particular {
    /// Folder with its secrets.
    pub secrets: Option<PathBuf>,
    /// Socket for what it tells of itself.
    pub notify: Option<PathBuf>,
}

/// The command for init.
///
/// # Errors
/// The program is not on the `PATH`; the text is the one of ContainerPilot.
pub fn command(
    start: &Start,
    job: Option<&Job>,
    all: BTreeMap<OsString, OsString>,
    particular: &Particular,
) -> Result<Command, String> {
    let variables = variables(start, job, all, particular);
    find(&start.exec.program, variables.get(OsStr::new("PATH")))?;
    let words = std::iter::once(&start.exec.program).chain(&start.exec.args);
    Ok(Command {
        arguments: words.map(OsString::from).collect(),
        environment: variables.into_iter().collect(),
        ..Command::default()
    })
}

/// Says what ContainerPilot says of a program that no folder of the `PATH` has. One with a slash is
/// left to the kernel.
fn find(program: &str, path: Option<&OsString>) -> Result<(), String> {
    let executable = |file: &Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let mut folders = std::env::split_paths(path.map_or(OsStr::new(""), OsString::as_os_str));
    if program.contains('/') || folders.any(|folder| executable(&folder.join(program))) {
        return Ok(());
    }
    Err(format!("exec: {program:?}: executable file not found in $PATH"))
}

fn variables(
    start: &Start,
    job: Option<&Job>,
    mut all: BTreeMap<OsString, OsString>,
    particular: &Particular,
) -> BTreeMap<OsString, OsString> {
    for secret in job.iter().flat_map(|job| &job.secrets) {
        if let SecretSource::Env(name) = &secret.from {
            all.remove(&OsString::from(name));
        }
    }
    for (name, value) in job.iter().flat_map(|job| &job.env) {
        all.insert(name.into(), value.into());
    }
    if let Some((lock, fence)) = &start.fence {
        all.insert(fence_variable(lock).into(), fence.to_string().into());
    }
    // Where the supervisor itself was told to tell, that is not for its jobs.
    all.remove(&OsString::from(notify::VARIABLE));
    let own = [(secrets::VARIABLE, &particular.secrets), (notify::VARIABLE, &particular.notify)];
    for (name, path) in own {
        if let Some(path) = path {
            all.insert(name.into(), path.into());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path_of_the_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = find("sh", Some(&folder.path().into())).expect_err("an empty folder");
        assert_eq!(missing, "exec: \"sh\": executable file not found in $PATH");
        let both = format!("{}:/bin", folder.path().display());
        assert_eq!(find("sh", Some(&both.into())), Ok(()));
        assert_eq!(find("./sh", None), Ok(()));
    }
}
