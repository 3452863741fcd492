//! Remote managers: the list of them, and the one that commands go to (`INFRAKIT_HOST`).

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use regrow_plugin::{Client, Endpoint, RemotePlugins, Timeouts};
use serde::{Deserialize, Serialize};

use crate::finder::Finder;
use crate::kinds::similar;
use crate::lists::ListFile;
use crate::output::{OutputArgs, print, table};
use crate::remote_tls::Tls;
use crate::ssh::Host;
use crate::tunnel::Tunnel;

/// Names the remote that commands go to; `local` is this machine.
pub const HOST_VARIABLE: &str = "INFRAKIT_HOST";
/// This machine.
const LOCAL: &str = "local";

/// One remote, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remote {
    /// URLs of its managers, with commas between them.
    #[serde(rename = "Endpoints", alias = "endpoints")]
    endpoints: String,
    /// Host to go through.
    #[serde(rename = "SSH", alias = "ssh", skip_serializing_if = "String::is_empty")]
    ssh: String,
    /// User there.
    #[serde(rename = "User", alias = "user", skip_serializing_if = "String::is_empty")]
    user: String,
    /// Ours: file with the token that the port asks for.
    #[serde(rename = "TokenFile", skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    /// Ours: file with the certificates to trust, for `https` URLs.
    #[serde(rename = "CA", skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
}

/// The list.
static LIST: ListFile<Remote> = ListFile::new("remote", "INFRAKIT_HOSTS_FILE", "hosts");

fn current() -> String {
    std::env::var(HOST_VARIABLE)
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| LOCAL.into())
}

/// The remote that the environment names; `None` for this machine.
pub fn chosen() -> Result<Option<Remote>> {
    let name = current();
    if name == LOCAL {
        return Ok(None);
    }
    let remotes = LIST.load()?;
    let known = remotes.keys().map(String::as_str);
    let hint =
        similar(&name, known).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    let found = remotes.get(&name).cloned();
    found.map(Some).ok_or_else(|| {
        anyhow!("use remote {name:?} of {HOST_VARIABLE}: it is not in the list{hint} (see `regrow remote ls`)")
    })
}

impl Remote {
    /// Connects to the manager that leads.
    pub async fn connect(&self) -> Result<Finder> {
        let tunnel = match self.ssh.as_str() {
            "" => None,
            host => Some(Tunnel::new(Host::parse(host, &self.user)?)),
        };
        let urls: Vec<_> = self
            .endpoints
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect();
        let encrypted = urls.iter().any(|url| url.starts_with("https://"));
        let tls = match &self.ca {
            Some(file) => Some(Tls::trusting(file)?),
            None if encrypted => bail!(
                "reach {}: https needs the certificates to trust; name their file with `regrow \
                 remote set … --ca FILE`",
                self.endpoints
            ),
            None => None,
        };
        if tls.is_some() && urls.iter().any(|url| !url.starts_with("https://")) {
            bail!("reach {}: with --ca every URL has to begin with https://", self.endpoints);
        }
        let token = self.token()?;
        // Whether a connection is encrypted is for the dialling to say; the protocol is the same.
        let urls: Vec<_> = urls.iter().map(|url| url.replacen("https://", "http://", 1)).collect();
        let timeouts = Timeouts::from_env();
        let make = move |endpoint: Endpoint| {
            let dial = match &endpoint {
                Endpoint::Http { authority, .. } => {
                    let below = tunnel.as_ref().map(|tunnel| tunnel.dial(authority));
                    match &tls {
                        Some(tls) => Some(tls.dial(authority, below)),
                        None => below,
                    }
                }
                _ => None,
            };
            let client = match dial {
                Some(dial) => Client::over(endpoint, timeouts, dial),
                None => Client::with(endpoint, timeouts),
            };
            match &token {
                // The value was tried out when it was read.
                Some(token) => client.clone().with_header("Authorization", token).unwrap_or(client),
                None => client,
            }
        };
        Ok(Finder::remote(RemotePlugins::connect_with(&urls, make).await?))
    }

    /// The header value that the port asks for.
    fn token(&self) -> Result<Option<String>> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let about = || format!("read the token of the remote from {}", file.display());
        let text = std::fs::read_to_string(file).with_context(about)?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{}: expected one word of visible ASCII characters", about());
        }
        Ok(Some(format!("Bearer {token}")))
    }
}

/// Verbs of `remote`.
#[derive(Subcommand, Debug)]
pub enum RemoteCommand {
    /// List remotes
    Ls(LsArgs),
    /// Add or change a remote
    Set(SetArgs),
    /// Remove a remote
    Rm(RmArgs),
    /// Print the remote that commands go to
    Current,
}

/// Arguments of `remote ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `remote set`.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// Name
    name: String,
    /// URLs of its managers, such as http://a:24864,http://b:24864
    #[arg(value_delimiter = ',', required = true)]
    urls: Vec<String>,
    /// Host to go through with the ssh program, which must not have to ask; the URLs are as seen
    /// from there
    #[arg(long, default_value = "", value_name = "HOST:PORT")]
    ssh_addr: String,
    /// User there
    #[arg(long, default_value = "", value_name = "USER", requires = "ssh_addr")]
    ssh_user: String,
    /// File with the token that the managers ask for (their Mux.TokenFile)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the certificates to trust, for https URLs (the managers' Mux.TLS)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Arguments of `remote rm`.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl RemoteCommand {
    /// Does it.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Current => print(&format!("{}\n", current())),
            Self::Ls(args) => {
                let remotes = LIST.load()?;
                args.output.print(&remotes, || {
                    let row = |(name, remote): (&String, &Remote)| {
                        vec![name.clone(), remote.endpoints.clone(), remote.ssh.clone()]
                    };
                    let rows: Vec<_> = remotes.iter().map(row).collect();
                    let all = table(&["NAME", "URL", "SSH"], &rows);
                    match (args.quiet, all.split_once('\n')) {
                        (true, Some((_, rows))) => rows.to_owned(),
                        _ => all,
                    }
                })
            }
            Self::Set(args) => {
                if args.name == LOCAL {
                    bail!("set remote {LOCAL:?}: that name is this machine; choose another");
                }
                for url in &args.urls {
                    check(url)?;
                }
                if !args.ssh_addr.is_empty() {
                    Host::parse(&args.ssh_addr, &args.ssh_user)?;
                }
                let mut remotes = LIST.load()?;
                let remote = Remote {
                    endpoints: args.urls.join(","),
                    ssh: args.ssh_addr.clone(),
                    user: args.ssh_user.clone(),
                    token_file: args.token_file.clone(),
                    ca: args.ca.clone(),
                };
                remotes.insert(args.name.clone(), remote);
                LIST.store(&remotes)
            }
            Self::Rm(args) => LIST.remove(&args.names),
        }
    }
}

fn check(url: &str) -> Result<()> {
    let schemes = ["http://", "https://", "tcp://"];
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)).unwrap_or(url);
    if rest.contains("://") || rest.is_empty() || url.contains(char::is_whitespace) {
        bail!("use {url:?} as a manager: expected a URL such as http://host:24864");
    }
    Ok(())
}
