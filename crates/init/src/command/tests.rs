//! The block of a command against a stored sample, and under random bytes.

use proptest::prelude::*;

use super::*;

fn command() -> Command {
    let pair = |(name, value): (&str, &str)| (name.into(), value.into());
    Command {
        arguments: ["sh", "-c", "", "a b"].map(Into::into).into(),
        environment: [("PATH", "/bin:/usr/bin"), ("EQ", "a=b"), ("EMPTY", "")].map(pair).into(),
        directory: "/srv".into(),
    }
}

fn read(block: &[u8]) -> Option<(Vec<String>, usize)> {
    let parts = Parts::parse(block)?;
    let texts = Some(parts.directory).into_iter().chain(parts.texts());
    let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    Some((texts, parts.arguments))
}

#[test]
fn a_block_is_as_stored_and_reads_back() {
    let stored = include_bytes!("../../tests/samples/command-1.bin");
    assert_eq!(command().to_bytes().expect("valid"), stored);
    let texts = ["/srv", "sh", "-c", "", "a b", "PATH=/bin:/usr/bin", "EQ=a=b", "EMPTY="];
    let texts = texts.map(|text| format!("{text}\0")).to_vec();
    assert_eq!(read(stored), Some((texts, 4)));
}

#[test]
fn what_no_process_can_have_is_refused() {
    let refused = |change: fn(&mut Command)| {
        let mut command = command();
        change(&mut command);
        command.to_bytes().map(drop).map_err(|error| error.kind())
    };
    let invalid = Err(io::ErrorKind::InvalidInput);
    assert_eq!(refused(|command| command.arguments.clear()), invalid);
    assert_eq!(refused(|command| command.arguments[1] = "a\0b".into()), invalid);
    assert_eq!(refused(|command| command.environment[0].1 = "\0".into()), invalid);
    assert_eq!(refused(|command| command.directory = "\0".into()), invalid);
    assert_eq!(refused(|command| command.arguments[1] = "x".repeat(BYTES_MAX).into()), invalid);
    assert_eq!(refused(|command| command.environment.clear()), Ok(()));
}

#[test]
fn a_block_with_one_byte_changed_or_missing_is_read_as_what_it_says_or_not_at_all() {
    let block = command().to_bytes().expect("valid");
    for end in 0..block.len() {
        assert_eq!(read(&block[..end]), None, "cut at {end}");
    }
    for at in 0..HEAD {
        let mut block = block.clone();
        block[at] ^= 1;
        assert_eq!(read(&block).filter(|(_, arguments)| *arguments == 4), None, "changed at {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_bounds(block in prop::collection::vec(0_u8..4, 0..200)) {
        if let Some(parts) = Parts::parse(&block) {
            prop_assert!(parts.arguments > 0 && parts.texts().count() == parts.count);
            prop_assert!(parts.texts().all(|text| text.iter().filter(|byte| **byte == 0).count() == 1));
        }
    }

    #[test]
    fn any_command_reads_back(arguments in prop::collection::vec("[^\0]{0,9}", 1..9),
                              values in prop::collection::vec("[^\0]{0,9}", 0..9)) {
        let command = Command {
            arguments: arguments.iter().map(Into::into).collect(),
            environment: values.iter().map(|value| ("N".into(), value.into())).collect(),
            directory: PathBuf::new(),
        };
        let (texts, count) = read(&command.to_bytes().expect("valid")).expect("reads back");
        prop_assert_eq!(count, arguments.len());
        let environment = values.iter().map(|value| format!("N={value}"));
        let expected: Vec<String> = Some(String::new()).into_iter()
            .chain(arguments).chain(environment).map(|text| format!("{text}\0")).collect();
        prop_assert_eq!(texts, expected);
    }
}
