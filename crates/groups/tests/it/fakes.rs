use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_groups::{Groups, Options};
use regrow_ids::{Fence, GoDuration, GroupId, InstanceId, PluginName};
use regrow_plugin::spi::{
    Allocation, Description, DestroyReason, Flavor, Group, GroupSpec, Health, Index, Instance,
    InstanceSpec, Result, Tags,
};
use regrow_plugin::{FixedObjects, Lookup, Plugin, PluginError, Registry};
use regrow_reconcile::intents::MemoryIntents;
use serde_json::{Value, json};

/// Instances in memory, with a record of what was asked.
#[derive(Default)]
pub struct Machines {
    pub live: Mutex<BTreeMap<InstanceId, Arc<Description>>>,
    pub made: AtomicUsize,
    pub destroyed: Mutex<Vec<InstanceId>>,
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
    pub lists_fail: AtomicBool,
    pub slow_provision: Mutex<Duration>,
    pub slow_validate: Mutex<Duration>,
}

impl Machines {
    pub fn count(&self) -> usize {
        self.live.lock().unwrap().len()
    }

    pub fn ids(&self) -> Vec<InstanceId> {
        self.live.lock().unwrap().keys().cloned().collect()
    }
}

#[async_trait]
impl Instance for Machines {
    async fn validate(&self, properties: &Any) -> Result<()> {
        let pause = *self.slow_validate.lock().unwrap();
        tokio::time::sleep(pause).await;
        match properties.to_value().get("Bad") {
            Some(why) => Err(PluginError::refused(format!("bad properties: {why}"))),
            None => Ok(()),
        }
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        let pause = *self.slow_provision.lock().unwrap();
        tokio::time::sleep(pause).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let id = InstanceId::from(format!("m-{number:05}"));
        let description = Description {
            id: id.clone(),
            logical_id: spec.logical_id.clone(),
            tags: spec.tags.clone(),
            properties: Any::default(),
        };
        self.live.lock().unwrap().insert(id.clone(), Arc::new(description));
        Ok(id)
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        let mut live = self.live.lock().unwrap();
        let known = live.get_mut(instance).ok_or_else(|| PluginError::refused("unknown"))?;
        let mut changed = (**known).clone();
        changed.tags.extend(labels.clone());
        *known = Arc::new(changed);
        Ok(())
    }

    async fn destroy(&self, instance: &InstanceId, _reason: DestroyReason) -> Result<()> {
        self.destroyed.lock().unwrap().push(instance.clone());
        let removed = self.live.lock().unwrap().remove(instance);
        removed.map(|_| ()).ok_or_else(|| PluginError::refused("unknown instance"))
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        _properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        if self.lists_fail.load(Ordering::Relaxed) {
            return Err(PluginError::refused("the cloud is down"));
        }
        let live = self.live.lock().unwrap();
        Ok(live.values().filter(|d| d.matches(tags)).cloned().collect())
    }
}

/// A flavor that adds a tag with the member's place, and knows who is sick.
#[derive(Default)]
pub struct Plain {
    pub sick: AtomicBool,
    pub sequences: Mutex<Vec<u32>>,
}

#[async_trait]
impl Flavor for Plain {
    async fn validate(&self, properties: &Any, _allocation: &Allocation) -> Result<()> {
        match properties.to_value().get("Bad") {
            Some(why) => Err(PluginError::refused(format!("bad flavor: {why}"))),
            None => Ok(()),
        }
    }

    async fn prepare(
        &self,
        properties: &Any,
        mut spec: InstanceSpec,
        _allocation: &Allocation,
        index: &Index,
    ) -> Result<InstanceSpec> {
        if properties.to_value().get("Unready").is_some() {
            return Err(PluginError::refused("no token to join with"));
        }
        self.sequences.lock().unwrap().push(index.sequence);
        // A flavor that forgets the tags that it was given.
        spec.tags = Tags::from([("place".to_owned(), index.sequence.to_string())]);
        Ok(spec)
    }

    async fn healthy(&self, _properties: &Any, _instance: &Description) -> Result<Health> {
        let sick = self.sick.load(Ordering::Relaxed);
        Ok(if sick { Health::Unhealthy } else { Health::Healthy })
    }

    async fn drain(&self, _properties: &Any, _instance: &Description) -> Result<()> {
        Ok(())
    }
}

pub struct Rig {
    pub machines: Arc<Machines>,
    pub flavor: Arc<Plain>,
    pub groups: Arc<Groups>,
    pub plugins: Arc<Registry>,
    pub api: Arc<dyn Group>,
}

pub async fn rig() -> Rig {
    rig_with(&Options { poll_interval: GoDuration::from_secs(10), ..Options::default() }).await
}

pub async fn rig_with(options: &Options) -> Rig {
    let machines = Arc::new(Machines::default());
    let flavor = Arc::new(Plain::default());
    let plugins = Arc::new(Registry::default());
    let instances = FixedObjects::single(Arc::clone(&machines) as Arc<dyn Instance>);
    plugins.add(Plugin::new("machines").with_instances(instances));
    let flavors = FixedObjects::single(Arc::clone(&flavor) as Arc<dyn Flavor>);
    plugins.add(Plugin::new("plain").with_flavors(flavors));
    let log = Arc::new(MemoryIntents::new(11));
    let lookup: Arc<dyn Lookup> = plugins.clone();
    let groups = Groups::new(lookup, log, Arc::new(Fence::new(1)), options);
    plugins.add(regrow_groups::plugin("group", &groups));
    let api = plugins.group(&PluginName::from("group")).await.expect("the group plugin");
    Rig { machines, flavor, groups, plugins, api }
}

/// A document with a version that changes the hash.
pub fn document(version: u32, rest: &Value) -> GroupSpec {
    let mut properties = json!({
        "Instance": {"Plugin": "machines", "Properties": {"Version": version}},
        "Flavor": {"Plugin": "plain", "Properties": {}},
    });
    let fields = properties.as_object_mut().expect("an object");
    fields.extend(rest.as_object().expect("an object").clone());
    GroupSpec { id: GroupId::from("g"), properties: Any::from(properties) }
}

pub fn sized(version: u32, size: u32) -> GroupSpec {
    document(version, &json!({"Allocation": {"Size": size}}))
}

impl Rig {
    pub async fn commit(&self, spec: &GroupSpec) -> String {
        self.api.commit_group(spec, false).await.expect("commit")
    }

    pub async fn pretend(&self, spec: &GroupSpec) -> String {
        self.api.commit_group(spec, true).await.expect("pretend")
    }

    /// Waits until the group has nothing left to do.
    pub async fn converged(&self) {
        let mut status = self.groups.watch_status(&GroupId::from("g")).expect("watched");
        // The status of before a change may still be shown: wait for a plan made after now.
        let before = status.borrow().plans;
        let end = Duration::from_secs(600);
        let wait = status.wait_for(|status| status.converged && status.plans > before);
        tokio::time::timeout(end, wait).await.expect("converged in time").expect("watched");
    }
}
