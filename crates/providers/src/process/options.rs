use std::path::PathBuf;

use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};

use super::StopSignal;
use crate::settings::{self, EnvOption};

/// Options of the process provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Where instances are kept (`REGROW_PROCESS_DIR`). Default: `/var/lib/regrow/process` for root,
    /// else `regrow/process` below `$XDG_STATE_HOME` or `~/.local/state`.
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
    pub(super) fn directory(&self) -> PathBuf {
        if let Some(dir) = &self.dir {
            return dir.clone();
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/regrow/process");
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let state = match (set("XDG_STATE_HOME"), set("HOME")) {
            (Some(state), _) => PathBuf::from(state),
            (None, Some(home)) => PathBuf::from(home).join(".local/state"),
            (None, None) => std::env::temp_dir(),
        };
        state.join("regrow/process")
    }
}
