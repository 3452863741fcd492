//! Switches with a value, as Go has them: `--pretend=true`, `-q=false`.

use std::ffi::OsStr;

use clap::builder::{BoolishValueParser, ValueParser};
use clap::{ArgAction, Command};

/// The command with switches that take `=true` and `=false` besides standing alone. Only where one
/// of the words has a value: help, completions and the manual show switches as people write them.
pub fn with_values<T: AsRef<OsStr>>(command: Command, words: &[T]) -> Command {
    let has_value = |word: &OsStr| {
        let word = word.to_string_lossy();
        word.starts_with('-') && word.contains('=')
    };
    if words.iter().any(|word| has_value(word.as_ref())) { taking(command) } else { command }
}

fn taking(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        // One that must be there has no default to fall back to.
        if !matches!(arg.get_action(), ArgAction::SetTrue) || arg.is_required_set() {
            return arg;
        }
        // A value behind a space belongs to nobody, as in Go.
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_parser(ValueParser::from(BoolishValueParser::new()))
    });
    command.mut_subcommands(taking)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::with_values;
    use crate::cli::tree;

    #[test]
    fn switches_stand_alone_or_have_a_value_behind_an_equals_sign() {
        let read = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let switch = |name: &'static str, short: char| {
                Arg::new(name).long(name).short(short).action(ArgAction::SetTrue)
            };
            let below = Command::new("ls").arg(switch("quiet", 'q')).arg(switch("all", 'a'));
            let below = below.arg(Arg::new("path").num_args(0..));
            let tree = Command::new("x").arg(switch("stack", 's').global(true)).subcommand(below);
            let matches = with_values(tree, &words).try_get_matches_from(&words).ok()?;
            let ls = matches.subcommand_matches("ls")?;
            let paths = ls.get_many::<String>("path").map_or(0, Iterator::count);
            Some((ls.get_flag("quiet"), ls.get_flag("all"), ls.get_flag("stack"), paths))
        };
        for (line, found) in [
            ("x ls", Some((false, false, false, 0))),
            ("x ls -qa --stack", Some((true, true, true, 0))),
            ("x ls -qa --stack=false", Some((true, true, false, 0))),
            ("x --stack=true ls --quiet=1 -a=F", Some((true, false, true, 0))),
            ("x ls --quiet=true --all false", Some((true, true, false, 1))),
            ("x ls --quiet=perhaps", None),
        ] {
            assert_eq!(read(line), found, "{line}");
        }
    }

    #[test]
    fn the_tree_is_sound_with_values() {
        with_values(tree::command(), &["regrow", "--log-stack=false"]).debug_assert();
    }
}
