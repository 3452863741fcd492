//! Every case of the benchmark, in the order in which they run.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use e2e::net::{Net, has_program};
use e2e::{Attempt, Cluster, ClusterOptions, Cost, Http, Loss, recovery, share};

use crate::api::System;
use crate::etcd::EtcdCluster;
use crate::many;
use crate::report::{Report, Row, ms};
use crate::traffic::{Turn, closed_loop, once};
use crate::watches::fan_out;

/// Turns that each of the two gets of every case.
const TURNS: u64 = 3;
/// Keys that are written and read.
const KEYS: usize = 1024;
/// How long the cost of an idle node is watched.
const IDLE: Duration = Duration::from_secs(30);
/// Time in which a cluster serves again at the latest.
const WITHIN: Duration = Duration::from_secs(60);

/// Names of the cases, for a run of one of them.
pub const CASES: &[&str] = &["idle", "speed", "watches", "leader", "much"];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Seconds of load, a system and case.
    pub seconds: u64,
    /// Losses of the leader, of each kind.
    pub kills: usize,
    /// Blocking queries on one key.
    pub watchers: usize,
    /// Keys of the large load.
    pub keys: usize,
    /// Services of the large load.
    pub services: usize,
}

impl Default for Amounts {
    fn default() -> Self {
        Self { seconds: 15, kills: 12, watchers: 1000, keys: 1_000_000, services: 100_000 }
    }
}

/// Runs everything, or one case, one after the other.
pub async fn run(amounts: Amounts, only: Option<&str>, report: &mut Report) -> Result<()> {
    let wanted = |case| only.is_none_or(|only| only == case);
    if !has_program("etcd") {
        bail!("etcd is missing (Debian package etcd-server); run `cargo xtask setup`");
    }
    let Some(net) = Net::or_say(3, "speed of coordination")? else {
        bail!("three machines in namespaces cannot be made here");
    };
    report.load[0] = load();
    // Each blocking query is a connection, and by default an address has 200, as with Consul.
    let flags: &[&str] = &["--http-connections", "4096"];
    let cluster = Cluster::start(net, ClusterOptions { flags, ..ClusterOptions::new() }).await?;
    let mut ours = System::Regrow(cluster);
    let mut etcd = System::Etcd(EtcdCluster::start(Net::new(3)?).await?);
    if wanted("idle") {
        idle(&mut ours, &mut etcd, report).await?;
    }
    if wanted("speed") {
        speed(&ours, &etcd, amounts, report).await?;
    }
    if wanted("watches") {
        watches(&ours, amounts, report).await?;
    }
    if wanted("leader") {
        losses(&mut ours, &mut etcd, amounts, report, Loss::Process).await?;
        losses(&mut ours, &mut etcd, amounts, report, Loss::Machine).await?;
    }
    drop(etcd);
    if wanted("much") {
        many(&mut ours, amounts, report).await?;
    }
    report.load[1] = load();
    Ok(())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

async fn idle(ours: &mut System, etcd: &mut System, report: &mut Report) -> Result<()> {
    let pids = [ours.pid(0)?, ours.pid(1)?, ours.pid(2)?, etcd.pid(0)?, etcd.pid(1)?, etcd.pid(2)?];
    let costs = || pids.iter().map(|pid| Cost::of(*pid)).collect::<Result<Vec<_>>>();
    let before = costs()?;
    tokio::time::sleep(IDLE).await;
    let after = costs()?;
    let cpu = |at: usize| (after[at].cpu - before[at].cpu).as_secs_f64() / IDLE.as_secs_f64();
    let most_cpu = |range: std::ops::Range<usize>| range.map(cpu).fold(0.0, f64::max) * 100.0;
    let most_mib = |range: std::ops::Range<usize>| {
        range.map(|at| after[at].resident_kib).max().unwrap_or(0) as f64 / 1024.0
    };
    report.add(Row {
        what: "idle for 30 s: memory of the largest node".into(),
        ours: format!("{:.1} MiB", most_mib(0..3)),
        etcd: format!("{:.1} MiB", most_mib(3..6)),
        goal: "≤ 40 MiB",
        reached: Some(most_mib(0..3) <= 40.0),
    });
    report.add(Row {
        what: "idle for 30 s: CPU of the busiest node, of one core".into(),
        ours: format!("{:.2} %", most_cpu(0..3)),
        etcd: format!("{:.2} %", most_cpu(3..6)),
        goal: "≤ 1 %",
        reached: Some(most_cpu(0..3) <= 1.0),
    });
    Ok(())
}

/// The keys that are written and read, all of which are there before anything is measured.
fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|key| format!("key-{key:04}"))
}

async fn write_all(system: &System) -> Result<()> {
    let mut http = system.http(0);
    for key in keys() {
        once(&mut http, system.put(&key)).await?;
    }
    Ok(())
}

/// Turns that alternate, so that noise meets both.
async fn turns(
    systems: [&System; 2],
    clients: usize,
    seconds: u64,
    request: fn(&System, &str) -> Attempt,
) -> Result<[Turn; 2]> {
    let mut done = [Turn::default(), Turn::default()];
    let wall = Duration::from_secs(seconds) / u32::try_from(TURNS)?;
    for _ in 0..TURNS {
        for (system, sum) in systems.into_iter().zip(&mut done) {
            // Made beforehand: a body of base64 should not be the client's work in between.
            let requests: Vec<Attempt> = keys().map(|key| request(system, &key)).collect();
            let next = move |client: usize, number: usize| {
                requests[(client * 17 + number) % requests.len()].clone()
            };
            let connections: Vec<Http> = system.clients(clients);
            sum.add(closed_loop(connections, wall, next).await?);
        }
    }
    Ok(done)
}

async fn speed(ours: &System, etcd: &System, amounts: Amounts, report: &mut Report) -> Result<()> {
    let systems = [ours, etcd];
    let seconds = amounts.seconds;
    for system in systems {
        write_all(system).await?;
    }
    let [one, peer] = turns(systems, 64, seconds, System::put).await?;
    many_clients("durable puts", &one, &peer, report);
    let [one, peer] = turns(systems, 1, seconds, System::put).await?;
    report.add(Row {
        what: "durable puts, 1 client, 256 B: p50, p99".into(),
        ours: format!("{}, {}", ms(one.at(0.5)), ms(one.at(0.99))),
        etcd: format!("{}, {}", ms(peer.at(0.5)), ms(peer.at(0.99))),
        goal: "p50 ≤ etcd's",
        reached: Some(one.at(0.5) <= peer.at(0.5)),
    });
    let [one, peer] = turns(systems, 64, seconds, System::get).await?;
    many_clients("linearizable reads", &one, &peer, report);
    Ok(())
}

fn many_clients(what: &str, ours: &Turn, etcd: &Turn, report: &mut Report) {
    let figure = |turn: &Turn| {
        let (p50, p99) = (ms(turn.at(0.5)), ms(turn.at(0.99)));
        format!("{:.0}/s, p50 {p50}, p99 {p99}", turn.per_second())
    };
    let factor = ours.per_second() / etcd.per_second();
    report.add(Row {
        what: format!("{what}, 64 clients, 256 B: {factor:.2} times etcd's"),
        ours: figure(ours),
        etcd: figure(etcd),
        goal: "≥ 2 times",
        reached: Some(factor >= 2.0),
    });
}

async fn watches(ours: &System, amounts: Amounts, report: &mut Report) -> Result<()> {
    let System::Regrow(cluster) = ours else { bail!("{} has no blocking query", ours.name()) };
    let many = fan_out(cluster, &[0, 1, 2], amounts.watchers, 50).await?;
    let last: Vec<Duration> = many.iter().map(|change| change.last).collect();
    let p99 = share(&last, 0.99).unwrap_or_default();
    report.add(Row {
        what: format!(
            "{} blocking queries on one key: write begun to the last told",
            amounts.watchers
        ),
        ours: format!("p50 {}, p99 {}", ms(share(&last, 0.5).unwrap_or_default()), ms(p99)),
        etcd: "not measured".into(),
        goal: "p99 ≤ 100 ms",
        reached: Some(p99 <= Duration::from_millis(100)),
    });
    for (nodes, place) in [([0, 0], "the writer's node"), ([0, 1], "both its and another node")] {
        let changes = fan_out(cluster, &nodes, 2, 50).await?;
        let wakes: Vec<Duration> = changes.iter().map(|change| change.wake).collect();
        let p50 = share(&wakes, 0.5).unwrap_or_default();
        report.add(Row {
            what: format!("blocking query wakes after the write's reply, on {place}: p50"),
            ours: ms(p50),
            etcd: "not measured".into(),
            goal: "≤ 1 ms",
            reached: Some(p50 <= Duration::from_millis(1)),
        });
    }
    Ok(())
}

/// Times from each loss of the leader until writes are acknowledged through both others.
async fn gaps(system: &mut System, times: usize, loss: Loss) -> Result<Vec<Duration>> {
    let mut gaps = Vec::new();
    for _ in 0..times {
        let leader = system.leader().await?;
        let since = Instant::now();
        system.lose(leader, loss)?;
        let attempt = system.put("probe");
        let [one, other] = [(leader + 1) % 3, (leader + 2) % 3];
        let served = tokio::try_join!(
            recovery(since, WITHIN, || system.http(one), &attempt),
            recovery(since, WITHIN, || system.http(other), &attempt)
        )?;
        gaps.push(served.0.max(served.1));
        system.bring_back(leader, loss)?;
        system.serving(leader).await?;
    }
    Ok(gaps)
}

async fn losses(
    ours: &mut System,
    etcd: &mut System,
    amounts: Amounts,
    report: &mut Report,
    loss: Loss,
) -> Result<()> {
    let times = amounts.kills;
    let (one, peer) = (gaps(ours, times, loss).await?, gaps(etcd, times, loss).await?);
    let lost = match loss {
        Loss::Process => "leader killed",
        Loss::Machine => "leader's machine gone without a word",
    };
    for (part, name, goal) in [(0.5, "p50", "≤ 2 s"), (0.99, "p99", "≤ 4 s")] {
        let time = |gaps: &[Duration]| share(gaps, part).unwrap_or_default().as_secs_f64();
        report.add(Row {
            what: format!("{lost}, {times} times: writes through both others, {name}"),
            ours: format!("{:.2} s", time(&one)),
            etcd: format!("{:.2} s", time(&peer)),
            goal,
            reached: Some(time(&one) <= if part < 0.9 { 2.0 } else { 4.0 }),
        });
    }
    Ok(())
}

async fn many(ours: &mut System, amounts: Amounts, report: &mut Report) -> Result<()> {
    let System::Regrow(cluster) = ours else { bail!("{} has no services", ours.name()) };
    let Amounts { keys, services, .. } = amounts;
    let done = many::measure(cluster, keys, services).await?;
    let what = |text: &str| format!("{keys} keys of 64 B and {services} services: {text}");
    let row = |what: String, ours: String, goal, reached| Row {
        what,
        ours,
        etcd: "not measured".into(),
        goal,
        reached,
    };
    report.add(row(what("loaded in"), format!("{:.1} s", done.load.as_secs_f64()), "-", None));
    report.add(row(
        what("a killed node starts and answers a consistent read"),
        format!("{:.2} s", done.start.as_secs_f64()),
        "≤ 5 s",
        Some(done.start <= Duration::from_secs(5)),
    ));
    report.add(row(
        what("longest write beside the load and its snapshots"),
        ms(done.worst),
        "≤ 100 ms",
        Some(done.worst <= Duration::from_millis(100)),
    ));
    let mib = done.resident_kib as f64 / 1024.0;
    report.add(row(what("memory of the leader"), format!("{mib:.0} MiB"), "-", None));
    Ok(())
}
