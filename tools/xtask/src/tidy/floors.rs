//! Floors: a crate imports lower floors only, and domains never import one another.

use cargo_metadata::DependencyKind;

use super::tree::{Member, World};
use super::{Report, scan};

/// The floor on which the domains stand: none may see its neighbours.
const DOMAINS: u8 = 4;

/// Every crate that may exist and its floor. A crate that is not here does not belong to the
/// workspace.
const FLOORS: &[(&str, u8)] = &[
    ("base2histogram", 0),
    ("ids", 0),
    ("codec", 0),
    ("journal", 1),
    ("pki", 0),
    ("wire", 1),
    ("template", 1),
    ("init", 1),
    ("consensus", 2),
    ("coord", 3),
    ("plugin", 3),
    ("reconcile", 3),
    ("groups", DOMAINS),
    ("manager", DOMAINS),
    ("providers", DOMAINS),
    ("flavors", DOMAINS),
    ("catalog", DOMAINS),
    ("supervise", DOMAINS),
    ("blocks", DOMAINS),
    ("namespace", DOMAINS),
    ("agent", 5),
    ("fs", 5),
    ("api", 5),
    ("regrow", 6),
    ("sim", 7),
    ("e2e", 8),
    ("fuzz", 8),
    ("xtask", 8),
];

/// Crates that the tests of any crate may import although they stand higher.
const TEST_HELPERS: &[&str] = &["sim"];

/// Crates that import nothing of the workspace, so that a broken product cannot break them.
const ALONE: &[&str] = &["xtask"];

pub fn check(world: &World, report: &mut Report) {
    for member in &world.members {
        let manifest = world.file(&member.manifest).map_or("", |file| file.text.as_str());
        let Some(floor) = floor(&member.name) else {
            let what = format!(
                "crate `{}` stands on no floor; expected one line in the table of floors; \
                 add it in tools/xtask/src/tidy/floors.rs and in ARCHITECTURE.md",
                member.name
            );
            report.hard(&member.manifest, 1, what);
            continue;
        };
        for (import, kind) in &member.imports {
            if let Some(why) = objection(member, floor, import, *kind) {
                report.hard(&member.manifest, line_of(manifest, import), why);
            }
        }
    }
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Why this import is against the rules; none when it is not.
fn objection(member: &Member, floor: u8, import: &str, kind: DependencyKind) -> Option<String> {
    let name = &member.name;
    if name == import {
        return None;
    }
    if ALONE.contains(&name.as_str()) {
        return Some(format!(
            "`{name}` imports `{import}`; expected no crate of the workspace; read files or run \
             the binary instead"
        ));
    }
    let other = self::floor(import)?;
    let for_tests = kind == DependencyKind::Development;
    if for_tests && TEST_HELPERS.contains(&import) {
        return None;
    }
    if other == DOMAINS && floor == DOMAINS {
        return Some(format!(
            "domain `{name}` imports domain `{import}`; expected none of floor {DOMAINS}; \
             state what you need as a trait and let the binary plug it in \
             (tests over both go to tools/e2e)"
        ));
    }
    // Tests may use a neighbour on the same floor: nothing that ships hangs on it.
    let allowed = other < floor || (for_tests && other == floor);
    (!allowed).then(|| {
        format!(
            "`{name}` (floor {floor}) imports `{import}` (floor {other}); expected a lower floor; \
             move the shared part down or turn the need into a trait"
        )
    })
}

/// The line of the manifest that names an import.
fn line_of(manifest: &str, import: &str) -> usize {
    let found = manifest.lines().position(|line| {
        let key: &str = line.split(['.', '=', ' ']).next().unwrap_or_default();
        key == import || key.strip_prefix("regrow-") == Some(import)
    });
    found.map_or_else(|| scan::line_at(manifest, 0), |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(name: &str, import: &str, kind: DependencyKind) -> bool {
        let member = Member {
            name: name.to_owned(),
            dir: String::new(),
            manifest: String::new(),
            imports: Vec::new(),
        };
        objection(&member, floor(name).unwrap(), import, kind).is_some()
    }

    #[test]
    fn only_lower_floors_are_imported() {
        assert!(!objects("groups", "plugin", DependencyKind::Normal));
        assert!(objects("plugin", "groups", DependencyKind::Normal));
        assert!(objects("consensus", "coord", DependencyKind::Normal));
        assert!(objects("plugin", "coord", DependencyKind::Normal));
        assert!(objects("regrow", "e2e", DependencyKind::Build));
        assert!(objects("xtask", "ids", DependencyKind::Normal));
    }

    #[test]
    fn domains_never_meet_not_even_in_tests() {
        assert!(objects("groups", "providers", DependencyKind::Normal));
        assert!(objects("groups", "providers", DependencyKind::Development));
    }

    #[test]
    fn tests_may_use_a_neighbour_and_the_simulator() {
        assert!(!objects("coord", "consensus", DependencyKind::Development));
        assert!(!objects("groups", "sim", DependencyKind::Development));
        assert!(objects("groups", "sim", DependencyKind::Normal));
        assert!(objects("plugin", "groups", DependencyKind::Development));
    }
}
