//! `plugin start`: any number of plugins in one process.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use regrow_codec::Any;
use regrow_plugin::Directory;
use tokio::signal::unix::{SignalKind, signal};

use super::rules::{self, Rule};
use crate::documents::RenderArgs;
use crate::kinds::{self, Host};
use crate::places::Places;

/// Time between looks whether any plugin can still be reached.
const SCAN: Duration = Duration::from_secs(1);
/// How long a plugin in a process of its own may take to listen.
const OS_START: Duration = Duration::from_secs(15);
/// Time between looks for its socket.
const OS_LOOK: Duration = Duration::from_millis(5);

/// Arguments of `plugin start`.
#[derive(Args, Debug)]
pub struct StartArgs {
    /// What to start: a kind, a name for its socket, and where it runs (inproc or os)
    #[arg(required = true, value_name = "KIND[:NAME][=inproc|os]", value_parser = parse_wish)]
    wishes: Vec<Wish>,
    /// Rules with options: [{"Key":…, "Launch":{"inproc":{"Kind":…, "Options":{…}}}}]
    #[arg(long, value_name = "URL")]
    config_url: Option<String>,
    #[command(flatten)]
    render: RenderArgs,
}

/// Where a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In this process.
    Inproc,
    /// In its own.
    Os,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    key: String,
    name: Option<String>,
    way: Way,
}

fn parse_wish(text: &str) -> Result<Wish, String> {
    let (what, way) = match text.split_once('=') {
        None => (text, Way::Inproc),
        Some((what, "inproc")) => (what, Way::Inproc),
        Some((what, "os")) => (what, Way::Os),
        Some((_, other)) => {
            return Err(format!("{other:?} is no way to run a plugin; write =inproc or =os"));
        }
    };
    let (key, name) = match what.split_once(':') {
        None => (what, None),
        Some((_, "")) => return Err("the name behind ':' is empty".to_owned()),
        Some((key, name)) => (key, Some(name.to_owned())),
    };
    if key.is_empty() {
        return Err("the kind is empty; `regrow plugin kinds` lists them".to_owned());
    }
    Ok(Wish { key: key.to_owned(), name, way })
}

/// What a wish means after the rules: the kind, its socket, its options.
struct Chosen<'a> {
    wish: &'a Wish,
    rule: Option<&'a Rule>,
    kind: Option<&'static kinds::Kind>,
    name: String,
    options: Any,
}

impl StartArgs {
    /// Serves until a signal comes or no plugin is left.
    pub async fn run(&self, places: &Places) -> Result<()> {
        let rules = rules::read(self.config_url.as_deref(), &self.render).await?;
        // All words are understood before anything is started.
        let chosen: Vec<_> =
            self.wishes.iter().map(|wish| choose(wish, &rules)).collect::<Result<_>>()?;
        check_names(&chosen)?;
        let directory = places.plugins()?;
        let host = Host::new(directory.clone(), places.make_state()?);
        let started = start_all(&chosen, &host, &directory).await;
        match started {
            Ok(0) => Ok(()),
            Ok(_) => serve_until_told(&host).await,
            Err(error) => {
                host.stop().await;
                Err(error)
            }
        }
    }
}

fn choose<'a>(wish: &'a Wish, rules: &'a [Rule]) -> Result<Chosen<'a>> {
    let rule = rules.iter().find(|rule| rule.key == wish.key);
    let inproc = rule.and_then(|rule| rule.launch.inproc.as_ref());
    let kind_name = inproc.map(|inproc| inproc.kind.as_str()).filter(|kind| !kind.is_empty());
    let kind = kinds::expect(kind_name.unwrap_or(&wish.key));
    let has_command = rule.is_some_and(|rule| rule.launch.os.is_some());
    let kind = match kind {
        Ok(kind) => Some(kind),
        // Whatever a command starts, it need not be a kind of ours.
        Err(_) if wish.way == Way::Os && has_command => None,
        Err(error) => return Err(error),
    };
    let usual = kind.map_or(wish.key.as_str(), |kind| kind.socket);
    Ok(Chosen {
        wish,
        rule,
        kind,
        name: wish.name.clone().unwrap_or_else(|| usual.to_owned()),
        options: inproc.map(|inproc| inproc.options.clone()).unwrap_or_default(),
    })
}

fn check_names(chosen: &[Chosen<'_>]) -> Result<()> {
    for (at, one) in chosen.iter().enumerate() {
        if let Some(other) = chosen[at + 1..].iter().find(|other| other.name == one.name) {
            bail!(
                "start plugins: {} and {} would both listen as {:?}; name one of them: {}:NAME",
                one.wish.key,
                other.wish.key,
                one.name,
                other.wish.key
            );
        }
    }
    Ok(())
}

/// Starts all; returns how many run in this process.
async fn start_all(chosen: &[Chosen<'_>], host: &Host, directory: &Directory) -> Result<usize> {
    let mut here = 0;
    for one in chosen {
        match (one.wish.way, one.kind) {
            (Way::Inproc, Some(kind)) => {
                let started = host.start(kind, &one.name, &one.options).await?;
                tracing::info!(plugin = started.name, listen = started.listen, "started");
                here += 1;
            }
            _ => start_process(one, directory).await?,
        }
    }
    Ok(here)
}

/// Starts a plugin in a process of its own and waits until it listens.
async fn start_process(one: &Chosen<'_>, directory: &Directory) -> Result<()> {
    let os = one.rule.and_then(|rule| rule.launch.os.as_ref());
    let mut command = match os {
        Some(os) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &os.cmd]);
            shell
        }
        None => {
            let own = std::env::current_exe().context("find the own program")?;
            let mut own = Command::new(own);
            own.args(["plugin", "start", &format!("{}:{}", one.wish.key, one.name)]);
            own
        }
    };
    if !os.is_some_and(|os| os.same_group) {
        command.process_group(0);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child =
        command.spawn().with_context(|| format!("start plugin {} as a process", one.name))?;
    let end = tokio::time::Instant::now() + OS_START;
    while directory.find(&one.name).is_err() {
        if let Some(status) = child.try_wait().context("wait for the plugin")? {
            bail!("start plugin {} as a process: it ended with {status}", one.name);
        }
        if tokio::time::Instant::now() > end {
            return Err(anyhow!(
                "start plugin {} as process {}: it does not listen in {} after {} s",
                one.name,
                child.id(),
                directory.path().display(),
                OS_START.as_secs()
            ));
        }
        tokio::time::sleep(OS_LOOK).await;
    }
    tracing::info!(plugin = one.name, pid = child.id(), "started as a process");
    Ok(())
}

/// Serves until a signal comes or no plugin of this process can be reached any more.
async fn serve_until_told(host: &Host) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
    let mut scan = tokio::time::interval(SCAN);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = scan.tick() => {
                if !host.is_reachable() {
                    tracing::info!("no plugin is left; stopping");
                    break;
                }
            }
        }
    }
    host.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Way, Wish, parse_wish};

    #[test]
    fn wishes_have_a_kind_a_name_and_a_way() {
        let wish = |key: &str, name: Option<&str>, way| Wish {
            key: key.into(),
            name: name.map(str::to_owned),
            way,
        };
        for (text, read) in [
            ("file", wish("file", None, Way::Inproc)),
            ("manager:mystack", wish("manager", Some("mystack"), Way::Inproc)),
            ("selector/spread:s=os", wish("selector/spread", Some("s"), Way::Os)),
            ("vars=inproc", wish("vars", None, Way::Inproc)),
        ] {
            assert_eq!(parse_wish(text), Ok(read));
        }
        for (text, part) in
            [("", "empty"), (":x", "empty"), ("x:", "empty"), ("x=docker", "no way")]
        {
            assert!(parse_wish(text).expect_err(text).contains(part), "{text}");
        }
    }
}
