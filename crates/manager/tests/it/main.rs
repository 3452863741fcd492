//! The manager as its clients and the plugins behind it see it.

#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

mod coordinated;
mod ending;
mod fakes;
mod files;
mod leadership;
mod objects;
mod owners;
mod proxy;
mod rollbacks;
mod saves;
mod stack;
mod strangers;
mod takeover;
mod vars;
mod wire;
