//! HCL text to values, in the shape that version 1 of the language had in Go.
//!
//! There every block is a list of maps, one element for each block of the same name and labels.
//! Expressions that need an environment (references, calls, interpolations) stay text as written.

use crate::value::Value;
use hcl::{Body, Expression, Structure};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Blocks may nest this deep; the parser recurses.
const MAX_NESTING: usize = 64;

/// The value of an HCL document.
pub(crate) fn decode(text: &str) -> Result<Value, String> {
    let open = text.bytes().scan(0usize, |depth, byte| {
        match byte {
            b'{' | b'[' | b'(' => *depth += 1,
            b'}' | b']' | b')' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    if open.max().unwrap_or(0) > MAX_NESTING {
        return Err(format!("brackets nest deeper than {MAX_NESTING}"));
    }
    let body = hcl::parse(text).map_err(|error| error.to_string())?;
    Ok(body_value(&body))
}

fn body_value(body: &Body) -> Value {
    let mut entries: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    let mut plain: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                plain.insert(attribute.key().into(), expression_value(attribute.expr()));
            }
            Structure::Block(block) => {
                // Labels are further levels of blocks: `a "b" { }` is `a { b { } }`.
                let mut value = body_value(block.body());
                for label in block.labels().iter().rev() {
                    value = Value::map([(label.as_str(), Value::list([value]))]);
                }
                entries.entry(block.identifier().into()).or_default().push(value);
            }
        }
    }
    let blocks = entries.into_iter().map(|(name, blocks)| (name, Value::list(blocks)));
    Value::map(plain.into_iter().chain(blocks))
}

fn expression_value(expression: &Expression) -> Value {
    match expression {
        Expression::Null => Value::Nil,
        Expression::Bool(flag) => Value::Bool(*flag),
        Expression::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::Nil,
        },
        Expression::String(text) => Value::from(text.as_str()),
        Expression::Array(items) => Value::list(items.iter().map(expression_value)),
        Expression::Object(entries) => Value::list([Value::map(
            entries.iter().map(|(key, value)| (key.to_string(), expression_value(value))),
        )]),
        Expression::TemplateExpr(template) => Value::from(template.to_string()),
        other => match hcl::format::to_string(other) {
            Ok(text) => Value::from(format!("${{{text}}}")),
            Err(_) => Value::Nil,
        },
    }
}
