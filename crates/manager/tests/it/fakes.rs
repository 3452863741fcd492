//! Plugins in memory that record what they are asked, and fail, hang or reject on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId, PluginName};
use regrow_manager::leader::{LeaderSource, Leadership, MemoryLeader};
use regrow_manager::store::{MemoryStore, SpecStore};
use regrow_manager::{Environment, Manager, Options};
use regrow_plugin::spi::{
    Controller, Description, Group, GroupDescription, GroupSpec, ObjectMeta, Operation, Plan,
    Result, Spec, SpecObject, Updatable,
};
use regrow_plugin::tree::UpdatableTree;
use regrow_plugin::{FixedObjects, Plugin, PluginError, Registry};
use serde_json::{Value, json};

/// How a fake behaves, and what it saw.
#[derive(Default)]
pub struct Behaviour {
    /// Ids that are refused, pretence included.
    pub reject: BTreeSet<String>,
    /// Ids that are refused by the real commit only.
    pub reject_late: BTreeSet<String>,
    /// Ids whose commit is never answered.
    pub hang: BTreeSet<String>,
    /// Ids whose destruction is never answered.
    pub hang_destroy: BTreeSet<String>,
    /// How long every changing call takes.
    pub delay: Duration,
    /// All calls that change something, such as `commit q`.
    pub calls: Vec<String>,
    /// Changing calls made while the replica did not lead.
    pub violations: Vec<String>,
    /// Calls under way, and the most that there were.
    pub under_way: usize,
    pub most_under_way: usize,
}

impl Behaviour {
    pub fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| *made == call).count()
    }
}

#[derive(Clone, Default)]
pub struct FakeGroups {
    pub behaviour: Arc<Mutex<Behaviour>>,
    pub watched: Arc<Mutex<BTreeMap<GroupId, GroupSpec>>>,
    leader: Option<MemoryLeader>,
}

impl FakeGroups {
    pub fn ids(&self) -> Vec<String> {
        self.watched.lock().expect("lock").keys().map(ToString::to_string).collect()
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.behaviour.lock().expect("lock"))
    }

    async fn begin(&self, call: &str, id: &str) {
        let delay = self.with(|seen| {
            seen.calls.push(format!("{call} {id}"));
            let leads = |leader: &MemoryLeader| matches!(leader.now(), Leadership::Leading { .. });
            // Letting go is what a replica does when it no longer leads.
            if call != "free" && !self.leader.as_ref().is_none_or(leads) {
                seen.violations.push(format!("{call} {id}"));
            }
            seen.under_way += 1;
            seen.most_under_way = seen.most_under_way.max(seen.under_way);
            seen.delay
        });
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let hangs = self.with(|seen| match call {
            "commit" => seen.hang.contains(id),
            "destroy" | "destroy-instances" => seen.hang_destroy.contains(id),
            _ => false,
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        self.with(|seen| seen.under_way -= 1);
    }

    fn watch_or_fail(&self, id: &GroupId) -> Result<GroupSpec> {
        let watched = self.watched.lock().expect("lock");
        watched
            .get(id)
            .cloned()
            .ok_or_else(|| PluginError::refused(format!("Group '{id}' is not being watched")))
    }
}

fn size_of(spec: &GroupSpec) -> u32 {
    let size = spec.properties.to_value()["Allocation"]["Size"].as_u64().unwrap_or(0);
    u32::try_from(size).expect("a small size")
}

fn resize(spec: &mut GroupSpec, size: u32) {
    let mut properties = spec.properties.to_value();
    properties["Allocation"]["Size"] = size.into();
    spec.properties = properties.into();
}

#[async_trait]
impl Group for FakeGroups {
    async fn commit_group(&self, spec: &GroupSpec, pretend: bool) -> Result<String> {
        let id = spec.id.to_string();
        if !pretend {
            self.begin("commit", &id).await;
        }
        let refused = self
            .with(|seen| seen.reject.contains(&id) || (!pretend && seen.reject_late.contains(&id)));
        if refused {
            return Err(PluginError::refused(format!("no plugin for flavor of {id}")));
        }
        if !pretend {
            self.watched.lock().expect("lock").insert(spec.id.clone(), spec.clone());
        }
        Ok(format!("Managing {} instances", size_of(spec)))
    }

    async fn free_group(&self, id: &GroupId) -> Result<()> {
        self.begin("free", id.as_str()).await;
        self.watch_or_fail(id)?;
        self.watched.lock().expect("lock").remove(id);
        Ok(())
    }

    async fn describe_group(&self, id: &GroupId) -> Result<GroupDescription> {
        let size = size_of(&self.watch_or_fail(id)?);
        let instances = (0..size)
            .map(|number| {
                let id = InstanceId::from(format!("{id}-{number}"));
                Arc::new(Description { id, ..Description::default() })
            })
            .collect();
        Ok(GroupDescription { instances, converged: true })
    }

    async fn destroy_group(&self, id: &GroupId) -> Result<()> {
        self.begin("destroy", id.as_str()).await;
        self.watch_or_fail(id)?;
        self.watched.lock().expect("lock").remove(id);
        Ok(())
    }

    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>> {
        Ok(self.watched.lock().expect("lock").values().cloned().collect())
    }

    async fn destroy_instances(&self, id: &GroupId, instances: &[InstanceId]) -> Result<()> {
        let mut spec = self.watch_or_fail(id)?;
        let size = size_of(&spec) - u32::try_from(instances.len()).expect("few");
        resize(&mut spec, size);
        self.watched.lock().expect("lock").insert(id.clone(), spec);
        // As the real one: the group shrinks at once, the answer waits for drains and the budget.
        self.begin("destroy-instances", id.as_str()).await;
        Ok(())
    }

    async fn size(&self, id: &GroupId) -> Result<u32> {
        Ok(size_of(&self.watch_or_fail(id)?))
    }

    async fn set_size(&self, id: &GroupId, size: u32) -> Result<()> {
        self.begin("set-size", id.as_str()).await;
        let mut spec = self.watch_or_fail(id)?;
        resize(&mut spec, size);
        self.watched.lock().expect("lock").insert(id.clone(), spec);
        Ok(())
    }
}

/// A controller that keeps objects by name.
#[derive(Clone, Default)]
pub struct FakeController {
    pub behaviour: Arc<Mutex<Behaviour>>,
    pub objects: Arc<Mutex<BTreeMap<String, SpecObject>>>,
}

impl FakeController {
    pub fn names(&self) -> Vec<String> {
        self.objects.lock().expect("lock").keys().cloned().collect()
    }

    fn check(&self, spec: &Spec) -> Result<()> {
        let name = &spec.metadata.name;
        if self.behaviour.lock().expect("lock").reject.contains(name) {
            return Err(PluginError::refused(format!("bad spec {name}")));
        }
        Ok(())
    }
}

#[async_trait]
impl Controller for FakeController {
    async fn plan(&self, _: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        self.check(spec)?;
        let plan = Plan { message: Some(vec!["would do it".to_owned()]) };
        Ok((SpecObject::new(spec.clone(), Any::default()), plan))
    }

    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        self.check(spec)?;
        let delay = self.behaviour.lock().expect("lock").delay;
        tokio::time::sleep(delay).await;
        let object = SpecObject::new(spec.clone(), Any::from(json!({"ok": true})));
        let mut objects = self.objects.lock().expect("lock");
        match operation {
            Operation::Enforce => objects.insert(spec.metadata.name.clone(), object.clone()),
            Operation::Destroy => objects.remove(&spec.metadata.name),
        };
        Ok((object, Plan::default()))
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let objects = self.objects.lock().expect("lock");
        let fits = |object: &&SpecObject| of.is_none_or(|of| of.name == object.metadata.name);
        Ok(objects.values().filter(fits).cloned().collect())
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let freed = self.describe(of).await?;
        let mut objects = self.objects.lock().expect("lock");
        for object in &freed {
            objects.remove(&object.metadata.name);
        }
        Ok(freed)
    }
}

/// A manager called `mystack` with fakes behind it.
pub struct World {
    pub leader: MemoryLeader,
    pub groups: FakeGroups,
    pub nfs: FakeController,
    pub vars: UpdatableTree,
    pub store: Arc<dyn SpecStore>,
    pub registry: Arc<Registry>,
    pub manager: Manager,
}

impl World {
    pub fn leading() -> Self {
        Self::new(MemoryLeader::leading(), Arc::new(MemoryStore::default()))
    }

    pub fn new(leader: MemoryLeader, store: Arc<dyn SpecStore>) -> Self {
        let groups = FakeGroups { leader: Some(leader.clone()), ..FakeGroups::default() };
        Self::with_groups(leader, store, groups)
    }

    pub fn with_groups(
        leader: MemoryLeader,
        store: Arc<dyn SpecStore>,
        groups: FakeGroups,
    ) -> Self {
        let groups = FakeGroups { leader: Some(leader.clone()), ..groups };
        let (nfs, vars) = (FakeController::default(), UpdatableTree::default());
        let registry = Arc::new(Registry::default());
        let object: Arc<dyn Group> = Arc::new(groups.clone());
        registry.add(Plugin::new("group-stateless").with_groups(FixedObjects::single(object)));
        let object: Arc<dyn Controller> = Arc::new(nfs.clone());
        registry.add(Plugin::new("nfs").with_controllers(FixedObjects::single(object)));
        let object: Arc<dyn Updatable> = Arc::new(vars.clone());
        registry.add(Plugin::new("vars").with_updatables(FixedObjects::single(object)));
        let options = Options { controllers: vec!["nfs".into()], ..Options::default() };
        let source: Arc<dyn LeaderSource> = Arc::new(leader.clone());
        let with =
            Environment { leader: source, store: Arc::clone(&store), lookup: registry.clone() };
        let manager = Manager::start("mystack", &options, with);
        registry.add(manager.plugin());
        Self { leader, groups, nfs, vars, store, registry, manager }
    }

    /// Calls an object of the manager the way a client does: by name.
    pub async fn group(&self, name: &str) -> Arc<dyn Group> {
        use regrow_plugin::Lookup as _;
        self.registry.group(&PluginName::new(name)).await.expect(name)
    }

    pub async fn controller(&self, name: &str) -> Arc<dyn Controller> {
        use regrow_plugin::Lookup as _;
        self.registry.controller(&PluginName::new(name)).await.expect(name)
    }

    pub async fn stack(&self) -> Arc<dyn regrow_plugin::spi::Stack> {
        use regrow_plugin::Lookup as _;
        self.registry.stack(&"mystack".into()).await.expect("stack")
    }

    pub async fn updatable(&self, name: &str) -> Arc<dyn Updatable> {
        use regrow_plugin::Lookup as _;
        self.registry.updatable(&PluginName::new(name)).await.expect(name)
    }

    /// Names of the stored specs.
    pub async fn stored(&self) -> Vec<String> {
        let specs = self.stack().await.specs().await.expect("specs");
        specs.into_iter().map(|spec| spec.metadata.name).collect()
    }
}

pub fn group(id: &str, size: u32) -> GroupSpec {
    GroupSpec { id: id.into(), properties: json!({"Allocation": {"Size": size}}).into() }
}

pub fn spec(kind: &str, name: &str, properties: Value) -> Spec {
    Spec {
        kind: kind.to_owned(),
        metadata: ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() },
        properties: properties.into(),
        ..Spec::default()
    }
}

/// Waits until something holds; fails after ten minutes, which pass at once on a paused
/// clock.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), wait).await.expect(what);
}
