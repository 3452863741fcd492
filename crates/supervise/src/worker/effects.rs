//! Carrying out what the machine says. Nothing here waits.

use regrow_init::{Ended, Request};

use super::environment::fence_variable;
use super::start::{self, Particular};
use super::{Worker, WorkerError, notify, secrets};
use crate::config::{Job, Level, SecretSource};
use crate::discovery::Client;
use crate::event::Event;
use crate::machine::{Effect, Input, Start};

/// What follows from an effect at once.
pub enum After {
    /// Nothing.
    Nothing,
    /// The machine has to hear this next.
    Hear(Input),
    /// The program ends with this code.
    Exit(i32),
}

impl Worker {
    /// Carries out one effect.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<After, WorkerError> {
        match effect {
            Effect::Start(start) => return self.start(start),
            Effect::Signal { process, signal } => {
                self.request(Request::Signal { process, signal })?;
            }
            Effect::Forget { process } => {
                self.sockets.remove(&process);
                self.words.forget(process);
                self.request(Request::Forget(process))?;
            }
            Effect::Announce { job, service, ttl, status } => {
                self.parts.announce(job, service, ttl, status);
            }
            Effect::Heartbeat { job, status, output } => self.parts.heartbeat(job, status, output),
            Effect::Withdraw { job } => {
                if !self.parts.withdraw(job) {
                    return Ok(After::Hear(Input::Withdrawn { job }));
                }
            }
            Effect::Event(event) => self.published(&event),
            Effect::Say { level, job, text } => self.parts.logger.say(level, job.as_deref(), text),
            Effect::Release { lock, fence } => self.parts.release(&lock, fence),
            Effect::Probe { process, job: _, probe, timeout } => {
                let (prober, inputs) = (self.parts.prober.clone(), self.inputs.clone());
                tokio::spawn(async move {
                    let outcome = prober.probe(&probe, timeout).await;
                    // Nobody listens any more at the end of the program.
                    let _ = inputs.send(Input::Probed { process, outcome });
                });
            }
            Effect::Exit { code } => return Ok(After::Exit(code)),
        }
        Ok(After::Nothing)
    }

    fn published(&self, event: &Event) {
        self.parts.telemetry.event(event);
        self.detail(|| format!("event: {event}"));
    }

    /// Says a detail. There may be thousands a second, and hardly ever anybody who wants to read them.
    pub(super) fn detail(&self, text: impl FnOnce() -> String) {
        if self.parts.logger.level() >= Level::Debug {
            self.parts.logger.say(Level::Debug, None, text());
        }
    }

    fn start(&mut self, start: Start) -> Result<After, WorkerError> {
        let job = self.book.machine.job(start.job);
        if let Some(job) = job.filter(|job| job.secrets.iter().any(is_in_catalog)) {
            self.fetch_then_start(start, job);
            return Ok(After::Nothing);
        }
        self.start_with(&start, Vec::new())
    }

    /// Secrets of the catalog come first, off the loop; the start follows as a message to ourselves.
    fn fetch_then_start(&self, start: Start, job: std::sync::Arc<Job>) {
        let (fetched, client) = (self.fetched.clone(), self.parts.client());
        tokio::spawn(async move {
            let mut contents = Vec::new();
            for secret in &job.secrets {
                let SecretSource::Key(key) = &secret.from else { continue };
                match value(client.as_ref(), key).await {
                    Ok(value) => contents.push((secret.name.clone(), value)),
                    Err(why) => {
                        let why = format!("secret {:?}: read key {key}: {why}", secret.name);
                        // Nobody listens any more at the end of the program.
                        let _ = fetched.send((start, Err(why)));
                        return;
                    }
                }
            }
            let _ = fetched.send((start, Ok(contents)));
        });
    }

    /// Starts a process whose secrets of the catalog are here.
    pub(super) fn start_with(
        &mut self,
        start: &Start,
        contents: Vec<(String, Vec<u8>)>,
    ) -> Result<After, WorkerError> {
        let job = self.book.machine.job(start.job);
        let made = self.particular(start, job.as_deref(), contents).and_then(|particular| {
            let variables = self.environment.with(&self.book.variables);
            let command = start::command(start, job.as_deref(), variables, &particular)?;
            command.encode().map_err(|error| format!("fork/exec {}: {error}", start.exec.program))
        });
        let process = start.process;
        match made {
            Ok(command) => {
                self.detail(|| format!("{}.Run start", start.label));
                self.request(Request::Start { process, wrapped: !start.raw, command })?;
                Ok(After::Nothing)
            }
            Err(text) => Ok(After::Hear(not_started(process, text))),
        }
    }

    fn particular(
        &mut self,
        start: &Start,
        job: Option<&Job>,
        contents: Vec<(String, Vec<u8>)>,
    ) -> Result<Particular, String> {
        let fence = start.fence.as_ref();
        let fence = fence.map(|(lock, fence)| (fence_variable(lock), fence.to_string()));
        let mut particular = Particular { fence, ..Particular::default() };
        let Some(job) = job else { return Ok(particular) };
        if !job.secrets.is_empty() {
            let folder = format!("secrets-{}", start.job.0);
            let folder = self.folder.below(&folder).map_err(|fault| fault.to_string())?;
            let variable = |name: &str| self.environment.bytes(&self.book.variables, name);
            for secret in &job.secrets {
                if let Some(content) = secrets::local(secret, variable)? {
                    secrets::place(&folder, &secret.name, &content)?;
                }
            }
            for (name, content) in contents {
                secrets::place(&folder, &name, &content)?;
            }
            particular.secrets = Some(folder);
        }
        if job.notify.is_some() && !start.check {
            let socket = self.listen(start.process)?;
            particular.notify = Some(socket);
        }
        Ok(particular)
    }

    /// Listens for what a process tells of itself.
    pub(super) fn listen(
        &mut self,
        process: regrow_init::ProcessId,
    ) -> Result<std::path::PathBuf, String> {
        let folder = self.folder.below("notify").map_err(|fault| fault.to_string())?;
        let socket = notify::Socket::listen(&folder, process, self.inputs.clone())
            .map_err(|error| format!("listen for sd_notify in {}: {error}", folder.display()))?;
        let path = socket.path().to_owned();
        self.sockets.insert(process, socket);
        Ok(path)
    }

    /// A process ended.
    pub(super) fn ended(&self, process: regrow_init::ProcessId, how: Ended) -> Input {
        let label = self.book.labels.get(&process);
        let text = match how {
            Ended::NotStarted(errno) => Some(format!(
                "fork/exec {}: {}",
                label.map_or("", |label| label.program.as_str()),
                reason(errno)
            )),
            Ended::Code(_) | Ended::Signal(_) => None,
        };
        Input::Ended { process, how, text }
    }
}

async fn value(client: Option<&Client>, key: &str) -> Result<Vec<u8>, String> {
    let client = client.ok_or_else(|| "no catalog is configured".to_owned())?;
    let value = client.value(key).await.map_err(|fault| fault.to_string())?;
    value.map(|value| value.to_vec()).ok_or_else(|| "it is not there".to_owned())
}

fn is_in_catalog(secret: &crate::config::SecretFile) -> bool {
    matches!(secret.from, SecretSource::Key(_))
}

pub(super) fn not_started(process: regrow_init::ProcessId, text: String) -> Input {
    Input::Ended {
        process,
        how: Ended::NotStarted(rustix::io::Errno::NOENT.raw_os_error()),
        text: Some(text),
    }
}

/// The words of the system for an error, in lower case as Go writes them.
fn reason(errno: i32) -> String {
    let words = std::io::Error::from_raw_os_error(errno).to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => format!("errno {errno}"),
    }
}
