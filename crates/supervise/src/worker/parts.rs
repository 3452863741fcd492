//! Everything beside the loop that a worker talks to: log, telemetry, control socket, discovery.
//! None of them makes the loop wait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Sender, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Surrounding;
use crate::config::{Config, Consul, Discovery, Level, Lock, Service, Status};
use crate::control::{Answer, Ask, Control, What};
use crate::discovery::{Announcer, Client, Locking, Watching};
use crate::log::{Drained, Logger, Trace};
use crate::machine::{Input, JobId, Machine};
use crate::probe::Prober;
use crate::telemetry::{self, StatusBody, Telemetry};

/// Asks of the control socket that may wait for the loop.
pub const ASKS: usize = 64;

/// What talks to the catalog.
struct Catalog {
    consul: Consul,
    client: Client,
    announcer: Announcer,
    watching: Watching,
    locking: Locking,
}

/// Who this supervisor is to others, and what of theirs it holds.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The same for all its workers, and nobody else's.
    pub identity: String,
    /// The locks under which the worker before this one started jobs, with their fences.
    pub held: BTreeMap<Arc<str>, u64>,
}

/// The parts.
pub struct Parts {
    /// The log.
    pub logger: Arc<Logger>,
    /// Metrics.
    pub telemetry: Arc<Telemetry>,
    /// What asks checks without a process.
    pub prober: Arc<dyn Prober>,
    seat: Seat,
    catalog: Option<Catalog>,
    control: (PathBuf, JoinHandle<()>),
    faces: Option<JoinHandle<()>>,
    inputs: UnboundedSender<Input>,
    asks: Sender<Ask>,
}

impl Parts {
    /// Starts everything that the configuration names.
    ///
    /// # Errors
    /// The log cannot be opened, or a socket that must be there cannot be listened on.
    pub async fn start(
        config: &Config,
        surrounding: &dyn Surrounding,
        seat: Seat,
        inputs: UnboundedSender<Input>,
        drained: UnboundedSender<Drained>,
        asks: Sender<Ask>,
    ) -> Result<Self, String> {
        let logger = Logger::start(&config.logging, drained).map_err(|fault| fault.to_string())?;
        let logger = Arc::new(logger);
        // What the parts have to say. Refused where somebody else listens already, as in tests.
        let _ = tracing_subscriber::registry().with(Trace::new(logger.clone())).try_init();
        let metrics = config.telemetry.as_ref().map_or(&[][..], |telemetry| &telemetry.metrics);
        let telemetry = Arc::new(Telemetry::new(metrics, logger.figures()));
        let faces = (telemetry.clone(), logger.clone(), asks.clone());
        let control = open_control(config, faces).await?;
        let catalog = match reached(config, surrounding).await? {
            Some(consul) => Some(Catalog::start(consul, config, &seat, &telemetry, &inputs)?),
            None => None,
        };
        let (faces, prober) = (None, surrounding.prober());
        let mut parts =
            Self { logger, telemetry, prober, seat, catalog, control, faces, inputs, asks };
        parts.open_faces(config);
        Ok(parts)
    }

    /// Answers `/metrics` and `/status`, where that is wanted.
    fn open_faces(&mut self, config: &Config) {
        if let Some(old) = self.faces.take() {
            old.abort();
        }
        let Some(wanted) = &config.telemetry else { return };
        let (address, port) = (wanted.address, wanted.port);
        let (telemetry, logger) = (self.telemetry.clone(), self.logger.clone());
        let status = status_from(self.asks.clone());
        self.faces = Some(tokio::spawn(async move {
            match telemetry::listen(address, port).await {
                Ok(listener) => telemetry::serve(listener, telemetry, status).await,
                // The original ends the program here; the jobs have done nothing wrong.
                Err(fault) => logger.say(Level::Error, None, fault.to_string()),
            }
        }));
    }

    /// The worker before this one may have announced these services: what is not announced again is
    /// taken out when its job ends.
    pub fn know(&mut self, machine: &Machine) {
        let Some(catalog) = &mut self.catalog else { return };
        for status in machine.jobs() {
            let ttl = machine.job(status.id).and_then(|job| Some(job.health.as_ref()?.ttl));
            if let (Some(service), Some(ttl)) = (status.service, ttl) {
                catalog.announcer.know(status.id, service, ttl);
            }
        }
    }

    /// Announces a service.
    pub fn announce(&mut self, job: JobId, service: Arc<Service>, ttl: Duration, status: Status) {
        if let Some(catalog) = &mut self.catalog {
            catalog.announcer.announce(job, service, ttl, status);
        }
    }

    /// Tells how a service is.
    pub fn heartbeat(&mut self, job: JobId, status: Status, output: String) {
        if let Some(catalog) = &mut self.catalog {
            catalog.announcer.heartbeat(job, status, output);
        }
    }

    /// Takes a service out of the catalog; false where there is none to take it out of.
    pub fn withdraw(&mut self, job: JobId) -> bool {
        let Some(catalog) = &mut self.catalog else { return false };
        catalog.announcer.withdraw(job);
        true
    }

    /// Competes for the locks that are wanted.
    pub fn want(&mut self, wants: impl Fn(&str) -> bool) {
        if let Some(catalog) = &mut self.catalog {
            catalog.locking.want(wants);
        }
    }

    /// Whether what a part said still holds when its turn comes.
    pub fn still_holds(&self, input: &Input) -> bool {
        self.catalog.as_ref().is_none_or(|catalog| catalog.locking.still_holds(input))
    }

    /// Gives a lock back that is held under this fence.
    pub fn release(&self, lock: &str, fence: u64) {
        if let Some(catalog) = &self.catalog {
            catalog.locking.release(lock, fence);
        }
    }

    /// The way to the catalog, where there is one.
    pub fn client(&self) -> Option<Client> {
        self.catalog.as_ref().map(|catalog| catalog.client.clone())
    }

    /// Follows another configuration. The control socket stays open; another path is opened before
    /// the old one is closed.
    ///
    /// # Errors
    /// A part of it cannot be done; nothing was changed then.
    pub async fn reconfigure(
        &mut self,
        before: &Config,
        config: &Config,
        held: &BTreeMap<Arc<str>, u64>,
    ) -> Result<(), String> {
        refuse(before, config, held)?;
        let socket = &config.control_socket;
        let fresh = match *socket == self.control.0 {
            true => None,
            false => Some(Control::try_bind(socket).await.map_err(|fault| fault.to_string())?),
        };
        self.logger.reconfigure(&config.logging).map_err(|fault| fault.to_string())?;
        if let Some(catalog) = &mut self.catalog {
            catalog.follow(before, config, &self.seat, &self.telemetry, &self.inputs)?;
        }
        if let Some(fresh) = fresh {
            let faces = (self.telemetry.clone(), self.logger.clone(), self.asks.clone());
            let fresh = (socket.clone(), tokio::spawn(serve(fresh, faces)));
            std::mem::replace(&mut self.control, fresh).1.abort();
        }
        let metrics = config.telemetry.as_ref().map_or(&[][..], |telemetry| &telemetry.metrics);
        self.telemetry.reconfigure(metrics);
        if config.telemetry != before.telemetry {
            self.open_faces(config);
        }
        Ok(())
    }

    /// Ends what is beside the loop: what the catalog has to hear is told within the time `told`, and
    /// every line that jobs wrote is written, if it is read within the time `read`.
    pub async fn end(self, told: Duration, read: Duration) {
        if let Some(catalog) = self.catalog {
            let announced = catalog.announcer.settle(told);
            tokio::join!(announced, catalog.locking.settle(told));
        }
        self.control.1.abort();
        // The socket's file goes with the task.
        let _ = self.control.1.await;
        self.logger.finish(read);
    }
}

/// The body of `/status`: the loop is asked, as by anybody.
fn status_from(asks: Sender<Ask>) -> StatusBody {
    Arc::new(move || {
        let asks = asks.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            asks.send(Ask { what: What::Status, answer }).await.ok()?;
            match answered.await.ok()? {
                Answer::Text(body) => Some(body),
                Answer::Done | Answer::Refused { .. } => None,
            }
        })
    })
}

/// Refuses what cannot be followed while the jobs run.
fn refuse(before: &Config, config: &Config, held: &BTreeMap<Arc<str>, u64>) -> Result<(), String> {
    if config.discovery != before.discovery {
        return Err("where services are announced cannot change in a reload; restart".to_owned());
    }
    // A lock that is given back while jobs run under it would let two lead.
    let lost = |lock: &&Lock| held.contains_key(&lock.name) && !config.locks.contains(lock);
    match before.locks.iter().find(lost) {
        None => Ok(()),
        Some(lock) => Err(format!(
            "lock {} is held here and cannot be changed or taken out now; do it where another \
             holds it, or restart",
            lock.name
        )),
    }
}

/// What the control socket needs: who counts, who is told, who is asked.
type Faces = (Arc<Telemetry>, Arc<Logger>, Sender<Ask>);

/// Opens the control socket. Where the configuration does not say where it is, jobs neither wait for
/// it nor depend on it: its usual folder may be closed to this user, or belong to another supervisor,
/// and a file of version 2 cannot name another.
async fn open_control(config: &Config, faces: Faces) -> Result<(PathBuf, JoinHandle<()>), String> {
    let path = config.control_socket.clone();
    if config.control_named {
        let control = Control::bind(&path).await.map_err(|fault| fault.to_string())?;
        return Ok((path, tokio::spawn(serve(control, faces))));
    }
    let usual = path.clone();
    let open = async move {
        match Control::bind(&usual).await {
            Ok(control) => serve(control, faces).await,
            Err(fault) => faces.1.say(Level::Error, None, fault.to_string()),
        }
    };
    Ok((path, tokio::spawn(open)))
}

/// Answers on the control socket.
async fn serve(control: Control, (telemetry, logger, asks): Faces) {
    logger.say(Level::Info, None, format!("control: serving at {}", control.path().display()));
    let counted = Arc::new(move |code, path: &_| telemetry.control_request(code, path));
    control.counted(counted).run(asks).await;
}

/// Where the catalog is, which may have to be started.
async fn reached(config: &Config, surrounding: &dyn Surrounding) -> Result<Option<Consul>, String> {
    match &config.discovery {
        Discovery::Consul(consul) => Ok(Some((**consul).clone())),
        Discovery::Embedded(address) => {
            let url = surrounding.catalog(*address).await?;
            Ok(Some(Consul { url, verify: true, ..Consul::default() }))
        }
        Discovery::None => Ok(None),
    }
}

impl Catalog {
    fn start(
        consul: Consul,
        config: &Config,
        seat: &Seat,
        telemetry: &Arc<Telemetry>,
        inputs: &UnboundedSender<Input>,
    ) -> Result<Self, String> {
        let client = Client::new(&consul).map_err(|fault| fault.to_string())?;
        let announcer = Announcer::start(client.clone(), inputs.clone());
        let watching = watch(&client, config, telemetry, inputs);
        let locking = lock(&consul, config, seat, inputs)?;
        Ok(Self { consul, client, announcer, watching, locking })
    }

    fn follow(
        &mut self,
        before: &Config,
        config: &Config,
        seat: &Seat,
        telemetry: &Arc<Telemetry>,
        inputs: &UnboundedSender<Input>,
    ) -> Result<(), String> {
        if config.watches != before.watches {
            self.watching = watch(&self.client, config, telemetry, inputs);
        }
        let named = |locks: &[Lock], lock: &Lock| locks.iter().any(|other| other == lock);
        let added = config.locks.iter().filter(|lock| !named(&before.locks, lock));
        let gone = before.locks.iter().filter(|lock| !named(&config.locks, lock));
        let added: Vec<Lock> = added.cloned().collect();
        let gone: Vec<Arc<str>> = gone.map(|lock| lock.name.clone()).collect();
        let followed = self.locking.follow(&self.consul, &added, &gone, &seat.identity, inputs);
        followed.map_err(|fault| fault.to_string())?;
        Ok(())
    }
}

fn watch(
    client: &Client,
    config: &Config,
    telemetry: &Arc<Telemetry>,
    inputs: &UnboundedSender<Input>,
) -> Watching {
    let telemetry = telemetry.clone();
    let gauge = move |service: &str, count| telemetry.watch_instances(service, count);
    Watching::start(client, &config.watches, inputs, gauge)
}

fn lock(
    consul: &Consul,
    config: &Config,
    seat: &Seat,
    inputs: &UnboundedSender<Input>,
) -> Result<Locking, String> {
    let locking = Locking::start(consul, &config.locks, &seat.identity, &seat.held, inputs);
    locking.map_err(|fault| fault.to_string())
}
