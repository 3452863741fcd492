//! The instances of all managers: local processes behind one plugin, which all replicas reach.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::{Stack, StackOptions};
use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, DestroyReason, Instance, Tags};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;

/// Name of its socket.
const NAME: &str = "process";
/// Time between two looks. A double lives longer: whoever makes one learns of it by a poll, a second
/// later at best. A member that is killed soon after it was made may not, and is noted by who kills it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time in which a group is whole again. A leader by a file that was killed before it heard of the
/// instance that it had asked for keeps that intent in a log of its own; when it leads again, and another
/// has replaced the instance meanwhile, it waits 90 s for it.
const HEALED: Duration = Duration::from_secs(150);

/// One plugin for local processes, and all that was ever seen of its instances.
pub struct Provider {
    stack: Stack,
    instances: Arc<dyn Instance>,
    seen: Arc<Mutex<Seen>>,
    looking: JoinHandle<()>,
}

/// What was seen of the instances.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// All that ever were.
    pub ever: BTreeSet<InstanceId>,
    /// Most that were there at the same time.
    pub at_once: usize,
}

impl Seen {
    fn note(&mut self, found: &[Arc<Description>]) {
        self.at_once = self.at_once.max(found.len());
        self.ever.extend(found.iter().map(|one| one.id.clone()));
    }
}

impl Provider {
    /// Starts it, and begins to look.
    pub async fn start() -> Result<Self> {
        let stack = Stack::start(StackOptions::of(&[NAME])).await?;
        let instances = stack.instances(NAME).await?;
        let seen = Arc::<Mutex<Seen>>::default();
        let (of, told) = (Arc::clone(&instances), Arc::clone(&seen));
        let looking = tokio::spawn(async move {
            loop {
                if let Ok(found) = of.describe_instances(&Tags::new(), false).await {
                    told.lock().unwrap_or_else(PoisonError::into_inner).note(&found);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Ok(Self { stack, instances, seen, looking })
    }

    /// Makes it reachable in another plugin folder.
    pub fn lend_to(&self, folder: &Path) -> Result<()> {
        let socket = self.stack.home().join("plugins").join(NAME);
        symlink(socket, folder.join(NAME)).with_context(|| format!("lend to {}", folder.display()))
    }

    async fn all(&self) -> Result<Vec<Arc<Description>>> {
        let found = self.instances.describe_instances(&Tags::new(), true).await?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).note(&found);
        Ok(found)
    }

    /// Kills an instance behind everybody's back.
    pub async fn kill_one(&self) -> Result<InstanceId> {
        let one = self.all().await?.into_iter().next().context("an instance")?;
        let pid = one.properties.to_value()["Pid"].as_i64().context("its process")?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("its process")?;
        kill_process(pid, Signal::KILL).context("kill the instance")?;
        Ok(one.id.clone())
    }

    /// Waits until there are so many, and one that was lost is not among them.
    pub async fn whole_without(&self, size: usize, lost: Option<&InstanceId>) -> Result<()> {
        let end = Instant::now() + HEALED;
        while Instant::now() < end {
            let all = self.all().await?;
            if all.len() == size && all.iter().all(|one| Some(&one.id) != lost) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("not healed within {:?}: {:?}", HEALED, self.all().await?)
    }

    /// What was seen until now.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends all instances: they outlive the plugin on purpose.
    pub async fn clear(&self) -> Result<()> {
        for one in self.all().await? {
            self.instances.destroy(&one.id, DestroyReason::Terminate).await?;
        }
        Ok(())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.looking.abort();
    }
}
