//! What a function sees of the rendering it runs in.

use crate::error::CallError;
use crate::functions::{Args, Functions, builtin};
use crate::metadata::MetadataLookup;
use crate::options::Options;
use crate::value::{Budget, TooBig, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Blocks, parentheses, template calls and includes that may be open at once: each takes a piece
/// of the thread's stack, of which there are 2 MiB. Go allows more; its stacks grow.
const MAX_DEPTH: usize = 150;

/// State of one rendering, shared with everything it includes.
pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) functions: &'a Functions,
    pub(crate) metadata: Option<&'a dyn MetadataLookup>,
    /// Documents fetched in this rendering, by URL and headers.
    pub(crate) fetched: RefCell<BTreeMap<String, Arc<str>>>,
    steps: Cell<u64>,
    written: Cell<u64>,
    allocated: Cell<u64>,
    depth: Cell<usize>,
    start: Instant,
}

/// State of one template in a rendering.
pub(crate) struct Frame<'a> {
    pub(crate) url: String,
    /// How the template was named when it was opened, for messages.
    pub(crate) opened_as: String,
    pub(crate) variables: RefCell<BTreeMap<String, Value>>,
    /// The template that sources this one: it sees the variables that are set here.
    pub(crate) sourced_by: Option<&'a Frame<'a>>,
    /// The template that includes or sources this one.
    pub(crate) opened_by: Option<&'a Frame<'a>>,
    pub(crate) context: Value,
}

/// What a function sees of the rendering it runs in.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) frame: &'a Frame<'a>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        options: &'a Options,
        functions: &'a Functions,
        metadata: Option<&'a dyn MetadataLookup>,
    ) -> Self {
        Self {
            options,
            functions,
            metadata,
            fetched: RefCell::default(),
            steps: Cell::new(0),
            written: Cell::new(0),
            allocated: Cell::new(0),
            depth: Cell::new(0),
            start: Instant::now(),
        }
    }

    /// How long this rendering may still wait for others; more than nothing.
    pub(crate) fn time_left(&self) -> Result<Duration, CallError> {
        let limit = self.options.limits.max_time;
        let left = limit.saturating_sub(self.start.elapsed());
        if left.is_zero() {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            let what = "the time of one rendering in milliseconds";
            return Err(CallError::Limit { what, limit });
        }
        Ok(left)
    }

    pub(crate) fn step(&self, steps: u64) -> Result<(), CallError> {
        let limit = self.options.limits.max_steps;
        spend(&self.steps, steps, limit, "the number of steps in one rendering")
    }

    /// Goes one level down. A failure ends the rendering, so only success needs a `leave`.
    pub(crate) fn enter(&self) -> Result<(), CallError> {
        if self.depth.get() >= MAX_DEPTH {
            return Err(CallError::Limit {
                what: "the nesting of blocks, parentheses, templates and includes",
                limit: MAX_DEPTH as u64,
            });
        }
        self.depth.set(self.depth.get() + 1);
        self.step(1)
    }

    /// Comes back up.
    pub(crate) fn leave(&self) {
        self.depth.set(self.depth.get().saturating_sub(1));
    }

    pub(crate) fn write(&self, bytes: usize) -> Result<(), CallError> {
        let limit = self.options.limits.max_output_bytes;
        spend(&self.written, bytes as u64, limit, "the output of one rendering in bytes")
    }
}

fn spend(meter: &Cell<u64>, amount: u64, limit: u64, what: &'static str) -> Result<(), CallError> {
    let total = meter.get().saturating_add(amount);
    meter.set(total);
    if total > limit { Err(CallError::Limit { what, limit }) } else { Ok(()) }
}

impl Scope<'_> {
    /// The options of the rendering.
    pub fn options(&self) -> &Options {
        self.session.options
    }

    /// The URL of the template that calls.
    pub fn url(&self) -> &str {
        &self.frame.url
    }

    /// The context (`.`) that the calling template was rendered with.
    pub fn context(&self) -> &Value {
        &self.frame.context
    }

    /// The variable `name` as `var` sees it, without asking for metadata.
    pub fn variable(&self, name: &str) -> Option<Value> {
        self.frame.variables.borrow().get(name).cloned()
    }

    /// Sets a variable here and in all templates that source this one.
    pub fn set_variable(&self, name: &str, value: &Value) {
        let mut frame = Some(self.frame);
        while let Some(here) = frame {
            here.variables.borrow_mut().insert(name.to_owned(), value.clone());
            frame = here.sourced_by;
        }
    }

    /// Calls the built-in function of the name that `args` came with: for a function that replaces a
    /// built-in one and only adds to it. After a failure the rendering may go on.
    ///
    /// # Errors
    ///
    /// That of the function, or that there is none.
    pub fn builtin(&self, args: &Args<'_>) -> Result<Value, CallError> {
        let Some(builtin) = builtin(args.name()) else {
            return Err(args.fail("it is no built-in function"));
        };
        args.check_count(builtin.min, builtin.max)?;
        let depth = self.session.depth.get();
        let result = (builtin.run)(self, args);
        // What fails does not come back up.
        self.session.depth.set(depth);
        result
    }

    /// Pays for `steps` of work; functions that loop call it.
    ///
    /// # Errors
    ///
    /// When the rendering has used up its steps.
    pub fn charge(&self, steps: usize) -> Result<(), CallError> {
        self.session.step(steps as u64)
    }

    /// Asks for room for a value of `bytes` before making it.
    ///
    /// # Errors
    ///
    /// When no value may be that large.
    pub fn room(&self, bytes: usize) -> Result<(), CallError> {
        let limit = self.session.options.limits.max_output_bytes;
        if bytes as u64 > limit {
            return Err(CallError::Limit { what: "the size of one value in bytes", limit });
        }
        Ok(())
    }

    /// Pays for the memory of a value that a function made.
    pub(crate) fn charge_value(&self, value: &Value) -> Result<(), CallError> {
        let size = match value {
            Value::Str(text) => text.len(),
            Value::List(list) => list.len().saturating_mul(size_of::<Value>()),
            _ => return Ok(()),
        };
        self.room(size)?;
        // Values may die early; sixteen times the output is a bound, not a measure of use.
        let limit = self.session.options.limits.max_output_bytes.saturating_mul(16);
        spend(&self.session.allocated, size as u64, limit, "the size of all values in bytes")
    }

    /// A budget for walking over or printing one value.
    pub(crate) fn budget(&self) -> Budget {
        let limit = self.session.options.limits.max_output_bytes;
        Budget::new(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    pub(crate) fn too_big(&self, _: TooBig) -> CallError {
        CallError::Limit {
            what: "the size of one value in bytes and its nesting in levels (200)",
            limit: self.session.options.limits.max_output_bytes,
        }
    }
}
