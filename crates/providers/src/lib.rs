//! Instance plugins: where instances come from.
//!
//! What it is: providers that implement [`regrow_plugin::spi::Instance`]. [`simulator`] keeps
//! instances in memory and misbehaves on request, [`mod@file`] keeps one file for each, [`process`] runs
//! local processes, and [`selector`] divides instances among other plugins.
//!
//! What it must never do: decide how many instances there should be, or heal one; call a partial
//! list complete; touch something that it did not make itself.
//!
//! Where to start reading: [`simulator::Simulator`] for the shape of a provider, [`settings`] for
//! how options and environment variables become a typed struct.
//!
//! ```
//! use regrow_providers::{settings, simulator};
//!
//! let document = regrow_codec::Any::from_text(r#"{"ProvisionDelay": "50ms"}"#)?;
//! let options: simulator::Options = settings::from_environment(&document)?;
//! let plugin = simulator::plugin("simulator", &options)?;
//! assert_eq!(plugin.name(), "simulator");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod detached;
mod disk;
pub mod file;
mod hints;
mod keys;
pub mod process;
mod readable;
mod row;
pub mod selector;
pub mod settings;
pub mod simulator;
mod world;

pub use disk::DiskError;
pub use hints::Happened;
