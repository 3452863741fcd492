//! Any value that a serde format holds, in the order of the text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Node, Place, Value};

/// A value whose children are of type `C`: themselves raw values, or raw values with places.
#[derive(Debug)]
pub(super) enum Any<C> {
    Scalar(Value),
    List(Vec<C>),
    Map(Vec<(String, C)>),
}

/// A value without places.
#[derive(Debug)]
pub(super) struct Raw(Any<Raw>);

impl Raw {
    /// The same with places, which come in the order of the text.
    pub(super) fn placed(self, places: &mut impl Iterator<Item = Place>) -> Node {
        let place = places.next();
        let value = match self.0 {
            Any::Scalar(value) => value,
            Any::List(items) => {
                Value::List(items.into_iter().map(|item| item.placed(places)).collect())
            }
            Any::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, item)| (key, item.placed(places))).collect(),
            ),
        };
        Node { value, place }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Any::deserialize(deserializer).map(Self)
    }
}

impl<'de, C: Deserialize<'de>> Deserialize<'de> for Any<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(std::marker::PhantomData))
    }
}

struct AnyVisitor<C>(std::marker::PhantomData<C>);

impl<'de, C: Deserialize<'de>> Visitor<'de> for AnyVisitor<C> {
    type Value = Any<C>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Any<C>, E> {
        Ok(Any::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Any<C>, E> {
        Ok(Any::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Any<C>, E> {
        Ok(Any::Scalar(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Any<C>, E> {
        Ok(Any::Scalar(Value::Int(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Any<C>, E> {
        Ok(Any::Scalar(match i64::try_from(number) {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Float(number as f64),
        }))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Any<C>, E> {
        Ok(Any::Scalar(Value::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Any<C>, E> {
        Ok(Any::Scalar(Value::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any<C>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Any::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Any<C>, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Any::Map(map))
    }
}
