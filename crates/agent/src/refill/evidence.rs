//! What was damaged, set aside: `damaged/MILLISECONDS-node-NUMBER/` in the state folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::error::AgentError;
use crate::folder::Folder;
use crate::refill::note::Note;
use crate::starting::{JOURNAL, TABLES};

const FOLDER: &str = "damaged";
/// What was found, beside it.
const FOUND: &str = "found.txt";
/// How many are kept.
const KEPT: usize = 2;

/// Whether the log or the tables are still in their place.
pub(super) fn in_place(folder: &Folder) -> bool {
    [JOURNAL, TABLES].iter().any(|name| folder.file(name).symlink_metadata().is_ok())
}

/// Moves log and tables into a folder of their own. What a crash left in its place is moved there too.
pub(super) fn set_aside(folder: &Folder, note: &Note) -> Result<(), AgentError> {
    let all = folder.file(FOLDER);
    // Thirteen digits last until the year 2286: the order of names is the order of time.
    let to = all.join(format!("{:013}-node-{}", note.since_ms, note.number));
    let moved = (|| {
        fs::create_dir_all(&to)?;
        fs::write(to.join(FOUND), format!("{}\n", note.found))?;
        for name in [JOURNAL, TABLES] {
            match fs::rename(folder.file(name), to.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        [&to, &all, folder.path()].into_iter().try_for_each(|path: &Path| sync(path))
    })();
    moved.map_err(|source| AgentError::File { doing: "set aside in", path: to.clone(), source })?;
    tracing::warn!(to = %to.display(), kept = KEPT, "log and tables are set aside as evidence");
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes all but the newest. What is left over because it cannot be removed does no harm.
pub(super) fn forget_old(folder: &Folder) {
    let Ok(entries) = fs::read_dir(folder.file(FOLDER)) else { return };
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    for old in found.iter().rev().skip(KEPT) {
        match fs::remove_dir_all(old) {
            Ok(()) => tracing::info!(path = %old.display(), "removed old evidence of damage"),
            Err(error) => tracing::warn!(%error, path = %old.display(), "remove old evidence"),
        }
    }
}
