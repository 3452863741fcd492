//! The pages below `docs` show what the program does: their commands are run, and what stands below a
//! command is what it says.
//!
//! A fenced block `console` is a session. A line that begins with `$ ` is a command; the lines up to the
//! next one are its whole output, in which `…` stands for any text, and alone on a line for any lines. A
//! command that ends with ` &` goes on; the lines below it are waited for, in any order, because they
//! may come from several processes. `kill %N` ends the Nth of these. A block whose first line names a
//! second word (`yaml web.yaml`) is a file of that name.
//! Commands that only look are repeated until they say what is shown, or patience ends.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Daemon, PATIENCE, World, repository, said};

/// What a page shows, in its order.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    File { name: String, text: String },
    Command { line: String, output: Vec<String> },
}

/// The parts of a page that can be tried.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_once(' ') {
            Some((_, name)) => parts.push(Part::File {
                name: name.to_owned(),
                text: block.iter().map(|line| format!("{line}\n")).collect(),
            }),
            None if info == "console" => parts.extend(commands(&block)),
            None => {}
        }
    }
    parts
}

fn commands(block: &[&str]) -> Vec<Part> {
    let mut found: Vec<Part> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => {
                found.push(Part::Command { line: command.to_owned(), output: Vec::new() });
            }
            // A command goes on behind a backslash.
            (None, Some(Part::Command { line: command, output }))
                if output.is_empty() && command.ends_with('\\') =>
            {
                command.pop();
                command.push_str(line.trim_start());
            }
            (None, Some(Part::Command { output, .. })) => output.push((*line).to_owned()),
            (None, _) => panic!("a session begins with a command: {line}"),
        }
    }
    found
}

/// Whether a line is as shown, where `…` stands for any text.
fn alike(shown: &str, line: &str) -> bool {
    let mut pieces = shown.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Whether lines are as shown, where `…` alone stands for any lines.
fn all_alike(shown: &[String], lines: &[&str]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((first, more)), _) if first == "…" => {
            (0..=lines.len()).any(|skipped| all_alike(more, &lines[skipped..]))
        }
        (Some(_), None) => false,
        (Some((first, more)), Some((line, rest))) => {
            alike(first, line.trim_end()) && all_alike(more, rest)
        }
    }
}

/// Whether a command only looks, so that it may be repeated.
fn looks(command: &str) -> bool {
    const LOOKS: [&str; 12] = [
        "cat", "curl", "describe", "find", "get", "health", "inspect", "keys", "leader", "ls",
        "show", "status",
    ];
    let changes = command.contains(" rm ") || command.contains(">");
    !changes && command.split_whitespace().any(|word| LOOKS.contains(&word))
}

/// Whether lines are as shown in some order. Where `…` stands for lines, the order counts.
fn alike_in_any_order(shown: &[String], lines: &[&str]) -> bool {
    let mut left: Vec<&String> = shown.iter().collect();
    let all = lines.iter().all(|line| {
        let place = left.iter().position(|shown| alike(shown, line.trim_end()));
        place.map(|place| left.remove(place)).is_some_and(|shown| shown != "…")
    });
    (all && left.is_empty()) || all_alike(shown, lines)
}

/// A reader who tries a page in a home of its own.
struct Reader {
    world: World,
    running: Vec<Daemon>,
    /// Addresses that the page shows, and those that were free.
    addresses: Addresses,
}

type Addresses = BTreeMap<&'static str, String>;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What a page would show of an output.
fn shown(addresses: &Addresses, text: &str) -> String {
    addresses.iter().fold(text.to_owned(), |text, (shown, free)| text.replace(free, shown))
}

/// Lines that say where something answers, and the address that pages show for it.
const ANSWERS: [(&str, &str); 3] =
    [("HTTP on ", "127.0.0.1:8500"), ("DNS on ", "127.0.0.1:8600"), (JOINED, "127.0.0.1:7400")];
const JOINED: &str = "other nodes reach it at ";

impl Reader {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir(world.path().join("bin")).expect("folder");
        for name in ["regrow", "infrakit"] {
            let path = world.path().join("bin").join(name);
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_regrow"), path).expect("link");
        }
        let examples = world.path().join("examples");
        std::os::unix::fs::symlink(repository("examples"), examples).expect("link");
        Self { world, running: Vec::new(), addresses: BTreeMap::new() }
    }

    /// The command with free ports instead of the usual ones.
    fn with_ports(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (shown, free) in &self.addresses {
            line = line.replace(shown, free);
        }
        let ports = [
            ("regrow agent ", "--listen 127.0.0.1:0 --http 127.0.0.1:0 --dns 127.0.0.1:0 "),
            ("regrow catalog --dev", " --http 127.0.0.1:0 --dns 127.0.0.1:0"),
        ];
        for (start, flags) in ports {
            if line.starts_with(start) {
                line = line.replacen(start, &format!("{start}{flags}"), 1);
            }
        }
        line
    }

    fn shell(&self, line: &str) -> std::process::Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = self.world.foreign("sh");
        shell
            .args(["-c", &self.with_ports(line)])
            .env("PATH", format!("{}:{path}", self.world.path().join("bin").display()));
        if let Some(http) = self.addresses.get("127.0.0.1:8500") {
            shell.env("CONSUL_HTTP_ADDR", http);
        }
        shell
    }

    fn do_part(&mut self, part: &Part) {
        match part {
            Part::File { name, text } => {
                self.world.write(name, text);
            }
            Part::Command { line, output } => match line.strip_suffix(" &") {
                Some(line) => self.start(line, output),
                None if line.starts_with("kill ") => self.end(line),
                None => self.run(line, output),
            },
        }
    }

    fn start(&mut self, line: &str, output: &[String]) {
        let daemon =
            self.world.spawn_command(self.shell(&format!("exec {}", self.with_ports(line))));
        let begun = Instant::now();
        loop {
            let text = daemon.output();
            let addresses = self.learnt(&text);
            let said = shown(&addresses, &text);
            if alike_in_any_order(output, &said.lines().collect::<Vec<_>>()) {
                self.addresses = addresses;
                break;
            }
            let expected = output.join("\n");
            assert!(begun.elapsed() < PATIENCE, "$ {line} &\nshown:\n{expected}\nsaid:\n{text}");
            std::thread::sleep(PAUSE);
        }
        self.running.push(daemon);
    }

    /// Addresses after a process said this: the first agent is joined, the last one is asked.
    fn learnt(&self, said: &str) -> Addresses {
        let mut addresses = self.addresses.clone();
        for (start, shown) in ANSWERS {
            let address = said.lines().find_map(|line| line.strip_prefix(start));
            match address {
                Some(_) if start == JOINED && addresses.contains_key(shown) => {}
                Some(address) => drop(addresses.insert(shown, address.to_owned())),
                None => {}
            }
        }
        addresses
    }

    fn end(&mut self, line: &str) {
        let (start, number) = line.split_once('%').expect("kill %N");
        let number: usize = number.parse().expect("a number");
        let daemon = self.running.get_mut(number - 1).expect("it runs");
        daemon.signal(if start.contains("-9") { "KILL" } else { "TERM" });
        daemon.end();
    }

    fn run(&self, line: &str, output: &[String]) {
        let start = Instant::now();
        loop {
            let mut shell = self.shell(&format!("{{ {line}\n}} 2>&1"));
            let said = said(&shell.stdin(Stdio::null()).output().expect("run"));
            let text = shown(&self.addresses, &said.out);
            let failed = said.code != Some(0);
            let complains = output.iter().any(|shown| shown.contains("regrow: "));
            if all_alike(output, &text.lines().collect::<Vec<_>>()) && (!failed || complains) {
                return;
            }
            assert!(
                looks(line) && start.elapsed() < PATIENCE,
                "$ {line}\nshown:\n{}\nsaid, with code {:?}:\n{text}{}",
                output.join("\n"),
                said.code,
                self.running.iter().map(Daemon::output).collect::<String>()
            );
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether a program is here that not every machine has.
fn has(program: &str) -> bool {
    std::process::Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Tries all that a page shows; at least so many commands.
fn try_page(name: &str, least: usize) {
    let text = fs::read_to_string(repository(&format!("docs/{name}"))).expect("page");
    let parts = parts(&text);
    let commands = parts.iter().filter(|part| matches!(part, Part::Command { .. })).count();
    assert!(commands >= least, "{name} shows {commands} commands");
    for program in ["curl", "dig", "python3"] {
        let needs =
            |part: &Part| matches!(part, Part::Command { line, .. } if line.starts_with(program));
        if parts.iter().any(needs) && !has(program) {
            println!("not run, promise untested: docs/{name} shows what works (needs {program})");
            return;
        }
    }
    let mut reader = Reader::new();
    for part in &parts {
        reader.do_part(part);
    }
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let page = "text\n```yaml a.yaml\nkind: x\n```\n```console\n$ a \\\n  b\nc …\n…\n$ d &\n```\n```text\n$ e\n```\n";
    let command = |line: &str, output: &[&str]| Part::Command {
        line: line.to_owned(),
        output: output.iter().map(|&line| line.to_owned()).collect(),
    };
    let file = Part::File { name: "a.yaml".to_owned(), text: "kind: x\n".to_owned() };
    assert_eq!(parts(page), [file, command("a b", &["c …", "…"]), command("d &", &[])]);
    let shown = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    assert!(all_alike(&shown(&["a…c", "…", "z"]), &["abc", "1", "2", "z "]));
    assert!(!all_alike(&shown(&["a…c"]), &["abcd"]));
    assert!(!all_alike(&shown(&["a…b…b"]), &["ab"]));
    assert!(!all_alike(&shown(&["a"]), &["a", "b"]));
    assert!(alike_in_any_order(&shown(&["a…", "b"]), &["b", "ac"]));
    assert!(!alike_in_any_order(&shown(&["a…", "b"]), &["b"]));
    assert!(!alike_in_any_order(&shown(&["a…", "b"]), &["b", "b", "a"]));
    assert!(alike_in_any_order(&shown(&["a", "…", "c"]), &["a", "b", "d", "c"]));
    assert!(!alike_in_any_order(&shown(&["a", "…"]), &["b", "a"]));
    assert!(looks("regrow group ls") && !looks("regrow node rm ls") && !looks("ls > a"));
}

#[test]
fn the_page_about_taking_over() {
    try_page("take-over.md", 12);
}

#[test]
fn the_page_for_authors_of_plugins() {
    try_page("plugins.md", 8);
}

#[test]
fn the_page_about_security() {
    try_page("security.md", 14);
}

#[test]
fn the_page_about_security_names_every_method_and_who_may_call_it() {
    let page = fs::read_to_string(repository("docs/security.md")).expect("page");
    let table = fs::read_to_string(repository("crates/wire/src/methods.rs")).expect("methods");
    let mut methods = 0;
    // A row is `Ping = 1, "wire.ping", Calls, [Server Worker], …`.
    for row in table
        .lines()
        .filter(|line| line.contains(" = ") && line.contains("\", ") && line.contains(", ["))
    {
        let name = row.split('"').nth(1).expect("a name");
        let callers = row.split(['[', ']']).nth(1).expect("callers");
        let shown = format!("| `{name}` |");
        let shown = page.lines().find(|line| line.starts_with(&shown)).expect(name);
        let cells = shown.split('|').skip(2);
        for (kind, cell) in ["Server", "Worker", "Lapsed", "Stranger"].iter().zip(cells) {
            let may = callers.split(' ').any(|caller| caller == *kind);
            assert_eq!(cell.trim().starts_with("yes"), may, "{name}: {kind}");
        }
        methods += 1;
    }
    assert!(methods >= 13, "{methods} methods");
}

#[test]
fn the_page_about_groups() {
    try_page("groups.md", 4);
}

#[test]
fn the_page_about_supervising() {
    try_page("supervise.md", 7);
}

#[test]
fn the_page_about_templates() {
    try_page("templates.md", 15);
}

#[test]
fn the_page_about_operations() {
    try_page("operations.md", 14);
}

/// Texts of all sources, with the lines of one literal put together.
fn sources(folder: &std::path::Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = fs::read_to_string(&path).expect("source");
            for line in source.lines() {
                text.push_str(line.trim().trim_end_matches('\\'));
            }
        }
    }
}

#[test]
fn the_page_about_operations_explains_what_the_program_says() {
    let page = fs::read_to_string(repository("docs/operations.md")).expect("page");
    let (_, table) = page.split_once("## What it says").expect("a table");
    let mut text = String::new();
    for entry in fs::read_dir(repository("crates")).expect("crates").flatten() {
        sources(&entry.path().join("src"), &mut text);
    }
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let said = rows.filter_map(|row| row.split(" |").next());
    let said: Vec<&str> = said.flat_map(|cell| cell.split("`, `")).collect();
    assert!(said.len() >= 20, "{said:?}");
    for part in said {
        let part = part.trim_end_matches('`');
        assert!(text.contains(part), "nothing says {part:?}");
    }
}
