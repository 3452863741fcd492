//! `plugin info`: what a plugin says about itself.

use anyhow::Result;
use clap::Args;
use regrow_plugin::wire::Api;

use crate::finder::Finder;
use crate::local::plugin_name;
use crate::output::{OutputArgs, table};

/// Arguments of `plugin info`.
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// The plugin
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl InfoArgs {
    /// Shows interfaces and methods.
    pub async fn run(&self, finder: &Finder) -> Result<()> {
        let api = finder.client(&plugin_name(&self.name))?.api().await?;
        self.output.print(&api, || text(&api))
    }
}

fn text(api: &Api) -> String {
    let vendor = api.vendor.as_ref().map_or_else(String::new, |vendor| {
        format!("{} {} {}\n", vendor.name, vendor.version, vendor.url)
    });
    let rows = api.interfaces.iter().flat_map(|interface| {
        interface.methods.iter().map(move |method| {
            let request = method.request.to_value();
            let name = request["method"].as_str().unwrap_or("").to_owned();
            let params = request["params"].to_string();
            vec![format!("{}/{}", interface.name, interface.version), name, params]
        })
    });
    let rows: Vec<_> = rows.collect();
    vendor + &table(&["INTERFACE", "METHOD", "PARAMS"], &rows)
}
