//! How our providers name their worlds. Managers store these names: none of them may change.

use std::fs;
use std::path::Path;

use regrow_plugin::spi::World;

/// Where a machine says who it is, the first that says something. The second is for systems that
/// have no id, such as containers: a name that others may have too.
const MACHINE_FILES: [&str; 2] = ["/etc/machine-id", "/proc/sys/kernel/hostname"];

/// The world of a provider whose instances are in a folder of this machine. A folder that several
/// machines share counts as one for each of them.
pub(crate) fn of_folder(kind: &str, folder: &Path) -> World {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    on_machine(kind, &folder.display().to_string(), &machine())
}

/// The world of a provider whose instances exist in the memory of a process of this machine.
pub(crate) fn of_name(kind: &str, name: &str) -> World {
    on_machine(kind, name, &machine())
}

fn on_machine(kind: &str, what: &str, machine: &str) -> World {
    World::new(format!("{kind} {what} on machine {machine}"))
}

fn machine() -> String {
    let said = |path: &&str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let said = MACHINE_FILES.iter().filter_map(said).find(|text| !text.is_empty());
    said.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{of_folder, on_machine};

    #[test]
    fn the_names_of_worlds_stay_as_they_are() {
        let world = on_machine("process", "/var/lib/regrow/process", "4f1c");
        assert_eq!(world.as_str(), "process /var/lib/regrow/process on machine 4f1c");
    }

    #[test]
    fn one_folder_has_one_name() {
        let dir = tempfile::tempdir().expect("dir");
        let real = dir.path().join("real");
        std::fs::create_dir(&real).expect("made");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        assert_eq!(of_folder("file", &link), of_folder("file", &real));
        assert_ne!(of_folder("file", &real), of_folder("process", &real));
        assert_ne!(of_folder("file", &real), of_folder("file", dir.path()));
    }
}
