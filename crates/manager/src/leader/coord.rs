//! Leadership by an election on a coordinator: our own quorum, etcd or Consul.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use regrow_coord::{
    Compare, CoordError, Coordinator, Election, Invalid, Key, Leading, Txn, TxnReply,
};
use regrow_ids::Fence;
use regrow_plugin::spi::LeaderLocation;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Leader, LeaderError, LeaderSource, Leadership, parse_location, print_location};

/// Version of what the leader says of itself.
const FORMAT: u32 = 1;

/// Attempts to learn what became of a transaction.
const ATTEMPTS: usize = 3;

/// Settings of [`CoordLeader`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordLeaderSettings {
    /// Name of the election, without a slash: replicas under one name take turns. `manager`.
    pub name: String,
    /// Id of this replica, for people. Need not be unique. `manager1`.
    pub id: String,
    /// The machine that it runs on, for people. None.
    pub machine: Option<String>,
    /// So long after a leader fell silent the next one leads. `10s`.
    pub ttl: Duration,
}

impl Default for CoordLeaderSettings {
    fn default() -> Self {
        let ttl = Duration::from_secs(10);
        Self { name: "manager".into(), id: "manager1".into(), machine: None, ttl }
    }
}

/// What the leader says of itself: the value of its key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    format: u32,
    #[serde(rename = "ID")]
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// Leadership with a lease. A leader counts its lease by its own clock and stops before another can
/// lead; its fence is larger than that of every leader before. What it is worth beyond clocks, a
/// [`Tenure`] gives: transactions that compare it are executed under one leader at a time.
///
/// Where the leader answers stands in its own key and goes away with it. While the coordinator
/// cannot be reached, a replica that does not lead follows.
pub struct CoordLeader {
    shared: Arc<Shared>,
    lineage: u64,
    _running: DropGuard,
}

struct Shared {
    election: Election,
    settings: CoordLeaderSettings,
    place: String,
    told: watch::Sender<Leadership>,
    leading: RwLock<Option<Arc<Leading>>>,
}

/// What a transaction compares to be executed only under a leadership of this replica. Cheap to
/// clone.
#[derive(Clone)]
pub struct Tenure(Arc<Shared>);

impl CoordLeader {
    /// Joins the election and goes on standing in it. Asks the coordinator once, so that one that
    /// cannot be reached is known at the start.
    ///
    /// # Errors
    /// The settings are invalid, or the coordinator does not answer.
    pub async fn start(
        coordinator: Arc<dyn Coordinator>,
        settings: CoordLeaderSettings,
    ) -> Result<Self, LeaderError> {
        let CoordLeaderSettings { name, ttl, .. } = &settings;
        let place = format!("{} election {name}", coordinator.capabilities().name);
        let doing = || format!("join {place}");
        let wrong = |reason: String| LeaderError::Settings { doing: doing(), reason };
        let election = Election::new(Arc::clone(&coordinator), name);
        let election = election.map_err(|fault| wrong(fault.to_string()))?;
        let limits = coordinator.capabilities().limits;
        if !(limits.shortest_ttl..=limits.longest_ttl).contains(ttl) {
            let (least, most) = (limits.shortest_ttl, limits.longest_ttl);
            let reason = format!("its lease of {ttl:?} is not from {least:?} to {most:?}");
            return Err(wrong(reason));
        }
        let lineage = lineage(&*coordinator, &format!("managers/{name}/lineage")).await;
        let lineage = lineage
            .map_err(|fault| LeaderError::Outside { doing: doing(), reason: fault.to_string() })?;
        let told = watch::Sender::new(Leadership::Following);
        let shared =
            Arc::new(Shared { election, settings, place, told, leading: RwLock::default() });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&shared).run()));
        Ok(Self { shared, lineage, _running: stop.drop_guard() })
    }

    /// For stores and intent logs on the same coordinator.
    pub fn tenure(&self) -> Tenure {
        Tenure(Arc::clone(&self.shared))
    }
}

impl Drop for CoordLeader {
    fn drop(&mut self) {
        // Whoever still holds a tenure must not keep the lease alive.
        self.shared.set(None);
        self.shared.told.send_replace(Leadership::unknown("the source of leadership has ended"));
    }
}

impl Tenure {
    /// Holds in a transaction while this leadership of this replica lasts; `None` when the replica
    /// knows by itself that it is over.
    pub(crate) fn guard(&self, fence: Fence) -> Option<Compare> {
        let leading = self.0.leading().filter(|leading| leading.fence() == fence)?;
        leading.holds().then(|| leading.guard())
    }

    /// That of the leadership now.
    pub(crate) fn now(&self) -> Option<Compare> {
        let leading = self.0.leading()?;
        leading.holds().then(|| leading.guard())
    }
}

impl Shared {
    fn leading(&self) -> Option<Arc<Leading>> {
        self.leading.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, leading: Option<Arc<Leading>>) {
        *self.leading.write().unwrap_or_else(PoisonError::into_inner) = leading;
    }

    async fn run(self: Arc<Self>) {
        let ttl = &self.settings.ttl;
        loop {
            match self.election.campaign(said(&self.settings, None), *ttl).await {
                Ok(leading) => self.lead(Arc::new(leading)).await,
                Err(error) => {
                    tracing::error!(%error, place = self.place, "this replica cannot stand");
                    self.told.send_replace(Leadership::unknown(error.to_string()));
                    // Refused for good; perhaps somebody changes rights or settings.
                    tokio::time::sleep(*ttl).await;
                }
            }
        }
    }

    async fn lead(&self, leading: Arc<Leading>) {
        let fence = leading.fence();
        self.set(Some(Arc::clone(&leading)));
        tracing::info!(place = self.place, %fence, "leads");
        self.told.send_replace(Leadership::Leading { fence });
        leading.lost().await;
        tracing::warn!(place = self.place, %fence, "leads no more");
        self.told.send_replace(Leadership::Following);
        self.set(None);
    }
}

fn said(settings: &CoordLeaderSettings, location: Option<&LeaderLocation>) -> Vec<u8> {
    let (id, machine) = (settings.id.clone(), settings.machine.clone());
    let location = location.map(print_location);
    // A map of texts and a number always has a JSON form.
    serde_json::to_vec(&Said { format: FORMAT, id, machine, location }).unwrap_or_default()
}

/// The random number under a key, drawn by whoever comes first.
pub(crate) async fn lineage(coordinator: &dyn Coordinator, key: &str) -> Result<u64, CoordError> {
    let key = Key::new(key)?;
    let drawn = format!("{}", rand::random::<u64>());
    let absent = Compare::Absent(key.clone());
    let txn = Txn::new().when(absent).put(key.clone(), drawn.clone()).or_read(key.clone());
    // Repeated until known: one that was executed after all is found by the next.
    let reply = transact(coordinator, &txn).await?;
    if reply.succeeded {
        return drawn.parse().map_err(|_| damaged(&key));
    }
    let found = reply.found.into_iter().next().flatten().ok_or_else(|| damaged(&key))?;
    std::str::from_utf8(&found.value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged(&key))
}

fn damaged(key: &Key) -> CoordError {
    let reason = "the key holds no number; remove it to draw a new one";
    Invalid::Key { key: key.to_string(), reason }.into()
}

/// Executes a transaction that does the same when it is executed twice, and asks again where nobody
/// knows what became of it.
///
/// # Errors
/// [`CoordError::Unknown`] when it may have been executed by any of the attempts.
pub(crate) async fn transact(
    coordinator: &dyn Coordinator,
    txn: &Txn,
) -> Result<TxnReply, CoordError> {
    let unknown = match coordinator.transact(txn).await {
        Err(fault @ CoordError::Unknown { .. }) => fault,
        known => return known,
    };
    for _ in 1..ATTEMPTS {
        // A failure, even one that executed nothing, says nothing of the attempts before it.
        if let Ok(reply) = coordinator.transact(txn).await {
            return Ok(reply);
        }
    }
    Err(unknown)
}

#[async_trait]
impl LeaderSource for CoordLeader {
    fn watch(&self) -> watch::Receiver<Leadership> {
        self.shared.told.subscribe()
    }

    fn now(&self) -> Leadership {
        match (self.shared.leading(), self.shared.told.borrow().clone()) {
            (Some(leading), _) if leading.holds() => Leadership::Leading { fence: leading.fence() },
            (_, Leadership::Leading { .. }) => Leadership::Following,
            (_, told) => told,
        }
    }

    fn lineage(&self) -> u64 {
        self.lineage
    }

    async fn location(&self) -> Result<Option<LeaderLocation>, LeaderError> {
        Ok(self.leader().await?.and_then(|leader| leader.location))
    }

    async fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        let outside = |reason: String| {
            let doing = format!("read who leads from {}", self.shared.place);
            LeaderError::Outside { doing, reason }
        };
        let leader = self.shared.election.leader(regrow_coord::Consistency::Linearizable).await;
        let Some(leader) = leader.map_err(|fault| outside(fault.to_string()))? else {
            return Ok(None);
        };
        let said: Said =
            serde_json::from_slice(&leader.value).map_err(|fault| outside(fault.to_string()))?;
        if said.format != FORMAT {
            return Err(outside(format!("format {} is not {FORMAT}; upgrade", said.format)));
        }
        let Said { id, machine, location, .. } = said;
        let parse = |text: String| parse_location(&text, &self.shared.place);
        let location = location.map(parse).transpose()?;
        Ok(Some(Leader { id, machine, location }))
    }

    async fn set_location(&self, location: &LeaderLocation) -> Result<(), LeaderError> {
        let outside = |reason: String| {
            let doing = format!("write the location of the leader to {}", self.shared.place);
            LeaderError::Outside { doing, reason }
        };
        let leading = self.shared.leading();
        let leading = leading.ok_or_else(|| outside("this replica does not lead".to_owned()))?;
        let value = said(&self.shared.settings, Some(location));
        leading.proclaim(value).await.map_err(|fault| outside(fault.to_string()))
    }
}
