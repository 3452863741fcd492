//! From a process that the machine wants to a command for init: program, environment, secrets,
//! the socket to tell on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use regrow_init::Command;
use rustix::fs::{Access, access};

use super::environment::Variable;
use super::notify;
use crate::config::{Job, SecretFile, SecretSource};
use crate::machine::Start;

/// Everything that is particular to one process.
#[derive(Debug, Default)]
pub struct Particular {
    /// Folder with its secrets.
    pub secrets: Option<PathBuf>,
    /// Socket for what it tells of itself.
    pub notify: Option<PathBuf>,
    /// Name and value of the variable with the fence of its lock.
    pub fence: Option<(String, String)>,
}

/// The command for init.
///
/// # Errors
/// The program is not on the `PATH`; the text is the one of ContainerPilot.
pub fn command<'a>(
    start: &'a Start,
    job: Option<&'a Job>,
    common: impl Iterator<Item = Variable<'a>>,
    particular: &'a Particular,
) -> Result<Command<'a>, String> {
    let (secrets, own) = job.map_or((&[][..], &[][..]), |job| (&job.secrets, &job.env));
    let environment = variables(common, secrets, own, particular);
    let path = environment.iter().find(|(name, _)| *name == "PATH").map(|(_, value)| *value);
    find(&start.exec.program, path)?;
    let words = std::iter::once(&start.exec.program).chain(&start.exec.args);
    let arguments = words.map(OsStr::new).collect();
    Ok(Command { arguments, environment, directory: Path::new("") })
}

/// Says what ContainerPilot says of a program that no folder of the `PATH` has. One with a slash is
/// left to the kernel.
fn find(program: &str, path: Option<&OsStr>) -> Result<(), String> {
    let executable = |file: &Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let mut folders = std::env::split_paths(path.unwrap_or_default());
    if program.contains('/') || folders.any(|folder| executable(&folder.join(program))) {
        return Ok(());
    }
    Err(format!("exec: {program:?}: executable file not found in $PATH"))
}

/// Every variable once, sorted by name: what is particular to the process over what is common to all.
fn variables<'a>(
    common: impl Iterator<Item = Variable<'a>>,
    secrets: &'a [SecretFile],
    own: &'a [(String, String)],
    particular: &'a Particular,
) -> Vec<Variable<'a>> {
    let moved = secrets.iter().filter_map(|secret| match &secret.from {
        SecretSource::Env(name) => Some(OsStr::new(name)),
        _ => None,
    });
    // Where the supervisor itself was told to tell, that is not for its jobs.
    let moved: Vec<&OsStr> = moved.chain([OsStr::new(notify::VARIABLE)]).collect();
    let own = own.iter().filter(|(name, _)| name != notify::VARIABLE);
    let texts = own.chain(particular.fence.iter());
    let paths =
        [(super::secrets::VARIABLE, &particular.secrets), (notify::VARIABLE, &particular.notify)];
    let paths = paths.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
    let mut all: Vec<Variable<'a>> = common.filter(|(name, _)| !moved.contains(name)).collect();
    all.extend(texts.map(|(name, value)| (OsStr::new(name), OsStr::new(value))));
    all.extend(paths.map(|(name, path)| (OsStr::new(name), path.as_os_str())));
    // The last of those with the same name counts: the sort keeps their order.
    all.reverse();
    all.sort_by_key(|(name, _)| *name);
    all.dedup_by_key(|(name, _)| *name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_particular_to_a_process_is_over_what_is_common_to_all() {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let added = [("A", "1"), ("SECRET", "x"), ("PATH", "/p"), (notify::VARIABLE, "ours")];
        let common = || added.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        let twice = || common().chain([(OsStr::new("A"), OsStr::new("2"))]);
        let own = [("B", "3"), ("PATH", "/own"), (notify::VARIABLE, "its")].map(pair);
        let from = SecretSource::Env("SECRET".to_owned());
        let secrets = [SecretFile { name: "x".to_owned(), from }];
        let fence = Some(pair(("F", "9")));
        let particular =
            Particular { notify: Some("/told".into()), fence, ..Particular::default() };
        let text = |all: Vec<Variable<'_>>| {
            let texts = all.iter().map(|(name, value)| {
                format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
            });
            texts.collect::<Vec<_>>().join(" ")
        };
        let all = variables(twice(), &secrets, &own, &particular);
        assert_eq!(text(all), "A=2 B=3 F=9 NOTIFY_SOCKET=/told PATH=/own");
        let nothing = Particular::default();
        let all = variables(twice(), &[], &own[2..], &nothing);
        assert_eq!(text(all), "A=2 PATH=/p SECRET=x");
    }

    #[test]
    fn programs_are_found_on_the_path_of_the_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = find("sh", Some(folder.path().as_os_str())).expect_err("an empty folder");
        assert_eq!(missing, "exec: \"sh\": executable file not found in $PATH");
        let both = format!("{}:/bin", folder.path().display());
        assert_eq!(find("sh", Some(OsStr::new(&both))), Ok(()));
        assert_eq!(find("./sh", None), Ok(()));
    }
}
