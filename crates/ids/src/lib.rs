//! Typed ids, names, counters and Go-style durations: the words that every other crate shares.
//!
//! What it is: small value types with parsing, printing and serde. A value that exists is valid.
//! Beside them [`chain`], the text of an error with its causes.
//!
//! What it must never do: open a file or a socket, read a clock, or learn anything about groups,
//! plugins or consensus. It sits on floor 0 and imports no other crate of ours.
//!
//! Where to start reading: [`PluginName`] for the addressing rule of the plugin protocol,
//! [`StepKey`] for what makes an outside effect repeatable, [`GoDuration`] for the text form of
//! durations in specs.
//!
//! ```
//! use regrow_ids::{GoDuration, PluginName};
//!
//! let name: PluginName = "simulator/compute".parse()?;
//! assert_eq!((name.lookup(), name.subtype()), ("simulator", "compute"));
//! let grace: GoDuration = "1m30s".parse()?;
//! assert_eq!(grace.as_duration().as_secs(), 90);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chain;
mod counters;
mod duration;
mod names;
mod plugin_name;
mod step_key;

pub use chain::chain;
pub use counters::{Fence, Generation, Revision};
pub use duration::{DurationError, GoDuration};
pub use names::{GroupId, InstanceId, LogicalId, NodeId};
pub use plugin_name::PluginName;
pub use step_key::{StepKey, StepKeyParts};
