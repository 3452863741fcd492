//! Clients that send one request after another.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::{Attempt, Http, share};
use hyper::StatusCode;
use tokio::task::JoinSet;

/// Time after which a request counts as lost.
const LOST: Duration = Duration::from_secs(30);

/// What clients got done in a turn.
#[derive(Default)]
pub struct Turn {
    pub times: Vec<Duration>,
    pub wall: Duration,
}

impl Turn {
    /// Adds a further turn.
    pub fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.wall += other.wall;
    }

    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.wall.as_secs_f64().max(f64::EPSILON)
    }

    pub fn at(&self, part: f64) -> Duration {
        share(&self.times, part).unwrap_or_default()
    }
}

/// Every client sends one request after another for a while. The client and the running number make
/// the request.
///
/// # Errors
/// A request fails: then the figure would mean nothing.
pub async fn closed_loop(
    clients: Vec<Http>,
    wall: Duration,
    request: impl Fn(usize, usize) -> Attempt + Clone + Send + 'static,
) -> Result<Turn> {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (client, mut http) in clients.into_iter().enumerate() {
        let request = request.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < wall {
                let attempt = request(client, times.len());
                times.push(once(&mut http, attempt).await?);
            }
            anyhow::Ok(times)
        });
    }
    let mut turn = Turn::default();
    while let Some(times) = tasks.join_next().await {
        turn.times.extend(times.context("a client")??);
    }
    turn.wall = began.elapsed();
    Ok(turn)
}

/// Sends one request; returns how long it took.
///
/// # Errors
/// It was not answered with 200.
pub async fn once(http: &mut Http, (method, path, body): Attempt) -> Result<Duration> {
    http.connect().await?;
    let began = Instant::now();
    let answer = http.call(method, &path, body, LOST).await?;
    if answer.status != StatusCode::OK {
        bail!("{path}: {}: {}", answer.status, answer.text());
    }
    Ok(began.elapsed())
}
