//! Command lines.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn read(line: &str) -> Flags {
    parse(&words(line), None).expect("a good command line")
}

fn fault(line: &str) -> String {
    parse(&words(line), None).expect_err("a wrong command line").to_string()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn each_flag_has_its_mode() {
    let variables = |list| Mode::Putenv(pairs(list).into_iter().collect());
    for (line, mode) in [
        ("", Mode::Run),
        ("-config x", Mode::Run),
        ("-version", Mode::Version),
        ("--version", Mode::Version),
        ("-version=T", Mode::Version),
        ("-version=false", Mode::Run),
        ("-template", Mode::Template { out: None }),
        ("-template -out -", Mode::Template { out: None }),
        ("-template -out=", Mode::Template { out: None }),
        ("-template -out /x", Mode::Template { out: Some(PathBuf::from("/x")) }),
        ("-template -out file:///x", Mode::Template { out: Some(PathBuf::from("/x")) }),
        ("-reload", Mode::Reload),
        ("-maintenance enable", Mode::Maintenance(true)),
        ("--maintenance=disable", Mode::Maintenance(false)),
        ("-maintenance enabled", Mode::Maintenance(false)),
        ("-maintenance=", Mode::Run),
        ("-putenv A=1 -putenv=B=2=3 -putenv C=", variables(&[("A", "1"), ("B", "2=3"), ("C", "")])),
        ("-putenv A=1 -putenv A=2", variables(&[("A", "2")])),
        ("-putmetric m=1 --putmetric m=2", Mode::Putmetric(pairs(&[("m", "1"), ("m", "2")]))),
        ("-ping", Mode::Ping),
        ("-h", Mode::Help),
        ("-config x --help -nonsense", Mode::Help),
    ] {
        assert_eq!(read(line).mode, mode, "{line:?}");
    }
}

#[test]
fn the_first_mode_of_the_order_wins() {
    let order = ["-version", "-template", "-reload", "-maintenance enable", "-putenv a=b"];
    let order: Vec<_> = order.into_iter().chain(["-putmetric a=b", "-ping"]).collect();
    for (at, first) in order.iter().enumerate() {
        for later in &order[at + 1..] {
            assert_eq!(
                read(&format!("{later} {first}")).mode,
                read(first).mode,
                "{first}, {later}"
            );
        }
    }
}

#[test]
fn wrong_command_lines_are_told() {
    for (line, text) in [
        ("-nonsense", "flag provided but not defined: -nonsense"),
        ("--nonsense=1", "flag provided but not defined: -nonsense"),
        ("-config", "flag needs an argument: -config"),
        ("-ping -maintenance", "flag needs an argument: -maintenance"),
        ("---ping", "bad flag syntax: ---ping"),
        ("-=x", "bad flag syntax: -=x"),
        ("-ping=maybe", r#"invalid boolean value "maybe" for -ping: parse error"#),
        ("-putenv A", r#"invalid value "A" for flag -putenv: expected NAME=VALUE"#),
        ("-version -putmetric A", r#"invalid value "A" for flag -putmetric: expected NAME=VALUE"#),
    ] {
        assert_eq!(fault(line), text, "{line:?}");
    }
}

#[test]
fn the_words_after_the_flags_are_the_application() {
    for (line, app) in [
        ("-config x node server.js -port 1", "node server.js -port 1"),
        ("-config x -- -odd -name", "-odd -name"),
        ("-ping - x", "- x"),
        ("-ping true", "true"),
    ] {
        assert_eq!(read(line).app, words(app), "{line:?}");
    }
}

#[test]
fn the_configuration_is_where_the_flag_or_the_variable_says() {
    let path = |path: &str| Some(Source::Path(path.into()));
    let from = |line: &str, variable| parse(&words(line), variable).expect("good").source;
    assert_eq!(from("", None), None);
    assert_eq!(from("", Some("")), None);
    assert_eq!(from("", Some("/env")), path("/env"));
    assert_eq!(from("-config /flag", Some("/env")), path("/flag"));
    assert_eq!(from("-config=/one --config /two", None), path("/two"));
    assert_eq!(from("-config file:///etc/cp.json", None), path("/etc/cp.json"));
    assert_eq!(from("", Some("file:///etc/cp.json")), path("/etc/cp.json"));
    let text = "\n {\"consul\": \"x\"}";
    assert_eq!(from("", Some(text)), Some(Source::Text(text.to_owned())));
}

#[test]
fn the_usage_names_every_flag() {
    let usage = usage();
    for flag in go::FLAGS {
        assert!(usage.contains(&format!("  -{}", flag.name)), "{}", flag.name);
    }
}

proptest! {
    #[test]
    fn any_words_are_read_or_refused(words in proptest::collection::vec("(-{0,3}[a-z=]{0,9}|.{0,5})", 0..6)) {
        if let Ok(flags) = parse(&words, None) {
            // What was not read as a flag is still there, at the end.
            prop_assert!(words.ends_with(&flags.app));
        }
    }
}
