//! A replica alone in its process and in memory: for tests, and as the model of a group.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::machine::{At, Machines, Time};
use crate::replica::{
    Consistency, Leadership, Outcome, ProposeError, ReadError, Replica, Snapshot, Status,
};
use crate::tables::{Flush, TableError, Tables};
use crate::ticks;

/// Machines without anybody to agree with: what is proposed is applied.
pub struct LocalReplica {
    machines: Machines,
    tables: Tables,
    began: Instant,
    last: Mutex<At>,
    leadership: watch::Sender<Leadership>,
    applied: watch::Sender<u64>,
}

impl LocalReplica {
    /// Starts the machines on empty tables. Their clock is tokio's, so it can be paused.
    ///
    /// # Errors
    /// There is no memory for the tables.
    pub fn start(machines: Machines) -> Result<Arc<Self>, TableError> {
        let leadership = Leadership { leader: Some(1), term: 1, leading: true };
        let last = At { index: 0, time: Time::default() };
        let replica = Arc::new(Self {
            machines: machines.clone(),
            tables: Tables::memory()?,
            began: Instant::now(),
            last: Mutex::new(last),
            leadership: watch::Sender::new(leadership),
            applied: watch::Sender::new(0),
        });
        machines.replaced(last, &replica.tables.view()?);
        let weak = Arc::downgrade(&replica);
        tokio::spawn(ticks::run(weak, machines, |replica: &Self| Some(replica.now())));
        Ok(replica)
    }

    /// The clock that commands are stamped with.
    pub fn now(&self) -> Time {
        Time::default().after(self.began.elapsed())
    }

    fn apply(&self, command: &[u8]) -> Result<Outcome, TableError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let at = At { index: last.index + 1, time: self.now().max(last.time) };
        let (reply, changes) = self.tables.write(Flush::Later, |batch| {
            batch.at(at.index);
            self.machines.apply(at, command, batch)
        })?;
        *last = at;
        self.machines.committed(at, changes);
        self.applied.send_replace(at.index);
        Ok(Outcome { index: at.index, reply })
    }
}

#[async_trait]
impl Replica for LocalReplica {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        self.apply(&command).map_err(|error| ProposeError::Halted { reason: error.to_string() })
    }

    async fn read(&self, _: Consistency) -> Result<Snapshot, ReadError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.tables.view()?;
        Ok(Snapshot::new(*last, Box::new(view)))
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn status(&self) -> Status {
        let applied = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            node: 1,
            leadership: *self.leadership.borrow(),
            applied,
            last_contact: Some(std::time::Duration::ZERO),
            voters: vec![1],
            learners: Vec::new(),
        }
    }
}
