//! Functions that templates call: what they are made of, and the one table of all built-in ones.

mod args;
mod convert;
mod go;
mod help;
pub(crate) mod include;
mod infrakit;
mod table;
mod variables;

pub use args::Args;
pub use help::FunctionHelp;
pub(crate) use infrakit::TABLE as INFRAKIT;
pub(crate) use table::{Builtin, many, one, opt};

use crate::error::CallError;
use crate::scope::Scope;
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The code of a function that an embedding program adds.
pub type FunctionBody =
    Arc<dyn Fn(&Scope<'_>, &Args<'_>) -> Result<Value, CallError> + Send + Sync>;

/// A function that an embedding program adds, with its documentation.
#[derive(Clone)]
pub struct Function {
    /// The name in templates: letters, digits and `_`.
    pub name: String,
    /// Lines of help.
    pub description: Vec<String>,
    /// The signature in Go's notation, for example `func(string, ...interface {}) string`.
    pub signature: String,
    /// An example of its use; derived from the signature when empty.
    pub usage: String,
    /// The code.
    pub body: FunctionBody,
}

impl Function {
    /// A function with one line of help.
    pub fn new(
        name: &str,
        signature: &str,
        description: &str,
        body: impl Fn(&Scope<'_>, &Args<'_>) -> Result<Value, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            description: vec![description.to_owned()],
            signature: signature.to_owned(),
            usage: String::new(),
            body: Arc::new(body),
        }
    }
}

/// Functions that an embedding program adds together.
pub type FunctionSet = Vec<Function>;

/// What a name stands for while rendering.
#[derive(Clone)]
pub(crate) enum Callable {
    Builtin(&'static Builtin),
    Added(Arc<Function>),
}

/// All functions of one rendering by name.
pub(crate) type Functions = BTreeMap<String, Callable>;

/// The built-in functions, least important first: Go's own, then sprig's. A later table replaces
/// names of an earlier one.
pub(crate) fn language() -> Functions {
    let tables = [go::TABLE].into_iter().chain(crate::sprig::TABLES.iter().copied());
    let builtins = tables.flatten();
    builtins.map(|builtin| (builtin.name.to_owned(), Callable::Builtin(builtin))).collect()
}

/// Help for every built-in function in order of name: what `functions.json` shows.
pub fn builtin_help() -> Vec<FunctionHelp> {
    let mut functions = language();
    for builtin in INFRAKIT {
        functions.insert(builtin.name.to_owned(), Callable::Builtin(builtin));
    }
    functions.values().map(FunctionHelp::of).collect()
}

impl Callable {
    /// Calls the function after checking the number of arguments.
    pub(crate) fn call(
        &self,
        name: &str,
        scope: &Scope<'_>,
        values: &[Value],
    ) -> Result<Value, CallError> {
        let args = Args::new(name, values);
        let result = match self {
            Self::Builtin(builtin) => {
                args.check_count(builtin.min, builtin.max)?;
                (builtin.run)(scope, &args)?
            }
            Self::Added(function) => (function.body)(scope, &args)?,
        };
        scope.charge_value(&result)?;
        Ok(result)
    }
}
