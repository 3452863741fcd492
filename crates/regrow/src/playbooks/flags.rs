//! The flags that a callable declares, and their values.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::{Arg, ArgAction, ArgMatches, Command};
use regrow_ids::GoDuration;
use regrow_template::{Args, CallError, JsonNumbers, Value};

/// Types of flags, as callables name them.
const TYPES: [&str; 6] = ["string", "int", "float", "bool", "ip", "duration"];

/// A flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Flag {
    /// Name on the command line.
    pub name: String,
    /// One of [`TYPES`].
    pub kind: String,
    /// What it is for.
    pub about: String,
    /// Whether it is a list with commas.
    pub list: bool,
}

/// The flags of one callable in order of declaration, and the values that were given.
#[derive(Clone, Default)]
pub struct Flags(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    flags: Vec<Flag>,
    given: Option<Vec<(String, Value)>>,
}

impl Flags {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of `flag name type description [default]`: declares it; yields the value that was
    /// given, else the default, else nothing.
    pub fn declare(&self, args: &Args<'_>, list: bool) -> Result<Value, CallError> {
        args.check_count(3, 4)?;
        let (name, kind, about) = (args.text(0)?, args.text(1)?, args.text(2)?);
        if !TYPES.contains(&kind) {
            return Err(args.fail(format!("type {kind:?} is not one of {}", TYPES.join(", "))));
        }
        let flag =
            Flag { name: name.to_owned(), kind: kind.to_owned(), about: about.to_owned(), list };
        let mut inner = self.lock();
        if !inner.flags.iter().any(|known| known.name == flag.name) {
            inner.flags.push(flag);
        }
        let given = inner.given.as_ref();
        let value = given.and_then(|all| all.iter().find(|(known, _)| known == name));
        Ok(value.map_or_else(|| args.any(3).clone(), |(_, value)| value.clone()))
    }

    /// True while the flags are only collected.
    pub fn is_collecting(&self) -> bool {
        self.lock().given.is_none()
    }

    /// True if a flag of that name is declared.
    pub fn has(&self, name: &str) -> bool {
        self.lock().flags.iter().any(|flag| flag.name == name)
    }

    /// Adds the flags to a command.
    pub fn augment(&self, command: Command) -> Command {
        self.lock().flags.iter().fold(command, |command, flag| {
            let arg = Arg::new(flag.name.clone())
                .long(flag.name.clone())
                .help(flag.about.clone())
                .value_name(flag.kind.to_uppercase())
                .allow_negative_numbers(["int", "float"].contains(&flag.kind.as_str()))
                .action(ArgAction::Set);
            let arg = match (flag.kind.as_str(), flag.list) {
                ("bool", false) => arg.num_args(0..=1).default_missing_value("true"),
                _ => arg,
            };
            let (kind, list) = (flag.kind.clone(), flag.list);
            command.arg(arg.value_parser(move |text: &str| check(text, &kind, list)))
        })
    }

    /// Takes the values from the command line.
    pub fn fill(&self, matches: &ArgMatches) {
        let mut inner = self.lock();
        let values = inner.flags.iter().filter_map(|flag| {
            let text = matches.get_one::<String>(&flag.name)?;
            Some((flag.name.clone(), read(text, &flag.kind, flag.list)))
        });
        inner.given = Some(values.collect());
    }
}

fn check(text: &str, kind: &str, list: bool) -> Result<String, String> {
    let parts: Vec<_> = if list { text.split(',').collect() } else { vec![text] };
    for part in parts {
        let fault = match kind {
            "int" => part.parse::<i64>().err().map(|fault| fault.to_string()),
            "float" => part.parse::<f64>().err().map(|fault| fault.to_string()),
            "bool" if truth(part).is_none() => {
                Some("expected true or false, yes or no, or a number (above 0 is yes)".to_owned())
            }
            "ip" => part.parse::<IpAddr>().err().map(|fault| fault.to_string()),
            "duration" => part.parse::<GoDuration>().err().map(|fault| fault.to_string()),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(fault);
        }
    }
    Ok(text.to_owned())
}

/// What InfraKit's flags and questions take for yes and for no; a number above zero is a yes too.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "ok" => Some(true),
        "false" | "f" | "no" | "n" | "nope" => Some(false),
        word => word.parse::<f64>().ok().map(|number| number > 0.0),
    }
}

/// A text as a value of a type; what does not fit stays a text.
pub fn read(text: &str, kind: &str, list: bool) -> Value {
    let json = |part: &str| match kind {
        "int" => part.parse::<i64>().map_or_else(|_| part.into(), serde_json::Value::from),
        "float" => part.parse::<f64>().map_or_else(|_| part.into(), serde_json::Value::from),
        "bool" => serde_json::Value::from(truth(part).unwrap_or(false)),
        _ => part.into(),
    };
    let value = if list { text.split(',').map(json).collect() } else { json(text) };
    Value::from_json(&value, JsonNumbers::Exact)
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use regrow_template::{Args, Value};

    use super::Flags;

    #[test]
    fn yes_and_no_have_many_words() {
        for (text, yes) in [
            ("yes", true),
            ("OK", true),
            ("t", true),
            ("2", true),
            ("no", false),
            ("0", false),
            ("", false),
            ("maybe", false),
        ] {
            let value = super::read(text, "bool", false);
            assert_eq!(value.to_string(), yes.to_string(), "{text:?}");
        }
    }

    #[test]
    fn a_flag_is_yes_or_no_in_many_words() {
        let flags = Flags::default();
        let declare = || {
            let words = ["start", "bool", "whether"].map(Value::from);
            flags.declare(&Args::new("flag", &words), false)
        };
        declare().expect("declared");
        let command = || flags.augment(Command::new("op").no_binary_name(true));
        for (given, value) in [
            (vec!["--start"], "true"),
            (vec!["--start", "1"], "true"),
            (vec!["--start=yes"], "true"),
            (vec!["--start", "0"], "false"),
            (vec!["--start", "no"], "false"),
            (vec!["--start", "FALSE"], "false"),
        ] {
            flags.fill(&command().try_get_matches_from(&given).expect("valid"));
            assert_eq!(declare().expect("declared").to_string(), value, "{given:?}");
        }
        assert!(command().try_get_matches_from(["--start", "maybe"]).is_err());
    }

    #[test]
    fn flags_are_declared_checked_and_given() {
        let flags = Flags::default();
        let declare = |words: &[&str]| {
            let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
            flags.declare(&Args::new("flag", &words), false)
        };
        assert!(declare(&["size", "int", "members", "3"]).is_ok());
        assert!(declare(&["host", "ip", "where"]).is_ok());
        assert!(declare(&["x", "colour", "no such type"]).is_err());
        let command = || flags.augment(Command::new("op").no_binary_name(true));
        assert!(command().try_get_matches_from(["--size", "many"]).is_err());
        assert!(command().try_get_matches_from(["--host", "h"]).is_err());
        let matches = command().try_get_matches_from(["--size", "5"]).expect("valid");
        flags.fill(&matches);
        let size = declare(&["size", "int", "members", "3"]).expect("declared");
        assert_eq!(size.to_string(), "5");
        assert!(matches!(declare(&["host", "ip", "where"]), Ok(Value::Nil)));
    }
}
