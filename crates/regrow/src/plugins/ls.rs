//! `plugin ls` and `plugin kinds`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use regrow_ids::PluginName;
use serde::Serialize;

use crate::finder::Finder;
use crate::kinds::KINDS;
use crate::output::{OutputArgs, table};

/// Arguments of `plugin ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// One object of a plugin.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Row {
    name: String,
    interface: String,
    listen: String,
}

impl LsArgs {
    /// Lists all objects, sorted by name. A plugin that does not answer is named on standard error.
    pub async fn run(&self, finder: &Finder) -> Result<()> {
        let names = finder.names();
        let asked = names.iter().map(|name| async move {
            let listen = finder.client(&PluginName::new(name.as_str()));
            let listen = listen.map_or_else(|_| String::new(), |it| it.endpoint().to_string());
            (name, listen, finder.offers(name).await)
        });
        let mut rows = Vec::new();
        for (name, listen, offers) in futures::future::join_all(asked).await {
            match offers {
                Ok(offers) => rows.extend(offers.into_iter().flat_map(|(interface, objects)| {
                    let listen = listen.clone();
                    objects.into_iter().map(move |object| Row {
                        name: full(name, &object),
                        interface: interface.clone(),
                        listen: listen.clone(),
                    })
                })),
                Err(fault) => eprintln!("regrow: plugin {name} does not answer: {fault}"),
            }
        }
        rows.sort();
        self.output.print(&rows, || self.table(&rows))
    }

    fn table(&self, rows: &[Row]) -> String {
        let mut out = String::new();
        // InfraKit's columns, wider where they must be: scripts cut at white space.
        let mut line = |interface: &str, name: &str, listen: &str| {
            let _ = writeln!(out, "{interface:<19} {name:<29} {listen}");
        };
        if !self.quiet {
            line("INTERFACE", "NAME", "LISTEN");
        }
        for row in rows {
            line(&row.interface, &row.name, &row.listen);
        }
        out
    }
}

fn full(name: &str, object: &str) -> String {
    if object == "." { name.to_owned() } else { format!("{name}/{object}") }
}

/// Arguments of `plugin kinds`.
#[derive(Args, Debug)]
pub struct KindsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct KindRow {
    kind: &'static str,
    socket: &'static str,
    interfaces: Vec<&'static str>,
    what: &'static str,
    options: Vec<OptionRow>,
}

#[derive(Serialize)]
struct OptionRow {
    option: &'static str,
    variable: &'static str,
}

impl KindsArgs {
    /// Lists the table of kinds.
    pub fn run(&self) -> Result<()> {
        let rows: Vec<_> = KINDS
            .iter()
            .map(|kind| KindRow {
                kind: kind.name,
                socket: kind.socket,
                interfaces: kind.interfaces.iter().map(|interface| interface.name()).collect(),
                what: kind.what,
                options: kind
                    .options
                    .iter()
                    .map(|&(option, variable)| OptionRow { option, variable })
                    .collect(),
            })
            .collect();
        self.output.print(&rows, || kinds_table(&rows))
    }
}

fn kinds_table(rows: &[KindRow]) -> String {
    let cells = |row: &KindRow| {
        vec![
            row.kind.to_owned(),
            row.socket.to_owned(),
            row.interfaces.join(","),
            row.what.to_owned(),
        ]
    };
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let mut out = table(&["KIND", "SOCKET", "INTERFACES", "WHAT"], &cells);
    let _ = writeln!(out, "\noptions, in a rule of --config-url or in the environment:");
    for row in rows {
        for option in &row.options {
            let variable = if option.variable.is_empty() { "-" } else { option.variable };
            let _ = writeln!(out, "  {:<18} {:<34} {variable}", row.kind, option.option);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::full;

    #[test]
    fn the_default_object_has_the_name_of_its_plugin() {
        assert_eq!(full("vars", "."), "vars");
        assert_eq!(full("simulator", "compute"), "simulator/compute");
    }
}
