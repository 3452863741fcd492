//! Dependencies: nothing banned in the tree, and a budget on how many packages there are.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, Node, PackageId};

use super::Report;
use super::tree::World;

/// Packages that a build of everything may need.
const BUILD_PACKAGES_MAX: usize = 420;
/// The same with what only tests need.
const TEST_PACKAGES_MAX: usize = 550;

/// Where findings about the tree as a whole are reported.
const PLACE: &str = "Cargo.lock";

pub fn check(world: &World, report: &mut Report) {
    let Some(graph) = Graph::new(&world.metadata) else {
        report.hard(
            PLACE,
            1,
            "cargo metadata has no resolve; expected one; run `cargo check`".to_owned(),
        );
        return;
    };
    let all = graph.reach(true);
    for (name, reason) in &world.policy.banned {
        for id in all.keys().filter(|id| graph.name(id) == name) {
            let what = format!(
                "banned package `{name}` ({}); expected it nowhere: {reason}; switch off the \
                 feature that needs it",
                graph.chain(id, &all)
            );
            report.hard(PLACE, 1, what);
        }
    }
    let budgets = [
        ("build", graph.reach(false).len(), BUILD_PACKAGES_MAX),
        ("build and test", all.len(), TEST_PACKAGES_MAX),
    ];
    for (what_for, count, most) in budgets {
        report.note(format!("packages to {what_for}: {count} of {most}"));
        if count > most {
            let what = format!(
                "{count} packages to {what_for}; expected at most {most}; drop or narrow a \
                 dependency"
            );
            report.hard(PLACE, 1, what);
        }
    }
    report.note(format!("banned packages looked for: {}\n", world.policy.banned.len()));
}

/// The resolved graph of packages for this platform.
struct Graph<'a> {
    nodes: BTreeMap<&'a PackageId, &'a Node>,
    metadata: &'a Metadata,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Metadata) -> Option<Self> {
        let resolve = metadata.resolve.as_ref()?;
        let nodes = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        Some(Self { nodes, metadata })
    }

    fn name(&self, id: &PackageId) -> &str {
        let packages = &self.metadata.packages;
        packages
            .iter()
            .find(|package| package.id == *id)
            .map_or("?", |package| package.name.as_str())
    }

    /// Packages that the workspace pulls in, each with the one that pulled it. Development
    /// dependencies count for workspace members only: cargo takes nobody else's.
    fn reach(&self, with_tests: bool) -> BTreeMap<&'a PackageId, &'a PackageId> {
        let members: BTreeSet<&PackageId> = self.metadata.workspace_members.iter().collect();
        let mut found = BTreeMap::new();
        let mut queue: Vec<&'a PackageId> = self.metadata.workspace_members.iter().collect();
        while let Some(id) = queue.pop() {
            let Some(node) = self.nodes.get(id) else { continue };
            for import in &node.deps {
                let kept = import.dep_kinds.iter().any(|kind| {
                    kind.kind != DependencyKind::Development || (with_tests && members.contains(id))
                });
                if kept && !members.contains(&import.pkg) && !found.contains_key(&import.pkg) {
                    found.insert(&import.pkg, id);
                    queue.push(&import.pkg);
                }
            }
        }
        found
    }

    /// How a package comes in: `it <- who imports it <- … <- the crate of ours`.
    fn chain(&self, id: &PackageId, reach: &BTreeMap<&'a PackageId, &'a PackageId>) -> String {
        let mut names = vec![self.name(id)];
        let mut at = id;
        while let Some(importer) = reach.get(at) {
            names.push(self.name(importer));
            at = importer;
        }
        names.join(" <- ")
    }
}
