//! The dynamic value that templates compute with.
//!
//! Go templates see Go values by reflection. Here every value is one of a few shapes. Lists are
//! immutable; maps are shared and mutable, because `set $dict "k" 1` must be visible through every
//! other reference to the same dictionary, as it is in Go.

mod json;
mod walk;

pub use json::JsonNumbers;
pub(crate) use json::{Layout, encode_json, time_text as json_time, to_json};
pub(crate) use walk::{Budget, TooBig, deep_copy, deep_equal, reaches};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How deep lists and maps may nest before a walk over them gives up.
pub(crate) const MAX_NESTING: usize = 200;

/// One value in a template: what a field, a variable or a function call yields.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing: JSON null, a missing map key, an unset variable. Printed as `<no value>`.
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; stands for all of Go's integer types.
    Int(i64),
    /// A floating point number; what Go makes of every number in a JSON document.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// A list, immutable.
    List(List),
    /// A map with text keys, shared and mutable.
    Map(Map),
    /// A point in time with its zone, as `now` gives.
    Time(Arc<jiff::Zoned>),
    /// A value with fields and a printed form of its own (what a struct with `String()` is in Go).
    Object(Arc<Object>),
}

/// A value with named fields and its own printed form; see [`Value::Object`].
#[derive(Debug, Default)]
pub struct Object {
    /// The type name that `typeOf` and `%T` print, for example `struct {}`.
    pub type_name: String,
    /// What the value prints as.
    pub text: String,
    /// Fields reachable as `.Name`.
    pub fields: BTreeMap<String, Value>,
}

/// An immutable list of values; cloning it is cheap.
#[derive(Clone, Default)]
pub struct List(Arc<ListInner>);

/// A map from text to values, shared between all clones; cloning it is cheap.
#[derive(Clone, Default)]
pub struct Map(Arc<MapInner>);

#[derive(Default)]
struct ListInner(Vec<Value>);

#[derive(Default)]
struct MapInner(Mutex<BTreeMap<Arc<str>, Value>>);

impl List {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.0.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// The elements in order.
    pub fn items(&self) -> &[Value] {
        &self.0.0
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self(Arc::new(ListInner(items.into_iter().collect())))
    }
}

impl Map {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Value>> {
        // No code panics while it holds the lock; a poisoned map is still a whole map.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value at `key`, or `None`.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    /// Stores `value` at `key` for every holder of this map. Does not look for cycles: callers
    /// that take values from a template use `set`, which does.
    pub fn insert(&self, key: impl Into<Arc<str>>, value: Value) {
        let old = self.lock().insert(key.into(), value);
        // Dropped outside the lock: a value may be large, and dropping it may take other locks.
        drop(old);
    }

    /// Removes `key`.
    pub fn remove(&self, key: &str) {
        let old = self.lock().remove(key);
        drop(old);
    }

    /// Whether `key` is present, also with a nil value.
    pub fn contains(&self, key: &str) -> bool {
        self.lock().contains_key(key)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The entries in key order, as they are now.
    pub fn entries(&self) -> Vec<(Arc<str>, Value)> {
        self.lock().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Whether both are the same map, not merely equal ones.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl FromIterator<(Arc<str>, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(entries: I) -> Self {
        Self(Arc::new(MapInner(Mutex::new(entries.into_iter().collect()))))
    }
}

// Values nest as deep as a template makes them; the derived drop would recurse once a level and
// overflow the stack. These take the children out first and free them in a loop.
impl Drop for ListInner {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            dismantle(std::mem::take(&mut self.0));
        }
    }
}

impl Drop for MapInner {
    fn drop(&mut self) {
        let map = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !map.is_empty() {
            dismantle(std::mem::take(map).into_values().collect());
        }
    }
}

fn dismantle(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(list) => {
                if let Some(mut inner) = Arc::into_inner(list.0) {
                    pending.append(&mut inner.0);
                }
            }
            Value::Map(map) => {
                if let Some(mut inner) = Arc::into_inner(map.0) {
                    let map = inner.0.get_mut().unwrap_or_else(PoisonError::into_inner);
                    pending.extend(std::mem::take(map).into_values());
                }
            }
            _ => {}
        }
    }
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Str(text.into())
    }

    /// A list of the given values.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A new map with the given entries.
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Go's `struct{}{}`: what the elements of `loop n` are. Prints as `{}`, counts as true.
    pub fn unit() -> Self {
        Self::Object(Arc::new(Object {
            type_name: "struct {}".into(),
            text: "{}".into(),
            fields: BTreeMap::new(),
        }))
    }

    /// Whether Go's `if` takes the value as true: not nil, false, zero or empty.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Time(_) | Self::Object(_) => true,
        }
    }

    /// The Go name of the type, as `%T` and sprig's `typeOf` print it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Object(object) => &object.type_name,
        }
    }

    /// The Go kind, as sprig's `kindOf` prints it.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Time(_) | Self::Object(_) => "struct",
        }
    }

    /// The text, if the value is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if the value is one; a float counts when it has no fraction.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            // The comparison keeps the cast exact: both bounds are representable.
            Self::Float(number)
                if number.fract() == 0.0
                    && (-9.007_199_254_740_992e15..=9.007_199_254_740_992e15).contains(number) =>
            {
                Some(*number as i64)
            }
            _ => None,
        }
    }

    /// The number as a float, if the value is a number.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl PartialEq for Value {
    /// Deep equality with Go's strictness: an `Int` never equals a `Float`. Values too large or
    /// too deep to compare count as different.
    fn eq(&self, other: &Self) -> bool {
        deep_equal(self, other, &mut Budget::default()).unwrap_or(false)
    }
}

impl fmt::Display for Value {
    /// Go's `%v`. A value too large to print ends in `...`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        if crate::gofmt::print_value(&mut out, self, &mut Budget::default()).is_err() {
            out.push_str("...");
        }
        formatter.write_str(&out)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}({self})", self.kind_name())
    }
}
