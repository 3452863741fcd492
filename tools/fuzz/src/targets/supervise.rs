//! Files of the supervisor.

use std::path::Path;

use regrow_supervise::config::{Config, ConfigError, Interfaces, Surroundings, parse};

use crate::scratch::{choice, must, text};

/// A configuration is written and read back as the same; a fault has a text, and its places are in
/// the file.
pub fn supervise_files(data: &[u8]) {
    let (how, rest) = choice(data, 3);
    let text = text(rest);
    let path = Path::new(match how {
        0 => "app.json5",
        1 => "app.yaml",
        _ => "app",
    });
    let surroundings = Surroundings {
        env: [("NAME".to_owned(), "a=b".to_owned()), ("EMPTY".to_owned(), String::new())].into(),
        hostname: "host".to_owned(),
        interfaces: Interfaces::known(vec![("eth0".to_owned(), [10, 0, 0, 5].into())]),
        app: Vec::new(),
        version: None,
    };
    match parse(&text, path, &surroundings) {
        Ok(loaded) => {
            let stored = must(serde_json::to_string(&loaded.config), "write a configuration");
            let back: Config = must(serde_json::from_str(&stored), "read it back");
            assert_eq!(back, loaded.config);
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            if let (ConfigError::Invalid(invalid), false) = (&fault, text.contains("{{")) {
                let lines = text.split(['\n', '\r', '\u{2028}', '\u{2029}']).count();
                assert!(invalid.places.iter().all(|place| (1..=lines).contains(&place.line)));
            }
        }
    }
}
