//! The list of what is answered, and that each of it stands in a golden file.

use regrow_catalog::http::endpoints;

#[test]
fn every_endpoint_has_a_recorded_answer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut recorded = String::new();
    for file in std::fs::read_dir(folder).expect("the folder") {
        let path = file.expect("a file").path();
        recorded.push_str(&std::fs::read_to_string(path).expect("its text"));
    }
    let targets: Vec<&str> = recorded
        .lines()
        .filter_map(|line| line.split_once(" /"))
        .filter(|(method, _)| method.chars().all(|letter| letter.is_ascii_uppercase()))
        .map(|(_, target)| target.split('?').next().unwrap_or_default())
        .collect();
    for (path, _) in endpoints() {
        let bare = path.trim_start_matches('/');
        let found = targets.iter().any(|target| match bare.ends_with('/') {
            true => target.starts_with(bare),
            false => *target == bare,
        });
        assert!(found, "{path} is answered, and no golden file has it");
    }
}
