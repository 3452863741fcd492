use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::super::ServeError;

/// Makes the directory if it is missing, and checks that nobody else can put files into it.
pub(super) fn prepare(path: &Path) -> Result<(), ServeError> {
    let failed = |source| ServeError::Directory { path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let meta = fs::metadata(path).map_err(failed)?;
    let own = rustix::process::geteuid().as_raw();
    match fault(meta.mode(), meta.uid(), own) {
        None => Ok(()),
        Some((reason, fix)) => {
            let fix = fix.map(|fix| format!("run `{fix} {}`, or ", path.display()));
            let fix = fix.unwrap_or_default();
            let other = "choose another directory with INFRAKIT_PLUGINS_DIR";
            let reason = format!("{reason}; {fix}{other}");
            Err(ServeError::Unsafe { path: path.to_owned(), reason })
        }
    }
}

/// What makes a directory unsafe for a user, and the command that changes it if there is one.
///
/// Whoever can write to it can put a socket or a link in our place. The sticky bit does not help:
/// it keeps others from removing our files, not from being there first. Nor does it help to be
/// root, who can be led astray as well.
fn fault(mode: u32, owner: u32, own: u32) -> Option<(String, Option<&'static str>)> {
    let bits = mode & 0o7777;
    let writers = match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (_, true) => Some("every user"),
        (true, false) => Some("its group"),
        (false, false) => None,
    };
    if owner != own && owner != 0 {
        return Some((format!("it belongs to user {owner}, we are user {own}"), None));
    }
    let fix = Some("chmod go-w");
    writers.map(|who| (format!("{who} can write to it (mode {bits:04o})"), fix))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn only_we_and_root_may_write() {
        for (mode, owner, own, expected) in [
            (0o40700, 1000, 1000, None),
            (0o40755, 1000, 1000, None),
            (0o40755, 0, 1000, None),
            (0o40755, 0, 0, None),
            (0o40775, 1000, 1000, Some("its group can write to it (mode 0775)")),
            (0o40777, 0, 0, Some("every user can write to it (mode 0777)")),
            (0o41777, 0, 0, Some("every user can write to it (mode 1777)")),
            (0o40702, 1000, 1000, Some("every user can write to it (mode 0702)")),
            (0o40700, 1001, 1000, Some("it belongs to user 1001, we are user 1000")),
            (0o40700, 1000, 0, Some("it belongs to user 1000, we are user 0")),
        ] {
            let found = fault(mode, owner, own).map(|(reason, _)| reason);
            assert_eq!(found.as_deref(), expected, "{mode:o} {owner} {own}");
        }
    }
}
