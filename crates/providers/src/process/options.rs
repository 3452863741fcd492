use std::ffi::OsString;
use std::path::PathBuf;

use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};

use super::{ProcessError, StopSignal};
use crate::settings::{self, EnvOption};

/// Options of the process provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Where instances are kept (`REGROW_PROCESS_DIR`). Default: `/var/lib/regrow/process` for root,
    /// else `regrow/process` below `$XDG_STATE_HOME` or `~/.local/state`. Must be ours, and nobody else may write
    /// there.
    pub dir: Option<PathBuf>,
    /// Time between the stop signal and the kill, for instances that do not say
    /// (`REGROW_PROCESS_STOP_GRACE`). Default 10 s.
    pub stop_grace: GoDuration,
    /// Signal that asks for the end, for instances that do not say
    /// (`REGROW_PROCESS_STOP_SIGNAL`). Default TERM.
    pub stop_signal: StopSignal,
    /// Dead instances whose logs are kept. Default 20.
    pub keep_dead: usize,
}

/// Default of [`Options::stop_grace`] in seconds.
const STOP_GRACE_SECS: u64 = 10;
/// Default of [`Options::keep_dead`].
const KEEP_DEAD: usize = 20;

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: None,
            stop_grace: GoDuration::from_secs(STOP_GRACE_SECS),
            stop_signal: StopSignal::default(),
            keep_dead: KEEP_DEAD,
        }
    }
}

impl settings::Options for Options {
    const ENV: &'static [EnvOption] = &[
        EnvOption { variable: "REGROW_PROCESS_DIR", field: "Dir", list: false },
        EnvOption { variable: "REGROW_PROCESS_STOP_GRACE", field: "StopGrace", list: false },
        EnvOption { variable: "REGROW_PROCESS_STOP_SIGNAL", field: "StopSignal", list: false },
    ];
}

impl Options {
    pub(super) fn directory(&self) -> Result<PathBuf, ProcessError> {
        let is_root = rustix::process::geteuid().is_root();
        self.directory_for(is_root, |name| std::env::var_os(name))
    }

    fn directory_for(
        &self,
        is_root: bool,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, ProcessError> {
        if let Some(dir) = &self.dir {
            return Ok(dir.clone());
        }
        if is_root {
            return Ok(PathBuf::from("/var/lib/regrow/process"));
        }
        let set = |name| environment(name).filter(|value| !value.is_empty());
        let state = match (set("XDG_STATE_HOME"), set("HOME")) {
            (Some(state), _) => PathBuf::from(state),
            (None, Some(home)) => PathBuf::from(home).join(".local/state"),
            // Not the folder for temporary files: everybody may make things there.
            (None, None) => return Err(ProcessError::NoDirectory),
        };
        Ok(state.join("regrow/process"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Options;
    use crate::process::ProcessError;

    #[test]
    fn there_is_no_shared_default() {
        let options = Options::default();
        let of = |is_root, variable: &'static str| {
            options.directory_for(is_root, move |name| (name == variable).then(|| "/x".into()))
        };
        assert_eq!(of(true, "").expect("root"), Path::new("/var/lib/regrow/process"));
        assert_eq!(of(false, "HOME").expect("home"), Path::new("/x/.local/state/regrow/process"));
        assert_eq!(of(false, "XDG_STATE_HOME").expect("state"), Path::new("/x/regrow/process"));
        assert!(matches!(of(false, "TMPDIR"), Err(ProcessError::NoDirectory)));
    }
}
