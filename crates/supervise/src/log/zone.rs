//! Where the clock on the wall hangs.
//!
//! The zone of the machine is one small file. The library would first list every zone there is, to give
//! it its name, which nobody asks for here: that took longer than everything else before a first job.

use std::path::Path;

use jiff::tz::TimeZone;

/// The variable that names another zone than the machine's.
const VARIABLE: &str = "TZ";
/// The zone of the machine; without it, that of the meridian (`localtime(5)`).
const FILE: &str = "/etc/localtime";

/// The zone of this process.
pub fn local() -> TimeZone {
    match std::env::var_os(VARIABLE) {
        Some(_) => TimeZone::system(),
        None => of(Path::new(FILE)),
    }
}

/// The zone in a file; UTC where there is none that can be read.
fn of(file: &Path) -> TimeZone {
    let zone = std::fs::read(file).ok().and_then(|bytes| TimeZone::tzif("local", &bytes).ok());
    zone.unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_file_has_the_offsets_of_its_zone() {
        let file = Path::new("/usr/share/zoneinfo/Europe/Berlin");
        if !file.exists() {
            eprintln!("not run, promise untested (local time): no zones on this machine");
            return;
        }
        let zone = of(file);
        for (moment, hours) in [("2026-01-15T12:00:00Z", 1), ("2026-07-15T12:00:00Z", 2)] {
            let moment: Timestamp = moment.parse().expect("a moment");
            assert_eq!(zone.to_offset(moment).seconds(), hours * 3600, "{moment}");
        }
    }

    #[test]
    fn without_a_zone_it_is_utc() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("localtime");
        assert_eq!(of(&file), TimeZone::UTC);
        std::fs::write(&file, "no zone").expect("written");
        assert_eq!(of(&file), TimeZone::UTC);
    }
}
