//! Going on with the instances that an earlier run left.

use std::sync::Arc;
use std::time::Duration;

use regrow_codec::record::RecordError;
use regrow_ids::InstanceId;
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use super::home::{STDERR_FILE, STDOUT_FILE};
use super::leader::Leader;
use super::proc::{self, Seen};
use super::provider::Core;
use super::record::{Exit, Identity, InstanceRecord, State};
use super::{ProcessError, Properties};

/// A child has our environment until it runs its own program; one whose parent died just then is
/// recognised only after this.
const START_SETTLE: Duration = Duration::from_millis(100);

impl Core {
    /// Takes in what lives, clears away what does not.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), ProcessError> {
        let core = Arc::clone(self);
        let records = spawn_blocking(move || core.read_records()).await??;
        if records.iter().any(|record| record.leader.is_none()) {
            tokio::time::sleep(START_SETTLE).await;
        }
        for record in records {
            let identity = match &record.leader {
                Some(identity) => Some(identity.clone()),
                None => self.find_unrecorded(&record.id).await?,
            };
            let adopted = identity.map(|identity| Leader::adopt(&identity, &self.boot_id));
            match adopted.transpose().map_err(ProcessError::Proc)?.flatten() {
                Some(leader) if !leader.has_ended() => self.adopt(record, leader).await?,
                leader => self.conclude(record, leader).await?,
            }
        }
        self.look_around().await
    }

    /// Learns who is in the groups that were adopted: should a leader end by itself, the others are
    /// known. Processes that carry our name but belong to no instance are left to people: what we
    /// have no record of we do not touch.
    async fn look_around(&self) -> Result<(), ProcessError> {
        let census = self.census.take().await?;
        for live in self.all_live() {
            live.leader.learn_members(&census);
        }
        for seen in census.iter() {
            if let Some(id) = &seen.instance
                && self.live("find", id).is_err()
            {
                tracing::warn!(pid = ?seen.pid, instance = %id, "process of an unknown instance");
            }
        }
        Ok(())
    }

    fn read_records(&self) -> Result<Vec<InstanceRecord>, ProcessError> {
        let mut records = Vec::new();
        for id in self.home.ids()? {
            if !self.home.has_record(&id) {
                // The record is written before anything is started: nothing was. More than we put
                // there before that is not ours to remove.
                if !self.home.remove_unused(&id)? {
                    let path = self.home.of(&id);
                    tracing::warn!(path = %path.display(), "there is no record; left alone");
                }
                continue;
            }
            match self.read_record(&id) {
                Ok(record) => records.push(record),
                Err(fault) if concerns_one(&fault) => self.set_aside(&id, &fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok(records)
    }

    fn read_record(&self, id: &InstanceId) -> Result<InstanceRecord, ProcessError> {
        let dir = self.home.of(id);
        let record = InstanceRecord::read(&dir)?;
        if record.id != *id {
            let what = "it belongs to an instance of another name";
            let path = dir.display().to_string();
            return Err(ProcessError::Record { path, source: RecordError::Damaged { what } });
        }
        Properties::read(&record.properties)?; // they say how it is stopped
        Ok(record)
    }

    /// The process of an instance whose start was not recorded any more, if there is one: the leader
    /// of a group that carries the name, or that writes to the instance's logs. The logs are in a
    /// directory that is ours alone, so they were handed on by us; they also give away a program
    /// that cleared its environment or changed its user.
    async fn find_unrecorded(&self, id: &InstanceId) -> Result<Option<Identity>, ProcessError> {
        let census = self.census.take().await?;
        let is_leader = |seen: &&Seen| seen.stat.group == seen.pid.as_raw_nonzero().get();
        let leaders = || census.iter().filter(is_leader);
        let mut leader = leaders().find(|seen| seen.instance.as_ref() == Some(id));
        if leader.is_none() {
            let dir = self.home.of(id);
            let (stdout, stderr) = (dir.join(STDOUT_FILE), dir.join(STDERR_FILE));
            for seen in leaders() {
                let writes = proc::writes_to(seen.pid, &stdout, &stderr);
                if writes.map_err(ProcessError::Proc)? {
                    leader = Some(seen);
                    break;
                }
            }
        }
        Ok(leader.map(|seen| Identity {
            pid: seen.pid.as_raw_nonzero().get(),
            start: seen.stat.start,
            boot_id: self.boot_id.clone(),
        }))
    }

    async fn adopt(
        self: &Arc<Self>,
        mut record: InstanceRecord,
        leader: Leader,
    ) -> Result<(), ProcessError> {
        tracing::info!(instance = %record.id, pid = ?leader.pid(), "going on with an instance");
        if record.state == State::Starting {
            record.state = State::Running;
            record.leader = Some(leader.identity(&self.boot_id));
            let (dir, unrecorded) = (self.home.of(&record.id), record.clone());
            spawn_blocking(move || unrecorded.write(&dir)).await??;
        }
        let is_stopping = record.state == State::Stopping;
        let ended = leader.watch().map_err(|source| leader.unwatchable(&record.id, source))?;
        let live = self.take_in(record, leader, ended)?;
        if is_stopping {
            let core = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(fault) = core.resume_stop(&live).await {
                    tracing::error!(instance = %live.id, error = %fault, "cannot finish a stop");
                }
            });
        }
        Ok(())
    }

    /// Deals with an instance whose leader ended while nobody watched, or never started.
    async fn conclude(
        self: &Arc<Self>,
        mut record: InstanceRecord,
        leader: Option<Leader>,
    ) -> Result<(), ProcessError> {
        tracing::info!(instance = %record.id, "an instance ended while no provider was running");
        let exit = leader.as_ref().map_or(Exit::Unknown, Leader::exit);
        self.clear(&record.id, leader.as_ref()).await?;
        if let Some(leader) = leader {
            leader.reap();
        }
        if record.state != State::Ended {
            record.state = State::Ended;
            record.exit = Some(exit);
        }
        self.bury(record).await;
        Ok(())
    }
}

/// True when the fault lies in the instance itself: trying again would bring the same.
fn concerns_one(fault: &ProcessError) -> bool {
    match fault {
        ProcessError::Record { .. } | ProcessError::Properties(_) => true,
        ProcessError::Disk(disk) => {
            let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
            let code = disk.source.raw_os_error();
            !passing.iter().any(|errno| Some(errno.raw_os_error()) == code)
        }
        _ => false,
    }
}
