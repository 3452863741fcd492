use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::Endpoint;
use crate::PluginError;
use crate::spi::Result;

/// Names the discovery directory.
pub const PLUGINS_VARIABLE: &str = "INFRAKIT_PLUGINS_DIR";

/// Names the folder that has the discovery directory as `plugins`.
pub const HOME_VARIABLE: &str = "INFRAKIT_HOME";

/// Largest `.listen` file that is read: it holds a URL.
const MAX_URL_BYTES: u64 = 4096;

/// Suffix of the files of plugins that listen on TCP.
const LISTEN_SUFFIX: &str = ".listen";

/// The discovery directory: each socket or `.listen` file in it is a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

/// The environment names no directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "find the plugin directory: none of {PLUGINS_VARIABLE}, {HOME_VARIABLE} and HOME is set; set one"
)]
pub struct DirectoryError;

impl Directory {
    /// A directory given by the user.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `$INFRAKIT_PLUGINS_DIR`, else `$INFRAKIT_HOME/plugins`, else `$HOME/.infrakit/plugins`.
    ///
    /// # Errors
    /// None of them is set.
    pub fn from_env() -> std::result::Result<Self, DirectoryError> {
        Self::resolve(|name| std::env::var_os(name).map(PathBuf::from))
    }

    fn resolve(
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> std::result::Result<Self, DirectoryError> {
        let set = |name| variable(name).filter(|value| !value.as_os_str().is_empty());
        set(PLUGINS_VARIABLE)
            .or_else(|| set(HOME_VARIABLE).map(|home| home.join("plugins")))
            .or_else(|| set("HOME").map(|home| home.join(".infrakit").join("plugins")))
            .map(Self)
            .ok_or(DirectoryError)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Path of a plugin's pid file.
    pub fn pid_path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pid"))
    }

    /// The plugins by name. A directory that is missing has none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<BTreeMap<String, Endpoint>> {
        let failed = |error: io::Error| {
            PluginError::NotFound(format!("list plugin directory {}: {error}", self.0.display()))
        };
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some((name, Some(endpoint))) = self.look(&name) {
                found.insert(name, endpoint);
            }
        }
        Ok(found)
    }

    /// Where a plugin answers.
    ///
    /// # Errors
    /// [`PluginError::NotFound`] with InfraKit's texts: there is no such file, or it is neither a
    /// socket nor a `.listen` file.
    pub fn find(&self, name: &str) -> Result<Endpoint> {
        let not_found = || PluginError::NotFound(format!("plugin not found:{name}"));
        if name.is_empty() || name.contains('/') {
            return Err(not_found());
        }
        let listen = || self.look(&format!("{name}{LISTEN_SUFFIX}"));
        match self.look(name).or_else(listen) {
            Some((_, Some(endpoint))) => Ok(endpoint),
            Some((_, None)) => {
                Err(PluginError::NotFound(format!("not a unix socket or listener:{name}")))
            }
            None => Err(not_found()),
        }
    }

    /// Name of the plugin that a file stands for, and where it answers if the file is of the right
    /// kind.
    fn look(&self, file: &str) -> Option<(String, Option<Endpoint>)> {
        let path = self.0.join(file);
        let kind = fs::metadata(&path).ok()?.file_type();
        if kind.is_socket() {
            return Some((file.to_owned(), Some(Endpoint::Unix(path))));
        }
        let endpoint = match file.strip_suffix(LISTEN_SUFFIX) {
            Some(name) if kind.is_file() => {
                return Some((name.to_owned(), read_url(&path).trim().parse().ok()));
            }
            _ => None,
        };
        Some((file.to_owned(), endpoint))
    }
}

/// The text of a `.listen` file; empty when there is none, or too much to be a URL.
fn read_url(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(path).map(|file| file.take(MAX_URL_BYTES + 1));
    match file.and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) if text.len() as u64 <= MAX_URL_BYTES => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Directory;
    use crate::discovery::Endpoint;

    #[test]
    fn the_environment_names_the_directory() {
        let resolve = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.to_vec();
            Directory::resolve(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        for (set, path) in [
            (&[("INFRAKIT_PLUGINS_DIR", "/p"), ("INFRAKIT_HOME", "/h"), ("HOME", "/u")][..], "/p"),
            (&[("INFRAKIT_PLUGINS_DIR", ""), ("INFRAKIT_HOME", "/h")], "/h/plugins"),
            (&[("HOME", "/u")], "/u/.infrakit/plugins"),
        ] {
            assert_eq!(resolve(set).expect("a directory").path(), Path::new(path));
        }
        assert!(resolve(&[]).is_err());
    }

    #[test]
    fn only_sockets_and_listen_files_are_plugins() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let directory = Directory::new(dir.path());
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("file"));
        std::fs::write(dir.path().join("file.pid"), "7").expect("write");
        std::fs::write(dir.path().join("net.listen"), "tcp://h:7\n").expect("write");
        std::fs::write(dir.path().join("plain"), "").expect("write");
        let long = format!("tcp://{}:7", "h".repeat(4096));
        std::fs::write(dir.path().join("long.listen"), long).expect("write");
        std::fs::create_dir(dir.path().join("folder")).expect("folder");
        let found = directory.list().expect("list");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["file", "net"]);
        assert_eq!(found["net"], Endpoint::Tcp("h:7".into()));
        for (name, text) in [
            ("plain", "not a unix socket or listener:plain"),
            ("folder", "not a unix socket or listener:folder"),
            ("nope", "plugin not found:nope"),
            ("long", "not a unix socket or listener:long"),
            ("", "plugin not found:"),
        ] {
            assert_eq!(directory.find(name).expect_err(name).to_string(), text);
        }
        assert!(Directory::new("/nonexistent/plugins").list().expect("empty").is_empty());
    }
}
