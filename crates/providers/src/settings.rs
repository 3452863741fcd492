//! How options are read: from a document, and where it is silent from the environment.

use regrow_codec::{Any, decode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// An environment variable that stands for an option.
#[derive(Clone, Copy, Debug)]
pub struct EnvOption {
    /// Name of the variable.
    pub variable: &'static str,
    /// Name of the option in the document.
    pub field: &'static str,
    /// True when the value is a list with commas between its items.
    pub list: bool,
}

/// Options of a provider.
pub trait Options: Default + DeserializeOwned {
    /// The options that the environment may set. All of them are texts, durations or lists.
    const ENV: &'static [EnvOption];
}

/// Why options could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The document is something other than an object.
    #[error("read options: expected a JSON object, found {found}")]
    NotAnObject {
        /// The document.
        found: String,
    },
    /// A field is unknown or has the wrong type.
    #[error("read options: {0}")]
    Field(#[from] decode::DecodeError),
}

/// Reads options: the document wins, then the environment, then the default.
///
/// # Errors
/// The document is not an object, a field is unknown or has the wrong type.
pub fn load<O: Options>(
    document: &Any,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<O, SettingsError> {
    let given = match document.to_value() {
        Value::Null => Map::new(),
        Value::Object(given) => given,
        other => return Err(SettingsError::NotAnObject { found: other.to_string() }),
    };
    let mut merged = Map::new();
    for option in O::ENV {
        // Field names are read without regard to case, so that is how they are told apart.
        let is_given = given.keys().any(|key| key.eq_ignore_ascii_case(option.field));
        if let (false, Some(text)) = (is_given, environment(option.variable)) {
            let value = if option.list {
                text.split(',').map(|item| Value::from(item.trim())).collect()
            } else {
                Value::from(text)
            };
            merged.insert(option.field.to_owned(), value);
        }
    }
    merged.extend(given);
    Ok(decode::from_value_strict(&Value::Object(merged))?)
}

/// Reads options with the environment of this process.
///
/// # Errors
/// As [`load`].
pub fn from_environment<O: Options>(document: &Any) -> Result<O, SettingsError> {
    load(document, |name| std::env::var(name).ok())
}

/// Where InfraKit keeps things when nothing else is said: `$INFRAKIT_HOME`, else `~/.infrakit`.
pub(crate) fn infrakit_home() -> std::path::PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (set("INFRAKIT_HOME"), set("HOME")) {
        (Some(home), _) => home.into(),
        (None, Some(user)) => std::path::PathBuf::from(user).join(".infrakit"),
        (None, None) => std::env::temp_dir().join("infrakit"),
    }
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use regrow_ids::GoDuration;
    use serde::Deserialize;
    use serde_json::json;

    use super::{EnvOption, Options, load};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Sample {
        dir: String,
        names: Vec<String>,
        delay: GoDuration,
    }

    impl Options for Sample {
        const ENV: &'static [EnvOption] = &[
            EnvOption { variable: "X_DIR", field: "Dir", list: false },
            EnvOption { variable: "X_NAMES", field: "Names", list: true },
            EnvOption { variable: "X_DELAY", field: "Delay", list: false },
        ];
    }

    fn environment(name: &str) -> Option<String> {
        match name {
            "X_DIR" => Some("/env".into()),
            "X_NAMES" => Some("a, b".into()),
            "X_DELAY" => Some("1.5s".into()),
            _ => None,
        }
    }

    #[test]
    fn the_document_wins_over_the_environment() {
        let read: Sample = load(&Any::from(json!({"dir": "/doc"})), environment).expect("valid");
        let names = vec!["a".to_owned(), "b".to_owned()];
        let delay = GoDuration::from_millis(1500);
        assert_eq!(read, Sample { dir: "/doc".into(), names, delay });
        let read: Sample = load(&Any::default(), |_| None).expect("valid");
        assert_eq!(read, Sample::default());
    }

    #[test]
    fn faults_are_named() {
        for (document, part) in [
            (json!([1]), "expected a JSON object, found [1]"),
            (json!({"Dirr": "x"}), "at /Dirr: unknown field; did you mean \"Dir\"?"),
            (json!({"Delay": "soon"}), "at /Delay: parse duration \"soon\""),
        ] {
            let fault = load::<Sample>(&Any::from(&document), |_| None).expect_err("invalid");
            assert!(fault.to_string().contains(part), "{document}: {fault}");
        }
    }
}
