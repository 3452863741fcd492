//! Paths with slashes: Go's `path` package.

use crate::functions::{Builtin, one};
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    one("base", 1, "func(string) string", &["The last element of a path."], |_, a| {
        Ok(Value::from(base(a.text(0)?)))
    }),
    one("dir", 1, "func(string) string", &["A path without its last element."], |_, a| {
        Ok(Value::from(dir(a.text(0)?)))
    }),
    one("clean", 1, "func(string) string", &["The shortest path that means the same."], |_, a| {
        Ok(Value::from(clean(a.text(0)?)))
    }),
    one("ext", 1, "func(string) string", &["The extension of a path with its dot."], |_, a| {
        let name = a.text(0)?.rsplit('/').next().unwrap_or_default();
        Ok(Value::from(name.rfind('.').map_or("", |at| &name[at..])))
    }),
    one("isAbs", 1, "func(string) bool", &["Whether a path starts at the root."], |_, a| {
        Ok(Value::Bool(a.text(0)?.starts_with('/')))
    }),
];

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    match path.trim_end_matches('/') {
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." if elements.last().is_some_and(|last| *last != "..") => {
                elements.pop();
            }
            ".." if rooted => {}
            element => elements.push(element),
        }
    }
    let joined = elements.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
