//! URLs of templates: what a reference means where it is written.

use crate::error::FetchError;

/// The URL that relative references of text given directly start from: the working directory.
///
/// # Errors
///
/// When the process has no working directory.
pub(crate) fn working_directory() -> Result<String, FetchError> {
    let directory =
        std::env::current_dir().map_err(|source| FetchError::Io { path: ".".into(), source })?;
    let path = directory.to_str().ok_or(FetchError::NotText)?;
    Ok(format!("file://{}/", path.trim_end_matches('/')))
}

/// Whether `text` starts with a scheme and `://`. Other text is a template by itself, or relative.
pub(crate) fn is_absolute(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// Scheme, the part before the path, and the path with all that follows.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    Some((scheme, authority, path))
}

/// The absolute URL of `reference` in the template at `base`: `./x`, `../x` and plain `x` are
/// beside the template, `/x` is at the root of its host or file system, and a reference with a
/// scheme stands for itself.
pub(crate) fn resolve(base: &str, reference: &str) -> Result<String, FetchError> {
    if is_absolute(reference) {
        return Ok(reference.to_owned());
    }
    let (scheme, authority, path) = split(base).ok_or_else(|| FetchError::Url {
        url: base.to_owned(),
        message: "the template's own location has no scheme, so nothing can be relative to it"
            .to_owned(),
    })?;
    // As in Go only the path is joined; a query of the base does not carry over.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let joined = if reference.starts_with('/') {
        reference.to_owned()
    } else {
        let directory = path.rfind('/').map_or("", |at| &path[..at]);
        format!("{directory}/{reference}")
    };
    Ok(format!("{scheme}://{authority}{}", clean(&joined)))
}

/// Removes `.`, `..` and empty elements; a query stays.
fn clean(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => {
                elements.pop();
            }
            element => elements.push(element),
        }
    }
    format!("/{}{query}", elements.join("/"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn references_resolve_as_in_go() {
        for (base, reference, want) in [
            ("http://h/foo/bar/baz", "./boo.tpl", "http://h/foo/bar/boo.tpl"),
            ("http://h/foo/bar/baz", "../boo.tpl", "http://h/foo/boo.tpl"),
            ("http://h:80/foo/baz?x=1", "boo.tpl", "http://h:80/foo/boo.tpl"),
            ("http://h", "boo.tpl", "http://h/boo.tpl"),
            ("file:///a/b/", "c", "file:///a/b/c"),
            ("file:///a/b/c.tpl", "../../../x", "file:///x"),
            ("file:///a/b", "https://h/x", "https://h/x"),
            ("unix:///run/a.sock", "str://x", "str://x"),
        ] {
            assert_eq!(resolve(base, reference).unwrap(), want, "{base} {reference}");
        }
        assert!(resolve("nowhere", "x").is_err());
    }
}
