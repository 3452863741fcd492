//! From a path to a [`Config`].

use std::path::Path;

use super::address::Surroundings;
use super::error::{ConfigError, Fault, Invalid};
use super::model::Config;
use super::template::render_at;
use super::tree::{self, Node, Place};
use super::validate::Warnings;
use super::{MAX_BYTES, v2, validate};

/// A configuration, and what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Oddities that are no faults, each on one line, behind `FILE:LINE:COLUMN: ` where the place
    /// is known.
    pub warnings: Vec<String>,
    /// The file after templates, which the places count in. May contain secrets that came from the
    /// environment.
    pub rendered: String,
}

/// Reads and checks the file at `path`. Apart from that file the answer depends on `surroundings`
/// only.
///
/// # Errors
///
/// [`ConfigError`]; the file is taken as a whole or not at all.
pub fn load(path: Option<&Path>, surroundings: &Surroundings) -> Result<Loaded, ConfigError> {
    let path = path.filter(|path| !path.as_os_str().is_empty()).ok_or(ConfigError::NoFile)?;
    let text = read(path)?;
    parse(&text, path, surroundings)
}

/// The same of a text that was already read; `path` is its name in texts, and its extension says
/// whether it is YAML.
///
/// # Errors
///
/// [`ConfigError`].
pub fn parse(text: &str, path: &Path, surroundings: &Surroundings) -> Result<Loaded, ConfigError> {
    let file = path.display().to_string();
    let rendered = render_at(&file, text, &surroundings.env)
        .map_err(|error| ConfigError::Template(Box::new(error)))?;
    let root = tree::read(&rendered, path).map_err(ConfigError::Syntax)?;
    let old = v2::is_v2(&root.to_json());
    let (root, mut warnings) =
        if old { converted(&root, surroundings)? } else { (root, Vec::new()) };
    if !old && !surroundings.app.is_empty() {
        warnings.push(("an application after the flags is ignored in version 3".to_owned(), None));
    }
    let invalid =
        |Fault { text, places }| ConfigError::Invalid(Invalid { text, file: file.clone(), places });
    let (mut config, oddities) = validate::config(&root, surroundings).map_err(invalid)?;
    if old {
        v2::render_app(&mut config, &surroundings.env)
            .map_err(|error| ConfigError::Template(Box::new(error)))?;
    }
    warnings.extend(oddities);
    let line = |(text, place): (String, Option<Place>)| match place {
        Some(place) => format!("{file}:{place}: {text}"),
        None => format!("{file}: {text}"),
    };
    let warnings = warnings.into_iter().map(line).collect();
    Ok(Loaded { config, warnings, rendered })
}

/// A tree of version 2 as one of version 3, and what is otherwise than it was.
fn converted(root: &Node, surroundings: &Surroundings) -> Result<(Node, Warnings), ConfigError> {
    let (document, notes) = v2::convert(&root.to_json(), &surroundings.app)?;
    let notes = notes.into_iter().map(|note| (format!("of version 2: {note}"), None));
    Ok((Node::from_json(document), notes.collect()))
}

/// The text of a file that is not too large. What is not UTF-8 is refused.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let most = MAX_BYTES as u64 + 1;
    file.take(most).read_to_string(&mut text).map_err(failed)?;
    if text.len() > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}
