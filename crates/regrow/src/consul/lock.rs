//! `regrow kv lock KEY -- COMMAND`: runs a command while a lock is held.
//!
//! The lock is a key with a session that has a TTL. The session is renewed at a third of its TTL; this
//! process counts the time itself, from before the call that last renewed it, and stops the command
//! when the TTL has passed without one, whatever the network does: the catalog then gives the lock to
//! nobody earlier than that.
//!
//! The fence is the index of the key's last change while the lock is held: an index never comes
//! twice, so each holder's is higher than that of every holder before, even if the key is deleted in
//! between.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use regrow_ids::GoDuration;
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client::{Answer, Call, Client};
use super::kv::{Entry, check};
use super::session;
use crate::cli::Ended;
use crate::signals;

/// Marks keys that are locks, as Consul's own clients do.
const LOCK_FLAGS: &str = "3304740253564472344";
/// How long one question for the key waits, at most.
const WATCH: Duration = Duration::from_secs(5);
/// Wait between tries while nobody holds the key and it is not given: the delay after a lost lock.
const DELAYED: Duration = Duration::from_millis(500);
/// How long a command may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(10);
/// Shortest TTL that catalogs take.
const TTL_LEAST: Duration = Duration::from_secs(10);

/// Arguments of `kv lock`.
#[derive(Args, Debug)]
#[command(
    after_help = "The command finds REGROW_LOCK_KEY, REGROW_LOCK_SESSION and REGROW_LOCK_FENCE in \
    its environment. The fence grows with each holder: hand it to what the lock protects, so that \
    it can refuse an earlier holder. The exit code is that of the command; 1 when the lock was not \
    had or was lost, in which case the command was told to end with TERM."
)]
pub struct LockArgs {
    /// The key
    key: String,
    /// How long to wait for the lock; for ever without
    #[arg(long, value_name = "DURATION")]
    wait: Option<GoDuration>,
    /// The lock is lost when this process is not heard of for so long
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    ttl: GoDuration,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A session that lives until it is not renewed any more.
struct Held<'c> {
    client: &'c Client,
    key: &'c str,
    id: String,
    ttl: Duration,
    /// Until then the catalog surely counts it.
    until: Instant,
}

impl LockArgs {
    /// Waits for the lock, runs the command and gives the lock back.
    pub async fn run(self, client: &Client) -> Result<()> {
        let key = check(&self.key)?;
        let ttl = self.ttl.as_duration();
        if ttl < TTL_LEAST {
            bail!("--ttl {}: expected 10s at least, as catalogs do", self.ttl);
        }
        let mut told = signals::told("ended at once; the lock ends with its session")?;
        let body = json!({"Name": format!("regrow kv lock {key}"), "TTL": self.ttl.to_string(),
            "Behavior": "release", "Checks": []});
        let until = Instant::now() + ttl;
        let id = session::create(client, &body).await?;
        let mut held = Held { client, key, id, ttl, until };
        let ended = self.hold(&mut held, &mut told).await;
        // Ending the session gives the lock back as well; without an answer the TTL does.
        held.release().await;
        if let Err(error) = session::destroy(client, &held.id).await {
            tracing::warn!("{error:#}");
        }
        match ended?.into_code() {
            0 => Ok(()),
            code => Err(Ended(code).into()),
        }
    }

    async fn hold(
        &self,
        held: &mut Held<'_>,
        told: &mut watch::Receiver<bool>,
    ) -> Result<ExitStatus> {
        let fence = tokio::select! {
            fence = held.acquire(self.wait.map(GoDuration::as_duration)) => fence?,
            () = signals::stopped(told) => bail!("wait for lock {:?}: stopped by a signal", self.key),
        };
        let mut child = self.spawn(held, fence)?;
        tokio::select! {
            status = child.wait() => return Ok(status?),
            () = signals::stopped(told) => {}
            lost = held.keep() => {
                end(&mut child).await?;
                bail!("lock {:?} is lost: {lost:#}; the command was told to end", self.key);
            }
        }
        end(&mut child).await
    }

    fn spawn(&self, held: &Held<'_>, fence: u64) -> Result<Child> {
        let Some((program, words)) = self.command.split_first() else { bail!("name a command") };
        Command::new(program)
            .args(words)
            .env("REGROW_LOCK_KEY", held.key)
            .env("REGROW_LOCK_SESSION", &held.id)
            .env("REGROW_LOCK_FENCE", fence.to_string())
            .stdin(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("run {program:?}"))
    }
}

/// The code as shells show it.
trait IntoCode {
    fn into_code(self) -> u8;
}

impl IntoCode for ExitStatus {
    fn into_code(self) -> u8 {
        let code = self.code().or_else(|| self.signal().map(|signal| 128 + signal));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

/// Tells a command to end, and ends it after a while.
async fn end(child: &mut Child) -> Result<ExitStatus> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    match timeout(GRACE, child.wait()).await {
        Ok(status) => Ok(status?),
        Err(_) => {
            child.kill().await?;
            Ok(child.wait().await?)
        }
    }
}

/// Why a step did not succeed.
enum Setback {
    /// No answer, or no leader: it may succeed soon.
    Passing(anyhow::Error),
    /// The session is gone, or the catalog does not allow it: it never will.
    Final(anyhow::Error),
}

impl Setback {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Passing(error) | Self::Final(error) => error,
        }
    }
}

/// The answer to a call, if it says yes. A fault of the server passes, a refusal stays.
async fn answered(call: Result<Call<'_>>, doing: &str) -> Result<Answer, Setback> {
    let about = || doing.to_owned();
    let call = call.with_context(about).map_err(Setback::Final)?;
    let answer = call.any().await.with_context(about).map_err(Setback::Passing)?;
    let refusal = || anyhow::anyhow!("{doing}: {}", answer.refusal());
    match answer.status {
        status if status.is_success() => Ok(answer),
        status if status.is_server_error() => Err(Setback::Passing(refusal())),
        StatusCode::TOO_MANY_REQUESTS => Err(Setback::Passing(refusal())),
        _ => Err(Setback::Final(refusal())),
    }
}

impl Held<'_> {
    /// Waits for the lock; its fence. Goes on while the catalog does not answer or nobody leads,
    /// until the wait is over or the session is gone.
    async fn acquire(&mut self, wait: Option<Duration>) -> Result<u64> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            let left = |now| deadline.map(|deadline| deadline.saturating_duration_since(now));
            let setback = match self.take().await {
                Ok(Some(fence)) => return Ok(fence),
                Ok(None) => None,
                Err(Setback::Final(error)) => return Err(error),
                Err(Setback::Passing(error)) => Some(error),
            };
            let left = left(Instant::now());
            if left.is_some_and(|left| left.is_zero()) {
                let late =
                    format!("lock {:?}: not had within {:?}", self.key, wait.unwrap_or_default());
                return Err(match setback {
                    Some(error) => error.context(late),
                    None => anyhow::anyhow!(late),
                });
            }
            let left = left.unwrap_or(WATCH).min(WATCH);
            match setback {
                None => self.wait_for_change(left).await,
                Some(error) => {
                    tracing::warn!("{error:#}; trying again");
                    // Whether the session is still there is asked first.
                    self.until = Instant::now();
                    sleep(DELAYED.min(left)).await;
                }
            }
        }
    }

    /// Tries to take the lock; its fence if that was so.
    async fn take(&mut self) -> Result<Option<u64>, Setback> {
        if self.until.saturating_duration_since(Instant::now()) <= self.ttl * 2 / 3 {
            self.renew().await?;
        }
        let doing = format!("take lock {:?}", self.key);
        let call = self.client.put("kv", self.key);
        let call = call
            .map(|call| call.with("acquire", &self.id).with("flags", LOCK_FLAGS).within(self.ttl));
        let answer = answered(call, &doing).await?;
        if !answer.json::<bool>().context(doing).map_err(Setback::Final)? {
            return Ok(None);
        }
        // Not ours any more: somebody else may have it, so the next try tells.
        Ok(self
            .look(None)
            .await?
            .0
            .filter(|entry| self.is_mine(entry))
            .map(|entry| entry.modify_index))
    }

    fn is_mine(&self, entry: &Entry) -> bool {
        entry.session.as_ref() == Some(&self.id)
    }

    /// Waits until the key may be free, or for as long. What fails is found by the next try.
    async fn wait_for_change(&self, wait: Duration) {
        let looked = match self.look(None).await {
            Ok((Some(entry), index)) if entry.session.is_some() => {
                self.look(Some((index, wait))).await.map(drop)
            }
            other => {
                sleep(DELAYED.min(wait)).await;
                other.map(drop)
            }
        };
        if let Err(setback) = looked {
            tracing::warn!("{:#}; trying again", setback.into_error());
        }
    }

    /// The key, and the index to wait for.
    async fn look(&self, after: Option<(u64, Duration)>) -> Result<(Option<Entry>, u64), Setback> {
        let doing = format!("look at lock {:?}", self.key);
        let call = self.client.get("kv", self.key).map(|call| call.with("consistent", ""));
        let call = call.map(|call| match after {
            // A blocked answer comes up to a sixteenth later than asked for.
            Some((index, wait)) => call
                .with("index", &index.to_string())
                .with("wait", &format!("{}ms", wait.as_millis()))
                .within(wait + self.ttl),
            None => call.within(self.ttl),
        });
        let call = call.map_err(Setback::Final)?;
        let answer = call.any().await.with_context(|| doing.clone()).map_err(Setback::Passing)?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok((None, answer.index)),
            status if status.is_success() => {
                let entries: Vec<Entry> =
                    answer.json().with_context(|| doing.clone()).map_err(Setback::Passing)?;
                Ok((entries.into_iter().next(), answer.index))
            }
            _ => Err(Setback::Passing(anyhow::anyhow!("{doing}: {}", answer.refusal()))),
        }
    }

    async fn renew(&mut self) -> Result<(), Setback> {
        let until = Instant::now() + self.ttl;
        let call = self.client.put("session/renew", &self.id).map(|call| call.within(self.ttl));
        answered(call, "renew the session of the lock").await?;
        self.until = until;
        Ok(())
    }

    /// Keeps the lock; ends with the reason for which it is lost.
    async fn keep(&mut self) -> anyhow::Error {
        loop {
            sleep(self.ttl / 3).await;
            let until = self.until;
            tokio::select! {
                renewed = self.renew_and_look() => match renewed {
                    Ok(true) => {}
                    Ok(false) => return anyhow::anyhow!("somebody else holds it, or nobody"),
                    Err(Setback::Final(error)) => return error,
                    Err(Setback::Passing(error)) if Instant::now() >= until => return error,
                    Err(Setback::Passing(error)) => tracing::warn!("{error:#}; trying again"),
                },
                () = sleep_until(until) => {
                    return anyhow::anyhow!("the catalog did not answer within {:?}", self.ttl);
                }
            }
        }
    }

    async fn renew_and_look(&mut self) -> Result<bool, Setback> {
        self.renew().await?;
        let entry = self.look(None).await?.0;
        Ok(entry.is_some_and(|entry| self.is_mine(&entry)))
    }

    /// Gives the lock back, which no delay follows.
    async fn release(&self) {
        let released = match self.client.put("kv", self.key) {
            Ok(call) => call.with("release", &self.id).within(self.ttl).send().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = released {
            tracing::warn!("give lock {:?} back: {error:#}", self.key);
        }
    }
}
