//! How long nobody was served, and shares of measured times.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::{Method, StatusCode};
use tokio::task::JoinSet;

use crate::http::Http;

/// A new attempt begins so often, whatever became of those before: one that hangs hides nothing.
const EVERY: Duration = Duration::from_millis(25);

/// A write that a probe tries: method, path and body.
pub type Attempt = (Method, String, String);

/// Time from `since` until the first acknowledgement of a write that was begun afterwards.
///
/// # Errors
/// There is none within the time.
pub async fn recovery(
    since: Instant,
    within: Duration,
    client: impl Fn() -> Http,
    attempt: &Attempt,
) -> Result<Duration> {
    let mut attempts = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    let mut last = None;
    while since.elapsed() < within {
        tokio::select! {
            _ = ticks.tick() => {
                let mut http = client();
                let (method, path, body) = attempt.clone();
                attempts.spawn(async move {
                    let answer = http.call(method, &path, body, within).await;
                    answer.map(|answer| (answer.status, Instant::now(), answer.text()))
                });
            }
            Some(done) = attempts.join_next() => match done.context("an attempt")? {
                Ok((StatusCode::OK, at, _)) => return Ok(at - since),
                Ok((status, _, text)) => last = Some(format!("{status}: {text}")),
                Err(error) => last = Some(error.to_string()),
            },
        }
    }
    bail!("no write acknowledged within {within:?}; the last attempt: {last:?}")
}

/// The value below which a share of them lies, between 0 and 1; nothing where there are none.
pub fn share(values: &[Duration], share: f64) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1).min(last)).copied()
}
