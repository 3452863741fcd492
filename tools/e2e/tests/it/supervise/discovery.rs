//! Services and watches against our own catalog, which answers as Consul does.

use anyhow::{Context as _, Result, ensure};
use e2e::supervised::{Supervised, wait};
use hyper::Method;
use rustix::process::Signal;
use serde_json::Value;

use super::WITHIN;
use crate::catalog::Catalog;

/// A web service, with its pace.
fn service(catalog: &Catalog, more: &str) -> String {
    format!(
        r#"{{consul: "{}", stopTimeout: 1, jobs: [
            {{name: "web", exec: ["sleep", "600"], port: 8080, interfaces: "static:127.0.0.1",
             tags: ["blue"], health: {{exec: "true", interval: 1, ttl: 5}}}}{more}]}}"#,
        catalog.url()
    )
}

/// Waits until as many instances pass.
async fn passing(catalog: &Catalog, count: usize) -> Result<Value> {
    let end = std::time::Instant::now() + WITHIN;
    loop {
        let found = catalog.ask(Method::GET, "/v1/health/service/web?passing=1").await?;
        if found.as_array().is_some_and(|all| all.len() == count) {
            return Ok(found);
        }
        ensure!(std::time::Instant::now() < end, "not {count} but {found}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_announced_when_healthy_and_withdrawn_at_the_end() -> Result<()> {
    let catalog = Catalog::start().await?;
    let mut program = Supervised::start(&service(&catalog, ""))?;
    let found = passing(&catalog, 1).await?;
    let service = found.pointer("/0/Service").context("a service")?;
    ensure!(service["Port"] == 8080 && service["Address"] == "127.0.0.1", "{service}");
    ensure!(service["Tags"] == serde_json::json!(["blue"]), "{service}");
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    passing(&catalog, 0).await?;
    let left = catalog.ask(Method::GET, "/v1/agent/services").await?;
    ensure!(left.as_object().is_some_and(serde_json::Map::is_empty), "{left}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_comes_back_after_the_agent_forgot_it() -> Result<()> {
    let catalog = Catalog::start().await?;
    let _program = Supervised::start(&service(&catalog, ""))?;
    let found = passing(&catalog, 1).await?;
    let id = found.pointer("/0/Service/ID").and_then(Value::as_str).context("an id")?;
    catalog.ask(Method::PUT, &format!("/v1/agent/service/deregister/{id}")).await?;
    passing(&catalog, 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_comes_back_after_maintenance() -> Result<()> {
    let catalog = Catalog::start().await?;
    let program = Supervised::start(&service(&catalog, ""))?;
    passing(&catalog, 1).await?;
    program.ask(&["maintenance", "enable"])?;
    passing(&catalog, 0).await?;
    program.ask(&["maintenance", "disable"])?;
    passing(&catalog, 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_and_the_log_say_why_a_check_failed() -> Result<()> {
    let catalog = Catalog::start().await?;
    // What runs on in the background holds the output open: the end does not wait for its lines.
    let check = "test -e full || exit 0; echo disk; trap '' TERM; sleep 600 & exit 3";
    let mut program = Supervised::start(&format!(
        r#"{{consul: "{}", stopTimeout: 1, jobs: [
            {{name: "web", exec: ["sleep", "600"], port: 8080, interfaces: "static:127.0.0.1",
             health: {{exec: ["sh", "-c", "{check}"], interval: 1, ttl: 5}}}},
            {{name: "quick", exec: ["sleep", "600"], port: 8081, interfaces: "static:127.0.0.1",
             health: {{exec: ["sh", "-c", "test -e full || exit 0; echo no; echo room; exit 4"],
                      interval: 1, ttl: 5}}}}]}}"#,
        catalog.url()
    ))?;
    passing(&catalog, 1).await?;
    std::fs::write(program.folder().join("full"), "")?;
    let end = std::time::Instant::now() + WITHIN;
    for (service, why) in [("quick", "exit status 4: no room"), ("web", "exit status 3")] {
        loop {
            let path = format!("/v1/health/checks/{service}");
            let found = catalog.ask(Method::GET, &path).await?;
            let check = found.pointer("/0").context("a check")?;
            let output = check["Output"].as_str().unwrap_or_default();
            if check["Status"] == "critical" && output == why {
                break;
            }
            ensure!(std::time::Instant::now() < end, "not {why:?} but {check}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    // Only the first failure is said, whose lines may have been late.
    program.printed("quick is not healthy: exit status 4", WITHIN)?;
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_of_services_that_come_and_go() -> Result<()> {
    let catalog = Catalog::start().await?;
    let watcher = format!(
        r#"{{consul: "{}", stopTimeout: 1, jobs: [
            {{name: "up", exec: ["sh", "-c", "echo up >> @@/seen"],
             when: {{source: "watch.web", each: "healthy"}}}},
            {{name: "down", exec: ["sh", "-c", "echo down >> @@/seen"],
             when: {{source: "watch.web", each: "unhealthy"}}}}],
           watches: [{{name: "web", interval: 1}}]}}"#,
        catalog.url()
    );
    let watcher = Supervised::start(&watcher)?;
    let mut program = Supervised::start(&service(&catalog, ""))?;
    watcher.wrote("seen", "up", WITHIN)?;
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    watcher.wrote("seen", "down", WITHIN)
}

/// Its service was announced and its lock held, so there is something to give back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_is_gone_holds_up_the_end_for_seconds_not_for_the_stop_timeout() -> Result<()>
{
    let catalog = Catalog::start().await?;
    let config = service(
        &catalog,
        r#", {name: "lead", exec: ["sh", "-c", "echo leads; exec sleep 600"],
              when: {source: "lock:one", each: "acquired"}}"#,
    );
    let config = config.replace("stopTimeout: 1,", "stopTimeout: 120,");
    let mut program = Supervised::start(&config)?;
    passing(&catalog, 1).await?;
    program.printed("leads", WITHIN)?;
    drop(catalog);
    program.signal(Signal::TERM)?;
    ensure!(program.ends(WITHIN)?.code() == Some(0), "{}", program.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_catalog_holds_up_neither_jobs_nor_the_end() -> Result<()> {
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let config = format!(
        r#"{{consul: "{}", stopTimeout: 1, jobs: [
            {{name: "web", exec: ["sh", "-c", "echo runs; exec sleep 600"], port: 8080,
             interfaces: "static:127.0.0.1", health: {{interval: 1, ttl: 5}}}},
            {{name: "beside", exec: ["sh", "-c", "echo x >> @@/beside"],
             when: {{interval: "100ms"}}}}]}}"#,
        silent.local_addr()?
    );
    let mut program = Supervised::start(&config)?;
    program.printed("runs", WITHIN)?;
    let ticks = || std::fs::read(program.path("beside")).map_or(0, |bytes| bytes.len() / 2);
    wait(WITHIN, || ticks() > 30)?;
    program.signal(Signal::TERM)?;
    ensure!(program.ends(WITHIN)?.code() == Some(0), "{}", program.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_holds_the_lock_and_the_other_takes_over() -> Result<()> {
    let catalog = Catalog::start().await?;
    let config = |name: &str| {
        format!(
            r#"{{consul: "{}", stopTimeout: 1, locks: [{{name: "primary", ttl: 10}}], jobs: [
                {{name: "leader", when: {{source: "lock:primary", each: "acquired"}},
                 exec: ["sh", "-c", "echo {name} leads under $REGROW_LOCK_PRIMARY_FENCE; exec sleep 600"]}}]}}"#,
            catalog.url()
        )
    };
    let mut first = Supervised::start(&config("first"))?;
    first.printed("first leads under", WITHIN)?;
    let second = Supervised::start(&config("second"))?;
    // A clean stop gives the lock back at once.
    first.signal(Signal::TERM)?;
    first.ends(WITHIN)?;
    second.printed("second leads under", WITHIN)?;
    ensure!(fence(&second.output())? > fence(&first.output())?, "the fence did not grow");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_handed_over_as_planned_after_its_job_has_ended() -> Result<()> {
    let catalog = Catalog::start().await?;
    let config = |name: &str| {
        format!(
            r#"{{consul: "{}", stopTimeout: 60, jobs: [{{name: "leader",
                when: {{source: "lock:primary", each: "acquired"}},
                exec: ["sh", "-c", "trap 'sleep 1; echo {name} has stopped; exit' TERM; \
                    echo {name} leads under $REGROW_LOCK_PRIMARY_FENCE; \
                    while :; do sleep 0.1; done"]}}]}}"#,
            catalog.url()
        )
    };
    let first = Supervised::start(&config("first"))?;
    first.printed("first leads under", WITHIN)?;
    let second = Supervised::start(&config("second"))?;
    let unknown = first.ask(&["yield", "other"]).expect_err("there is no such lock");
    ensure!(format!("{unknown:#}").contains("there is no lock \"other\""), "{unknown:#}");
    first.ask(&["yield", "primary", "--for", "2s"])?;
    // Written after the job of the first has ended, or never.
    wait(WITHIN, || {
        let led = second.output().contains("second leads under");
        assert!(!led || first.output().contains("first has stopped"), "two lead");
        led
    })?;
    ensure!(fence(&second.output())? > fence(&first.output())?, "the fence did not grow");
    second.ask(&["yield", "primary", "--for", "1h"])?;
    let led = || first.output().matches("first leads under").count();
    wait(WITHIN, || led() == 2).with_context(|| first.output())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_changes_locks_leaves_the_held_one_alone() -> Result<()> {
    let catalog = Catalog::start().await?;
    let config = |locks: &str, job: &str| {
        format!(
            r#"{{consul: "{}", stopTimeout: 1, locks: [{locks}], jobs: [{job}]}}"#,
            catalog.url()
        )
    };
    let lead = r#"{name: "lead", when: {source: "lock:p", each: "acquired"},
        exec: ["sh", "-c", "echo led; exec sleep 600"]}"#;
    let rest = r#"{name: "rest", exec: ["sleep", "600"]}"#;
    let first = Supervised::start(&config("", &format!("{lead}, {rest}")))?;
    first.printed("led", WITHIN)?;
    let second = Supervised::start(&config("", lead))?;
    first.rewrite(&config(r#"{name: "q", ttl: 20}"#, &format!("{lead}, {rest}")))?;
    first.ask(&["reload"])?;
    first.rewrite(&config("", rest))?;
    let refused = first.ask(&["reload"]).expect_err("its job runs under it");
    ensure!(format!("{refused:#}").contains("lock p is held here"), "{refused:#}");
    // A lock that was given back would be the other's at once.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    ensure!(!second.output().contains("led"), "two lead");
    ensure!(first.output().matches("led").count() == 1, "{}", first.output());
    Ok(())
}

fn fence(output: &str) -> Result<u64> {
    let word = output.split("leads under ").nth(1).context("it led")?;
    Ok(word.split_whitespace().next().context("a fence")?.parse()?)
}
