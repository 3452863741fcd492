//! The dependency policy, read from `deny.toml`: one list for `cargo deny` and for us, who need no
//! tool installed.
//!
//! Only the shape that the file has is understood: one entry a line.

use super::manifests::section;

/// What may be in the dependency tree.
#[derive(Debug, Default)]
pub struct Policy {
    /// Crates that may not, with the reason.
    pub banned: Vec<(String, String)>,
    /// SPDX ids of the licences that may.
    pub licences: Vec<String>,
}

impl Policy {
    pub fn parse(deny: &str) -> Self {
        let banned = section(deny, "bans").filter_map(|(_, line)| {
            let name = quoted_after(line, "crate = ")?;
            Some((name.to_owned(), quoted_after(line, "reason = ").unwrap_or_default().to_owned()))
        });
        let licences = section(deny, "licenses")
            .filter(|(_, line)| line.starts_with('"'))
            .filter_map(|(_, line)| quoted_after(line, "").map(str::to_owned));
        Self { banned: banned.collect(), licences: licences.collect() }
    }
}

/// The quoted text that follows `key`.
fn quoted_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let at = line.find(key)?;
    line.get(at + key.len()..)?.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_and_licences_are_read() {
        let deny = "[licenses]\nallow = [\n    \"MIT\", # fine\n]\n[bans]\ndeny = [\n    \
                    { crate = \"sled\", reason = \"old\" },\n]\n";
        let policy = Policy::parse(deny);
        assert_eq!(policy.licences, ["MIT"]);
        assert_eq!(policy.banned, [("sled".to_owned(), "old".to_owned())]);
    }
}
