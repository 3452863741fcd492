//! The parsed form of a template.

use std::sync::Arc;

/// Where something stands in the source: line and column, both from 1, column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pos {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A name of a field, function or variable.
pub(crate) type Name = Arc<str>;

/// A parsed template: its own body and the templates it defines.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) body: Vec<Node>,
    pub(crate) defines: std::collections::BTreeMap<Name, Arc<Vec<Node>>>,
}

#[derive(Debug)]
pub(crate) enum Node {
    Text(Arc<str>),
    Action(Pipe),
    If(Branch),
    Range(Branch),
    With(Branch),
    Template { pos: Pos, name: Name, argument: Option<Pipe> },
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// Commands joined by `|`, perhaps with the variables that take the result.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) pos: Pos,
    /// The source between the delimiters, for error messages.
    pub(crate) source: Arc<str>,
    pub(crate) targets: Vec<Name>,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// A first operand and its arguments; never empty.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) first: Operand,
    pub(crate) arguments: Vec<Operand>,
}

#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) pos: Pos,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    /// `.a.b`
    Field(Vec<Name>),
    /// `$x.a.b`
    Variable(Name, Vec<Name>),
    Function(Name),
    /// `( … )`
    Pipe(Box<Pipe>),
    /// `( … ).a.b`
    Chain(Box<Operand>, Vec<Name>),
}
