use std::fmt;
use std::str::FromStr;

use super::TreeError;

/// Longest path text in bytes. Parsing looks ahead from every bracket, so its cost grows with the
/// square of this; no real path comes near it.
pub const MAX_PATH_BYTES: usize = 4096;

/// One step down a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into the field of a map.
    Key(String),
    /// Into an item of a list: from 0, or from the end when negative.
    Index(i64),
    /// Into the first item of a list that has this value.
    Select {
        /// Keys below the item; none for the item itself.
        keys: Vec<String>,
        /// The value as text.
        value: String,
    },
}

/// Address of a value in a tree (InfraKit specification §3.2).
///
/// * `a/b/c`: fields of maps; empty elements and `.` are dropped: the empty text is the root.
/// * `name[3]`, `name[-1]`: an item of a list, counted from the end when negative.
/// * `name[key=value]`: the first item whose field `key` prints as `value`; `key` may be a path of
///   keys (`[a/b=c]`) or empty (`[=x]`, the item itself).
/// * `'a/b'`: an element that begins with an apostrophe runs to the next single one and is taken as
///   it is; two in a row stand for one. The same holds for the parts within brackets.
///
/// Whatever does not fit these forms is an ordinary key: `a[b`, `it's`, `x[0]y`.
///
/// ```
/// use regrow_plugin::tree::Path;
///
/// let path: Path = "disks[kind=ssd]/'Microsoft.Network/vnet'/id".parse()?;
/// assert_eq!(path.steps().len(), 4);
/// assert_eq!(path.to_string(), "disks[kind=ssd]/'Microsoft.Network/vnet'/id");
/// # Ok::<(), regrow_plugin::tree::TreeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// [`TreeError::PathTooLong`] beyond [`MAX_PATH_BYTES`]; every other text is a path.
    pub fn parse(text: &str) -> Result<Self, TreeError> {
        if text.len() > MAX_PATH_BYTES {
            return Err(TreeError::PathTooLong { bytes: text.len() });
        }
        let mut steps = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            rest = element(text, &mut steps);
        }
        Ok(Self(steps))
    }

    /// The path of these steps.
    pub fn from_steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(steps.into_iter().collect())
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// True for the path of the whole tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Path {
    type Err = TreeError;

    fn from_str(text: &str) -> Result<Self, TreeError> {
        Self::parse(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 && matches!(step, Step::Key(_)) {
                f.write_str("/")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write_key(f, key, &['/', '[']),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Select { keys, value } => {
                f.write_str("[")?;
                for (at, key) in keys.iter().enumerate() {
                    if at > 0 {
                        f.write_str("/")?;
                    }
                    write_key(f, key, &['/', '=', '[', ']'])?;
                }
                f.write_str("=")?;
                if value.starts_with('\'') || value.contains(']') {
                    write_quoted(f, value)?;
                } else {
                    f.write_str(value)?;
                }
                f.write_str("]")
            }
        }
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &str, special: &[char]) -> fmt::Result {
    if is_dropped(key) || key.starts_with('\'') || key.contains(special) {
        write_quoted(f, key)
    } else {
        f.write_str(key)
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

fn is_dropped(key: &str) -> bool {
    key.is_empty() || key == "."
}

/// Reads the element at the start of a text, and returns what follows its `/`.
fn element<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    let (mut key, mut at) = quoted(text).unwrap_or_default();
    let was_quoted = at > 0;
    let mut items = Vec::new();
    while let Some(c) = text[at..].chars().next() {
        if c == '/' {
            break;
        }
        if c == '['
            && let Some((found, length)) = items_at(&text[at..])
        {
            items = found;
            at += length;
            break;
        }
        key.push(c);
        at += c.len_utf8();
    }
    if was_quoted || !is_dropped(&key) {
        steps.push(Step::Key(key));
    }
    steps.append(&mut items);
    // What stopped the loop before the end is a `/`.
    (at < text.len()).then(|| &text[at + 1..])
}

/// Reads brackets that reach to the end of the element; `None` when they are part of its name.
fn items_at(text: &str) -> Option<(Vec<Step>, usize)> {
    let mut steps = Vec::new();
    let mut at = 0;
    while let Some(inside) = text[at..].strip_prefix('[') {
        let (step, length) = item(inside)?;
        steps.push(step);
        at += 1 + length;
    }
    (at == text.len() || text[at..].starts_with('/')).then_some((steps, at))
}

/// Reads what stands between brackets, with the closing one.
fn item(text: &str) -> Option<(Step, usize)> {
    let end = text.find(']')?;
    if let Ok(index) = text[..end].parse() {
        return Some((Step::Index(index), end + 1));
    }
    let mut keys = Vec::new();
    let mut at = 0;
    loop {
        let (key, length) = word(&text[at..], &['/', '=', '[', ']']);
        if !is_dropped(&key) || text[at..].starts_with('\'') {
            keys.push(key);
        }
        at += length + 1;
        match text[at - 1..].chars().next()? {
            '/' => {}
            '=' => break,
            _ => return None,
        }
    }
    let (value, length) = word(&text[at..], &[']']);
    at += length;
    text[at..].starts_with(']').then_some((Step::Select { keys, value }, at + 1))
}

/// Reads up to one of the characters or the end; they may stand within a quoted start.
fn word(text: &str, stops: &[char]) -> (String, usize) {
    let (mut word, start) = quoted(text).unwrap_or_default();
    let end = text[start..].find(stops).map_or(text.len(), |at| start + at);
    word.push_str(&text[start..end]);
    (word, end)
}

/// Reads a quoted text at the start; `None` where there is none or it has no end.
fn quoted(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('\'')?;
    let mut unquoted = String::new();
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            unquoted.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            unquoted.push('\'');
        } else {
            return Some((unquoted, at + 2)); // both quotes are one byte long
        }
    }
    None
}
