//! The folders below `examples/` whose applications operate themselves, each run as it is shipped, on
//! real servers. The database has a module of its own.

mod configurations;
mod containers;
mod crowd;
mod logs;
mod nginx;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use e2e::supervised::Supervised;
use e2e::{binary, loopback, search_path};
use hyper::Method;
use serde_json::Value;

use crate::WITHIN;
use crate::catalog::Catalog;

/// A file below `examples/`.
fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// `regrow supervise` on a file of the examples, with variables for its templates and its scripts.
fn supervise(file: &str, variables: &[(&str, String)]) -> Result<Supervised> {
    Supervised::start_as(|_| {
        let mut command = Command::new(binary()?);
        command.args(["supervise", "-c"]).arg(example(file)).env("PATH", search_path()?);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Ok(command)
    })
}

/// The addresses of the passing instances of a service, as soon as there are as many.
async fn passing(catalog: &Catalog, service: &str, count: usize) -> Result<Vec<Value>> {
    let end = std::time::Instant::now() + WITHIN;
    let path = format!("/v1/health/service/{service}?passing=1");
    loop {
        let found = catalog.ask(Method::GET, &path).await?;
        match found.as_array() {
            Some(all) if all.len() == count => return Ok(all.clone()),
            _ => anyhow::ensure!(std::time::Instant::now() < end, "not {count} but {found}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn address_of(catalog: &Catalog) -> String {
    catalog.url().trim_start_matches("http://").to_owned()
}

/// One address for everything of a scenario.
fn own() -> Ipv4Addr {
    loopback(1)
}
