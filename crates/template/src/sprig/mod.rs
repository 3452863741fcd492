//! Sprig's text functions, version 2, as tables of data.
//!
//! Argument order is sprig's: the value worked on comes last, so that it can be piped.

pub(crate) mod goduration;
pub(crate) mod golayout;

pub(crate) use golayout::time_method;

use crate::functions::Builtin;

/// All tables; a later one replaces names of an earlier one.
pub(crate) const TABLES: &[&[Builtin]] = &[];
