use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::PluginError;
use regrow_plugin::spi::{
    Description, DestroyReason, EventStream, Events, Instance, InstanceSpec, Result, Tags, World,
    tags,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_blocking};

use super::ending::{self, Census};
use super::home::Home;
use super::launch::Launch;
use super::leader::Leader;
use super::record::{InstanceRecord, State};
use super::{Options, ProcessError, Properties, proc};
use crate::detached::detached;
use crate::hints::{Happened, Hints};
use crate::keys::KeyLocks;
use crate::row::Row;
use crate::world;

/// The process provider. Dropping it leaves the instances alone; the next one goes on with them.
pub struct Processes {
    core: Arc<Core>,
}

/// What calls and watching tasks share.
pub(super) struct Core {
    pub(super) home: Home,
    pub(super) boot_id: String,
    pub(super) census: Census,
    options: Options,
    hints: Hints,
    keys: KeyLocks,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    members: BTreeMap<InstanceId, Member>,
    /// Instances by idempotency key.
    keys: HashMap<String, InstanceId>,
    /// Instances that cannot be told from strangers, and why. While there are any, no list is whole.
    set_aside: BTreeMap<InstanceId, String>,
}

struct Member {
    live: Arc<Live>,
    row: Row,
    attendant: AbortHandle,
}

/// An instance whose end has not been dealt with yet.
pub(super) struct Live {
    pub(super) id: InstanceId,
    pub(super) leader: Leader,
    pub(super) stop_signal: Signal,
    pub(super) stop_grace: Duration,
    /// Somebody asked for the end.
    pub(super) stopping: AtomicBool,
    /// Held by the one call that stops it.
    pub(super) stop_turn: tokio::sync::Mutex<()>,
    /// Held while the stored record changes.
    pub(super) record: tokio::sync::Mutex<InstanceRecord>,
    /// True once nothing is left.
    pub(super) gone: watch::Sender<bool>,
}

impl Processes {
    /// Opens the directory and goes on with the instances that an earlier run left there.
    ///
    /// # Errors
    /// The directory cannot be used or belongs to a running provider. A damaged record does not stop
    /// the others: lists fail and name it.
    pub async fn open(options: &Options) -> std::result::Result<Self, ProcessError> {
        let (dir, keep_dead) = (options.directory()?, options.keep_dead);
        let home = spawn_blocking(move || Home::open(&dir, keep_dead)).await??;
        let core = Arc::new(Core {
            census: Census::new(home.path()),
            home,
            boot_id: proc::boot_id().map_err(ProcessError::Proc)?,
            options: options.clone(),
            hints: Hints::default(),
            keys: KeyLocks::default(),
            table: Mutex::default(),
        });
        core.recover().await?;
        Ok(Self { core })
    }

    /// What happens to instances, for the event interface.
    pub fn events(&self) -> Arc<dyn Events> {
        Arc::new(self.core.hints.clone())
    }

    /// Directory of an instance, with its logs.
    pub fn directory_of(&self, id: &InstanceId) -> PathBuf {
        self.core.home.of(id)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for member in self.core.table().members.values() {
            member.attendant.abort();
        }
    }
}

impl Core {
    fn table(&self) -> MutexGuard<'_, Table> {
        // A poisoned lock only says that another thread panicked between two whole changes.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(
        &self,
        doing: &'static str,
        id: &InstanceId,
    ) -> std::result::Result<Arc<Live>, ProcessError> {
        let table = self.table();
        let member = table.members.get(id);
        member
            .map(|member| Arc::clone(&member.live))
            .ok_or_else(|| ProcessError::Unknown { doing, id: id.clone() })
    }

    /// Leaves one instance to people, so that the others can go on.
    pub(super) fn set_aside(&self, id: &InstanceId, fault: &ProcessError) {
        tracing::error!(instance = %id, error = %fault, "set aside; lists fail until it is dealt with");
        self.table().set_aside.insert(id.clone(), fault.to_string());
    }

    /// Fails while an instance is set aside whose directory is still there. Blocking.
    fn check_whole(&self) -> std::result::Result<(), ProcessError> {
        let mut table = self.table();
        table.set_aside.retain(|id, _| self.home.of(id).symlink_metadata().is_ok());
        match table.set_aside.first_key_value() {
            None => Ok(()),
            Some((id, reason)) => Err(ProcessError::SetAside {
                id: id.clone(),
                dir: self.home.of(id).display().to_string(),
                reason: reason.clone(),
            }),
        }
    }

    /// As [`Core::check_whole`]; costs nothing while all is well.
    async fn whole(self: &Arc<Self>) -> std::result::Result<(), ProcessError> {
        if self.table().set_aside.is_empty() {
            return Ok(());
        }
        let core = Arc::clone(self);
        spawn_blocking(move || core.check_whole()).await?
    }

    /// All instances whose end has not been dealt with.
    pub(super) fn all_live(&self) -> Vec<Arc<Live>> {
        self.table().members.values().map(|member| Arc::clone(&member.live)).collect()
    }

    pub(super) fn tell(&self, happened: Happened, id: &InstanceId, message: impl Into<String>) {
        self.hints.tell(happened, id, message);
    }

    /// Makes an instance, or finds the one with the same key.
    async fn provision(
        self: Arc<Self>,
        spec: InstanceSpec,
    ) -> std::result::Result<InstanceId, ProcessError> {
        let properties = Properties::read(&spec.properties)?;
        let key = spec.tags.get(tags::STEP_KEY).cloned();
        let _turn = match &key {
            Some(key) => Some(self.keys.lock(key).await),
            None => None,
        };
        let has_key = key.is_some();
        let known = key.and_then(|key| self.table().keys.get(&key).cloned());
        if let Some(id) = known {
            return Ok(id);
        }
        if has_key {
            // The instance of this key may be one that was set aside.
            self.whole().await?;
        }
        let core = Arc::clone(&self);
        let (record, leader) = spawn_blocking(move || core.launch(&spec, &properties)).await??;
        let id = record.id.clone();
        let ended = match leader.watch() {
            Ok(ended) => ended,
            Err(source) => {
                ending::kill_unwatched_child(leader.pid());
                self.bury(record).await;
                return Err(leader.unwatchable(&id, source));
            }
        };
        self.take_in(record, leader, ended)?;
        self.tell(Happened::Created, &id, "started");
        Ok(id)
    }

    /// Records, starts, records again. Blocking.
    fn launch(
        &self,
        spec: &InstanceSpec,
        properties: &Properties,
    ) -> std::result::Result<(InstanceRecord, Leader), ProcessError> {
        let id = Home::new_id();
        let launch = Launch::new(self.home.path(), &self.home.of(&id), &id, spec, properties)?;
        let dir = self.home.make(&id)?;
        let mut record = InstanceRecord {
            id: id.clone(),
            state: State::Starting,
            logical_id: spec.logical_id.clone(),
            tags: spec.tags.clone(),
            properties: spec.properties.clone(),
            created: jiff::Timestamp::now().to_string(),
            leader: None,
            exit: None,
        };
        // The record first: should we die between the two, the next run knows what to look for.
        let started = record.write(&dir).and_then(|()| launch.prepare()?.start(&id));
        let pid = match started {
            Ok(pid) => pid,
            Err(fault) => {
                self.home.remove(&id)?;
                return Err(fault);
            }
        };
        let leader = Leader::of_child(pid).map_err(|source| {
            ending::kill_unwatched_child(pid);
            let pid = pid.as_raw_nonzero().get();
            ProcessError::Watch { pid, id: id.clone(), source }
        });
        let recorded = leader.and_then(|leader| {
            record.state = State::Running;
            record.leader = Some(leader.identity(&self.boot_id));
            // Need not survive a power cut: the process would not either.
            record.write_whole(&dir).inspect_err(|_| ending::kill_unwatched_child(pid))?;
            Ok(leader)
        });
        match recorded {
            Ok(leader) => Ok((record, leader)),
            Err(fault) => {
                self.home.bury(&id)?;
                Err(fault)
            }
        }
    }

    /// Puts a running instance on the list and waits for its end in the background.
    pub(super) fn take_in(
        self: &Arc<Self>,
        record: InstanceRecord,
        leader: Leader,
        ended: AsyncFd<Arc<OwnedFd>>,
    ) -> std::result::Result<Arc<Live>, ProcessError> {
        let id = record.id.clone();
        let settings = Properties::read(&record.properties)?;
        let grace = settings.stop_grace.unwrap_or(self.options.stop_grace);
        let signal = settings.stop_signal.unwrap_or(self.options.stop_signal);
        let row = Row::new(self.describe(&record, &leader));
        let live = Arc::new(Live {
            id: id.clone(),
            leader,
            stop_signal: signal.signal(),
            stop_grace: grace.as_duration(),
            stopping: AtomicBool::new(record.state == State::Stopping),
            stop_turn: tokio::sync::Mutex::default(),
            record: tokio::sync::Mutex::new(record),
            gone: watch::Sender::new(false),
        });
        let mut table = self.table();
        if let Some(key) = row.tags().get(tags::STEP_KEY) {
            table.keys.insert(key.clone(), id.clone());
        }
        let attend = ending::attend(Arc::downgrade(self), Arc::clone(&live), ended);
        let attendant = tokio::spawn(attend).abort_handle();
        table.members.insert(id, Member { live: Arc::clone(&live), row, attendant });
        Ok(live)
    }

    /// Takes an instance off the list.
    pub(super) fn strike_out(&self, id: &InstanceId) {
        let mut table = self.table();
        let Some(member) = table.members.remove(id) else { return };
        if let Some(key) = member.row.tags().get(tags::STEP_KEY)
            && table.keys.get(key) == Some(id)
        {
            table.keys.remove(key);
        }
    }

    async fn label(
        self: Arc<Self>,
        id: InstanceId,
        labels: Tags,
    ) -> std::result::Result<(), ProcessError> {
        let live = self.live("label", &id)?;
        let mut record = live.record.lock().await;
        if record.state == State::Ended {
            return Err(ProcessError::Unknown { doing: "label", id });
        }
        let mut changed = record.clone();
        changed.tags.extend(labels);
        let dir = self.home.of(&id);
        let changed = spawn_blocking(move || changed.write(&dir).map(|()| changed)).await??;
        let row = Row::new(self.describe(&changed, &live.leader));
        *record = changed;
        let mut table = self.table();
        let Table { members, keys, .. } = &mut *table;
        if let Some(member) = members.get_mut(&id) {
            if let Some(key) = row.tags().get(tags::STEP_KEY) {
                keys.insert(key.clone(), id.clone());
            }
            member.row = row;
        }
        drop(table);
        self.tell(Happened::Changed, &id, "labelled");
        Ok(())
    }

    fn describe(&self, record: &InstanceRecord, leader: &Leader) -> Description {
        // Without `Env`: values there may be secrets, and lists travel far.
        let command = Properties::read(&record.properties).map(|read| read.command);
        let view = json!({
            "Pid": leader.pid().as_raw_nonzero().get(),
            "Created": record.created,
            "Adopted": !leader.is_child(),
            "Dir": self.home.of(&record.id),
            "Command": command.unwrap_or_default(),
        });
        Description {
            id: record.id.clone(),
            logical_id: record.logical_id.clone(),
            tags: record.tags.clone(),
            properties: Any::from(view),
        }
    }
}

#[async_trait]
impl Instance for Processes {
    async fn validate(&self, properties: &Any) -> Result<()> {
        let read = Properties::read(properties);
        read.map(drop).map_err(|fault| PluginError::refused(fault.to_string()))
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        detached(Arc::clone(&self.core).provision(spec.clone())).await
    }

    fn remembers_keys(&self) -> bool {
        true
    }

    async fn worlds(&self) -> Result<Vec<World>> {
        Ok(vec![world::of_folder("process", self.core.home.path())])
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        detached(Arc::clone(&self.core).label(instance.clone(), labels.clone())).await
    }

    async fn destroy(&self, instance: &InstanceId, _: DestroyReason) -> Result<()> {
        detached(Arc::clone(&self.core).destroy(instance.clone())).await
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        let whole = self.core.whole().await;
        whole.map_err(|fault| PluginError::refused(fault.to_string()))?;
        let table = self.core.table();
        let found = table.members.values().filter(|member| member.row.matches(tags));
        Ok(found.map(|member| member.row.description(properties)).collect())
    }

    fn watch(&self) -> Option<EventStream> {
        Some(self.core.hints.stream())
    }

    fn example_properties(&self) -> Any {
        Any::from(json!({
            "Command": ["sleep", "1000"],
            "Env": {"GREETING": "hello"},
            "StopGrace": "10s",
            "StopSignal": "TERM",
        }))
    }
}
