//! Text to tree: Go's `text/template/parse`.
//!
//! What Go refuses at parse time is refused here too: unknown functions, undeclared variables,
//! stray or missing `end`, `break` outside of `range`, two definitions of one template. Each error
//! has line and column.

pub(crate) mod ast;
mod lexer;
mod number;
mod parser;
mod pipeline;

pub(crate) use parser::{SyntaxError, SyntaxErrorKind, parse};
