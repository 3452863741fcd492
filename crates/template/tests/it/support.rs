//! Short ways to render in tests.

use regrow_template::{Options, Template, TemplateError};
use serde_json::{Value as Json, json};

pub const BASE: &str = "file:///templates/main.tpl";

/// Renders `text` in a single pass with `context`.
pub fn try_render(text: &str, context: &Json) -> Result<String, TemplateError> {
    let options = Options { multi_pass: false, ..Options::default() };
    Template::from_text(text, BASE, &options).render(context).map(|rendered| rendered.text)
}

/// Renders `text` with `context`, which must work.
#[track_caller]
pub fn render(text: &str, context: &Json) -> String {
    try_render(text, context).unwrap_or_else(|error| panic!("{text}: {}", error.report()))
}

/// Renders each text without a context and compares.
#[track_caller]
pub fn expect_all(cases: &[(&str, &str)]) {
    for (text, want) in cases {
        assert_eq!(render(text, &json!(null)), *want, "{text}");
    }
}

/// The message, causes included, with which `text` fails.
#[track_caller]
pub fn failure(text: &str, context: &Json) -> String {
    match try_render(text, context) {
        Ok(printed) => panic!("{text} printed {printed:?}"),
        Err(error) => error.report(),
    }
}
