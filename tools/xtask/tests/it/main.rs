//! The harness is tested too: a small clean workspace passes `tidy`, and every planted fault is
//! found.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A header that answers the three questions.
const HEADER: &str = "//! A crate of the fixture, made for one test.\n//!\n//! It must never be built.\n\
                      //! Start reading here.\n";

/// One planted fault: file, its whole content, what tidy has to say, at which place.
struct Fault {
    path: &'static str,
    content: String,
    said: &'static str,
}

fn fault(path: &'static str, content: impl Into<String>, said: &'static str) -> Fault {
    Fault { path, content: content.into(), said }
}

fn manifest(name: &str, rest: &str) -> String {
    format!(
        "[package]\nname = \"regrow-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         license = \"Apache-2.0\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n{rest}"
    )
}

/// A workspace of four crates that breaks no rule, with its own git repository.
fn workspace(name: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    let table = "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n\n[workspace.dependencies]\n\
                 regrow-ids = { path = \"crates/ids\" }\nregrow-plugin = { path = \"crates/plugin\" }\n\
                 regrow-providers = { path = \"crates/providers\" }\n\n\
                 [workspace.lints.rust]\nmissing_docs = \"deny\"\n";
    write(&root, "Cargo.toml", table)?;
    write(&root, "deny.toml", include_str!("../../../../deny.toml"))?;
    for name in ["ids", "plugin", "providers", "groups"] {
        let imports = if name == "ids" { "" } else { "regrow-ids.workspace = true\n" };
        write(&root, &format!("crates/{name}/Cargo.toml"), &manifest(name, imports))?;
        write(&root, &format!("crates/{name}/src/lib.rs"), HEADER)?;
    }
    let done = Command::new("git").args(["init", "--quiet"]).current_dir(&root).output()?;
    assert!(done.status.success(), "git init: {}", String::from_utf8_lossy(&done.stderr));
    Ok(root)
}

fn write(root: &Path, path: &str, content: &str) -> std::io::Result<()> {
    let path = root.join(path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, content)
}

fn tidy(root: &Path) -> std::io::Result<Output> {
    // The folder of the crate is how xtask finds the workspace: two folders up.
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("tidy")
        .env("CARGO_MANIFEST_DIR", root.join("crates/ids"))
        .output()
}

fn faults() -> Vec<Fault> {
    let place = ["/wo", "rk/somebody"].concat();
    let note = ["TO", "DO"].concat();
    let skipped = ["#[ig", "nore]"].concat();
    let code = |body: &str| format!("//! Planted.\n{body}\n");
    vec![
        fault(
            "crates/groups/Cargo.toml",
            manifest("groups", "regrow-providers.workspace = true\n"),
            "crates/groups/Cargo.toml:11: domain `groups` imports domain `providers`",
        ),
        fault(
            "crates/ids/Cargo.toml",
            manifest("ids", "regrow-plugin.workspace = true\n"),
            "crates/ids/Cargo.toml:11: `ids` (floor 0) imports `plugin` (floor 3)",
        ),
        fault(
            "crates/plugin/Cargo.toml",
            manifest("plugin", "sled = { path = \"../../../sled\" }\n"),
            "crates/plugin/Cargo.toml:11: `sled` is given here",
        ),
        fault("crates/plugin/README.md", "x\n", "banned package `sled` (sled <- regrow-plugin)"),
        fault("docs/a.md", "x\n", "package `sled` is under `GPL-3.0-only`"),
        fault(
            "crates/stranger/Cargo.toml",
            manifest("stranger", "").replace("[lints]\nworkspace = true\n", ""),
            "crates/stranger/Cargo.toml:1: crate `stranger` stands on no floor",
        ),
        fault(
            "crates/stranger/src/lib.rs",
            HEADER,
            "crates/stranger/Cargo.toml:1: the shared lints",
        ),
        fault("docs/b.md", format!("a\nsee {place}\n"), "docs/b.md:2: path"),
        fault("docs/c.md", format!("{note}: more\n"), "docs/c.md:1: unfinished mark"),
        fault("docs/d.md", "\n".repeat(1_001), "docs/d.md:1: 1001 lines"),
        fault("crates/ids/src/lib.rs", "//! Short.\n", "crates/ids/src/lib.rs:1: the crate header"),
        fault("crates/groups/src/dead.rs", code(""), "crates/groups/src/dead.rs:1: no `mod` leads"),
        fault(
            "crates/groups/src/lib.rs",
            format!("{HEADER}mod a;\nmod b;\nmod c;\nmod d;\n"),
            "function `long` has 72 lines",
        ),
        fault(
            "crates/groups/src/a.rs",
            code("fn a() {\n    b().unwrap();\n}"),
            "crates/groups/src/a.rs:3: unwrap() outside tests",
        ),
        fault(
            "crates/groups/src/b.rs",
            code("fn a() {\n    unsafe { b() }\n}"),
            "crates/groups/src/b.rs:3: unsafe code",
        ),
        fault(
            "crates/groups/src/c.rs",
            code(&format!("{skipped}\nfn a() {{}}")),
            "crates/groups/src/c.rs:2: `#[ig",
        ),
        fault(
            "crates/groups/src/d.rs",
            code(&format!("fn long() {{\n{}}}", "    a();\n".repeat(70))),
            "crates/groups/src/d.rs:2: function `long` has 72 lines",
        ),
    ]
}

#[test]
fn a_clean_workspace_passes() -> Outcome {
    let done = tidy(&workspace("clean")?)?;
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(text.contains("warnings: 0") && text.contains("findings: 0"), "{text}");
    Ok(())
}

#[test]
fn every_planted_fault_is_found() -> Outcome {
    let root = workspace("faults")?;
    // Beside the workspace: a path below its root would make it a member.
    let sled = "[package]\nname = \"sled\"\nversion = \"0.1.0\"\nlicense = \"GPL-3.0-only\"\n\n\
                [workspace]\n";
    write(&root, "../sled/Cargo.toml", sled)?;
    write(&root, "../sled/src/lib.rs", "")?;
    let faults = faults();
    for fault in &faults {
        write(&root, fault.path, &fault.content)?;
    }
    let done = tidy(&root)?;
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success());
    let missed: Vec<&str> =
        faults.iter().map(|fault| fault.said).filter(|said| !text.contains(said)).collect();
    assert!(
        missed.is_empty(),
        "not found: {missed:#?}\n{text}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

#[test]
fn a_wrong_command_line_is_told_what_exists() -> Outcome {
    let done = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("nothing").output()?;
    assert_eq!(done.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&done.stderr).contains("tidy"));
    Ok(())
}
