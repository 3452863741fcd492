//! Starting the process of an instance.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regrow_ids::InstanceId;
use regrow_plugin::spi::{InstanceSpec, tags};
use rustix::process::Pid;

use super::ProcessError;
use super::home::{FILE_MODE, SCRIPT_FILE, STDERR_FILE, STDOUT_FILE, WORK_DIR};
use super::proc::{INSTANCE_VARIABLE, PROVIDER_VARIABLE};
use super::properties::{Properties, no_nul};
use crate::disk::DiskError;

/// What an instance inherits of our own environment. Not all of it: it may hold secrets.
const INHERITED: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

const SHELL: &str = "/bin/sh";

/// Runs the script named by the first argument and becomes the command behind it.
const SCRIPT_THEN_COMMAND: &str = r#"script=$1; shift; /bin/sh "$script" || exit $?; exec "$@""#;

/// A command that is ready to be started; making it has checked everything that can be checked.
#[derive(Debug)]
pub(super) struct Launch {
    program: String,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    work_dir: PathBuf,
    script: Option<String>,
    dir: PathBuf,
}

impl Launch {
    /// Decides what to run for an instance with the given directory.
    pub(super) fn new(
        provider: &Path,
        dir: &Path,
        id: &InstanceId,
        spec: &InstanceSpec,
        properties: &Properties,
    ) -> Result<Self, ProcessError> {
        let script = (!spec.init.is_empty()).then(|| spec.init.clone());
        let script_path = dir.join(SCRIPT_FILE).into_os_string();
        let command = properties.command.iter().map(OsString::from);
        let (program, arguments) = match (&script, properties.command.split_first()) {
            (None, None) => return Err(ProcessError::NothingToRun),
            (None, Some((program, _))) => (program.as_str(), command.skip(1).collect()),
            (Some(_), None) => (SHELL, vec![script_path]),
            (Some(_), Some(_)) => {
                let words = ["-c", SCRIPT_THEN_COMMAND, "regrow-init"].map(OsString::from);
                (SHELL, words.into_iter().chain([script_path]).chain(command).collect())
            }
        };
        for (name, value) in &spec.tags {
            no_nul("/Tags", name)?;
            no_nul(&format!("/Tags/{name}"), value)?;
        }
        Ok(Self {
            program: program.to_owned(),
            arguments,
            environment: environment(provider, id, spec, properties),
            work_dir: properties.work_dir.clone().unwrap_or_else(|| dir.join(WORK_DIR)),
            script,
            dir: dir.to_owned(),
        })
    }

    /// Writes what must be there before the process is.
    pub(super) fn prepare(&self) -> Result<&Self, ProcessError> {
        if let Some(script) = &self.script {
            let path = self.dir.join(SCRIPT_FILE);
            let mut file = create(&path)?;
            file.write_all(script.as_bytes())
                .map_err(|e| DiskError::new("write file", &path, e))?;
        }
        Ok(self)
    }

    /// Starts the process as the leader of a new group.
    pub(super) fn start(&self, id: &InstanceId) -> Result<Pid, ProcessError> {
        if !self.work_dir.is_dir() {
            let path = self.work_dir.display().to_string();
            return Err(ProcessError::WorkDir { path });
        }
        let spawned = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.work_dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(create(&self.dir.join(STDOUT_FILE))?)
            .stderr(create(&self.dir.join(STDERR_FILE))?)
            .spawn();
        // The child is dropped without waiting for it: from here on it is known by its pidfd.
        let pid = spawned.map(|child| child.id()).map_err(|source| ProcessError::Start {
            program: self.program.clone(),
            id: id.clone(),
            source,
        })?;
        i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| ProcessError::Start {
            program: self.program.clone(),
            id: id.clone(),
            source: std::io::Error::other(format!("the system named it {pid}")),
        })
    }
}

fn create(path: &Path) -> Result<File, DiskError> {
    let mut options = OpenOptions::new();
    // Appending, so that several processes of a group do not write over one another.
    options.append(true).create_new(true).mode(FILE_MODE);
    options.open(path).map_err(|e| DiskError::new("create file", path, e))
}

/// The environment of an instance; what comes later wins.
fn environment(
    provider: &Path,
    id: &InstanceId,
    spec: &InstanceSpec,
    properties: &Properties,
) -> BTreeMap<OsString, OsString> {
    let own = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
    let mut all: BTreeMap<_, _> = INHERITED.into_iter().filter_map(own).collect();
    let mut set = |name: &str, value: &OsStr| {
        all.insert(name.into(), value.to_owned());
    };
    for (name, value) in &spec.tags {
        set(&format!("REGROW_TAG_{}", upper_snake(name)), value.as_ref());
    }
    let tag = |name: &str| spec.tags.get(name).map_or("", String::as_str);
    let logical_id = match &spec.logical_id {
        Some(id) => id.as_str(),
        None => tag(tags::LOGICAL_ID),
    };
    set("REGROW_GROUP", tag(tags::GROUP).as_ref());
    set("REGROW_LOGICAL_ID", logical_id.as_ref());
    for (name, value) in &properties.env {
        set(name, value.as_ref());
    }
    set(INSTANCE_VARIABLE, id.as_str().as_ref());
    set(PROVIDER_VARIABLE, provider.as_os_str());
    all
}

fn upper_snake(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use regrow_plugin::spi::InstanceSpec;

    use super::{Launch, Properties};
    use crate::process::ProcessError;

    fn launch(init: &str, command: &[&str]) -> Result<Launch, ProcessError> {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let properties = Properties { command, ..Default::default() };
        let tags = [("infrakit.config.hash".to_owned(), "h".to_owned())].into();
        let spec = InstanceSpec { init: init.to_owned(), tags, ..Default::default() };
        Launch::new(Path::new("/p"), Path::new("/p/i"), &"i".into(), &spec, &properties)
    }

    #[test]
    fn script_and_command_in_every_combination() {
        assert!(matches!(launch("", &[]), Err(ProcessError::NothingToRun)));
        let only_command = launch("", &["sleep", "1"]).expect("valid");
        assert_eq!((only_command.program.as_str(), only_command.arguments.len()), ("sleep", 1));
        let only_script = launch("true", &[]).expect("valid");
        assert_eq!(only_script.arguments, ["/p/i/init.sh"]);
        let both = launch("true", &["sleep", "1"]).expect("valid");
        assert_eq!(both.arguments[3..], ["/p/i/init.sh", "sleep", "1"]);
        let hash = both.environment.get(OsStr::new("REGROW_TAG_INFRAKIT_CONFIG_HASH"));
        assert_eq!(hash.map(|value| value.as_os_str()), Some(OsStr::new("h")));
    }
}
