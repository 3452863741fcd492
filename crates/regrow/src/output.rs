//! What commands print: tables for people, JSON and YAML for programs.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

/// Form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
}

/// The flags of commands that print data. `-r` and `-y` are InfraKit's.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Form of the answer
    #[arg(long, value_enum, value_name = "FORM")]
    pub output: Option<Format>,
    /// Print JSON without indentation
    #[arg(short = 'r', long)]
    pub raw: bool,
    /// Print YAML
    #[arg(short = 'y', long)]
    pub yaml: bool,
}

impl OutputArgs {
    /// The form that was asked for; `usual` when none was.
    pub fn format(&self, usual: Format) -> Format {
        match self.output {
            Some(format) => format,
            None if self.yaml => Format::Yaml,
            None if self.raw => Format::Json,
            None => usual,
        }
    }

    /// Prints data in the form that was asked for; `table` prints it for people.
    pub fn print<T: Serialize>(&self, data: &T, table: impl FnOnce() -> String) -> Result<()> {
        match self.format(Format::Table) {
            Format::Table => print(&table()),
            other => self.print_as(data, other),
        }
    }

    /// Prints data that has no table.
    pub fn print_document<T: Serialize>(&self, data: &T) -> Result<()> {
        match self.format(Format::Json) {
            Format::Table => self.print_as(data, Format::Json),
            other => self.print_as(data, other),
        }
    }

    fn print_as<T: Serialize>(&self, data: &T, format: Format) -> Result<()> {
        print(&match format {
            Format::Yaml => yaml(data)?,
            _ if self.raw => serde_json::to_string(data)? + "\n",
            // Through a tree, or the documents inside would keep the form in which they came.
            _ => serde_json::to_string_pretty(&serde_json::to_value(data)?)? + "\n",
        })
    }
}

/// YAML with a newline at its end.
pub fn yaml<T: Serialize>(data: &T) -> Result<String> {
    // Through a tree: raw JSON inside of documents is a notion of the JSON library only.
    let tree: Value = serde_json::to_value(data)?;
    serde_saphyr::to_string(&tree).context("print as YAML")
}

/// Writes to standard output; a reader that has left ends the program quietly.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A table with a header and columns as wide as they need.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    let heads: Vec<_> = header.iter().map(|head| (*head).to_owned()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}

/// Asks before something is destroyed. Nobody can be asked without a terminal: then it is refused.
pub fn confirm(plan: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("{plan}: not confirmed; add --yes to do it without being asked");
    }
    eprint!("{plan}\ngo on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("not confirmed; nothing was done"),
    }
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::json;

    use super::{table, yaml};

    #[test]
    fn tables_are_as_wide_as_they_need() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["ID", "N"], &rows), "ID    N\na     1\nlong\n");
    }

    #[test]
    fn yaml_sees_through_raw_json() {
        let data = json!({"a": Any::from_text("{\"b\": 1}").expect("json")});
        assert_eq!(yaml(&data).expect("yaml"), "a:\n  b: 1\n");
    }
}
