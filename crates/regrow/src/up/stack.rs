//! The plugins of `up`: a manager that keeps the specs in the state folder, the group controller,
//! and whatever the specs name.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use regrow_codec::Any;
use regrow_ids::{GroupId, PluginName};
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{Document, FileStore, SpecStore};
use regrow_manager::{Catalog, Key, Options};
use regrow_plugin::spi::{Group, GroupSpec};
use serde_json::json;

use super::args::UpArgs;
use super::specs::Wanted;
use crate::kinds::{self, Host, Leading};
use crate::local::change;
use crate::plugins::{Rule, read_rules};

/// Folder of the stored specs below the state folder; the files are InfraKit's.
const SPECS_FOLDER: &str = "specs";
/// Kind of the group controller.
const CONTROLLER: &str = "group";
/// Kind of the metadata plugin.
const VARS: &str = "vars";

/// What runs.
pub struct Stack {
    /// The groups of the manager: a change through it is checked and stored.
    pub groups: Arc<dyn Group>,
    /// The group controller behind it.
    pub controller: Arc<regrow_groups::Groups>,
}

/// Starts everything.
pub async fn start(host: &Host, args: &UpArgs, wanted: &mut Wanted) -> Result<Stack> {
    let rules = read_rules(args.config_url.as_deref(), &args.render).await?;
    let store: Arc<dyn SpecStore> = Arc::new(FileStore::new(host.state().join(SPECS_FOLDER)));
    wanted.add_stored(stored_groups(store.as_ref()).await?);
    if wanted.ids().is_empty() {
        bail!("start: no spec is given and none is stored in {}", host.state().display());
    }
    check_plugins(host, wanted)?;
    for name in wanted.kinds() {
        let kind = kinds::expect(name)?;
        if kind.name != CONTROLLER {
            let options = own_folder(host, kind.name, options_of(&rules, kind.name));
            host.start(kind, kind.socket, &options).await?;
        }
    }
    let controller = kinds::expect(CONTROLLER)?;
    host.start(controller, controller.socket, &poll(&rules, args)).await?;
    let options = Options { mux: None, group: controller.socket.into(), ..Options::default() };
    let leading = Leading { leader: Arc::new(MemoryLeader::leading()), store, intents: None };
    host.start_manager(&args.stack, &options, leading).await?;
    set_values(host, args).await?;
    let name = PluginName::with_subtype(&args.stack, "groups");
    let groups = host.lookup().group(&name).await?;
    let controller = host.groups().pop().ok_or_else(|| anyhow!("start the group controller"))?;
    Ok(Stack { groups, controller })
}

fn options_of(rules: &[Rule], kind: &str) -> Any {
    let rule = rules.iter().find(|rule| rule.key == kind);
    let inproc = rule.and_then(|rule| rule.launch.inproc.as_ref());
    inproc.map(|inproc| inproc.options.clone()).unwrap_or_default()
}

/// File instances live below the state folder, like everything else of an `up`, unless the user says
/// otherwise.
fn own_folder(host: &Host, kind: &str, options: Any) -> Any {
    let is_set = std::env::var_os("INFRAKIT_INSTANCE_FILE_DIR").is_some_and(|dir| !dir.is_empty());
    if kind != "file" || is_set || !options.is_null() {
        return options;
    }
    Any::from(json!({ "Dir": host.state().join(kind) }))
}

/// The options of the group controller, with the poll interval of the command line.
fn poll(rules: &[Rule], args: &UpArgs) -> Any {
    let mut options = options_of(rules, CONTROLLER).to_value();
    if !options.is_object() {
        options = json!({});
    }
    options["PollInterval"] = json!(args.poll.to_string());
    Any::from(options)
}

async fn stored_groups(store: &dyn SpecStore) -> Result<Vec<GroupSpec>> {
    let stored = store.load(&Document::Specs).await?;
    let place = store.place(&Document::Specs);
    let catalog = Catalog::read(stored.contents.as_ref())
        .map_err(|fault| anyhow!("read stored specs {place}: {fault}"))?;
    let group = |(key, record): (&Key, &regrow_manager::Record)| {
        key.is_group().then(|| GroupSpec {
            id: GroupId::from(key.name.as_str()),
            properties: record.spec.properties.clone(),
        })
    };
    Ok(catalog.iter().filter_map(group).collect())
}

/// Every plugin that a spec names must be one that starts here or one that runs already.
fn check_plugins(host: &Host, wanted: &Wanted) -> Result<()> {
    let running = host.finder().names();
    for (name, place) in wanted.plugins() {
        let lookup = name.lookup();
        if kinds::find(lookup).is_some() || running.iter().any(|known| known == lookup) {
            continue;
        }
        let kinds = || kinds::KINDS.iter().map(|kind| kind.name);
        let hint = kinds::similar(lookup, kinds())
            .map_or_else(String::new, |near| format!("did you mean {near:?}? "));
        bail!(
            "read spec {place}: plugin not found:{lookup}; {hint}`up` starts {}, and no other \
             plugin runs under that name",
            kinds().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

/// Sets values through the manager, which keeps them.
async fn set_values(host: &Host, args: &UpArgs) -> Result<()> {
    if args.metadata.is_empty() {
        return Ok(());
    }
    let changes: Vec<_> = args.metadata.iter().map(|text| change(text)).collect::<Result<_>>()?;
    let tree = host.lookup().updatable(&PluginName::with_subtype(&args.stack, VARS)).await?;
    let proposal = tree.changes(&changes).await.context("set --metadata")?;
    tree.commit(&proposal.proposed, &proposal.cas).await.context("set --metadata")
}

/// Commits the groups of the documents, once all of them would be accepted.
pub async fn commit(groups: &dyn Group, wanted: &Wanted) -> Result<()> {
    for pretend in [true, false] {
        for group in &wanted.groups {
            let answer = groups.commit_group(&group.item, pretend).await;
            answer.map_err(|fault| {
                anyhow!("commit group {} of {}: {fault}", group.item.id, group.place)
            })?;
        }
    }
    Ok(())
}
