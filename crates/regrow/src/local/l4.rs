//! Verbs of load balancers.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use regrow_ids::InstanceId;
use regrow_plugin::spi::{L4, Protocol, Route};

use super::{Run, Target};
use crate::output::{OutputArgs, print};

async fn plugin(target: &Target) -> Result<Arc<dyn L4>> {
    Ok(target.finder().lookup().l4(target.name()).await?)
}

/// Arguments of `routes`.
#[derive(Args, Debug)]
pub struct RoutesArgs {
    #[command(subcommand)]
    verb: RouteVerb,
}

#[derive(Subcommand, Debug)]
enum RouteVerb {
    /// List routes
    Ls {
        /// Without the header
        #[arg(short, long)]
        quiet: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Publish a port
    Add {
        /// Port that clients use
        frontend: u16,
        /// Port of the backends
        backend: u16,
        /// Protocol towards the backends
        #[arg(long, default_value = "tcp")]
        protocol: String,
        /// Protocol that clients use
        #[arg(long, default_value = "tcp")]
        loadbalancerprotocol: String,
        /// Certificate for encrypted protocols
        #[arg(long)]
        cert: Option<String>,
    },
    /// Remove routes
    Rm {
        /// Ports that clients use
        #[arg(required = true)]
        frontends: Vec<u16>,
    },
}

impl Run for RoutesArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let balancer = plugin(target).await?;
        match self.verb {
            RouteVerb::Ls { quiet, output } => {
                let routes = balancer.routes().await?;
                output.print(&routes, || routes_table(&routes, quiet))
            }
            RouteVerb::Add { frontend, backend, protocol, loadbalancerprotocol, cert } => {
                let route = Route {
                    port: backend,
                    protocol: Protocol::from(protocol),
                    load_balancer_port: frontend,
                    load_balancer_protocol: Protocol::from(loadbalancerprotocol),
                    certificate: cert,
                    health_monitor_path: None,
                };
                let said = balancer.publish(&route).await;
                let said = said.map_err(|fault| anyhow!("publish port {frontend}: {fault}"))?;
                print(&format!("{said}\n"))
            }
            RouteVerb::Rm { frontends } => {
                for port in frontends {
                    let said = balancer.unpublish(port).await;
                    let said = said.map_err(|fault| anyhow!("remove port {port}: {fault}"))?;
                    print(&format!("{said}\n"))?;
                }
                Ok(())
            }
        }
    }
}

fn routes_table(routes: &[Route], quiet: bool) -> String {
    let row = |cells: [&str; 5]| {
        let [a, b, c, d, e] = cells;
        format!("{a:<15}  {b:<21}  {c:<16}  {d:<22}  {e}\n").trim_end().to_owned() + "\n"
    };
    let mut out = String::new();
    if !quiet {
        out += &row([
            "FRONTEND PORT",
            "FRONTEND PROTOCOL",
            "BACKEND PORT",
            "BACKEND PROTOCOL",
            "CERT",
        ]);
    }
    for route in routes {
        out += &row([
            &route.load_balancer_port.to_string(),
            route.load_balancer_protocol.as_str(),
            &route.port.to_string(),
            route.protocol.as_str(),
            route.certificate.as_deref().unwrap_or(""),
        ]);
    }
    out
}

/// Arguments of `backends`.
#[derive(Args, Debug)]
pub struct BackendsArgs {
    #[command(subcommand)]
    verb: BackendVerb,
}

#[derive(Subcommand, Debug)]
enum BackendVerb {
    /// List backends
    Ls {
        /// Without the header
        #[arg(short, long)]
        quiet: bool,
    },
    /// Add backends
    Add {
        /// Instances
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Remove backends
    Rm {
        /// Instances
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

impl Run for BackendsArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let balancer = plugin(target).await?;
        let ids = |ids: Vec<String>| ids.into_iter().map(InstanceId::from).collect::<Vec<_>>();
        match self.verb {
            BackendVerb::Ls { quiet } => {
                let head = if quiet { "" } else { "INSTANCE ID\n" };
                let found = balancer.backends().await?;
                let rows = found.iter().map(|id| format!("{id}\n")).collect::<String>();
                print(&format!("{head}{rows}"))
            }
            BackendVerb::Add { ids: added } => {
                print(&format!("{}\n", balancer.register_backends(&ids(added)).await?))
            }
            BackendVerb::Rm { ids: removed } => {
                print(&format!("{}\n", balancer.deregister_backends(&ids(removed)).await?))
            }
        }
    }
}
