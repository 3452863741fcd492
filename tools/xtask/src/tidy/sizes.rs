//! Sizes: lines per file and per crate, lines per function.

use super::tree::{File, World};
use super::{Report, scan};

/// A file above this is split; no exception.
const FILE_LINES_MAX: usize = 1_000;
/// Above this a file is worth a look: nine of ten should be below.
const FILE_LINES_WARN: usize = 500;
/// What fits a screen; clippy has the same threshold.
const FUNCTION_LINES_WARN: usize = 70;
/// Half of all files should be shorter than this.
const FILE_LINES_P50: usize = 200;

/// Most lines of code of a crate, without tests, comments and blank lines. What runs as the first process
/// may not fail, so it stays as short as something that is read as a whole.
const CODE_LINES_MAX: &[(&str, usize)] = &[("init", 900)];

/// Files that are written and read by people; data and lock files are not.
const COUNTED: &[&str] = &[".rs", ".md", ".py", ".sh", ".toml", ".html", ".css", ".js"];

pub fn check(world: &World, report: &mut Report) {
    for file in &world.files {
        check_file(file, report);
    }
    let functions = check_functions(world, report);
    for member in &world.members {
        for (_, max) in CODE_LINES_MAX.iter().filter(|(name, _)| *name == member.name) {
            check_code(&member.dir, *max, &world.files, report);
        }
    }
    report.note(table(world));
    report.note(functions);
}

fn check_file(file: &File, report: &mut Report) {
    let lines = file.line_count();
    if !COUNTED.iter().any(|end| file.path.ends_with(end)) {
        return;
    }
    if lines > FILE_LINES_MAX {
        let what = format!(
            "{lines} lines; expected at most {FILE_LINES_MAX}; split it by subject, tests into \
             a sibling file"
        );
        report.hard(&file.path, 1, what);
    } else if lines > FILE_LINES_WARN && file.is_rust() {
        let what =
            format!("{lines} lines; expected at most {FILE_LINES_WARN}; look for a second subject");
        report.warn(&file.path, 1, what);
    }
}

/// Counts the code of one crate.
fn check_code(dir: &str, max: usize, files: &[File], report: &mut Report) {
    let sources = format!("{dir}/src/");
    let own = files.iter().filter(|file| file.is_rust() && file.path.starts_with(&sources));
    let lines: usize = own.map(File::code_lines).sum();
    report.note(format!("{dir}: {lines} lines of code, at most {max}"));
    if lines > max {
        let what = format!(
            "{lines} lines of code; expected at most {max}; take a concept out of the crate"
        );
        report.hard(&format!("{dir}/Cargo.toml"), 1, what);
    }
}

/// Lists the long functions outside tests; returns the line of figures.
fn check_functions(world: &World, report: &mut Report) -> String {
    let mut lengths = Vec::new();
    for file in world.files.iter().filter(|file| file.is_rust()) {
        for function in scan::functions(&file.code) {
            if file.is_test_line(function.line) {
                continue;
            }
            lengths.push(function.lines);
            if function.lines > FUNCTION_LINES_WARN {
                let what = format!(
                    "function `{}` has {} lines; expected at most {FUNCTION_LINES_WARN}; give \
                     its parts names",
                    function.name, function.lines
                );
                report.warn(&file.path, function.line, what);
            }
        }
    }
    let long = lengths.iter().filter(|lines| **lines > FUNCTION_LINES_WARN).count();
    let Spread { count, p50, p90, max, .. } = Spread::of(lengths);
    format!(
        "functions outside tests: {count}, lines p50 {p50}, p90 {p90}, max {max}; \
         {long} above {FUNCTION_LINES_WARN}\n"
    )
}

/// Count, sum and quantiles of some lengths.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spread {
    count: usize,
    sum: usize,
    p50: usize,
    p90: usize,
    max: usize,
}

impl Spread {
    fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        // Nearest rank: the smallest value that at least so many per cent do not exceed.
        let rank = |percent: usize| {
            let index = (lengths.len() * percent).div_ceil(100).saturating_sub(1);
            lengths.get(index).copied().unwrap_or(0)
        };
        Self {
            count: lengths.len(),
            sum: lengths.iter().sum(),
            p50: rank(50),
            p90: rank(90),
            max: rank(100),
        }
    }

    fn row(&self, name: &str) -> String {
        let Self { count, sum, p50, p90, max } = self;
        format!("{name:<20}{count:>6}{sum:>8}{p50:>6}{p90:>6}{max:>6}\n")
    }
}

/// Rust files by crate, then the whole tree. Tests inside a file count with it, test files count
/// alone.
fn table(world: &World) -> String {
    let spread = |keep: &dyn Fn(&File) -> bool| {
        let files = world.files.iter().filter(|file| file.is_rust() && keep(file));
        Spread::of(files.map(File::line_count).collect())
    };
    let mut text =
        format!("{:<20}{:>6}{:>8}{:>6}{:>6}{:>6}\n", "Rust", "files", "lines", "p50", "p90", "max");
    for member in &world.members {
        let own =
            |file: &File| world.owner(&file.path).is_some_and(|owner| owner.dir == member.dir);
        text.push_str(&spread(&|file| own(file) && !file.test).row(&member.dir));
        let tests = spread(&|file| own(file) && file.test);
        if tests.count > 0 {
            text.push_str(&tests.row("  test files"));
        }
    }
    let all = spread(&|file| !file.test);
    text.push_str(&all.row("all source files"));
    text.push_str(&spread(&|file| file.test).row("all test files"));
    let met = all.p50 <= FILE_LINES_P50 && all.p90 <= FILE_LINES_WARN && all.max <= FILE_LINES_MAX;
    let verdict = if met { "met" } else { "missed" };
    text.push_str(&format!(
        "target p50 <= {FILE_LINES_P50}, p90 <= {FILE_LINES_WARN}, \
         max <= {FILE_LINES_MAX}: {verdict}\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let spread = Spread::of((1..=10).rev().collect());
        assert_eq!(spread, Spread { count: 10, sum: 55, p50: 5, p90: 9, max: 10 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn a_crate_over_its_limit_of_code_is_hard() {
        let text = "//! What.\n\nfn a() {}\n/* b\n   c */\n#[cfg(test)]\nmod tests {\n}\n";
        let files = [
            File::new("crates/x/src/a.rs", text.to_owned()),
            File::new("crates/x/src/a/tests.rs", "fn b() {}\n".to_owned()),
            File::new("crates/x/tests/it/main.rs", "fn b() {}\n".to_owned()),
            File::new("crates/x/src/b.rs", "fn a() {\n    b(\" \")\n}\n".to_owned()),
            File::new("crates/xy/src/a.rs", "fn b() {}\n".to_owned()),
        ];
        let found = |max| {
            let mut report = Report::default();
            check_code("crates/x", max, &files, &mut report);
            report.findings.len()
        };
        assert_eq!((found(4), found(3)), (0, 1));
    }

    #[test]
    fn a_file_over_the_limit_is_hard() {
        let mut report = Report::default();
        check_file(&File::new("crates/x/src/a.rs", "\n".repeat(1_001)), &mut report);
        check_file(&File::new("crates/x/src/b.rs", "\n".repeat(501)), &mut report);
        check_file(&File::new("Cargo.lock", "\n".repeat(5_000)), &mut report);
        let hard: Vec<bool> = report.findings.iter().map(|finding| finding.hard).collect();
        assert_eq!(hard, [true, false]);
    }
}
