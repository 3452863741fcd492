//! The Consul backend of the coordination keys against our own catalog, which answers as Consul does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use regrow_coord::conformance::{Subject, run};
use regrow_coord::{Consul, ConsulSettings, Coordinator, Prefix};

use crate::catalog::Catalog;

/// How long a call may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// Checks that there are at least, so that a kit that shrinks is noticed.
const CHECKS: usize = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_catalog_passes_every_check_of_a_coordinator() -> Result<()> {
    let catalog = Catalog::start().await?;
    let settings = ConsulSettings {
        endpoints: vec![catalog.url().to_owned()],
        prefix: Prefix::new("regrow/")?,
        token: None,
        login: None,
        deadline: DEADLINE,
        tls: None,
    };
    let connect = || -> Arc<dyn Coordinator> {
        match Consul::new(settings.clone()) {
            Ok(consul) => Arc::new(consul),
            Err(error) => panic!("settings that were good are not: {error}"),
        }
    };
    let report = run(&Subject { connect: &connect, forget: None }).await;
    println!("{report}");
    ensure!(report.failed.is_empty(), "{report}");
    ensure!(report.passed.len() >= CHECKS, "{report}");
    Ok(())
}
