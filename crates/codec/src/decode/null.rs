use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// What `null` stands for at this place.
#[derive(Clone, Copy)]
pub(super) enum Zero {
    Bool,
    Number,
    Text,
    List,
    Map,
    Struct,
}

/// A visitor that is shown the zero value where the document has `null`.
pub(super) struct OrZero<V> {
    inner: V,
    zero: Zero,
}

impl<V> OrZero<V> {
    pub(super) fn new(inner: V, zero: Zero) -> Self {
        Self { inner, zero }
    }
}

macro_rules! pass {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for OrZero<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    pass! {
        visit_bool(bool); visit_i64(i64); visit_u64(u64); visit_f64(f64); visit_str(&str);
        visit_borrowed_str(&'de str); visit_string(String); visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]); visit_byte_buf(Vec<u8>);
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.zero {
            Zero::Bool => self.inner.visit_bool(false),
            Zero::Number => self.inner.visit_u64(0),
            Zero::Text => self.inner.visit_str(""),
            Zero::List => {
                self.inner.visit_seq(SeqDeserializer::<_, E>::new(std::iter::empty::<u8>()))
            }
            Zero::Map | Zero::Struct => {
                self.inner.visit_map(MapDeserializer::<_, E>::new(std::iter::empty::<(u8, u8)>()))
            }
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        // A derived struct would take a list as its fields in order; Go does not.
        if matches!(self.zero, Zero::Struct) {
            return Err(Error::invalid_type(Unexpected::Seq, &self.inner));
        }
        self.inner.visit_seq(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(entries)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(data)
    }
}
