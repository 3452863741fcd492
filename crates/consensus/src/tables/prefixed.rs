//! A part of the tables: the keys with one prefix, shown without it.

use crate::tables::{Edit, Span, TableError, View, Visit, successor};

fn whole(prefix: &[u8], key: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(prefix.len() + key.len());
    whole.extend_from_slice(prefix);
    whole.extend_from_slice(key);
    whole
}

fn outer(prefix: &[u8], span: &Span) -> Span {
    let to = match &span.to {
        Some(to) => Some(whole(prefix, to)),
        None => successor(prefix),
    };
    Span { from: whole(prefix, &span.from), to }
}

fn get(view: &dyn View, prefix: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
    view.get(&whole(prefix, key))
}

fn scan(view: &dyn View, prefix: &[u8], span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
    view.scan(&outer(prefix, span), &mut |key, value| visit(inner(prefix, key), value))
}

fn inner<'k>(prefix: &[u8], key: &'k [u8]) -> &'k [u8] {
    key.get(prefix.len()..).unwrap_or_default()
}

macro_rules! view_of_part {
    ($part:ty, $self:ident => $inner:expr) => {
        impl View for $part {
            fn get(&$self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
                get($inner, &$self.prefix, key)
            }

            fn scan(&$self, span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
                scan($inner, &$self.prefix, span, visit)
            }
        }
    };
}

/// A part of borrowed tables.
pub struct Prefixed<'a> {
    inner: &'a dyn View,
    prefix: Vec<u8>,
}

impl<'a> Prefixed<'a> {
    /// The keys of `inner` that begin with `prefix`.
    pub fn new(inner: &'a dyn View, prefix: &[u8]) -> Self {
        Self { inner, prefix: prefix.to_vec() }
    }
}

view_of_part!(Prefixed<'_>, self => self.inner);

/// A part of tables that it owns.
pub struct PrefixedOwned {
    inner: Box<dyn View>,
    prefix: Vec<u8>,
}

impl PrefixedOwned {
    /// The keys of `inner` that begin with `prefix`.
    pub fn new(inner: Box<dyn View>, prefix: &[u8]) -> Self {
        Self { inner, prefix: prefix.to_vec() }
    }
}

view_of_part!(PrefixedOwned, self => &*self.inner);

/// A part of tables that are being changed.
pub struct PrefixedEdit<'a> {
    inner: &'a mut dyn Edit,
    prefix: Vec<u8>,
}

impl<'a> PrefixedEdit<'a> {
    /// The keys of `inner` that begin with `prefix`.
    pub fn new(inner: &'a mut dyn Edit, prefix: &[u8]) -> Self {
        Self { inner, prefix: prefix.to_vec() }
    }
}

view_of_part!(PrefixedEdit<'_>, self => &*self.inner as &dyn View);

impl Edit for PrefixedEdit<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.inner.put(&whole(&self.prefix, key), value)
    }

    fn delete(&mut self, key: &[u8]) -> Result<bool, TableError> {
        self.inner.delete(&whole(&self.prefix, key))
    }
}
