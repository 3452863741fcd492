//! The real binary, in folders of its own.

#![expect(clippy::expect_used, reason = "a test that cannot go on must stop")]

mod agents;
mod catalogs;
mod coordinators;
mod documents;
mod examples;
mod fences;
mod golden;
mod local;
mod locks;
mod managers;
mod mentions;
mod nouns;
mod pages;
mod playbooks;
mod plugins;
mod remotes;
mod settings;
mod support;
mod up;
