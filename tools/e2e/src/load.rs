//! Clients under load whose questions and answers are recorded and judged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use sim::history::{Event, History, Seen, What};
use sim::judges::ack::{self, Writes};
use sim::linear::{self, Limits};
use sim::models::register::{Register, RegisterOp, RegisterReply};
use sim::report::Failure;
use sim::seed::{Random, SeedTree};
use tokio::task::JoinHandle;

use crate::http::{Answer, Http, NoAnswer};

/// Answered operations a second below which a long run says too little about a cluster under load.
const VOID_BELOW: f64 = 200.0;
/// Time after which a client gives a request up.
const GIVE_UP: Duration = Duration::from_secs(10);
/// Time in which everything is read back, on a busy machine too.
const READ_BACK: Duration = Duration::from_secs(60);
/// Pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(4);
/// Pause of a client that was refused.
const PAUSE_REFUSED: Duration = Duration::from_millis(100);
/// Folder of the keys that are written once.
const ONCE: &str = "once";

/// Clients that read, write, compare-and-set and insert through the nodes until they are stopped, and
/// write down what they asked and were told.
pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
    seed: u64,
}

struct Shared {
    /// How many registers all clients share: as many as clients, so that they meet, and the history of
    /// each stays short enough to be judged however many there are.
    registers: u64,
    /// Operations on registers with an answer so far.
    answered: AtomicU64,
    record: Mutex<Record>,
    began: Instant,
    stop: AtomicBool,
    /// Numbers of clients; one whose request has an unknown outcome takes a new one.
    processes: AtomicU64,
    /// Every value is written once.
    values: AtomicI64,
}

struct Record {
    history: History<RegisterOp>,
    once: Writes<i64>,
    problem: Option<String>,
}

/// What a load has done.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Operations on registers, whatever their outcome.
    pub operations: usize,
    /// Those of them that were answered: what was refused, or has an unknown outcome, does not count.
    pub answered: u64,
    /// Keys written once whose write was acknowledged.
    pub acknowledged: usize,
    /// Keys written once of whose write nobody knows.
    pub unknown: usize,
    /// Longest time that a client was kept waiting for an answer, or for the word that there is none.
    pub longest: Duration,
    /// Answered operations a second, the times without a leader included.
    pub per_second: f64,
}

impl Done {
    /// A run under little load may hold because little was asked: it counts as not run.
    ///
    /// # Errors
    /// There were fewer than 200 answered operations a second.
    pub fn not_void(&self) -> Result<()> {
        ensure!(
            self.per_second >= VOID_BELOW,
            "the run is void: {:.0} answered operations a second, expected at least {VOID_BELOW}",
            self.per_second
        );
        Ok(())
    }
}

impl Load {
    /// Starts the clients.
    pub fn start(clients: Vec<Http>, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            registers: clients.len() as u64,
            answered: AtomicU64::new(0),
            record: Mutex::new(Record {
                history: History::default(),
                once: Writes { acknowledged: Vec::new(), unknown: Vec::new() },
                problem: None,
            }),
            began: Instant::now(),
            stop: AtomicBool::new(false),
            processes: AtomicU64::new(0),
            values: AtomicI64::new(1),
        });
        let tasks = clients.into_iter().zip(0..).map(|(http, number)| {
            let process = shared.processes.fetch_add(1, Ordering::Relaxed);
            let rng = SeedTree::new(seed).member("client", number).random();
            let client = Client { http, process, rng, shared: Arc::clone(&shared) };
            tokio::spawn(client.run())
        });
        Self { tasks: tasks.collect(), shared, seed }
    }

    /// Number of writes that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.record().once.acknowledged.len()
    }

    /// Number of operations on registers that were answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Stops the clients, reads everything back through the given ones, and judges: an order must
    /// explain every reply, and every acknowledged write must be there once.
    ///
    /// # Errors
    /// The verdict is bad; the history is kept then, and the text says where.
    pub async fn judge(mut self, mut readers: Vec<Http>, about: &str) -> Result<Done> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in &mut self.tasks {
            task.await.context("a client")?;
        }
        let (took, answered) = (self.shared.began.elapsed(), self.answered());
        for http in &mut readers {
            let found = inserted(http).await?;
            let record = self.shared.record();
            ack::check(&record.once, &found).context("acknowledged writes")?;
        }
        for http in readers {
            let process = self.shared.processes.fetch_add(1, Ordering::Relaxed);
            let rng = SeedTree::new(self.seed).random();
            let mut client = Client { http, process, rng, shared: Arc::clone(&self.shared) };
            for register in 0..self.shared.registers {
                client.read_back(&key(register)).await?;
            }
        }
        let record = self.shared.record();
        if let Some(problem) = &record.problem {
            bail!("the record of the run is not valid: {problem}");
        }
        verdict(&record.history, self.seed, about)?;
        ensure!(!record.once.acknowledged.is_empty(), "the run is void: no write was acknowledged");
        Ok(Done {
            operations: record.history.operations().len(),
            answered,
            acknowledged: record.once.acknowledged.len(),
            unknown: record.once.unknown.len(),
            longest: longest(&record.history),
            per_second: answered as f64 / took.as_secs_f64(),
        })
    }
}

fn verdict(history: &History<RegisterOp>, seed: u64, about: &str) -> Result<()> {
    let verdict = linear::check(&Register, history, Limits::default());
    if verdict.holds() {
        return Ok(());
    }
    let options = BTreeMap::from([("scenario".to_owned(), about.to_owned())]);
    let failure =
        Failure { seed, options: &options, model: "register", history, verdict: &verdict };
    let folder = tempfile::Builder::new().prefix("regrow-e2e-").tempdir()?.keep();
    failure.save(&folder).context("keep the history")?;
    bail!("{}; the history is in {}", failure.summary(), folder.display())
}

fn longest(history: &History<RegisterOp>) -> Duration {
    let at = |position: usize| history.events().get(position).map_or(0, |event| event.t);
    let operations = history.operations();
    let waits = operations.iter().filter_map(|one| Some(at(one.end?) - at(one.call)));
    Duration::from_micros(waits.max().unwrap_or_default())
}

/// Every key that was written once, as a node tells in a consistent read.
async fn inserted(http: &mut Http) -> Result<Vec<i64>> {
    let path = format!("/v1/kv/{ONCE}/?keys&consistent");
    let answer = http.settled(Method::GET, &path, "", READ_BACK).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    let names: Vec<String> = serde_json::from_slice(&answer.body).with_context(|| answer.text())?;
    let number = |name: &String| {
        let text = name.rsplit('/').next().unwrap_or_default();
        text.parse().with_context(|| format!("key {name}"))
    };
    names.iter().map(number).collect()
}

fn key(register: u64) -> String {
    format!("r{register}")
}

fn value_of(body: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(body)?;
    text.parse().with_context(|| format!("value {text:?}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    value: String,
    modify_index: u64,
}

impl Shared {
    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, process: u64, what: What<RegisterOp>) {
        let mut record = self.record();
        // Under the lock, so that the order of events is the order of times.
        let t = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Err(error) = record.history.push(Event { process, t, what }) {
            record.problem.get_or_insert(error.to_string());
        }
    }
}

struct Client {
    http: Http,
    process: u64,
    rng: Random,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let register = key(self.rng.below(self.shared.registers));
            let done = match self.rng.below(20) {
                0..8 => self.read(&register).await.is_some(),
                8..13 => self.write(&register).await,
                13..17 => self.cas(&register).await,
                _ => self.insert().await,
            };
            tokio::time::sleep(if done { PAUSE } else { PAUSE_REFUSED }).await;
        }
    }

    fn invoke(&self, op: RegisterOp) {
        self.shared.push(self.process, What::Invoke(op));
    }

    fn ok(&self, reply: RegisterReply) {
        self.shared.answered.fetch_add(1, Ordering::Relaxed);
        self.shared.push(self.process, What::Ok(Seen::reply(reply)));
    }

    /// It was certainly not executed.
    fn fail(&self, why: String) {
        self.shared.push(self.process, What::Fail(Some(why)));
    }

    /// Nobody knows; this client goes on under another number.
    fn unknown(&mut self, why: String) {
        self.shared.push(self.process, What::Info(Some(why), Seen::nothing()));
        self.process = self.shared.processes.fetch_add(1, Ordering::Relaxed);
    }

    async fn call(&mut self, method: Method, path: &str, body: String) -> Told {
        match self.http.call(method, path, Bytes::from(body), GIVE_UP).await {
            Ok(answer) => Told::Answer(answer),
            Err(NoAnswer::NotSent(why)) => Told::Not(why),
            Err(NoAnswer::Unknown(why)) => Told::Unknown(why),
        }
    }

    /// The value with its index, both nothing where there is none; `None` where it was not told.
    async fn read(&mut self, key: &str) -> Option<Option<(i64, u64)>> {
        self.invoke(RegisterOp::Read { key: key.to_owned() });
        let path = format!("/v1/kv/{key}?consistent");
        let told = self.call(Method::GET, &path, String::new()).await;
        match told.read() {
            Ok(found) => {
                self.ok(RegisterReply::Read(found.map(|(value, _)| value)));
                Some(found)
            }
            // A read changes nothing, so one without an answer counts as never done.
            Err(why) => {
                self.fail(why);
                None
            }
        }
    }

    async fn read_back(&mut self, key: &str) -> Result<()> {
        let end = Instant::now() + READ_BACK;
        while self.read(key).await.is_none() {
            ensure!(Instant::now() < end, "{key} is not read back within {READ_BACK:?}");
            tokio::time::sleep(PAUSE_REFUSED).await;
        }
        Ok(())
    }

    fn next_value(&self) -> i64 {
        self.shared.values.fetch_add(1, Ordering::Relaxed)
    }

    async fn write(&mut self, key: &str) -> bool {
        let value = self.next_value();
        self.invoke(RegisterOp::Write { key: key.to_owned(), value });
        let path = format!("/v1/kv/{key}");
        match self.call(Method::PUT, &path, value.to_string()).await.written() {
            Ok(true) => {
                self.ok(RegisterReply::Write);
                true
            }
            Ok(false) => {
                self.unknown("an unconditional write was refused".into());
                false
            }
            Err(error) => self.missed(error),
        }
    }

    async fn cas(&mut self, key: &str) -> bool {
        let Some(found) = self.read(key).await else { return false };
        let (from, index) = found.map_or((None, 0), |(value, index)| (Some(value), index));
        let to = self.next_value();
        self.invoke(RegisterOp::Cas { key: key.to_owned(), from, to });
        // Every value is written once, so its index says the same as the value.
        let path = format!("/v1/kv/{key}?cas={index}");
        match self.call(Method::PUT, &path, to.to_string()).await.written() {
            Ok(matched) => {
                self.ok(RegisterReply::Cas(matched));
                true
            }
            Err(error) => self.missed(error),
        }
    }

    fn missed(&mut self, error: Missed) -> bool {
        match error {
            Missed::Not(why) => self.fail(why),
            Missed::Unknown(why) => self.unknown(why),
        }
        false
    }

    async fn insert(&mut self) -> bool {
        let value = self.next_value();
        let path = format!("/v1/kv/{ONCE}/{value}");
        let told = self.call(Method::PUT, &path, String::new()).await.written();
        let once = &mut self.shared.record().once;
        match told {
            Ok(true) => once.acknowledged.push(value),
            Err(Missed::Not(_)) => {}
            Ok(false) | Err(Missed::Unknown(_)) => once.unknown.push(value),
        }
        told.is_ok()
    }
}

enum Told {
    Answer(Answer),
    Not(String),
    Unknown(String),
}

/// What is known of a write without an acknowledgement.
enum Missed {
    Not(String),
    Unknown(String),
}

impl Told {
    fn read(self) -> Result<Option<(i64, u64)>, String> {
        let answer = match self {
            Self::Answer(answer) => answer,
            Self::Not(why) | Self::Unknown(why) => return Err(why),
        };
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => row(&answer.body).map(Some).map_err(|error| format!("{error:#}")),
            status => Err(format!("{status}: {}", answer.text())),
        }
    }

    fn written(self) -> Result<bool, Missed> {
        match self {
            Self::Answer(answer) if answer.status == StatusCode::OK => match answer.text().trim() {
                "true" => Ok(true),
                "false" => Ok(false),
                other => Err(Missed::Unknown(format!("neither true nor false: {other}"))),
            },
            // An error may be said after the fact; only what never left is certain.
            Self::Answer(answer) => {
                Err(Missed::Unknown(format!("{}: {}", answer.status, answer.text())))
            }
            Self::Not(why) => Err(Missed::Not(why)),
            Self::Unknown(why) => Err(Missed::Unknown(why)),
        }
    }
}

fn row(body: &[u8]) -> Result<(i64, u64)> {
    let rows: Vec<Row> = serde_json::from_slice(body)?;
    let row = rows.first().context("an empty list")?;
    Ok((value_of(&BASE64_STANDARD.decode(&row.value)?)?, row.modify_index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_under_little_load_is_void() {
        let with = |per_second| Done {
            operations: 9_000,
            answered: 4_000,
            acknowledged: 100,
            unknown: 0,
            longest: Duration::ZERO,
            per_second,
        };
        assert!(with(200.0).not_void().is_ok());
        let error = with(199.9).not_void().unwrap_err().to_string();
        assert!(error.contains("the run is void: 200 answered"), "{error}");
    }
}
