//! A template with everything it needs to be rendered.

use crate::error::TemplateError;
use crate::exec::execute;
use crate::functions::{
    Callable, Function, FunctionHelp, FunctionSet, Functions, INFRAKIT, include,
};
use crate::metadata::MetadataLookup;
use crate::options::Options;
use crate::scope::{Frame, Scope, Session};
use crate::syntax::{SyntaxError, SyntaxErrorKind, parse};
use crate::value::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A template: text, its URL, variables and functions. Can be rendered many times.
#[derive(Clone)]
pub struct Template {
    url: String,
    text: Arc<str>,
    options: Options,
    variables: BTreeMap<String, Value>,
    metadata: Option<Arc<dyn MetadataLookup>>,
    /// Functions added one by one, which the defaults override.
    single: Vec<Arc<Function>>,
    /// Sets of functions by namespace, which override the defaults.
    sets: Vec<(String, Vec<Arc<Function>>)>,
    /// Functions that come with the context, which override all others.
    context_functions: Vec<Arc<Function>>,
}

/// What a rendering yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The text that the template prints.
    pub text: String,
    /// All variables as they are after the rendering, those of the caller included.
    pub vars: BTreeMap<String, serde_json::Value>,
}

impl Template {
    /// Loads the template at `url`. Text that does not start with a scheme, and text after
    /// `str://`, is the template itself, relative to the working directory.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Load`] when the document cannot be had.
    pub fn from_url(url: &str, options: &Options) -> Result<Self, TemplateError> {
        let text = match url.strip_prefix("str://") {
            Some(text) => text,
            None if !crate::url::is_absolute(url) => url,
            None => {
                let text = include::load_first(options, url)?;
                return Ok(Self::new(text, url.to_owned(), options));
            }
        };
        let base = crate::url::working_directory()
            .map_err(|source| TemplateError::Load { url: "str://".into(), source })?;
        Ok(Self::new(text.into(), base, options))
    }

    /// A template of the given text, whose references are relative to `base_url`, for example
    /// `file:///etc/regrow/`. Nothing is fetched.
    pub fn from_text(text: &str, base_url: &str, options: &Options) -> Self {
        Self::new(text.into(), base_url.to_owned(), options)
    }

    fn new(text: Arc<str>, url: String, options: &Options) -> Self {
        Self {
            url,
            text,
            options: options.clone(),
            variables: BTreeMap::new(),
            metadata: None,
            single: Vec::new(),
            sets: Vec::new(),
            context_functions: Vec::new(),
        }
    }

    /// Sets the variable `name`, which `var` and `ref` read.
    #[must_use]
    pub fn global(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the variable `name` from JSON, whole numbers kept whole, as `--var` on the command
    /// line does.
    #[must_use]
    pub fn var(self, name: &str, value: &serde_json::Value) -> Self {
        self.global(name, Value::from_json(value, crate::JsonNumbers::Exact))
    }

    /// Where `metadata` and unset variables look.
    #[must_use]
    pub fn metadata(mut self, lookup: Arc<dyn MetadataLookup>) -> Self {
        self.metadata = Some(lookup);
        self
    }

    /// Adds one function, which does not replace InfraKit's but does replace sprig's.
    #[must_use]
    pub fn function(mut self, function: Function) -> Self {
        self.single.push(Arc::new(function));
        self
    }

    /// Adds the functions of an embedding program, which replace all built-in ones. `namespace`
    /// only groups them in [`Template::help`].
    #[must_use]
    pub fn functions(mut self, namespace: &str, set: FunctionSet) -> Self {
        self.sets.push((namespace.to_owned(), set.into_iter().map(Arc::new).collect()));
        self
    }

    /// Adds the functions that come with the context, which replace all others.
    #[must_use]
    pub fn context_functions(mut self, set: FunctionSet) -> Self {
        self.context_functions.extend(set.into_iter().map(Arc::new));
        self
    }

    /// The URL that relative references start from.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The text before rendering.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Help for InfraKit's functions and the added ones, in the order in which they replace each
    /// other. Sprig's and Go's are in [`builtin_help`](crate::builtin_help).
    pub fn help(&self) -> Vec<FunctionHelp> {
        let builtin = INFRAKIT.iter().map(Callable::Builtin);
        let added = self.sets.iter().flat_map(|(_, set)| set).chain(&self.context_functions);
        let all = builtin.chain(added.map(|function| Callable::Added(function.clone())));
        all.map(|callable| FunctionHelp::of(&callable)).collect()
    }

    /// Help for the added functions by namespace: the body of `functions.json`.
    pub fn namespaces(&self) -> BTreeMap<String, Vec<FunctionHelp>> {
        let mut all: BTreeMap<String, Vec<FunctionHelp>> = BTreeMap::new();
        for (namespace, set) in &self.sets {
            let help = set.iter().map(|f| FunctionHelp::of(&Callable::Added(f.clone())));
            all.entry(namespace.clone()).or_default().extend(help);
        }
        all
    }

    fn table(&self) -> Functions {
        let named = |function: &Arc<Function>| (function.name.clone(), function.clone());
        let sets = self.sets.iter().flat_map(|(_, set)| set);
        Functions {
            over: sets.chain(&self.context_functions).map(named).collect(),
            under: self.single.iter().map(named).collect(),
        }
    }

    /// Checks the text without rendering it: syntax, and that all functions exist.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Syntax`] or [`TemplateError::UnknownFunction`].
    pub fn validate(&self) -> Result<(), TemplateError> {
        let functions = self.table();
        parse_text(&self.url, &self.text, &self.options, &functions).map(drop)
    }

    /// Renders with `context` as the dot, numbers in it taken as [`Options::numbers`] says.
    ///
    /// # Errors
    ///
    /// Any [`TemplateError`]; the output so far is lost.
    pub fn render(&self, context: &serde_json::Value) -> Result<Rendered, TemplateError> {
        self.render_value(Value::from_json(context, self.options.numbers))
    }

    /// Renders with a [`Value`] as the dot.
    ///
    /// # Errors
    ///
    /// Any [`TemplateError`]; the output so far is lost.
    pub fn render_value(&self, context: Value) -> Result<Rendered, TemplateError> {
        let functions = self.table();
        let session = Session::new(&self.options, &functions, self.metadata.as_deref());
        let frame = Frame {
            url: self.url.clone(),
            opened_as: self.url.clone(),
            variables: RefCell::new(self.variables.clone()),
            sourced_by: None,
            opened_by: None,
            context,
        };
        let text = render_text(Scope { session: &session, frame: &frame }, &self.text)?;
        let vars = include::exported(&frame.variables.borrow());
        Ok(Rendered { text, vars })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Template")
            .field("url", &self.url)
            .field("text", &self.text)
            .field("variables", &self.variables)
            .finish_non_exhaustive()
    }
}

/// Parses and runs `text` in the frame of `scope`.
pub(crate) fn render_text(scope: Scope<'_>, text: &str) -> Result<String, TemplateError> {
    let session = scope.session;
    let tree = parse_text(&scope.frame.url, text, session.options, session.functions)?;
    execute(scope, &tree)
}

fn parse_text(
    url: &str,
    text: &str,
    options: &Options,
    functions: &Functions,
) -> Result<crate::syntax::ast::Tree, TemplateError> {
    let (left, right) = &options.delimiters;
    // Go falls back to its own delimiters when one is empty.
    let delimiters =
        if left.is_empty() || right.is_empty() { ("{{", "}}") } else { (&**left, &**right) };
    parse(text, delimiters, &|name| functions.get(name).is_some())
        .map_err(|error| located(url, error))
}

fn located(url: &str, error: SyntaxError) -> TemplateError {
    let name = url.to_owned();
    let (line, column) = (error.pos.line, error.pos.column);
    match error.kind {
        SyntaxErrorKind::Syntax(message) => TemplateError::Syntax { name, line, column, message },
        SyntaxErrorKind::UnknownFunction(function) => {
            TemplateError::UnknownFunction { name, line, column, function }
        }
    }
}
