use std::cell::RefCell;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

use super::UnknownField;
use super::null::{OrZero, Zero};

/// The newtype name by which serde_json recognises raw JSON. Not documented, but part of what its
/// `RawValue` type sends through every deserializer; the tests of this module would notice a change.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Where the reader is, and what it met on the way.
///
/// A segment is removed when its value was read. After a fault the path therefore still points to
/// it, and no error type needs to carry a path upwards.
#[derive(Default)]
pub(super) struct Trail {
    path: RefCell<Vec<String>>,
    unknown: RefCell<Vec<UnknownField>>,
}

impl Trail {
    pub(super) fn pointer(&self) -> String {
        let mut text = String::new();
        for segment in self.path.borrow().iter() {
            // Writing to a String cannot fail.
            let _ = write!(text, "/{}", segment.replace('~', "~0").replace('/', "~1"));
        }
        text
    }

    pub(super) fn into_unknown(self) -> Vec<UnknownField> {
        self.unknown.into_inner()
    }

    fn enter(&self, segment: String) {
        self.path.borrow_mut().push(segment);
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }

    fn note_unknown(&self, name: &str, known: &'static [&'static str]) {
        self.enter(name.to_owned());
        let pointer = self.pointer();
        self.leave();
        self.unknown
            .borrow_mut()
            .push(UnknownField { pointer, similar: most_similar(name, known) });
    }
}

/// Wraps a deserializer, or a visitor, seed or access object on its way, and applies Go's rules.
pub(super) struct Reader<'t, T> {
    inner: T,
    trail: &'t Trail,
    /// Field names of the struct being read; empty elsewhere.
    fields: &'static [&'static str],
}

impl<'t, T> Reader<'t, T> {
    pub(super) fn new(inner: T, trail: &'t Trail) -> Self {
        Self { inner, trail, fields: &[] }
    }

    fn with_fields(self, fields: &'static [&'static str]) -> Self {
        Self { fields, ..self }
    }
}

macro_rules! zero_when_null {
    ($($method:ident => $zero:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = OrZero::new(Reader::new(visitor, self.trail), $zero);
            self.inner.deserialize_any(visitor)
        }
    )*};
}

macro_rules! forward {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(Reader::new(visitor, self.trail))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, D> {
    type Error = D::Error;

    zero_when_null! {
        deserialize_bool => Zero::Bool;
        deserialize_i8 => Zero::Number;
        deserialize_i16 => Zero::Number;
        deserialize_i32 => Zero::Number;
        deserialize_i64 => Zero::Number;
        deserialize_u8 => Zero::Number;
        deserialize_u16 => Zero::Number;
        deserialize_u32 => Zero::Number;
        deserialize_u64 => Zero::Number;
        deserialize_f32 => Zero::Number;
        deserialize_f64 => Zero::Number;
        deserialize_char => Zero::Text;
        deserialize_str => Zero::Text;
        deserialize_string => Zero::Text;
        deserialize_seq => Zero::List;
        deserialize_map => Zero::Map;
    }

    forward! {
        deserialize_any deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Reader::new(visitor, self.trail).with_fields(fields);
        self.inner.deserialize_any(OrZero::new(visitor, Zero::Struct))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if name == RAW_VALUE {
            return self.inner.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, Reader::new(visitor, self.trail))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, Reader::new(visitor, self.trail))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, len, Reader::new(visitor, self.trail))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, Reader::new(visitor, self.trail))
    }
}

macro_rules! pass_scalar {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reader<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    pass_scalar! {
        visit_bool(bool); visit_i64(i64); visit_u64(u64); visit_f64(f64); visit_str(&str);
        visit_borrowed_str(&'de str); visit_string(String); visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]); visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Reader::new(inner, self.trail))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Reader::new(inner, self.trail))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Items { inner: items, trail: self.trail, at: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Reader::new(entries, self.trail).with_fields(self.fields))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(data)
    }
}

struct Items<'t, A> {
    inner: A,
    trail: &'t Trail,
    at: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.trail.enter(self.at.to_string());
        let item = self.inner.next_element_seed(Reader::new(seed, self.trail))?;
        self.trail.leave();
        self.at += 1;
        Ok(item)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Reader<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(name) = self.inner.next_key::<String>()? else { return Ok(None) };
        let known = self.fields;
        let name = match known.iter().find(|field| **field == name) {
            Some(_) => name,
            None => match known.iter().find(|field| field.eq_ignore_ascii_case(&name)) {
                Some(field) => (*field).to_owned(),
                None => {
                    if !known.is_empty() {
                        self.trail.note_unknown(&name, known);
                    }
                    name
                }
            },
        };
        self.trail.enter(name.clone());
        seed.deserialize(serde::de::value::StringDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(Reader::new(seed, self.trail))?;
        self.trail.leave();
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Reader<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let trail = self.trail;
        self.inner.deserialize(Reader::new(inner, trail))
    }
}

/// The known name that differs least, if at most a third of it differs.
fn most_similar(name: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    known
        .iter()
        .map(|field| (edit_distance(&name, &field.to_ascii_lowercase()), *field))
        .filter(|(distance, field)| *distance <= field.len().div_ceil(3))
        .min()
        .map(|(_, field)| field)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
