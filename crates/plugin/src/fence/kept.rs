//! The fences that a gate has seen, on disk: a plugin that was restarted refuses what it refused before.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use regrow_ids::Fence;
use serde::{Deserialize, Serialize};

/// Version of the file.
const FORMAT: u32 = 1;
/// Largest file that is read. It holds a line for each of some dozens of lineages.
const MAX_BYTES: u64 = 64 << 10;

/// The highest fences by their lineage, the one that was used last at the end.
pub(super) type Fences = Vec<(u64, Fence)>;

/// Why the fences that were seen cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "read the fences that plugin calls had from {path}: {reason}; remove the file only if no earlier \
     leader is still at work, for its calls would pass then"
)]
pub struct KeptFencesError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    format: u32,
    fences: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    lineage: u64,
    fence: u64,
}

/// Only the version: what comes beside it is that version's.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    format: u32,
}

/// Reads a file; one that is not there has no fences.
pub(super) fn read(path: &Path) -> Result<Fences, KeptFencesError> {
    let fault = |reason: String| KeptFencesError { path: path.display().to_string(), reason };
    let bytes = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Fences::new()),
        Err(e) => return Err(fault(e.to_string())),
        Ok(found) if found.len() > MAX_BYTES => {
            return Err(fault(format!(
                "it has {} bytes, at most {MAX_BYTES} are read",
                found.len()
            )));
        }
        Ok(_) => fs::read(path).map_err(|e| fault(e.to_string()))?,
    };
    let damaged = |e: serde_json::Error| fault(format!("it is damaged: {e}"));
    let Version { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format != FORMAT {
        return Err(fault(format!("format {format} is not {FORMAT}; upgrade")));
    }
    let document: Document = serde_json::from_slice(&bytes).map_err(damaged)?;
    let fence = |entry: Entry| (entry.lineage, Fence::new(entry.fence));
    Ok(document.fences.into_iter().map(fence).collect())
}

/// Writes a file: on disk, whole, when this returns.
pub(super) fn write(path: &Path, fences: &Fences) -> io::Result<()> {
    let entry = |(lineage, fence): &(u64, Fence)| Entry { lineage: *lineage, fence: fence.get() };
    let document = Document { format: FORMAT, fences: fences.iter().map(entry).collect() };
    let text = serde_json::to_vec(&document)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    let mut file = File::create(&draft)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use regrow_ids::Fence;

    use super::{read, write};

    #[test]
    fn fences_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("p.fences");
        assert_eq!(read(&path).expect("not there"), []);
        let fences = vec![(u64::MAX, Fence::new(7)), (3, Fence::new(u64::MAX))];
        write(&path, &fences).expect("written");
        assert_eq!(read(&path).expect("there"), fences);
        write(&path, &vec![(1, Fence::new(2))]).expect("written again");
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(text, r#"{"Format":1,"Fences":[{"Lineage":1,"Fence":2}]}"#, "a stored sample");
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("p.fences");
        for (text, why) in [
            ("", "damaged"),
            ("{", "damaged"),
            (r#"{"Format":2,"Marks":[]}"#, "format 2 is not 1"),
            (r#"{"Format":1,"Fences":[{"Lineage":1}]}"#, "damaged"),
            (r#"{"Format":1,"Fences":[],"More":1}"#, "damaged"),
            (&"x".repeat(100_000), "100000 bytes"),
        ] {
            std::fs::write(&path, text).expect("written");
            let fault = read(&path).expect_err(why).to_string();
            assert!(fault.contains(why) && fault.contains("p.fences"), "{fault}");
        }
    }
}
