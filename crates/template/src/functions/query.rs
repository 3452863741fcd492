//! `q`: JMESPath expressions, with a bound on what they may build.
//!
//! The library shares parts of values and sets itself no limits: `[@,@]|[@,@]|…` doubles the value
//! that is printed with each step, and `join('',[@,@])|…` a text in memory. So what an expression
//! may build at most is computed from the expression and the size of the value before it runs.
//!
//! Sizes count the whole tree, shared parts each time they occur. A part of an expression that runs
//! once for each element of a list is counted for all elements together.

use jmespath::ast::Ast;
use jmespath::{Context, DEFAULT_RUNTIME, Rcvar, Variable, interpret};

use super::Args;
use crate::error::CallError;
use crate::scope::Scope;
use crate::value::{Value, to_json};

type Result<T = Value> = std::result::Result<T, CallError>;

/// Operators in one expression. The library recurses once for each and, without a bound, overflows
/// the stack, which ends the whole process.
const MAX_OPERATORS: usize = 150;

/// Bytes that a value takes beside its text, and more than any number takes as text.
const NODE_BYTES: usize = 32;

/// Bytes in JSON for one byte of a text at most: `\u0001`.
const ESCAPED_BYTES: usize = 6;

/// Bytes that `&expression` takes as a value, for each byte of the whole expression.
const REFERENCE_BYTES: usize = 256;

pub(super) fn query(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    if count_operators(text) > MAX_OPERATORS {
        let message = format!("the expression has more than {MAX_OPERATORS} operators");
        return Err(args.fail(message));
    }
    scope.charge(100)?;
    let expression = jmespath::compile(text)
        .map_err(|error| args.fail(format!("bad JMESPath expression: {error}")))?;
    let json = to_json(args.any(1), &mut scope.budget()).map_err(|e| scope.too_big(e))?;
    let data = Variable::from_serializable(json).map_err(|error| args.fail(error.to_string()))?;
    let limit = usize::try_from(scope.options().limits.max_output_bytes).unwrap_or(usize::MAX);
    let bound = Bound { text_bytes: text.len(), limit };
    let whole = Runs { bytes: size(&data), count: 1 };
    if bound.of(expression.as_ast(), whole).is_err() {
        let message = format!(
            "the expression may build more than {limit} bytes from this value; take the part that \
             is needed first, or split the expression"
        );
        return Err(args.fail(message));
    }
    let mut context = Context::new(text, &DEFAULT_RUNTIME);
    let found = interpret(&Rcvar::new(data), expression.as_ast(), &mut context)
        .map_err(|error| args.fail(error.to_string()))?;
    let json = serde_json::to_value(&*found).map_err(|error| args.fail(error.to_string()))?;
    Ok(Value::from_json(&json, scope.options().numbers))
}

/// The number of characters outside of quotes that make an expression deeper.
fn count_operators(expression: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    let mut count = 0;
    for c in expression.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            None => count += usize::from("([{.!|&<>=*?".contains(c)),
        }
    }
    count
}

/// Bytes of a value, in which nothing is shared yet. As deep as JSON may be.
fn size(value: &Variable) -> usize {
    let content = match value {
        Variable::String(text) => text.len(),
        Variable::Array(items) => items.iter().map(|item| size(item)).sum(),
        Variable::Object(fields) => {
            fields.iter().map(|(key, value)| NODE_BYTES + key.len() + size(value)).sum()
        }
        _ => 0,
    };
    NODE_BYTES + content
}

/// The values that a part of an expression is given in all of its runs.
#[derive(Clone, Copy)]
struct Runs {
    /// Bytes of all values together.
    bytes: usize,
    /// How many runs.
    count: usize,
}

/// More than the limit.
struct TooMuch;

/// Computes what an expression builds at most.
struct Bound {
    /// Length of the whole expression.
    text_bytes: usize,
    /// Largest sum of the values that a part gives in all of its runs.
    limit: usize,
}

impl Bound {
    /// Bytes of all values that `part` gives.
    fn of(&self, part: &Ast, data: Runs) -> std::result::Result<usize, TooMuch> {
        let nodes = data.count.saturating_mul(NODE_BYTES);
        let bytes = match part {
            // A part of what is given, or null, which no value is smaller than.
            Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => {
                data.bytes
            }
            Ast::Literal { value, .. } => size(value).saturating_mul(data.count),
            Ast::Expref { .. } => {
                data.count.saturating_mul(self.text_bytes).saturating_mul(REFERENCE_BYTES)
            }
            Ast::Subexpr { lhs, rhs, .. } => {
                let bytes = self.of(lhs, data)?;
                self.of(rhs, Runs { bytes, ..data })?
            }
            Ast::Or { lhs, rhs, .. } | Ast::And { lhs, rhs, .. } => {
                self.of(lhs, data)?.saturating_add(self.of(rhs, data)?)
            }
            Ast::Comparison { lhs, rhs, .. } => {
                self.of(lhs, data)?;
                self.of(rhs, data)?;
                nodes
            }
            Ast::Not { node, .. } => {
                self.of(node, data)?;
                nodes
            }
            Ast::Condition { predicate, then, .. } => {
                self.of(predicate, data)?;
                self.of(then, data)?.saturating_add(nodes)
            }
            Ast::ObjectValues { node, .. } | Ast::Flatten { node, .. } => self.of(node, data)?,
            Ast::Projection { lhs, rhs, .. } => {
                let list = self.of(lhs, data)?;
                self.of_each(rhs, list)?.saturating_add(nodes)
            }
            Ast::MultiList { elements, .. } => self.sum(elements.iter(), data)?,
            Ast::MultiHash { elements, .. } => {
                let keys = elements.iter().map(|pair| NODE_BYTES + pair.key.len()).sum();
                let values = self.sum(elements.iter().map(|pair| &pair.value), data)?;
                data.count.saturating_mul(keys).saturating_add(values)
            }
            Ast::Function { name, args, .. } => self.of_function(name, args, data)?,
        };
        if bytes > self.limit { Err(TooMuch) } else { Ok(bytes) }
    }

    /// The same for a part that runs once for each element of lists of so many bytes in all.
    fn of_each(&self, part: &Ast, bytes: usize) -> std::result::Result<usize, TooMuch> {
        self.of(part, Runs { bytes, count: bytes / NODE_BYTES })
    }

    /// Parts side by side in something that holds them.
    fn sum<'a>(
        &self,
        parts: impl Iterator<Item = &'a Ast>,
        data: Runs,
    ) -> std::result::Result<usize, TooMuch> {
        let own = data.count.saturating_mul(NODE_BYTES);
        parts
            .map(|part| self.of(part, data))
            .try_fold(own, |sum, next| next.map(|next| sum.saturating_add(next)))
    }

    /// What a function gives is at most its arguments and something small, with a few exceptions.
    fn of_function(
        &self,
        name: &str,
        args: &[Ast],
        data: Runs,
    ) -> std::result::Result<usize, TooMuch> {
        Ok(match (name, args) {
            // These call what is referred to for each element of their list, and do not keep it.
            ("map", [Ast::Expref { ast, .. }, list]) => {
                let nodes = data.count.saturating_mul(NODE_BYTES);
                self.of_each(ast, self.of(list, data)?)?.saturating_add(nodes)
            }
            ("sort_by" | "max_by" | "min_by", [list, Ast::Expref { ast, .. }]) => {
                let list = self.of(list, data)?;
                self.of_each(ast, list)?;
                list
            }
            ("to_string", _) => self.sum(args.iter(), data)?.saturating_mul(ESCAPED_BYTES),
            ("join", [glue, list]) => {
                let glue = match glue {
                    Ast::Literal { value, .. } => size(value),
                    _ => self.of(glue, data)?,
                };
                let list = self.of(list, data)?;
                list.saturating_add(glue.saturating_mul(list / NODE_BYTES))
            }
            _ => self.sum(args.iter(), data)?,
        })
    }
}
