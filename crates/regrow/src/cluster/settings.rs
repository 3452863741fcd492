//! How the catalog answers: limits, tokens, logins, encryption, checks, DNS. What is secret is read
//! from files, which nobody else should be able to read.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use regrow_catalog::checks::CheckOptions;
use regrow_catalog::dns::DnsOptions;
use regrow_catalog::http::{Acl, HttpOptions, Logins};
use regrow_catalog::model::Access;
use regrow_ids::GoDuration;
use sha2::{Digest as _, Sha256};

/// Largest file with a token or with logins, in bytes.
const SECRETS_BYTES: u64 = 1 << 20;
/// Fewest characters of a token.
const TOKEN_CHARS_MIN: usize = 16;
/// Port of DNS servers (RFC 1035).
const DNS_PORT: u16 = 53;

/// What is allowed where no rule of a token fits.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AclDefault {
    /// Nothing
    Deny,
    /// Looking
    Read,
    /// Everything
    Allow,
}

impl AclDefault {
    const fn access(self) -> Access {
        match self {
            Self::Deny => Access::Deny,
            Self::Read => Access::Read,
            Self::Allow => Access::Write,
        }
    }
}

/// How long answers about a service, or about all, may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServiceTtl {
    name: String,
    ttl: GoDuration,
}

impl FromStr for ServiceTtl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, ttl) = text.split_once('=').unwrap_or(("*", text));
        let ttl = ttl.parse().map_err(|error| {
            format!("{error}; expected DURATION, or NAME=DURATION such as web=5s or db-*=1m")
        })?;
        Ok(Self { name: name.to_owned(), ttl })
    }
}

/// Another DNS server, at the usual port where none is given.
fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let address: Result<SocketAddr, _> = text.parse();
    let bare = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    address.or_else(|_| bare()).map_err(|error| {
        format!("{error}; expected ADDR or ADDR:PORT such as 10.0.0.2, 10.0.0.2:53 or [fd00::2]:53")
    })
}

/// Flags about how the catalog answers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Catalog")]
pub struct SettingArgs {
    /// Most connections of one client address; waiting queries count
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(1..))]
    http_connections: u32,
    /// Ask for a name and a password first (HTTP Basic); the file has USER:PASSWORD lines
    #[arg(long, value_name = "FILE")]
    http_auth_file: Option<PathBuf>,
    /// Let tokens decide what may be done; the file has the secret of a token that may do everything
    /// on this node. `regrow acl token create` makes others
    #[arg(long, value_name = "FILE")]
    acl_token_file: Option<PathBuf>,
    /// What is allowed without a token, and where no rule of a token fits
    #[arg(long, value_enum, default_value = "deny", requires = "acl_token_file")]
    acl_default: AclDefault,
    /// Let checks run programs; whoever can register a check can run any program then
    #[arg(long)]
    enable_script_checks: bool,
    /// Sessions end this many percent of their TTL after it; Consul waits 100
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = clap::value_parser!(u8).range(..=100))]
    session_grace: u8,
    /// How long DNS answers about nodes may be kept
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    dns_node_ttl: GoDuration,
    /// How long DNS answers about services may be kept, all or those of a name; a name may end with
    /// *, and the longest that fits counts; may be repeated
    #[arg(long, value_name = "[NAME=]DURATION")]
    dns_service_ttl: Vec<ServiceTtl>,
    /// How long it may be kept that DNS has nothing
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    dns_negative_ttl: GoDuration,
    /// Leave instances with a warning out of DNS answers
    #[arg(long)]
    dns_only_passing: bool,
    /// Ask this server about names outside of the catalog's domain, which are refused otherwise; may
    /// be repeated, and the next is asked where one has no answer
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = dns_server)]
    dns_recursor: Vec<SocketAddr>,
}

/// The text of a file with secrets. It is not repeated in errors.
fn secrets(path: &Path) -> Result<String> {
    let about = || format!("read {}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(about)?;
    file.take(SECRETS_BYTES + 1).read_to_string(&mut text).with_context(about)?;
    if text.len() as u64 > SECRETS_BYTES {
        bail!("read {}: it is longer than {SECRETS_BYTES} bytes", path.display());
    }
    Ok(text)
}

impl SettingArgs {
    /// How HTTP is answered, without encryption.
    ///
    /// # Errors
    /// A file cannot be read, or has something else in it.
    pub fn http(&self) -> Result<HttpOptions> {
        let logins = match &self.http_auth_file {
            None => None,
            Some(path) => {
                let about = || format!("read {}", path.display());
                Some(Logins::parse(&secrets(path)?).with_context(about)?)
            }
        };
        Ok(HttpOptions {
            connections_per_address: usize::try_from(self.http_connections)?,
            acl: self.acl()?,
            script_checks: self.enable_script_checks,
            session_grace_percent: self.session_grace,
            tls: None,
            logins,
        })
    }

    fn acl(&self) -> Result<Acl> {
        let Some(path) = &self.acl_token_file else { return Ok(Acl::Off) };
        let text = secrets(path)?;
        let secret = text.trim();
        if secret.len() < TOKEN_CHARS_MIN || secret.contains(char::is_whitespace) {
            bail!(
                "read {}: expected one token of {TOKEN_CHARS_MIN} characters at least, such as `uuidgen` prints",
                path.display()
            );
        }
        let management = Some(Sha256::digest(secret.as_bytes()).into());
        Ok(Acl::On { default: self.acl_default.access(), management })
    }

    /// How checks are run.
    pub fn checks(&self) -> CheckOptions {
        CheckOptions { scripts: self.enable_script_checks, ..CheckOptions::default() }
    }

    /// How DNS is answered.
    pub fn dns(&self) -> DnsOptions {
        let service_ttl: BTreeMap<String, Duration> = self
            .dns_service_ttl
            .iter()
            .map(|given| (given.name.clone(), given.ttl.as_duration()))
            .collect();
        DnsOptions {
            only_passing: self.dns_only_passing,
            node_ttl: self.dns_node_ttl.as_duration(),
            negative_ttl: self.dns_negative_ttl.as_duration(),
            service_ttl,
            recursors: self.dns_recursor.clone(),
            ..DnsOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: SettingArgs,
    }

    fn read(words: &[&str]) -> SettingArgs {
        Line::try_parse_from([&["x"], words].concat()).expect("flags").settings
    }

    #[test]
    fn what_is_given_is_what_is_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").expect("written");
        let path = path.to_str().expect("a path");
        let given = read(&[
            "--http-connections",
            "1200",
            "--acl-token-file",
            path,
            "--acl-default",
            "read",
            "--enable-script-checks",
            "--session-grace",
            "100",
            "--dns-service-ttl",
            "5s",
            "--dns-service-ttl",
            "db-*=1m",
            "--dns-only-passing",
            "--dns-node-ttl",
            "2s",
            "--dns-recursor",
            "10.0.0.2",
            "--dns-recursor",
            "[fd00::2]:5353",
        ]);
        let http = given.http().expect("options");
        assert_eq!((http.connections_per_address, http.session_grace_percent), (1200, 100));
        let management = Some(Sha256::digest(b"0123456789abcdef").into());
        assert_eq!(http.acl, Acl::On { default: Access::Read, management });
        assert!(http.script_checks && given.checks().scripts);
        let dns = given.dns();
        assert!(dns.only_passing);
        assert_eq!(dns.node_ttl, Duration::from_secs(2));
        assert_eq!(dns.service_ttl["db-*"], Duration::from_secs(60));
        assert_eq!(dns.service_ttl["*"], Duration::from_secs(5));
        let recursors: Vec<String> = dns.recursors.iter().map(ToString::to_string).collect();
        assert_eq!(recursors, ["10.0.0.2:53", "[fd00::2]:5353"]);
    }

    #[test]
    fn without_flags_everything_is_as_consul_has_it() {
        let http = read(&[]).http().expect("options");
        assert_eq!((http.connections_per_address, http.acl), (200, Acl::Off));
        assert!(!http.script_checks && http.logins.is_none() && http.tls.is_none());
        assert!(read(&[]).dns().recursors.is_empty());
    }

    #[test]
    fn a_file_without_a_token_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        for text in ["", "short", "two words that are long"] {
            std::fs::write(&path, text).expect("written");
            let given = read(&["--acl-token-file", path.to_str().expect("a path")]);
            let error = format!("{:#}", given.http().expect_err(text));
            assert!(error.contains("expected one token"), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        assert!(Line::try_parse_from(["x", "--acl-default", "read"]).is_err());
        assert!(Line::try_parse_from(["x", "--session-grace", "101"]).is_err());
        assert!(Line::try_parse_from(["x", "--dns-service-ttl", "web="]).is_err());
        for server in ["", "example.com", "10.0.0.2:", "10.0.0.2:70000", "fd00::2:x"] {
            assert!(Line::try_parse_from(["x", "--dns-recursor", server]).is_err(), "{server}");
        }
    }
}
