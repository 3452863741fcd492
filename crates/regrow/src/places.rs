//! Where things are: the state folder and the plugin directory.
//!
//! One rule for every command, so that a command finds the plugins of an `up` that runs:
//!
//! - state: `--state` (or `REGROW_STATE`), else `/var/lib/regrow` for root, else
//!   `$XDG_STATE_HOME/regrow`, else `~/.local/state/regrow`
//! - plugins: `INFRAKIT_PLUGINS_DIR`, else `<state>/plugins` when `--state` was given, else
//!   `$INFRAKIT_HOME/plugins`, else `<state>/plugins`. Called as `infrakit`, the program follows
//!   InfraKit's rule instead: `INFRAKIT_PLUGINS_DIR`, `$INFRAKIT_HOME/plugins`,
//!   `~/.infrakit/plugins`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use regrow_plugin::Directory;
use regrow_plugin::discovery::{HOME_VARIABLE, PLUGINS_VARIABLE};

/// Name of the plugin directory below a state folder.
const PLUGINS: &str = "plugins";

/// The state folder and what follows from it.
#[derive(Clone, Debug)]
pub struct Places {
    state: Option<PathBuf>,
    as_infrakit: bool,
}

impl Places {
    /// From the flag `--state`, and the name by which the program was called.
    pub fn new(state: Option<PathBuf>, as_infrakit: bool) -> Self {
        Self { state: state.filter(|path| !path.as_os_str().is_empty()), as_infrakit }
    }

    /// The state folder if one was named.
    pub fn chosen_state(&self) -> Option<PathBuf> {
        self.state.clone()
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        if let Some(state) = &self.state {
            return state.clone();
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/regrow");
        }
        match (variable("XDG_STATE_HOME"), variable("HOME")) {
            (Some(state), _) => state.join("regrow"),
            (None, Some(home)) => home.join(".local/state/regrow"),
            (None, None) => std::env::temp_dir().join("regrow"),
        }
    }

    /// The state folder, made if it is missing.
    pub fn make_state(&self) -> Result<PathBuf> {
        let state = self.state();
        make_private(&state).with_context(|| {
            format!("make state folder {}; choose another with --state", state.display())
        })?;
        let whole = state.canonicalize();
        whole.with_context(|| format!("resolve state folder {}", state.display()))
    }

    /// The plugin directory.
    pub fn plugins(&self) -> Result<Directory> {
        if self.as_infrakit {
            return Ok(Directory::from_env()?);
        }
        if let Some(path) = variable(PLUGINS_VARIABLE) {
            return Ok(Directory::new(path));
        }
        if let (None, Some(home)) = (&self.state, variable(HOME_VARIABLE)) {
            return Ok(Directory::new(home.join(PLUGINS)));
        }
        Ok(Directory::new(self.state().join(PLUGINS)))
    }

    /// Base of InfraKit's own files: `$INFRAKIT_HOME`, else `~/.infrakit`.
    pub fn infrakit_home() -> PathBuf {
        match (variable(HOME_VARIABLE), variable("HOME")) {
            (Some(home), _) => home,
            (None, Some(user)) => user.join(".infrakit"),
            (None, None) => std::env::temp_dir().join("infrakit"),
        }
    }
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A folder that only its owner can enter: it holds sockets and logs.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file whole or not at all; its folder is made if it is missing.
pub fn replace_file(path: &Path, text: &str) -> Result<()> {
    let about = || format!("write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).with_context(about)?;
    }
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .inspect_err(|_| {
            // Nothing but the draft is lost.
            let _ = std::fs::remove_file(&draft);
        })
        .with_context(about)
}
