//! The block of a command against a stored sample, and under random bytes.

use proptest::prelude::*;

use super::*;

fn command() -> Command<'static> {
    let pair = |(name, value)| (OsStr::new(name), OsStr::new(value));
    Command {
        arguments: ["sh", "-c", "", "a b"].map(OsStr::new).into(),
        environment: [("PATH", "/bin:/usr/bin"), ("EQ", "a=b"), ("EMPTY", "")].map(pair).into(),
        directory: Path::new("/srv"),
    }
}

fn read(block: &[u8]) -> Option<(Vec<String>, usize)> {
    let mut block = block.to_owned();
    let parts = Parts::parse(&mut block)?;
    assert_eq!(parts.room, vec![0; parts.places * POINTER]);
    let texts = parts.strings.split_inclusive(|byte| *byte == 0);
    let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    Some((texts, parts.arguments))
}

#[test]
fn a_block_is_as_stored_and_reads_back() {
    let stored = include_bytes!("../../tests/samples/command-2.bin");
    assert_eq!(command().to_bytes().expect("valid"), stored);
    let texts = ["sh", "-c", "", "a b", "/srv", "PATH=/bin:/usr/bin", "EQ=a=b", "EMPTY="];
    let texts = texts.map(|text| format!("{text}\0")).to_vec();
    assert_eq!(read(stored), Some((texts, 4)));
}

#[test]
fn what_no_process_can_have_is_refused() {
    let long = "x".repeat(BYTES_MAX);
    let kind = |command: Command<'_>| command.to_bytes().map(drop).map_err(|error| error.kind());
    let refused = |change: fn(&mut Command<'_>)| {
        let mut command = command();
        change(&mut command);
        kind(command)
    };
    let invalid = Err(io::ErrorKind::InvalidInput);
    assert_eq!(refused(|command| command.arguments.clear()), invalid);
    assert_eq!(refused(|command| command.arguments[1] = OsStr::new("a\0b")), invalid);
    assert_eq!(refused(|command| command.environment[0].1 = OsStr::new("\0")), invalid);
    assert_eq!(refused(|command| command.directory = Path::new("\0")), invalid);
    assert_eq!(kind(Command { arguments: vec![OsStr::new(&long)], ..command() }), invalid);
    assert_eq!(refused(|command| command.environment.clear()), Ok(()));
}

#[test]
fn a_block_with_one_byte_changed_or_missing_is_read_as_what_it_says_or_not_at_all() {
    let block = command().to_bytes().expect("valid");
    for end in 0..block.len() {
        assert_eq!(read(&block[..end]), None, "cut at {end}");
    }
    for at in 0..3 * 8 {
        let mut block = block.clone();
        block[at] ^= 1;
        assert_eq!(read(&block).filter(|(_, arguments)| *arguments == 4), None, "changed at {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_bounds(numbers in prop::array::uniform3(0_u64..9),
                                        rest in prop::collection::vec(0_u8..2, 0..200)) {
        let mut block = [numbers.map(u64::to_le_bytes).as_flattened(), &rest].concat();
        let size = block.len();
        if let Some(parts) = Parts::parse(&mut block) {
            prop_assert!((1..parts.places - 1).contains(&parts.arguments));
            prop_assert_eq!(parts.room.len(), parts.places * POINTER);
            prop_assert_eq!(24 + parts.room.len() + parts.strings.len(), size);
            let texts = parts.strings.split_inclusive(|byte| *byte == 0);
            prop_assert_eq!(texts.count(), parts.places - 1);
        }
    }

    #[test]
    fn any_command_reads_back(arguments in prop::collection::vec("[^\0]{0,9}", 1..9),
                              values in prop::collection::vec("[^\0]{0,9}", 0..9)) {
        let command = Command {
            arguments: arguments.iter().map(OsStr::new).collect(),
            environment: values.iter().map(|value| (OsStr::new("N"), OsStr::new(value))).collect(),
            directory: Path::new(""),
        };
        let (texts, count) = read(&command.to_bytes().expect("valid")).expect("reads back");
        prop_assert_eq!(count, arguments.len());
        let environment = values.iter().map(|value| format!("N={value}"));
        let expected: Vec<String> = arguments.into_iter()
            .chain([String::new()]).chain(environment).map(|text| format!("{text}\0")).collect();
        prop_assert_eq!(texts, expected);
    }
}
