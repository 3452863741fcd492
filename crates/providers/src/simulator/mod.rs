//! Instances and load balancers that exist in memory only, with faults on request.
//!
//! The plugin offers the instance objects `compute`, `net` and `disk` and the load balancers `lb1`,
//! `lb2` and `lb3`, as InfraKit's does. Ids are UNIX nanoseconds; each instance carries the tag
//! `simulator` with the plugin's name. Properties may hold `simulator_cap` (an error beyond that many
//! instances) and `simulator_delay`.
//!
//! Only tokio's clock is read, so with a paused clock delays and lags cost nothing and repeat.
//!
//! ```
//! use regrow_plugin::spi::{Instance, InstanceSpec, Tags};
//! use regrow_providers::simulator::{Fault, Options, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::new("simulator", &Options::default())?;
//! let compute = simulator.instances("compute").ok_or("no such object")?;
//! compute.provision(&InstanceSpec::default()).await?;
//! compute.configure(|options| options.faults.list_empty = Fault::next(1));
//! assert!(compute.describe_instances(&Tags::new(), false).await?.is_empty());
//! assert_eq!(compute.describe_instances(&Tags::new(), false).await?.len(), 1);
//! # Ok(())
//! # }
//! ```

mod faults;
mod instances;
mod l4;
mod options;
mod properties;
mod store;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use regrow_plugin::spi::{Instance, L4};
use regrow_plugin::{FixedObjects, Plugin};

pub use faults::{Fault, Faults};
pub use instances::SimulatedInstances;
pub use l4::SimulatedL4;
pub use options::{Options, StoreKind};
pub use properties::Properties;
pub use world::Stats;

use crate::disk::DiskError;

/// Tag that names the simulator on each of its instances.
pub const SIMULATOR_TAG: &str = "simulator";

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The directory of the file store cannot be used.
    #[error("open the simulator's store: {0}; check option Dir")]
    Store(#[from] DiskError),
    /// A stored file is not what the simulator writes.
    #[error("open the simulator's store: read {path}: {reason}; repair the file or move it away")]
    Stored {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to offer.
    #[error("start simulator: options InstanceTypes and L4Names are both empty; name an object")]
    Empty,
}

/// A simulated world. Cheap to clone; keep one to change faults while the plugin is in use.
#[derive(Clone)]
pub struct Simulator {
    name: String,
    instances: BTreeMap<String, Arc<SimulatedInstances>>,
    load_balancers: BTreeMap<String, Arc<SimulatedL4>>,
}

impl Simulator {
    /// Makes a world; with the file store, the one that was there before.
    ///
    /// # Errors
    /// The options name no object, or the store cannot be read.
    pub fn new(name: impl Into<String>, options: &Options) -> Result<Self, SimulatorError> {
        let name = name.into();
        if options.instance_types.is_empty() && options.l4_names.is_empty() {
            return Err(SimulatorError::Empty);
        }
        let mut instances = BTreeMap::new();
        for kind in &options.instance_types {
            let object = SimulatedInstances::open(&name, kind, options.clone())?;
            instances.insert(kind.clone(), Arc::new(object));
        }
        let mut load_balancers = BTreeMap::new();
        for l4 in &options.l4_names {
            load_balancers.insert(l4.clone(), Arc::new(SimulatedL4::open(l4, options)?));
        }
        Ok(Self { name, instances, load_balancers })
    }

    /// The plugin to serve or to register.
    pub fn plugin(&self) -> Plugin {
        let mut plugin = Plugin::new(self.name.as_str());
        if !self.instances.is_empty() {
            let objects =
                self.instances.iter().fold(FixedObjects::default(), |all, (name, one)| {
                    all.with(name.as_str(), Arc::clone(one) as Arc<dyn Instance>)
                });
            plugin = plugin.with_instances(objects);
        }
        if !self.load_balancers.is_empty() {
            let objects =
                self.load_balancers.iter().fold(FixedObjects::default(), |all, (name, one)| {
                    all.with(name.as_str(), Arc::clone(one) as Arc<dyn L4>)
                });
            plugin = plugin.with_l4s(objects);
        }
        plugin
    }

    /// One of the instance objects.
    pub fn instances(&self, kind: &str) -> Option<Arc<SimulatedInstances>> {
        self.instances.get(kind).cloned()
    }

    /// One of the load balancers.
    pub fn l4(&self, name: &str) -> Option<Arc<SimulatedL4>> {
        self.load_balancers.get(name).cloned()
    }
}

/// The simulator as a plugin.
///
/// # Errors
/// As [`Simulator::new`].
pub fn plugin(name: impl Into<String>, options: &Options) -> Result<Plugin, SimulatorError> {
    Simulator::new(name, options).map(|simulator| simulator.plugin())
}
