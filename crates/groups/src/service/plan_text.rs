//! What a change takes, in InfraKit's words, and which changes are refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use regrow_ids::InstanceId;
use regrow_plugin::PluginError;
use regrow_plugin::spi::{Description, Result, tags};

use crate::config::{GroupConfig, Membership};

/// Refuses changes that would replace who the members are, or lose sight of them.
/// `empty` says that no instance of the group may exist.
pub(super) fn check_change(from: &GroupConfig, to: &GroupConfig, empty: bool) -> Result<()> {
    let (before, after) = (&from.document.instance.plugin, &to.document.instance.plugin);
    if before != after && !empty {
        // InfraKit accepts this, and the members that `before` holds are nobody's from then on.
        return Err(PluginError::refused(format!(
            "changing the instance plugin from {before} to {after} would abandon the members; scale \
             the group to 0 first, or commit another group"
        )));
    }
    let text = match (&from.membership, &to.membership) {
        (Membership::Size(_), Membership::Size(_)) => return Ok(()),
        (Membership::Identities(a), Membership::Identities(b)) => {
            let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
            if a == b {
                return Ok(());
            }
            "Logical ID changes to a quorum is not currently supported"
        }
        // InfraKit accepts this and terminates every member.
        (Membership::Size(_), Membership::Identities(_)) => {
            "changing a group from Size to LogicalIDs would terminate all its members; destroy the \
             group, or free it and commit it under another name"
        }
        (Membership::Identities(_), Membership::Size(_)) => {
            "changing a group from LogicalIDs to Size would lose the members' identities; destroy \
             the group, or free it and commit it under another name"
        }
    };
    Err(PluginError::refused(text))
}

/// The plan as InfraKit words it.
pub(super) fn describe(
    from: &GroupConfig,
    to: &GroupConfig,
    members: &[Arc<Description>],
) -> String {
    let (before, after) = (from.membership.size(), to.membership.size());
    let hash = |d: &Description| d.tags.get(tags::CONFIG_HASH).cloned();
    let outdated = members.iter().filter(|d| hash(d).as_deref() != Some(to.hash.as_str())).count();
    let rolling = outdated.min(if after < before { after as usize } else { outdated });
    let grow = format!(
        "adding {} instances to increase the group size to {after}",
        after.abs_diff(before)
    );
    let shrink = format!(
        "Terminating {} instances to reduce the group size to {after}",
        before.abs_diff(after)
    );
    match (rolling, after.cmp(&before)) {
        (0, std::cmp::Ordering::Equal) if same_policies(from, to) => "Noop".to_owned(),
        (0, std::cmp::Ordering::Equal) => "Changing the group's policies".to_owned(),
        (0, std::cmp::Ordering::Greater) => capitalised(&grow),
        (0, std::cmp::Ordering::Less) => shrink,
        (n, std::cmp::Ordering::Equal) => format!("Performing a rolling update on {n} instances"),
        (n, std::cmp::Ordering::Greater) => {
            format!("Performing a rolling update on {n} instances, then {grow}")
        }
        (n, std::cmp::Ordering::Less) => {
            format!("{shrink}, then performing a rolling update on {n} instances")
        }
    }
}

fn same_policies(from: &GroupConfig, to: &GroupConfig) -> bool {
    from.document == to.document
        || from.hash == to.hash && {
            let (a, b) = (&from.document, &to.document);
            (&a.updating, &a.update, &a.health, &a.limits, &a.replace)
                == (&b.updating, &b.update, &b.health, &b.limits, &b.replace)
        }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Refuses names that are not members now.
pub(super) fn check_members(
    config: &GroupConfig,
    members: &[Arc<Description>],
    named: &[InstanceId],
) -> Result<()> {
    let known: BTreeSet<_> = members.iter().map(|d| &d.id).collect();
    let strangers: Vec<_> =
        named.iter().filter(|id| !known.contains(id)).map(InstanceId::as_str).collect();
    if strangers.is_empty() {
        return Ok(());
    }
    Err(PluginError::refused(format!(
        "not members of group '{}': {}; nothing was destroyed",
        config.id,
        strangers.join(", ")
    )))
}
