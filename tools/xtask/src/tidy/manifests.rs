//! Manifests: versions live once, in the workspace table, and every crate takes the shared lints.

use super::Report;
use super::tree::World;

/// Crates that need `unsafe` and therefore state their own lints.
pub const UNSAFE_CRATES: &[&str] = &["init", "fs"];

pub fn check(world: &World, report: &mut Report) {
    for member in &world.members {
        let Some(file) = world.file(&member.manifest) else { continue };
        for (line, name) in own_versions(&file.text) {
            let what = format!(
                "`{name}` is given here; expected `{name}.workspace = true`; \
                 put its version into [workspace.dependencies] of the root manifest"
            );
            report.hard(&file.path, line, what);
        }
        let shares_lints = section(&file.text, "lints").any(|(_, line)| line == "workspace = true");
        if !shares_lints && !UNSAFE_CRATES.contains(&member.name.as_str()) {
            let what = "the shared lints are off; expected `[lints] workspace = true`; add it";
            report.hard(&file.path, 1, what.to_owned());
        }
    }
}

/// Dependencies of a member manifest that do not come from the workspace table.
fn own_versions(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            in_dependencies = name.trim_end_matches(']').ends_with("dependencies");
        } else if in_dependencies && !line.starts_with('#') && line.contains('=') {
            let spaceless: String = line.split_whitespace().collect();
            if !spaceless.contains("workspace=true") {
                let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
                found.push((index + 1, name.to_owned()));
            }
        }
    }
    found
}

/// The lines of one section of a TOML file, with 1-based numbers.
pub fn section<'a>(toml: &'a str, name: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let header = format!("[{name}]");
    let mut inside = false;
    toml.lines().map(str::trim).enumerate().filter_map(move |(index, line)| {
        if line.starts_with('[') && line.ends_with(']') {
            inside = line == header;
            return None;
        }
        inside.then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_in_a_member_is_found() {
        let manifest = "[package]\nversion = \"1\"\n[dependencies]\na.workspace = true\n\
                        b = { workspace = true, features = [\"x\"] }\nc = \"1\"\n";
        assert_eq!(own_versions(manifest), [(6, "c".to_owned())]);
    }
}
