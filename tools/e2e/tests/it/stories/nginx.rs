//! `examples/nginx`: real nginx in front of backends that are restarted one after the other, taken away
//! and added, while clients ask without a break.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::missing;
use e2e::supervised::Supervised;
use rustix::process::Signal;

use super::crowd::{Crowd, Manner, Tally, fetched};
use super::{address_of, example, own, passing, supervise};
use crate::WITHIN;
use crate::catalog::Catalog;

/// Programs without which this cannot be tried.
const MEANS: &[&str] = &["nginx", "python3", "awk", "flock"];
/// Port of the nginx that closes each connection after its answer, as the example is shipped.
const CLOSING: u16 = 8080;
/// Port of the one that keeps them.
const KEEPING: u16 = 8081;
/// Port of the first backend.
const FIRST: u16 = 8091;

struct Front {
    catalog: Catalog,
    folder: tempfile::TempDir,
}

impl Front {
    async fn new() -> Result<Self> {
        Ok(Self { catalog: Catalog::start().await?, folder: tempfile::tempdir()? })
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CONSUL_HTTP_ADDR", address_of(&self.catalog)),
            ("NGINX_SCRIPTS", example("nginx").display().to_string()),
        ]
    }

    /// nginx with its supervisor.
    fn nginx(&self, port: u16, keepalive: u32) -> Result<Supervised> {
        let home = self.folder.path().join(format!("nginx-{port}"));
        std::fs::create_dir_all(&home)?;
        let mut variables = self.variables();
        variables.extend([
            ("NGINX_HOME", home.display().to_string()),
            ("NGINX_ADDRESS", own().to_string()),
            ("NGINX_PORT", port.to_string()),
            ("NGINX_KEEPALIVE", keepalive.to_string()),
        ]);
        supervise("nginx/nginx.json5", &variables)
    }

    /// A backend with its supervisor; its answer names it. A busy machine is given time to answer checks.
    fn web(&self, name: &str, number: u16) -> Result<Supervised> {
        let mut variables = self.variables();
        variables.extend([
            ("MEMBER", name.to_owned()),
            ("WEB_HOME", self.folder.path().display().to_string()),
            ("WEB_ADDRESS", own().to_string()),
            ("WEB_PORT", (FIRST + number).to_string()),
            ("WEB_CHECK_TIMEOUT", "40s".to_owned()),
            ("WEB_TTL", "60".to_owned()),
        ]);
        supervise("nginx/web.json5", &variables)
    }
}

fn ends_well(mut backend: Supervised) -> Result<()> {
    backend.signal(Signal::TERM)?;
    let status = backend.ends(WITHIN)?;
    ensure!(status.success(), "{status}: {}", backend.output());
    Ok(())
}

fn heard_as(name: &str, number: u16) -> String {
    format!("{name} on port {}", FIRST + number)
}

/// Four clients of each nginx, one of them with requests that take a second.
fn crowd() -> Crowd {
    let manner = |port, path, kept| Manner { to: SocketAddr::from((own(), port)), path, kept };
    Crowd::start((0..8).map(|number| match number {
        0 => manner(CLOSING, "/slow", false),
        1..4 => manner(CLOSING, "/", false),
        4 => manner(KEEPING, "/slow", true),
        5 => manner(KEEPING, "/", false),
        _ => manner(KEEPING, "/", true),
    }))
}

/// Each backend is restarted, then one is taken away and a new one added.
async fn roll(front: &Front, backends: Vec<Supervised>, crowd: &Crowd) -> Result<Vec<Supervised>> {
    let mut fresh = Vec::new();
    for (backend, number) in backends.into_iter().zip(0..) {
        ends_well(backend)?;
        fresh.push(front.web("second", number)?);
        passing(&front.catalog, "web", 3).await?;
        crowd.heard(&heard_as("second", number)).await?;
    }
    ends_well(fresh.remove(0))?;
    passing(&front.catalog, "web", 2).await?;
    fresh.push(front.web("added", 3)?);
    crowd.heard(&heard_as("added", 3)).await?;
    Ok(fresh)
}

fn report(tally: &Tally, took: std::time::Duration) {
    println!(
        "{} requests answered in {took:.1?}, {} of them on kept connections, {} failed, {} repeated \
         because a kept connection was closed; longest {:.2?}",
        tally.answered,
        tally.on_kept,
        tally.failed.len(),
        tally.repeated,
        tally.longest
    );
    for (text, count) in &tally.by {
        println!("{count:8} {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_backends_are_restarted_removed_and_added() -> Result<()> {
    if let Some(program) = missing(MEANS) {
        println!(
            "not run, promise untested: nginx in front of changing backends (needs {program})"
        );
        return Ok(());
    }
    let front = Front::new().await?;
    let _nginxes = [front.nginx(CLOSING, 0)?, front.nginx(KEEPING, 30)?];
    let backends: Vec<_> =
        (0..3).map(|number| front.web("first", number)).collect::<Result<_>>()?;
    for port in [CLOSING, KEEPING] {
        let to = SocketAddr::from((own(), port));
        for number in 0..3 {
            fetched(to, "/", |text| text == heard_as("first", number)).await?;
        }
    }
    let (crowd, since) = (crowd(), Instant::now());
    let _left = roll(&front, backends, &crowd).await?;
    let tally = crowd.end().await?;
    report(&tally, since.elapsed());
    ensure!(tally.failed.is_empty(), "{:?}", tally.failed);
    ensure!(tally.on_kept > 0, "no connection was kept");
    ensure!(tally.answered > 300, "hardly any load: {}", tally.answered);
    Ok(())
}
