//! Functions that templates call: what they are made of, and the one table of all built-in ones.

mod args;
mod convert;
mod go;
mod help;
pub(crate) mod include;
mod infrakit;
mod query;
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
use std::sync::{Arc, LazyLock};

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

/// The functions of one rendering: the built-in ones, which are made once for the process, and the
/// added ones around them.
#[derive(Default)]
pub(crate) struct Functions {
    /// Replace all built-in functions.
    pub(crate) over: BTreeMap<String, Arc<Function>>,
    /// Replace Go's and sprig's functions but not InfraKit's.
    pub(crate) under: BTreeMap<String, Arc<Function>>,
}

/// The built-in function that `name` stands for where nothing was added.
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    INFRAKIT_BY_NAME.get(name).or_else(|| LANGUAGE_BY_NAME.get(name)).copied()
}

impl Functions {
    /// The function that `name` stands for.
    pub(crate) fn get(&self, name: &str) -> Option<Callable> {
        let builtin = |table: &Builtins| table.get(name).copied().map(Callable::Builtin);
        let added =
            |table: &BTreeMap<String, Arc<Function>>| table.get(name).cloned().map(Callable::Added);
        added(&self.over)
            .or_else(|| builtin(&INFRAKIT_BY_NAME))
            .or_else(|| added(&self.under))
            .or_else(|| builtin(&LANGUAGE_BY_NAME))
    }
}

type Builtins = BTreeMap<&'static str, &'static Builtin>;

static INFRAKIT_BY_NAME: LazyLock<Builtins> =
    LazyLock::new(|| INFRAKIT.iter().map(|builtin| (builtin.name, builtin)).collect());

/// Go's functions and sprig's. A later table replaces names of an earlier one.
static LANGUAGE_BY_NAME: LazyLock<Builtins> = LazyLock::new(|| {
    let tables = [go::TABLE].into_iter().chain(crate::sprig::TABLES.iter().copied());
    tables.flatten().map(|builtin| (builtin.name, builtin)).collect()
});

/// Help for every built-in function in order of name: what `functions.json` shows.
pub fn builtin_help() -> Vec<FunctionHelp> {
    let mut functions = LANGUAGE_BY_NAME.clone();
    functions.extend(INFRAKIT_BY_NAME.iter());
    functions.values().map(|builtin| FunctionHelp::of(&Callable::Builtin(builtin))).collect()
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
