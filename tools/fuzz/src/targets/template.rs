//! Templates, and the documents that they decode.

use std::sync::Arc;
use std::time::Duration;

use regrow_template::{FetchError, Fetcher, Headers, Limits, Options, Template};
use serde_json::{Value, json};

use crate::scratch::{choice, must, text};

/// Nothing can be fetched.
struct Nothing;

impl Fetcher for Nothing {
    fn fetch(&self, url: &str, _: &Headers, _: u64) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Scheme(url.to_owned()))
    }
}

const LIMITS: Limits = Limits {
    max_include_depth: 4,
    max_output_bytes: 64 << 10,
    max_fetch_bytes: 4 << 10,
    max_steps: 5_000,
    max_time: Duration::from_secs(60),
};

/// Options under which a template stays small and gets at nothing outside.
pub(super) fn bounded() -> Options {
    Options {
        limits: LIMITS,
        fetcher: Arc::new(Nothing),
        echo: Arc::new(|_| {}),
        ..Options::default()
    }
}

fn render(template: &str, context: &Value) -> Result<String, String> {
    let options = Options { multi_pass: false, ..bounded() };
    let template = Template::from_text(template, "file:///fuzzed/main.tpl", &options);
    template.render(context).map(|rendered| rendered.text).map_err(|fault| fault.report())
}

/// A rendering stays in its limits; a fault has a text; what does not parse does not render; text
/// without actions is printed as it is.
pub fn templates(data: &[u8]) {
    let (how, rest) = choice(data, 2);
    let text = text(rest);
    let context = json!({"a": [1, {"b": "c"}, null], "b": {"a": -1.5, "x": true}, "t": "é\n"});
    let options = Options { multi_pass: how == 1, ..bounded() };
    let template = Template::from_text(&text, "file:///fuzzed/main.tpl", &options);
    let valid = template.validate();
    match template.render(&context) {
        Ok(rendered) => {
            must(valid.map_err(|fault| fault.report()), "render what is not valid");
            assert!(rendered.text.len() as u64 <= LIMITS.max_output_bytes);
            if !text.contains("{{") {
                assert_eq!(rendered.text, text);
            }
        }
        Err(fault) => {
            assert!(!fault.report().is_empty());
            assert!(text.contains("{{") || text.len() as u64 > LIMITS.max_output_bytes);
        }
    }
}

/// A document decodes or the fault says so; what was decoded encodes and decodes as the same.
pub fn documents(data: &[u8]) {
    let (kind, rest) = choice(data, 5);
    let decode = match kind {
        0 => "yamlDecode",
        1 => "hclDecode",
        2 => "iniDecode",
        3 => "jsonDecode",
        _ => "q \"a[?b > `1`].c\" . | toJson | jsonDecode",
    };
    let decoded = if kind == 4 {
        let Ok(tree) = serde_json::from_slice::<Value>(rest) else { return };
        render("{{ q \"a[?b > `1`].c | [0]\" . | toJson }}", &tree)
    } else {
        render(&format!("{{{{ {decode} .t | toJson }}}}"), &json!({ "t": text(rest) }))
    };
    let printed = match decoded {
        Ok(printed) => printed,
        Err(fault) => return assert!(!fault.is_empty()),
    };
    // Numbers that are not finite have no JSON form.
    let Ok(tree) = serde_json::from_str::<Value>(&printed) else {
        return assert!(printed.contains("Inf") || printed.contains("NaN"), "{printed}");
    };
    for there_and_back in ["yamlEncode . | yamlDecode", "jsonEncode . | jsonDecode"] {
        // Encoding may need more room than there is.
        if let Ok(again) = render(&format!("{{{{ {there_and_back} | toJson }}}}"), &tree) {
            let again: Value = must(serde_json::from_str(&again), &again);
            assert_eq!(again, tree, "{there_and_back}");
        }
    }
}
