//! The methods of the protocol as one table (InfraKit specification §2).
//!
//! Each row gives a method's name, the fields of its request and its result, and how a plugin
//! object answers it. Server dispatch, client calls, `/info/api.json` and the conformance kit read
//! this table; nothing else names a method.

pub(crate) mod controller;
pub(crate) mod depth;
pub(crate) mod envelope;
pub(crate) mod event;
mod example;
pub(crate) mod flavor;
pub(crate) mod group;
mod handshake;
pub(crate) mod instance;
pub(crate) mod l4;
pub(crate) mod metadata;
pub(crate) mod resource;
mod row;
pub(crate) mod stack;
pub(crate) mod updatable;

pub use example::Api;
pub use handshake::{Hello, ObjectName};
pub use row::{Kind, Row};

pub(crate) use row::{BoxFuture, Method, find, read_params};

/// Requests and results by interface, for the client.
pub(crate) mod calls {
    pub(crate) use super::handshake::HelloParams;
    pub(crate) use super::{
        controller, event, flavor, group, instance, l4, metadata, resource, stack, updatable,
    };
}

use crate::spi::Interface;

/// The methods of an interface, sorted by name.
pub fn methods(interface: Interface) -> &'static [Row] {
    match interface {
        Interface::Controller => controller::ROWS,
        Interface::Event => event::ROWS,
        Interface::Flavor => flavor::ROWS,
        Interface::Group => group::ROWS,
        Interface::Instance => instance::ROWS,
        Interface::L4 => l4::ROWS,
        Interface::Metadata => metadata::ROWS,
        Interface::Resource => resource::ROWS,
        Interface::Stack => stack::ROWS,
        Interface::Updatable => updatable::ROWS,
    }
}

/// What a repetition of a method does, if it is one of the table.
pub(crate) fn kind(method: &str) -> Option<Kind> {
    let rows = Interface::ALL.into_iter().flat_map(methods);
    rows.into_iter().find(|row| row.method() == method).map(Row::kind)
}

/// Declares the methods of one interface: for each a params struct, a result struct, a table row
/// and the call on the object.
macro_rules! service {
    ($interface:ident: $objects:ident, $object:ty, $rule:ident;
     $($method:literal $kind:ident
       $params:ident { $($field:ident: $type:ty = $name:literal),* $(,)? }
       -> $reply:ident { $($out:ident: $out_type:ty = $out_name:literal),* $(,)? }
       = |$target:ident, $request:pat_param| $body:expr;)*) => {
        $(
            #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
            #[serde(default)]
            pub(crate) struct $params {
                $(#[serde(rename = $name)] pub(crate) $field: $type,)*
            }

            #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
            #[serde(default)]
            pub(crate) struct $reply {
                $(#[serde(rename = $out_name)] pub(crate) $out: $out_type,)*
            }

            impl $crate::wire::Method for $params {
                type Reply = $reply;
                const INTERFACE: $crate::spi::Interface = $crate::spi::Interface::$interface;
                const METHOD: &'static str = $method;
                const KIND: $crate::wire::Kind = $crate::wire::Kind::$kind;

                fn serve(
                    self,
                    plugin: &$crate::Plugin,
                ) -> $crate::wire::BoxFuture<$crate::spi::Result<$reply>> {
                    let found: $crate::spi::Result<std::sync::Arc<$object>> =
                        $crate::wire::find_object!($rule, plugin.$objects(), self);
                    Box::pin(async move {
                        let $target = found?;
                        let $request = self;
                        $body
                    })
                }
            }
        )*

        pub(super) static ROWS: &[$crate::wire::Row] =
            &[$($crate::wire::Row::of::<$params>(),)*];
    };
}
use service;

/// Finds the object that a request means, by the rule of its interface.
macro_rules! find_object {
    (typed, $objects:expr, $request:expr) => {
        $crate::wire::find::typed($objects, &$request.kind)
    };
    (keyed, $objects:expr, $request:expr) => {
        $crate::wire::find::keyed($objects, &$request.name)
    };
    (sole, $objects:expr, $request:expr) => {
        $crate::wire::find::sole($objects)
    };
}
use find_object;

#[cfg(test)]
mod tests {
    use super::{Kind, kind, methods};
    use crate::spi::Interface;

    #[test]
    fn rows_are_sorted_and_belong_to_their_service() {
        let mut count = 0;
        for interface in Interface::ALL {
            let rows = methods(interface);
            assert!(rows.is_sorted_by_key(|row| row.method()), "{interface:?}");
            for row in rows {
                let service = row.method().split_once('.').map(|(service, _)| service);
                assert_eq!(service, Some(interface.service()));
            }
            count += rows.len();
        }
        assert_eq!(count, 45);
    }

    #[test]
    fn what_makes_or_destroys_has_minutes() {
        let rows = Interface::ALL.into_iter().flat_map(methods);
        let slow = rows.filter(|row| row.kind() == Kind::Slow).map(super::Row::method);
        let expected = [
            "Controller.Commit",
            "Flavor.Drain",
            "Group.DestroyGroup",
            "Group.DestroyInstances",
            "Instance.Destroy",
            "Instance.Provision",
            "Manager.Enforce",
            "Manager.Terminate",
            "Resource.Commit",
            "Resource.Destroy",
        ];
        let mut slow: Vec<_> = slow.collect();
        slow.sort_unstable();
        assert_eq!(slow, expected);
        assert_eq!(kind("Group.DestroyGroup"), Some(Kind::Slow));
        assert_eq!(kind("Group.Nothing"), None);
    }
}
