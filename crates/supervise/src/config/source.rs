//! Where a configuration is, and what can be done with it besides running it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::address::Surroundings;
use super::error::{ConfigError, Fault, Invalid};
use super::load::{Loaded, parse, read};
use super::template::render_at;
use super::{tree, v2, validate};

/// Where a configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    Path(PathBuf),
    /// This is it: version 2 takes the text itself in place of a path.
    Text(String),
}

/// Name of a text that came in place of a path: the variable in which it usually comes.
const TEXT_NAME: &str = "CONTAINERPILOT";

impl Source {
    /// A path, `file://PATH` as version 2 writes it, or a text that begins with a brace; `None` for
    /// an empty word.
    pub fn from_word(word: &str) -> Option<Self> {
        if word.trim_start().starts_with('{') {
            return Some(Self::Text(word.to_owned()));
        }
        let path = word.strip_prefix("file://").unwrap_or(word);
        (!path.is_empty()).then(|| Self::Path(path.into()))
    }

    /// Reads and checks it: [`load`](super::load) for either kind.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load(&self, surroundings: &Surroundings) -> Result<Loaded, ConfigError> {
        parse(&self.text()?, self.name(), surroundings)
    }

    /// The text after the template step; nothing else of it is looked at.
    ///
    /// # Errors
    ///
    /// It cannot be read, or [`ConfigError::Template`].
    pub fn render(&self, env: &BTreeMap<String, String>) -> Result<String, ConfigError> {
        self.rendered(&self.text()?, env)
    }

    /// Path of its control socket. Nothing else of it is checked: who asks whether a supervisor is
    /// alive gets an answer also while somebody edits its file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is wrong as far as it is looked at.
    pub fn control_socket(&self, env: &BTreeMap<String, String>) -> Result<PathBuf, ConfigError> {
        let root = tree::read(&self.render(env)?, self.name()).map_err(ConfigError::Syntax)?;
        let file = self.name().display().to_string();
        let invalid = |Fault { text, places }| ConfigError::Invalid(Invalid { text, file, places });
        validate::control_socket_of(&root).map_err(invalid)
    }

    /// A configuration of version 2 as text of version 3, and what is otherwise than it was. Its
    /// templates stay as they are where it reads without them, else they are rendered.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], [`ConfigError::NotVersion2`] among them.
    pub fn convert(
        &self,
        surroundings: &Surroundings,
    ) -> Result<(String, Vec<String>), ConfigError> {
        let text = self.text()?;
        let convert = |text: &str| {
            let document = tree::read(text, self.name()).map_err(ConfigError::Syntax)?.to_json();
            if !v2::is_v2(&document) {
                return Err(ConfigError::NotVersion2 { path: self.name().to_owned() });
            }
            Ok(v2::convert_text(&document, &surroundings.app)?)
        };
        if let Ok(converted) = convert(&text) {
            return Ok(converted);
        }
        let rendered = self.rendered(&text, &surroundings.env)?;
        let (converted, mut notes) = convert(&rendered)?;
        if rendered != text {
            notes.push("templates were rendered: they stand where values must be known".to_owned());
        }
        Ok((converted, notes))
    }

    fn rendered(&self, text: &str, env: &BTreeMap<String, String>) -> Result<String, ConfigError> {
        render_at(&self.name().display().to_string(), text, env)
            .map_err(|error| ConfigError::Template(Box::new(error)))
    }

    fn name(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Text(_) => Path::new(TEXT_NAME),
        }
    }

    fn text(&self) -> Result<Cow<'_, str>, ConfigError> {
        match self {
            Self::Path(path) => read(path).map(Cow::Owned),
            Self::Text(text) => Ok(text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> Result<PathBuf, String> {
        let source = Source::Text(text.to_owned());
        let env = [("DIR".to_owned(), "/run".to_owned())].into();
        source.control_socket(&env).map_err(|error| error.to_string())
    }

    #[test]
    fn the_control_socket_is_found_also_where_the_rest_is_wrong() {
        let usual = Path::new("/var/run/containerpilot.socket");
        assert_eq!(socket("{jobs: [{nonsense: 1}], more: 2}").as_deref(), Ok(usual));
        let text = "{control: {socket: '{{ .DIR }}/s'}, jobs: 7}";
        assert_eq!(socket(text).as_deref(), Ok(Path::new("/run/s")));
        assert_eq!(socket("{preStart: 'x'}").as_deref(), Ok(usual));
        assert!(socket("{control: {socket: ''}}").is_err());
        assert!(socket("{control: ").is_err());
        assert!(socket("{{ nonsense }}").is_err());
    }

    #[test]
    fn a_text_is_loaded_like_a_file() {
        let source = Source::from_word(" {consul: 'x', stopTimeout: 7}").expect("a text");
        let loaded = source.load(&Surroundings::default()).expect("loads");
        assert_eq!(loaded.config.stop_timeout.as_secs(), 7);
        let error = Source::Text("{".to_owned()).load(&Surroundings::default());
        assert!(error.is_err());
    }
}
