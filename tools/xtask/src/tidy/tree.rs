//! The material of all rules: the files that git knows or would add, and what cargo knows of the
//! packages.

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::camino::Utf8Path;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

use super::policy::Policy;
use super::scan::{self, TestParts};
use crate::process;

/// A text file of the tree.
pub struct File {
    /// Relative to the root, with forward slashes.
    pub path: String,
    pub text: String,
    /// For Rust files, the text without comments and literals (`scan::mask`); else empty.
    pub code: String,
    /// Whether the whole file is test code.
    pub test: bool,
    parts: TestParts,
}

impl File {
    pub fn new(path: &str, text: String) -> Self {
        let rust = path.ends_with(".rs");
        let code = if rust { scan::mask(&text) } else { String::new() };
        let parts = if rust { scan::test_parts(&code) } else { TestParts::default() };
        Self { path: path.to_owned(), test: is_test_path(path), text, code, parts }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// Lines with code that is not for tests only.
    pub fn code_lines(&self) -> usize {
        let lines = (1..).zip(self.code.lines());
        lines.filter(|(line, text)| !text.trim().is_empty() && !self.is_test_line(*line)).count()
    }

    /// Whether that line (1-based) is compiled for tests only.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.test || self.parts.lines.iter().any(|range| range.contains(&line))
    }

    /// The folder in which the files of this file's child modules lie.
    pub fn module_dir(&self) -> String {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        match stem.rsplit_once('/') {
            Some((dir, "lib" | "main" | "mod")) => dir.to_owned(),
            _ => stem.to_owned(),
        }
    }
}

fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = |name: &str| path.contains(&format!("/{name}/"));
    folder("tests") || folder("benches") || name == "tests.rs" || name.ends_with("_tests.rs")
}

/// A crate of the workspace.
pub struct Member {
    /// As in the table of floors: without the `regrow-` of published names.
    pub name: String,
    /// Folder, relative to the root.
    pub dir: String,
    pub manifest: String,
    /// Workspace crates it imports, with the kind of import.
    pub imports: Vec<(String, cargo_metadata::DependencyKind)>,
}

/// Everything a rule may look at.
pub struct World {
    pub root: String,
    pub files: Vec<File>,
    pub members: Vec<Member>,
    pub metadata: Metadata,
    pub policy: Policy,
}

impl World {
    pub fn load(root: &Path) -> Result<Self> {
        let metadata = metadata(root)?;
        let root_name = metadata.workspace_root.to_string();
        let members = members(&metadata);
        let files = files(root)?;
        let policy = files.iter().find(|file| file.path == "deny.toml");
        let policy = Policy::parse(&policy.context("deny.toml is missing")?.text);
        Ok(Self { root: root_name, files, members, metadata, policy })
    }

    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The crate to which a path belongs.
    pub fn owner(&self, path: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| path.strip_prefix(&member.dir).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// First without the network; a clone that has not fetched everything yet may need it once.
fn metadata(root: &Path) -> Result<Metadata> {
    let command = |offline: bool| {
        let mut command = MetadataCommand::new();
        command.manifest_path(root.join("Cargo.toml")).features(CargoOpt::AllFeatures);
        let mut options = vec!["--filter-platform".to_owned(), host()];
        options.extend(offline.then(|| "--offline".to_owned()));
        command.other_options(options);
        command.exec()
    };
    command(true).or_else(|_| command(false)).context("failed to read cargo metadata")
}

/// The only platform that regrow is made for; packages for others are not in its tree.
fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn members(metadata: &Metadata) -> Vec<Member> {
    let packages = metadata.workspace_packages();
    let known: Vec<String> = packages.iter().map(|package| package.name.to_string()).collect();
    let mut members: Vec<Member> = packages
        .iter()
        .map(|package| {
            let manifest = relative(&package.manifest_path, &metadata.workspace_root);
            let imports = package.dependencies.iter().filter(|import| known.contains(&import.name));
            Member {
                name: short(&package.name).to_owned(),
                dir: manifest.trim_end_matches("/Cargo.toml").to_owned(),
                manifest,
                imports: imports
                    .map(|import| (short(&import.name).to_owned(), import.kind))
                    .collect(),
            }
        })
        .collect();
    members.sort_by(|a, b| a.dir.cmp(&b.dir));
    members
}

fn short(name: &str) -> &str {
    name.strip_prefix("regrow-").unwrap_or(name)
}

fn relative(path: &Utf8Path, root: &Utf8Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string()
}

/// Tracked files and those that `git add` would take, so that a finding comes before the commit.
/// Files that are not text are left out.
fn files(root: &Path) -> Result<Vec<File>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = process::output(&mut process::program(root, "git", args))?;
    let mut files: Vec<File> = list
        .split('\0')
        .filter(|path| !path.is_empty())
        .filter_map(|path| Some(File::new(path, std::fs::read_to_string(root.join(path)).ok()?)))
        .collect();
    mark_test_modules(&mut files);
    Ok(files)
}

/// A file that is declared as `#[cfg(test)] mod name;` is a test file whatever its name.
fn mark_test_modules(files: &mut [File]) {
    let modules: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let dir = file.module_dir();
            file.parts.modules.iter().map(move |name| format!("{dir}/{name}"))
        })
        .collect();
    for file in files {
        let stem = file.path.trim_end_matches(".rs").to_owned();
        file.test |= modules.iter().any(|module| {
            stem.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    }
}
