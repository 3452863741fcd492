//! Words to flags as Go's package `flag` reads them.

use super::UsageError;

/// A flag: its name, a word for its value (none: it is a switch) and what it does.
pub(super) struct Flag {
    pub name: &'static str,
    pub value: &'static str,
    pub help: &'static str,
}

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value, help }
}

/// All flags but `-h` and `-help`.
pub(super) const FLAGS: &[Flag] = &[
    flag(
        "config",
        "PATH",
        "file with the configuration (default: environment variable CONTAINERPILOT)",
    ),
    flag("maintenance", "WORD", "begin maintenance (enable) or end it (disable)"),
    flag("out", "PATH", "file for the output of -template; - or nothing: standard output"),
    flag("ping", "", "ask whether the supervisor answers on its control socket"),
    flag("putenv", "NAME=VALUE", "set a variable for processes that start later; may be repeated"),
    flag(
        "putmetric",
        "NAME=VALUE",
        "hand a value to a metric of the configuration; may be repeated",
    ),
    flag("reload", "", "have the supervisor read its configuration again"),
    flag("template", "", "render the templates of the configuration, print it and exit"),
    flag("version", "", "print the version and exit"),
];

/// Flags as they were given.
pub(super) struct Given {
    flags: Vec<(&'static Flag, String)>,
    /// `-h` or `-help` is among them.
    pub help: bool,
    /// The words after them.
    pub rest: Vec<String>,
}

impl Given {
    pub fn read(words: &[String]) -> Result<Self, UsageError> {
        let mut given = Self { flags: Vec::new(), help: false, rest: Vec::new() };
        let mut left = words;
        while let Some((word, after)) = left.split_first() {
            if word == "--" {
                left = after;
                break;
            }
            let Some((name, value)) = split(word)? else { break };
            left = after;
            match FLAGS.iter().find(|flag| flag.name == name) {
                None if matches!(name, "h" | "help") => {
                    // Nothing behind it is looked at.
                    given.help = true;
                    return Ok(given);
                }
                None => return Err(UsageError::Unknown(name.to_owned())),
                Some(flag) if flag.value.is_empty() => {
                    given.add(flag, value.unwrap_or("true"))?;
                }
                Some(flag) => match (value, left.split_first()) {
                    (Some(value), _) => given.add(flag, value)?,
                    (None, Some((value, after))) => {
                        left = after;
                        given.add(flag, value)?;
                    }
                    (None, None) => return Err(UsageError::NoArgument(name.to_owned())),
                },
            }
        }
        given.rest = left.to_vec();
        Ok(given)
    }

    /// Values are looked at as they come, so that the first fault is the one that is told.
    fn add(&mut self, flag: &'static Flag, value: &str) -> Result<(), UsageError> {
        let (name, value) = (flag.name.to_owned(), value.to_owned());
        if flag.value.is_empty() && truth(&value).is_none() {
            return Err(UsageError::NoSwitch { name, value });
        }
        if flag.value.contains('=') && !value.contains('=') {
            return Err(UsageError::NoPair { name, value });
        }
        self.flags.push((flag, value));
        Ok(())
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.flags.iter().filter(move |(flag, _)| flag.name == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Its last value.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.all(name).last()
    }

    /// A switch, false unless given.
    pub fn switch(&self, name: &'static str) -> bool {
        self.text(name).and_then(truth).unwrap_or_default()
    }

    /// All its pairs, each split at its first equals sign.
    pub fn pairs(&self, name: &'static str) -> Vec<(String, String)> {
        let pairs = self.all(name).filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Name and value of a flag; `None` for a word that is none.
fn split(word: &str) -> Result<Option<(&str, Option<&str>)>, UsageError> {
    let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
        return Ok(None);
    };
    let flag = flag.strip_prefix('-').unwrap_or(flag);
    if flag.is_empty() || flag.starts_with(['-', '=']) {
        return Err(UsageError::Syntax(word.to_owned()));
    }
    Ok(Some(match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    }))
}

/// The words that Go takes for true and false.
fn truth(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
