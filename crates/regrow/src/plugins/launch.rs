//! What `plugin start` and `agent --plugin` are asked to start, and how it is started.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use regrow_codec::Any;

use super::manager_flags::ManagerFlags;
use super::rules::{self, Os, Rule};
use crate::documents::RenderArgs;
use crate::kinds::{self, Host, Kind};

/// How long a plugin in a process of its own may take to listen.
const OS_START: Duration = Duration::from_secs(15);
/// Time between looks for its socket.
const OS_LOOK: Duration = Duration::from_millis(5);

/// How plugins are started.
#[derive(Args, Debug)]
pub struct LaunchArgs {
    /// Rules with options: [{"Key":…, "Launch":{"inproc":{"Kind":…, "Options":{…}}}}]
    #[arg(long, value_name = "URL")]
    config_url: Option<String>,
    #[command(flatten)]
    render: RenderArgs,
    #[command(flatten)]
    manager: ManagerFlags,
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

/// Reads `KIND[:NAME][=inproc|os]`.
pub fn parse_wish(text: &str) -> Result<Wish, String> {
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
struct Chosen {
    key: String,
    way: Way,
    os: Option<Os>,
    kind: Option<&'static Kind>,
    name: String,
    options: Any,
}

/// Plugins that are understood and not started yet.
pub struct Launch(Vec<Chosen>);

impl LaunchArgs {
    /// Understands all wishes before anything is started.
    ///
    /// # Errors
    /// A word is no kind, two plugins would have one name, or a flag is for a manager and none is to
    /// be started.
    pub async fn read(&self, wishes: &[Wish]) -> Result<Launch> {
        let rules = rules::read(self.config_url.as_deref(), &self.render).await?;
        let chosen = wishes.iter().map(|wish| choose(wish, &rules)).collect::<Result<Vec<_>>>()?;
        let mut chosen = self.flagged(chosen)?;
        check_names(&chosen)?;
        // A manager that leads hands over what is stored at once: the plugins must be there.
        chosen.sort_by_key(Chosen::is_manager);
        Ok(Launch(chosen))
    }

    /// The same with the flags of the manager.
    fn flagged(&self, mut chosen: Vec<Chosen>) -> Result<Vec<Chosen>> {
        let Some(flag) = self.manager.first() else { return Ok(chosen) };
        let mut managers = chosen.iter_mut().filter(|one| one.is_manager()).peekable();
        if managers.peek().is_none() {
            bail!("{flag} is for a manager, and none is to be started; add the kind {MANAGER}");
        }
        for one in managers {
            if one.way == Way::Os {
                bail!(
                    "{flag} is for a manager of this process, and {} is to run in its own; start \
                     it without =os, or set the environment",
                    one.name
                );
            }
            one.options = Any::from(self.manager.over(one.options.to_value()));
        }
        Ok(chosen)
    }
}

impl Chosen {
    fn is_manager(&self) -> bool {
        self.kind.is_some_and(|kind| kind.name == MANAGER)
    }
}

/// Kind of managers.
const MANAGER: &str = "manager";

fn choose(wish: &Wish, rules: &[Rule]) -> Result<Chosen> {
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
        key: wish.key.clone(),
        way: wish.way,
        os: rule.and_then(|rule| rule.launch.os.clone()),
        kind,
        name: wish.name.clone().unwrap_or_else(|| usual.to_owned()),
        options: inproc.map(|inproc| inproc.options.clone()).unwrap_or_default(),
    })
}

fn check_names(chosen: &[Chosen]) -> Result<()> {
    for (at, one) in chosen.iter().enumerate() {
        if let Some(other) = chosen[at + 1..].iter().find(|other| other.name == one.name) {
            bail!(
                "start plugins: {} and {} would both listen as {:?}; name one of them: {}:NAME",
                one.key,
                other.key,
                one.name,
                other.key
            );
        }
    }
    Ok(())
}

impl Launch {
    /// Starts all; returns how many run in this process.
    ///
    /// # Errors
    /// One does not start. Those before it run: stop the host.
    pub async fn start(&self, host: &Host) -> Result<usize> {
        let mut here = 0;
        // A group controller acts by itself as long as its process has no manager: this one is within
        // reach before the manager that was asked for follows a leadership.
        if self.0.iter().any(|one| one.is_manager() && one.way == Way::Inproc) {
            host.await_manager();
        }
        for one in &self.0 {
            match (one.way, one.kind) {
                (Way::Inproc, Some(kind)) => {
                    let started = host.start(kind, &one.name, &one.options).await?;
                    tracing::info!(plugin = started.name, listen = started.listen, "started");
                    here += 1;
                }
                _ => start_process(one, host).await?,
            }
        }
        Ok(here)
    }
}

/// Starts a plugin in a process of its own and waits until it listens.
async fn start_process(one: &Chosen, host: &Host) -> Result<()> {
    let (directory, os) = (host.directory(), one.os.as_ref());
    let mut command = match os {
        Some(os) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &os.cmd]);
            shell
        }
        None => {
            let own = std::env::current_exe().context("find the own program")?;
            let mut own = Command::new(own);
            own.args(["plugin", "start", &format!("{}:{}", one.key, one.name)]);
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
