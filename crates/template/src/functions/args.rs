//! Arguments of one call, with checks that speak Go's language.

use crate::error::CallError;
use crate::value::{List, Map, Value};
use std::sync::Arc;

/// The arguments of one call. A piped value is the last one.
#[derive(Debug)]
pub struct Args<'a> {
    name: &'a str,
    values: &'a [Value],
}

impl<'a> Args<'a> {
    /// The arguments `values` of a call to `name`; for testing functions by themselves.
    pub fn new(name: &'a str, values: &'a [Value]) -> Self {
        Self { name, values }
    }

    /// The name the function was called by.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// All arguments.
    pub fn values(&self) -> &'a [Value] {
        self.values
    }

    /// The number of arguments.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The arguments from `index` (from 0) on.
    pub fn rest(&self, index: usize) -> &'a [Value] {
        self.values.get(index..).unwrap_or_default()
    }

    /// The argument at `index` (from 0); nil if there is none.
    pub fn any(&self, index: usize) -> &'a Value {
        self.values.get(index).unwrap_or(&Value::Nil)
    }

    /// The text at `index`.
    ///
    /// # Errors
    ///
    /// If it is not text.
    pub fn text(&self, index: usize) -> Result<&'a str, CallError> {
        self.any(index).as_str().ok_or_else(|| self.wrong_type(index, "string"))
    }

    /// The whole number at `index`; a float without a fraction serves too.
    ///
    /// # Errors
    ///
    /// If it is not a whole number.
    pub fn int(&self, index: usize) -> Result<i64, CallError> {
        self.any(index).as_int().ok_or_else(|| self.wrong_type(index, "int"))
    }

    /// The whole number at `index`, not negative; negative numbers become 0.
    ///
    /// # Errors
    ///
    /// If it is not a whole number.
    pub fn count(&self, index: usize) -> Result<usize, CallError> {
        Ok(usize::try_from(self.int(index)?.max(0)).unwrap_or(usize::MAX))
    }

    /// The flag at `index`.
    ///
    /// # Errors
    ///
    /// If it is not a bool.
    pub fn flag(&self, index: usize) -> Result<bool, CallError> {
        match self.any(index) {
            Value::Bool(flag) => Ok(*flag),
            _ => Err(self.wrong_type(index, "bool")),
        }
    }

    /// The list at `index`.
    ///
    /// # Errors
    ///
    /// If it is not a list.
    pub fn list(&self, index: usize) -> Result<&'a List, CallError> {
        match self.any(index) {
            Value::List(list) => Ok(list),
            _ => Err(self.wrong_type(index, "slice")),
        }
    }

    /// The map at `index`.
    ///
    /// # Errors
    ///
    /// If it is not a map.
    pub fn map(&self, index: usize) -> Result<&'a Map, CallError> {
        match self.any(index) {
            Value::Map(map) => Ok(map),
            _ => Err(self.wrong_type(index, "map[string]interface {}")),
        }
    }

    /// The text at `index` as a map key.
    ///
    /// # Errors
    ///
    /// If it is not text.
    pub fn key(&self, index: usize) -> Result<Arc<str>, CallError> {
        self.text(index).map(Arc::from)
    }

    /// An error about the argument at `index`, which should have been a `want`.
    pub fn wrong_type(&self, index: usize, want: &'static str) -> CallError {
        CallError::ArgumentType {
            function: self.name.to_owned(),
            position: index + 1,
            want,
            got: self.any(index).type_name().to_owned(),
        }
    }

    /// A failure of this call.
    pub fn fail(&self, message: impl Into<String>) -> CallError {
        CallError::new(self.name, message)
    }

    /// Checks the number of arguments.
    ///
    /// # Errors
    ///
    /// If it is outside of `min..=max`.
    pub fn check_count(&self, min: usize, max: usize) -> Result<(), CallError> {
        if (min..=max).contains(&self.values.len()) {
            return Ok(());
        }
        let want = match (min, max) {
            (min, usize::MAX) => format!("at least {min}"),
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        Err(CallError::ArgumentCount { function: self.name.to_owned(), want, got: self.len() })
    }
}
