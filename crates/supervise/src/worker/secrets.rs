//! Secrets as files: written before a process starts, readable by its user alone, named to it by
//! `CREDENTIALS_DIRECTORY` as systemd does.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::{SecretFile, SecretSource};

/// Where a process looks for its secrets.
pub const VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Bytes of one secret; a larger file is refused.
const MOST: u64 = 1 << 20;

/// The content of a secret that is on this machine; `None` for one in the catalog.
///
/// # Errors
/// It is not there or too large; the text names it and never its content.
pub fn local(
    secret: &SecretFile,
    variable: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, String> {
    match &secret.from {
        SecretSource::Env(name) => match variable(name) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("secret {:?}: the variable {name} is not set", secret.name)),
        },
        SecretSource::File(path) => {
            let failed =
                |why: String| format!("secret {:?}: read {}: {why}", secret.name, path.display());
            read(path).map(Some).map_err(|error| failed(error.to_string()))
        }
        SecretSource::Key(_) => Ok(None),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(format!("more than {MOST} bytes")));
    }
    Ok(bytes)
}

/// Writes a secret into a folder: whole or not at all, mode 0400.
///
/// # Errors
/// The file cannot be written.
pub fn place(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf, String> {
    let failed =
        |error: io::Error| format!("secret {name:?}: write it into {}: {error}", folder.display());
    let (target, fresh) = (folder.join(name), folder.join(format!(".{name}.new")));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o400).open(&fresh);
    file.and_then(|mut file| file.write_all(content)).map_err(failed)?;
    fs::rename(&fresh, &target).map_err(failed)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn secret(from: SecretSource) -> SecretFile {
        SecretFile { name: "password".into(), from }
    }

    #[test]
    fn secrets_come_from_variables_and_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("s");
        fs::write(&file, "of a file").expect("written");
        let known = |name: &str| (name == "PASSWORD").then(|| b"of a variable".to_vec());
        let found = local(&secret(SecretSource::Env("PASSWORD".into())), known);
        assert_eq!(found, Ok(Some(b"of a variable".to_vec())));
        let found = local(&secret(SecretSource::File(file)), known);
        assert_eq!(found, Ok(Some(b"of a file".to_vec())));
        let missing =
            local(&secret(SecretSource::Env("OTHER".into())), known).expect_err("not set");
        assert_eq!(missing, "secret \"password\": the variable OTHER is not set");
    }

    #[test]
    fn a_placed_secret_is_for_its_owner_and_can_be_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        for content in ["first", "second"] {
            let path = place(folder.path(), "password", content.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("readable"), content);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o400);
        }
    }

    #[test]
    fn a_secret_without_end_is_refused() {
        let refused = local(&secret(SecretSource::File("/dev/zero".into())), |_| None);
        assert!(refused.expect_err("too large").contains("more than"));
    }
}
