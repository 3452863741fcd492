//! `group commit`: groups are checked, and committed as they were shown.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use regrow_plugin::spi::{Group, GroupSpec};

use super::group::controller;
use crate::documents::{Located, RenderArgs, entries, group_of};
use crate::local::{Run, Target, commit_text};
use crate::output::print;
use crate::plan::Plan;

/// A group of a document, with the plugin that the document names for it.
type Asked = Located<(Option<String>, GroupSpec)>;

/// Arguments of `group commit`.
#[derive(Args, Debug)]
pub struct Commit {
    /// Specs: files, URLs, or - for standard input
    #[arg(required = true, value_name = "SPEC")]
    urls: Vec<String>,
    /// Only say what it would take
    #[arg(long)]
    pretend: bool,
    /// Commit only if the plan is still the one that --pretend printed under this name
    #[arg(long, value_name = "HASH", conflicts_with = "pretend")]
    plan: Option<String>,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for Commit {
    async fn run(self, target: &Target) -> Result<()> {
        let groups = self.groups(target).await?;
        let controller = controller(target).await?;
        // All are checked before the first one is committed.
        let now = look(target, controller.as_ref(), &groups).await?;
        if self.pretend {
            let hash = now.hash();
            return print(&format!(
                "{now}plan {hash}; to run this and nothing else: --plan {hash}\n"
            ));
        }
        if self.plan.as_ref().is_some_and(|wanted| *wanted != now.hash()) {
            bail!(
                "commit {}: the plan is no longer the one that was shown; nothing was committed. \
                 Now it is {}:\n{}",
                self.urls.join(", "),
                now.hash(),
                now.to_string().trim_end()
            );
        }
        for group in &groups {
            let plan = ask(target, controller.as_ref(), group, false).await?;
            print(&commit_text(&group.item.1.id, &plan, false))?;
        }
        Ok(())
    }
}

impl Commit {
    async fn groups(&self, target: &Target) -> Result<Vec<Asked>> {
        let loader = target.loader(&self.render);
        let mut groups = Vec::new();
        for url in &self.urls {
            for document in loader.documents(url).await? {
                for entry in entries(&document)? {
                    groups.push(group_of(&entry)?);
                }
            }
        }
        if groups.is_empty() {
            bail!("read {}: there is no group in it", self.urls.join(", "));
        }
        Ok(groups)
    }
}

/// What committing the groups would involve. It stands on their documents, and on those that they
/// would take the place of.
async fn look(target: &Target, controller: &dyn Group, groups: &[Asked]) -> Result<Plan> {
    let mut text = String::new();
    let mut basis = Vec::new();
    let stored = controller.inspect_groups().await;
    let stored =
        stored.map_err(|fault| anyhow!("read the groups of {}: {fault}", target.name()))?;
    for group in groups {
        let spec = &group.item.1;
        let plan = ask(target, controller, group, true).await?;
        text += &commit_text(&spec.id, &plan, true);
        basis.push(spec.properties.to_value().to_string());
        let before = stored.iter().find(|known| known.id == spec.id);
        basis.push(before.map_or_else(String::new, |it| it.properties.to_value().to_string()));
    }
    Ok(basis.into_iter().fold(Plan::new(text), Plan::on))
}

async fn ask(
    target: &Target,
    controller: &dyn Group,
    group: &Asked,
    pretend: bool,
) -> Result<String> {
    let (place, spec) = (&group.place, &group.item.1);
    let answer = controller.commit_group(spec, pretend).await;
    answer.map_err(|fault| {
        anyhow!("commit group {} of {place} to {}: {fault}", spec.id, target.name())
    })
}
