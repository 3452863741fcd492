//! The figures, one function each.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::{Cost, Stack, StackOptions};
use regrow_codec::Any;
use regrow_groups::config::GroupConfig;
use regrow_groups::plan::plan;
use regrow_groups::state::{Answer, GroupState, KeySpace, Patience};
use regrow_ids::GroupId;
use regrow_plugin::spi::{Description, GroupSpec, Tags, tags};
use regrow_reconcile::{Moment, Sighting};
use serde_json::{Value, json};

use crate::load;
use crate::report::{Report, Row};

const STACK: [&str; 6] = ["group", "vanilla", "simulator", "file", "process", "vars"];
const CONVERGE_WITHIN: Duration = Duration::from_secs(120);

/// Runs the named cases, or all.
pub async fn run_all(only: &[String], report: &mut Report) {
    macro_rules! case {
        ($name:literal, $run:expr) => {
            if only.is_empty() || only.iter().any(|name| name == $name) {
                if let Err(fault) = $run.await {
                    let ours = format!("failed: {fault:#}");
                    report.add(Row {
                        what: $name.into(),
                        ours,
                        goal: "",
                        reached: None,
                        infrakit: "",
                    });
                }
            }
        };
    }
    case!("start", start(report));
    case!("heal", heal_file(report));
    case!("heal", heal_process(report));
    case!("converge", converge(report, "10s"));
    case!("converge", converge(report, "100ms"));
    case!("roll", roll(report));
    case!("describe", describe(report));
    case!("plan", plan_ten_thousand(report));
    case!("idle", idle(report));
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn stack(poll: &str) -> Result<Stack> {
    Stack::start(StackOptions::of(&STACK).with("INFRAKIT_GROUP_POLL_INTERVAL", poll)).await
}

fn group(plugin: &str, properties: &Value, size: u32, update: &Value) -> GroupSpec {
    let document = json!({
        "Instance": {"Plugin": plugin, "Properties": properties},
        "Flavor": {"Plugin": "vanilla", "Properties": {}},
        "Allocation": {"Size": size},
        "Update": update,
    });
    GroupSpec { id: GroupId::from("bench"), properties: Any::from(document) }
}

async fn start(report: &mut Report) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..7 {
        times.push(stack("10s").await?.start_time());
    }
    let time = median(times);
    report.add(Row {
        what: "start of a six-plugin stack, to the last socket".into(),
        ours: millis(time),
        goal: "≤ 50 ms",
        reached: Some(time <= Duration::from_millis(50)),
        infrakit: "0.2 s",
    });
    Ok(())
}

async fn heal_file(report: &mut Report) -> Result<()> {
    let stack = stack("10s").await?;
    let spec = group("file", &json!({"Note": "bench"}), 10, &json!(null));
    stack.converge(&spec, CONVERGE_WITHIN).await?;
    let folder = stack.home().join("instances");
    let files = || -> Result<Vec<_>> {
        let names = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let visible = |path: &std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("instance-"))
        };
        Ok(names.filter(visible).collect())
    };
    let mut times = Vec::new();
    // Each of the ten once: a slot whose member dies twice within a minute waits, as it should.
    for victim in files()? {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        fs::remove_file(&victim)?;
        while files()?.len() < 10 {
            anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "not healed");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        times.push(began.elapsed());
    }
    report.add(heal_row("heal 1 of 10, file plugin, default settings (median of 10)", times));
    Ok(())
}

async fn heal_process(report: &mut Report) -> Result<()> {
    let stack = stack("10s").await?;
    let spec = group("process", &json!({"Command": ["sleep", "3600"]}), 10, &json!(null));
    stack.converge(&spec, CONVERGE_WITHIN).await?;
    let mut times = Vec::new();
    for victim in children(stack.pid())? {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        kill(victim)?;
        loop {
            let now = children(stack.pid())?;
            if now.len() >= 10 && !now.contains(&victim) {
                break;
            }
            anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "not healed");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        times.push(began.elapsed());
    }
    stack.groups().await?.destroy_group(&GroupId::from("bench")).await?;
    report
        .add(heal_row("heal 1 of 10, processes, kill -9, default settings (median of 10)", times));
    Ok(())
}

fn heal_row(what: &str, times: Vec<Duration>) -> Row {
    let worst = times.iter().max().copied().unwrap_or_default();
    let time = median(times);
    Row {
        what: what.into(),
        ours: format!("{}, worst {}", millis(time), millis(worst)),
        goal: "≤ 100 ms",
        reached: Some(time <= Duration::from_millis(100)),
        infrakit: "7.0 – 9.6 s",
    }
}

/// Running children of a process that are instances.
fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found.retain(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with("sleep")
    });
    Ok(found)
}

fn kill(pid: u32) -> Result<()> {
    let done = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    anyhow::ensure!(done.success(), "kill {pid}");
    Ok(())
}

async fn converge(report: &mut Report, poll: &str) -> Result<()> {
    let stack = stack(poll).await?;
    let spec = group("simulator/compute", &json!({}), 5_000, &json!(null));
    let before = Cost::of(stack.pid())?;
    let time = stack.converge(&spec, CONVERGE_WITHIN).await?;
    let after = Cost::of(stack.pid())?;
    let cpu = after.cpu - before.cpu;
    let peak = after.peak_kib as f64 / 1024.0;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let instances = stack.instances("simulator/compute").await?;
    let made = instances.describe_instances(&Tags::new(), false).await?.len();
    let row = |what: String, ours: String, goal, reached, infrakit| Row {
        what,
        ours,
        goal,
        reached: Some(reached),
        infrakit,
    };
    let default = poll == "10s";
    let what = |part: &str| format!("commit → converged, 5,000 simulated, poll {poll}: {part}");
    let wall = if default { "5.4 s" } else { "52 s" };
    report.add(row(
        what("wall"),
        millis(time),
        "≤ 1.5 s",
        time <= Duration::from_millis(1_500),
        wall,
    ));
    let infrakit_cpu = if default { "4.9 s" } else { "57 s" };
    report.add(row(what("CPU"), millis(cpu), "≤ 1 s", cpu <= Duration::from_secs(1), infrakit_cpu));
    report.add(row(
        what("peak memory"),
        format!("{peak:.1} MB"),
        "≤ 60 MB",
        peak <= 60.0,
        "466 MB",
    ));
    let most = if default { "5,000" } else { "5,595" };
    report.add(row(what("instances"), made.to_string(), "5,000", made == 5_000, most));
    Ok(())
}

async fn roll(report: &mut Report) -> Result<()> {
    let stack = stack("10s").await?;
    let update = json!({"MaxSurge": "10%"});
    stack
        .converge(&group("simulator/compute", &json!({"v": 1}), 100, &update), CONVERGE_WITHIN)
        .await?;
    let next = group("simulator/compute", &json!({"v": 2}), 100, &update);
    let time = stack.converge(&next, CONVERGE_WITHIN).await?;
    report.add(Row {
        what: "rolling update of 100, surge 10 %, default poll".into(),
        ours: millis(time),
        goal: "≤ 10 s",
        reached: Some(time <= Duration::from_secs(10)),
        infrakit: "17 min (extrapolated)",
    });
    let default = group("simulator/compute", &json!({"v": 3}), 100, &json!(null));
    let time = stack.converge(&default, CONVERGE_WITHIN).await?;
    report.add(Row {
        what: "rolling update of 100, one at a time, default poll".into(),
        ours: millis(time),
        goal: "-",
        reached: None,
        infrakit: "17 min (extrapolated)",
    });
    Ok(())
}

async fn describe(report: &mut Report) -> Result<()> {
    let stack = stack("10s").await?;
    let spec = group("simulator/compute", &json!({}), 1_000, &json!(null));
    stack.converge(&spec, CONVERGE_WITHIN).await?;
    let socket = stack.home().join("plugins/simulator");
    for (connections, goal, infrakit) in [(1, "-", "6/s"), (8, "≥ 2,000/s", "10/s")] {
        let before = Cost::of(stack.pid())?;
        let load = load::measure(&socket.to_string_lossy(), connections, 5)?;
        let cpu = (Cost::of(stack.pid())?.cpu - before.cpu).as_secs_f64();
        let each = cpu * 1e3 / (load.per_second * 5.0);
        report.add(Row {
            what: format!("DescribeInstances, 1,000 members, {connections} connections"),
            ours: format!(
                "{:.0}/s, p50 {}, p99 {}, server CPU {each:.2} ms/call",
                load.per_second,
                millis(load.p50),
                millis(load.p99)
            ),
            goal,
            reached: (connections == 8).then_some(load.per_second >= 2_000.0),
            infrakit,
        });
    }
    Ok(())
}

async fn plan_ten_thousand(report: &mut Report) -> Result<()> {
    const MEMBERS: u32 = 10_000;
    let spec = group("simulator/compute", &json!({}), MEMBERS, &json!(null));
    let config = GroupConfig::parse(&spec)?;
    let outdated =
        GroupConfig::parse(&group("simulator/compute", &json!({"v": 0}), MEMBERS, &json!(null)))?;
    for (what, made_with, count) in [
        ("nothing to do", &config, MEMBERS),
        ("all missing", &config, 0),
        ("all outdated", &outdated, MEMBERS),
    ] {
        let keys = KeySpace { lineage: 1, epoch: 1 };
        let mut state = GroupState::new(config.clone(), keys, Patience::default());
        for look in 1..=3u64 {
            let instances = (0..count).map(|n| member(n, made_with)).collect();
            let began = Moment::after(Duration::from_secs(look));
            let items = Answer { instances, ..Answer::complete() };
            state.absorb(Sighting { began, ended: began + Duration::from_millis(1), items });
        }
        let now = Moment::after(Duration::from_secs(10));
        let times = (0..21)
            .map(|_| {
                let began = Instant::now();
                std::hint::black_box(plan(&state, now));
                began.elapsed()
            })
            .collect();
        let time = median(times);
        report.add(Row {
            what: format!("plan for 10,000 instances, {what}"),
            ours: millis(time),
            goal: "≤ 50 ms",
            reached: Some(time <= Duration::from_millis(50)),
            infrakit: "-",
        });
    }
    Ok(())
}

fn member(number: u32, config: &GroupConfig) -> Arc<Description> {
    let tags = BTreeMap::from([
        (tags::GROUP.to_owned(), config.id.as_str().to_owned()),
        (tags::CONFIG_HASH.to_owned(), config.hash.as_str().to_owned()),
        (regrow_groups::state::SLOT_TAG.to_owned(), number.to_string()),
    ]);
    let id = format!("i-{number:06}").into();
    Arc::new(Description { id, logical_id: None, tags, properties: Any::default() })
}

async fn idle(report: &mut Report) -> Result<()> {
    const SECONDS: u64 = 60;
    let stack = stack("10s").await?;
    let spec = group("simulator/compute", &json!({}), 1_000, &json!(null));
    stack.converge(&spec, CONVERGE_WITHIN).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = Cost::of(stack.pid())?;
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = Cost::of(stack.pid())?;
    let share = (after.cpu - before.cpu).as_secs_f64() / SECONDS as f64 * 100.0;
    let memory = after.resident_kib as f64 / 1024.0;
    report.add(Row {
        what: "idle with 1,000 members for 60 s: CPU of one core".into(),
        ours: format!("{share:.3} %"),
        goal: "≤ 0.1 %",
        reached: Some(share <= 0.1),
        infrakit: "1.1 %",
    });
    report.add(Row {
        what: "idle with 1,000 members: memory".into(),
        ours: format!("{memory:.1} MB"),
        goal: "≤ 25 MB",
        reached: Some(memory <= 25.0),
        infrakit: "87 MB",
    });
    Ok(())
}
