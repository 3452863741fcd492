//! Commands about the program itself: version, help, completion, manual.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use super::shells;
use super::topics::TOPICS;
use super::tree;
use crate::finder::Finder;
use crate::kinds::similar;
use crate::output::{OutputArgs, print};

/// Arguments of `version`.
#[derive(Args, Debug)]
pub struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl VersionArgs {
    /// Prints it.
    pub fn run(&self) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let data = json!({"name": "regrow", "version": version});
        self.output.print(&data, || format!("regrow {version}\n"))
    }
}

/// Arguments of `help`.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// A topic, or the words of a command
    #[arg(value_name = "TOPIC")]
    words: Vec<String>,
}

impl HelpArgs {
    /// Prints help.
    pub fn run(&self) -> Result<()> {
        if let [word] = self.words.as_slice()
            && let Some((.., text)) = TOPICS.iter().find(|(name, ..)| name == word)
        {
            return print(text);
        }
        let mut command = tree::command();
        command.build();
        for word in &self.words {
            let names: Vec<_> =
                command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
            let Some(found) = command.find_subcommand(word) else {
                let topics = TOPICS.iter().map(|(name, ..)| *name);
                let hint = similar(word, names.iter().map(String::as_str).chain(topics))
                    .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                bail!("explain {word:?}: there is no such command or topic{hint}");
            };
            command = found.clone();
        }
        print(&command.render_long_help().to_string())?;
        if !self.words.is_empty() {
            return Ok(());
        }
        let topics = TOPICS.iter().map(|(name, about, _)| format!("  {name:<14}{about}\n"));
        print(&format!("\nTopics of `regrow help`:\n{}", topics.collect::<String>()))
    }
}

/// Arguments of `completion`.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell
    shell: Shell,
}

impl CompletionArgs {
    /// Prints the script.
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut tree::command(), "regrow", &mut script);
        print(&(String::from_utf8_lossy(&script) + shells::addition(self.shell)))
    }
}

/// Arguments of `man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Folder to write to; made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl ManArgs {
    /// Writes one page for each command.
    pub fn run(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("make folder {}", self.folder.display()))?;
        let mut command = tree::command();
        command.build();
        self.write(&command, "regrow")
    }

    fn write(&self, command: &Command, name: &str) -> Result<()> {
        let owned: &'static str = Box::leak(name.to_owned().into_boxed_str());
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone().name(owned)).render(&mut page)?;
        if name == "regrow" {
            for (topic, _, text) in TOPICS {
                let heading = topic.replace('-', " ").to_uppercase();
                page.extend(format!(".SH {heading}\n.nf\n{text}.fi\n").into_bytes());
            }
        }
        let path = self.folder.join(format!("{name}.1"));
        std::fs::write(&path, page).with_context(|| format!("write {}", path.display()))?;
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            self.write(below, &format!("{name}-{}", below.get_name()))?;
        }
        Ok(())
    }
}

/// What `local` can be followed by: InfraKit's scripts look for `mystack/cattle` in it.
pub async fn local_help(finder: &Finder) -> Result<()> {
    let names = shells::names(finder).await;
    let known = match names.as_slice() {
        [] => "no plugin runs here; start one with `regrow up` or `regrow plugin start`".to_owned(),
        names => format!("plugins here, and their objects:\n  {}", names.join("\n  ")),
    };
    print(&format!(
        "Commands on a plugin, built from what it offers.\n\n\
         Usage: regrow local NAME[/OBJECT] VERB …\n       regrow local NAME --help lists its verbs\n\n{known}\n"
    ))
}
