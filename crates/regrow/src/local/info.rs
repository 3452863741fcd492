//! What a plugin says about itself.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Run, Target};
use crate::output::{OutputArgs, print};

/// Arguments of `info`.
#[derive(Args, Debug)]
pub struct InfoArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Interfaces and methods, with an example of each call
    Api {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Template functions that the plugin offers
    Template {
        /// Print the document as it is
        #[arg(long)]
        raw: bool,
    },
}

impl Run for InfoArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let client = target.client()?;
        match self.what {
            What::Api { output } => output.print_document(&client.api().await?),
            What::Template { raw } => {
                let functions = client.functions().await?;
                if raw {
                    return print(&(serde_json::to_string(&functions)? + "\n"));
                }
                let rows = functions.iter().flat_map(|(namespace, functions)| {
                    functions.iter().map(move |function| {
                        let about = function.description.first().cloned().unwrap_or_default();
                        vec![namespace.clone(), function.name.clone(), about]
                    })
                });
                let rows: Vec<_> = rows.collect();
                print(&crate::output::table(&["NAMESPACE", "NAME", "ABOUT"], &rows))
            }
        }
    }
}
