//! The shipped binary as real processes.

mod catalog;
mod cluster;
mod consul;
mod crash;
mod database;
mod discovery;
mod docs;
mod failover;
mod foreign;
mod replicas;
mod stories;
mod supervise;
mod takeover;
mod unit;

use std::time::Duration;

use regrow_codec::Any;
use regrow_ids::GroupId;
use regrow_plugin::spi::GroupSpec;
use serde_json::Value;

/// Time in which anything here must happen, on a busy machine too.
const WITHIN: Duration = Duration::from_secs(90);

fn group(id: &str, properties: Value) -> GroupSpec {
    GroupSpec { id: GroupId::from(id), properties: Any::from(properties) }
}
