//! INI text, as InfraKit's parser takes it: `[section]`, `key = value`, comments with `;` or `#`.

use crate::value::{Map, Value};

/// The sections as a map of maps of text. Keys before the first section are in the section "".
pub(crate) fn decode(text: &str) -> Result<Value, String> {
    let file = Map::default();
    let section = |name: &str| match file.get(name) {
        Some(Value::Map(map)) => map,
        _ => {
            let map = Map::default();
            file.insert(name, Value::Map(map.clone()));
            map
        }
    };
    let mut current = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut current);
            section(&current);
        } else {
            match line.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    section(&current).insert(key.trim(), Value::from(value.trim()));
                }
                _ => return Err(format!("invalid INI syntax on line {}: {line}", index + 1)),
            }
        }
    }
    Ok(Value::Map(file))
}
