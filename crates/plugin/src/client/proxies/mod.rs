//! One implementation of each service interface that makes its calls over the wire.

mod groups;
mod instances;
mod others;
mod trees;

pub(super) use groups::{ControllerProxy, GroupProxy, StackProxy};
pub(super) use instances::{FlavorProxy, InstanceProxy};
pub(super) use others::{EventsProxy, L4Proxy, ResourceProxy};
pub(super) use trees::{MetadataProxy, UpdatableProxy};

/// Declares proxies for objects that are meant by their full name.
macro_rules! keyed {
    ($($proxy:ident),*) => {$(
        pub(crate) struct $proxy {
            client: $crate::client::Client,
            name: regrow_ids::PluginName,
        }

        impl $proxy {
            pub(crate) fn new(
                client: &$crate::client::Client,
                name: &regrow_ids::PluginName,
            ) -> Self {
                Self { client: client.clone(), name: name.clone() }
            }
        }
    )*};
}

/// Declares proxies for objects that are meant by their bare type.
macro_rules! typed {
    ($($proxy:ident),*) => {$(
        pub(crate) struct $proxy {
            client: $crate::client::Client,
            kind: String,
        }

        impl $proxy {
            pub(crate) fn new(
                client: &$crate::client::Client,
                name: &regrow_ids::PluginName,
            ) -> Self {
                Self { client: client.clone(), kind: name.subtype().to_owned() }
            }
        }
    )*};
}

use {keyed, typed};
