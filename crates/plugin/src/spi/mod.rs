//! The service interfaces, as traits with typed requests (InfraKit specification §2, §3).
//!
//! Each trait stands for one `Interface/Version`. Implementations are used directly inside one
//! process and through `client` and `server` between processes; callers cannot tell.

mod controller;
mod event;
mod flavor;
mod group;
mod instance;
mod l4;
mod metadata;
mod resource;
mod stack;
pub mod tags;
mod types;
mod world;

pub use controller::{Controller, Operation, Plan};
pub use event::{Event, EventStream, Events};
pub use flavor::{Flavor, Health};
pub use group::{Group, GroupDescription, RolledBack};
pub use instance::{DestroyReason, Instance};
pub use l4::{HealthCheck, L4, Protocol, Route};
pub use metadata::{Change, Metadata, Proposal, Updatable};
pub use resource::Resource;
pub use stack::{LeaderLocation, Stack};
pub use types::{
    Allocation, Attachment, Dependency, Description, GroupSpec, Index, InstanceSpec, ObjectMeta,
    ResourceSpec, Spec, SpecObject, Tags,
};
pub use world::World;

use crate::PluginError;

/// Answer of every call.
pub type Result<T> = std::result::Result<T, PluginError>;

/// One of the interfaces, with the version that this build speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// [`Controller`].
    Controller,
    /// [`Events`].
    Event,
    /// [`Flavor`].
    Flavor,
    /// [`Group`].
    Group,
    /// [`Instance`].
    Instance,
    /// [`L4`].
    L4,
    /// [`Metadata`].
    Metadata,
    /// [`Resource`].
    Resource,
    /// [`Stack`].
    Stack,
    /// [`Updatable`].
    Updatable,
}

impl Interface {
    /// Every interface, sorted by name.
    pub const ALL: [Self; 10] = [
        Self::Controller,
        Self::Event,
        Self::Flavor,
        Self::Group,
        Self::Instance,
        Self::L4,
        Self::Metadata,
        Self::Resource,
        Self::Stack,
        Self::Updatable,
    ];

    /// Name as in the handshake.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Controller => "Controller",
            Self::Event => "Event",
            Self::Flavor => "Flavor",
            Self::Group => "Group",
            Self::Instance => "Instance",
            Self::L4 => "L4",
            Self::Metadata => "Metadata",
            Self::Resource => "Resource",
            Self::Stack => "Stack",
            Self::Updatable => "Updatable",
        }
    }

    /// Version as in the handshake; peers must have exactly this one.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Instance | Self::L4 => "0.6.1",
            _ => "0.1.1",
        }
    }

    /// Service part of a method name; differs from the interface's name for the stack only.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Stack => "Manager",
            other => other.name(),
        }
    }

    /// `Name/Version`.
    pub fn spec(self) -> String {
        format!("{}/{}", self.name(), self.version())
    }
}
