//! Weak typing, names, faults.

use super::super::tree::read;
use super::*;
use std::path::Path;

const KNOWN: &[&str] = &["name", "count", "flag", "list", "inner", "pairs"];

fn node(text: &str) -> Node {
    read(text, Path::new("a.json5")).expect("it reads")
}

fn with<T>(text: &str, get: impl FnOnce(&Block<'_>, &mut Faults) -> T) -> Result<T, String> {
    let node = node(text);
    let mut faults = Faults::default();
    let block = Block::open(&mut faults, "[0]".into(), &node, KNOWN);
    let value = get(&block, &mut faults);
    faults.check().map(|()| value).map_err(|fault| fault.text)
}

#[test]
fn names_match_in_any_case_and_exact_ones_win() {
    let name = |text| with(text, |block, faults| block.text(faults, "name"));
    assert_eq!(name("{NAME: 'a'}"), Ok("a".into()));
    assert_eq!(name("{name: 'a', name: 'b'}"), Ok("b".into()));
    let error = name("{NAME: 'a', name: 'b', nam_e: 1}").expect_err("two are unknown");
    assert_eq!(error, "1 error(s) decoding:\n\n* '[0]' has invalid keys: NAME, nam_e");
}

#[test]
fn texts_are_made_of_scalars() {
    let name = |text| with(text, |block, faults| block.text(faults, "name"));
    assert_eq!(name("{name: 8080}"), Ok("8080".into()));
    assert_eq!(name("{name: 12345678901}"), Ok("12345678901".into()));
    assert_eq!(name("{name: 1.50}"), Ok("1.5".into()));
    assert_eq!(name("{name: true}"), Ok("1".into()));
    assert_eq!(name("{name: null}"), Ok(String::new()));
    let error = "1 error(s) decoding:\n\n* '[0].name' expected type 'string', got unconvertible type '[]interface {}'";
    assert_eq!(name("{name: []}"), Err(error.into()));
}

#[test]
fn whole_numbers_are_made_of_scalars() {
    let count = |text: &str| with(text, |block, faults| block.int(faults, "count"));
    assert_eq!(count("{count: 1.7}"), Ok(1));
    assert_eq!(count("{count: -1.7}"), Ok(-1));
    assert_eq!(count("{count: '7'}"), Ok(7));
    assert_eq!(count("{count: '0x1f'}"), Ok(31));
    assert_eq!(count("{count: '-017'}"), Ok(-15));
    assert_eq!(count("{count: true}"), Ok(1));
    let error = "1 error(s) decoding:\n\n* cannot parse '[0].count' as int: strconv.ParseInt: parsing \"x\": invalid syntax";
    assert_eq!(count("{count: 'x'}"), Err(error.into()));
    for out_of_range in ["Infinity", "NaN", "1e300", "'99999999999999999999'"] {
        let text = format!("{{count: {out_of_range}}}");
        assert!(count(&text).is_err(), "{out_of_range}");
    }
}

#[test]
fn flags_are_made_of_scalars() {
    let flag = |text| with(text, |block, faults| block.flag(faults, "flag"));
    assert_eq!(flag("{flag: 2}"), Ok(Some(true)));
    assert_eq!(flag("{flag: 'f'}"), Ok(Some(false)));
    assert_eq!(flag("{flag: ''}"), Ok(Some(false)));
    assert_eq!(flag("{}"), Ok(None));
    assert!(flag("{flag: 'yes'}").expect_err("no flag").contains("strconv.ParseBool"));
}

#[test]
fn one_value_stands_for_a_list() {
    let texts = |text| with(text, |block, faults| block.texts(faults, "list"));
    assert_eq!(texts("{list: 'a'}"), Ok(vec!["a".into()]));
    assert_eq!(texts("{list: ['a', 1]}"), Ok(vec!["a".into(), "1".into()]));
    assert_eq!(texts("{list: {}}"), Ok(vec![]));
    assert!(texts("{list: [[]]}").expect_err("nested").contains("'[0].list[0]' expected"));
}

#[test]
fn all_faults_are_told_sorted_with_their_places() {
    let node = node("{name: {}, x: 1,\n inner: 5}");
    let mut faults = Faults::default();
    let block = Block::open(&mut faults, "[2]".into(), &node, KNOWN);
    block.text(&mut faults, "name");
    block.block(&mut faults, "inner", &["a"]);
    let fault = faults.check().expect_err("three faults");
    let expected = "3 error(s) decoding:\n\n* '[2]' has invalid keys: x\n* '[2].inner' expected a map, got 'float64'\n* '[2].name' expected type 'string', got unconvertible type 'map[string]interface {}'";
    assert_eq!(fault.text, expected);
    let places: Vec<String> = fault.places.iter().map(Place::to_string).collect();
    assert_eq!(places, ["1:8", "1:15", "2:9"]);
}
