//! `fetch`, `raw`, `include` and `source`.

use super::Args;
use crate::error::{CallError, TemplateError};
use crate::fetch::{Headers, cache, document_text};
use crate::scope::{Frame, Scope};
use crate::value::{Value, deep_copy, to_json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

type Result<T = Value> = std::result::Result<T, CallError>;

/// A template's text given directly is cut to so many characters when it serves as a name.
const MAX_NAME: usize = 200;

pub(super) fn fetch(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let (headers, _) = headers_and_context(args);
    let url = resolve(scope, args.text(0)?)?;
    Ok(Value::Str(cached(scope, &url, &headers)?))
}

pub(super) fn raw(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let (headers, _) = headers_and_context(args);
    let url = resolve(scope, args.text(0)?)?;
    scope.charge(100)?;
    Ok(Value::Str(load(scope, &url, &headers)?))
}

pub(super) fn source(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let (headers, context) = headers_and_context(args);
    let context = context.unwrap_or_else(|| scope.frame.context.clone());
    open(scope, args.text(0)?, &headers, context, Some(scope.frame))
}

pub(super) fn include(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let (headers, context) = headers_and_context(args);
    // A copy keeps `set` in the included template from changing the dot here.
    let context = match context {
        Some(given) => deep_copy(&given, &mut scope.budget()).map_err(|e| scope.too_big(e))?,
        None => copy(scope, &scope.frame.context)?,
    };
    open(scope, args.text(0)?, &headers, context, None)
}

/// A copy through JSON, as Go makes one of the dot: its whole numbers become floats.
fn copy(scope: &Scope<'_>, value: &Value) -> Result {
    Ok(match value {
        Value::List(_) | Value::Map(_) => {
            let json = to_json(value, &mut scope.budget()).map_err(|e| scope.too_big(e))?;
            Value::from_json(&json, scope.options().numbers)
        }
        other => other.clone(),
    })
}

/// Splits the optional arguments: texts of the form `name=value` are headers, the last other
/// argument is the context.
fn headers_and_context(args: &Args<'_>) -> (Headers, Option<Value>) {
    let mut headers = Headers::new();
    let mut context = None;
    for value in args.rest(1) {
        match value.as_str().and_then(|text| text.split_once('=')) {
            Some((name, value)) if !name.is_empty() => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            _ => context = Some(value.clone()),
        }
    }
    (headers, context)
}

fn resolve(scope: &Scope<'_>, reference: &str) -> Result<String> {
    crate::url::resolve(&scope.frame.url, reference)
        .map_err(|source| CallError::Fetch { url: reference.to_owned(), source })
}

/// The document at `url`, fetched at most once in a rendering.
fn cached(scope: &Scope<'_>, url: &str, headers: &Headers) -> Result<Arc<str>> {
    let key = format!("{url}\n{headers:?}");
    if let Some(text) = scope.session.fetched.borrow().get(&key) {
        return Ok(text.clone());
    }
    let failed = |source| CallError::Fetch { url: url.to_owned(), source };
    let directory = scope.options().cache_dir.as_deref();
    let text = cache::kept(directory, url, failed, || load(scope, url, headers))?;
    scope.session.fetched.borrow_mut().insert(key, text.clone());
    Ok(text)
}

fn load(scope: &Scope<'_>, url: &str, headers: &Headers) -> Result<Arc<str>> {
    scope.session.time_left()?;
    document_text(scope.options(), url, headers)
        .map_err(|source| CallError::Fetch { url: url.to_owned(), source })
}

/// Renders the template at `reference` inside this one.
fn open(
    scope: &Scope<'_>,
    reference: &str,
    headers: &Headers,
    context: Value,
    sourced_by: Option<&Frame<'_>>,
) -> Result {
    let url = resolve(scope, reference)?;
    check_chain(scope, &url)?;
    let text = cached(scope, &url, headers)?;
    // Text given directly has no place of its own: what it names is relative to the caller.
    let base = if url.starts_with("str://") { scope.frame.url.clone() } else { url.clone() };
    let frame = Frame {
        url: base,
        opened_as: url.chars().take(MAX_NAME).collect(),
        variables: RefCell::new(scope.frame.variables.borrow().clone()),
        sourced_by,
        opened_by: Some(scope.frame),
        context,
    };
    let inner = Scope { session: scope.session, frame: &frame };
    scope.session.enter()?;
    let rendered = crate::template::render_text(inner, &text);
    scope.session.leave();
    rendered.map(Value::from).map_err(|error| CallError::Included(Box::new(error)))
}

/// Refuses to open more templates inside each other than allowed, and names the circle if the
/// reason is one.
fn check_chain(scope: &Scope<'_>, url: &str) -> Result<()> {
    let url: String = url.chars().take(MAX_NAME).collect();
    let mut chain = vec![url.clone()];
    let mut frame = Some(scope.frame);
    while let Some(here) = frame {
        chain.push(here.opened_as.clone());
        frame = here.opened_by;
    }
    let limit = scope.options().limits.max_include_depth;
    if chain.len() <= limit as usize {
        return Ok(());
    }
    // A template may include itself a few times on purpose; only at the limit it is a circle.
    chain.reverse();
    let last = chain.len() - 1;
    match chain[..last].iter().rposition(|open| *open == url) {
        Some(from) => Err(CallError::Cycle { chain: chain.split_off(from) }),
        None => Err(CallError::Limit {
            what: "the number of templates open inside each other",
            limit: u64::from(limit),
        }),
    }
}

/// Loads the outermost template of a rendering.
pub(crate) fn load_first(
    options: &crate::Options,
    url: &str,
) -> std::result::Result<Arc<str>, TemplateError> {
    let fetched = cache::kept(options.cache_dir.as_deref(), url, std::convert::identity, || {
        document_text(options, url, &Headers::new())
    });
    fetched.map_err(|source| TemplateError::Load { url: url.to_owned(), source })
}

/// Variables as JSON, those that are too large left out.
pub(crate) fn exported(variables: &BTreeMap<String, Value>) -> BTreeMap<String, serde_json::Value> {
    variables.iter().filter_map(|(k, v)| Some((k.clone(), v.to_json()?))).collect()
}
