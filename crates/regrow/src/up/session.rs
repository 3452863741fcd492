//! One run of `up`, from the first socket to the last line.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use regrow_codec::Any;
use regrow_groups::Groups;
use regrow_plugin::PluginError;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::args::{Until, UpArgs};
use super::follow::{self, Happening};
use super::specs::Wanted;
use super::tracker::{Line, Tracker};
use super::{finish, health};
use crate::kinds::{self, Host};
use crate::places::Places;
use crate::view::View;

/// Happenings that wait to be shown.
const HAPPENINGS_BUFFERED: usize = 4_096;
/// Time between questions for the health of all members, while `--until healthy` waits.
const HEALTH_POLL: Duration = Duration::from_millis(100);
/// Exit code after a second Ctrl-C: 128 and the number of the signal.
const FORCED: i32 = 130;

/// Why following ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Reached,
    TimedOut,
    Told,
}

/// Starts everything, commits the groups and follows them.
pub async fn run(args: &UpArgs, wanted: &Wanted, places: &Places) -> Result<()> {
    let began = Instant::now();
    let state = places.make_state()?;
    let directory = places.plugins()?;
    let mut view = View::new(!args.plain && std::io::stdout().is_terminal());
    // Before the first effect, so that an early Ctrl-C is an orderly end as well.
    let told = spawn_signals()?;
    view.line(&Line::info(
        began.elapsed(),
        format!("state in {}, plugins in {}", state.display(), directory.path().display()),
    ));
    let host = Host::new(directory, state);
    let groups = match start(&host, args, wanted).await {
        Ok(groups) => groups,
        Err(error) => {
            host.stop().await;
            return Err(error);
        }
    };
    let ended = attend(args, wanted, &groups, &host, &mut view, began, told.clone()).await;
    view.end();
    if let Ok(end) = &ended {
        let at = began.elapsed();
        match finish::decide(args.on_exit, *end == End::Told) {
            finish::Decision::Destroy => finish::destroy(wanted, &groups, &mut view, began).await,
            finish::Decision::Leave => view.line(&Line::info(at, finish::left(wanted))),
        }
    }
    host.stop().await;
    match ended? {
        End::TimedOut => bail!(
            "wait until {}: not so after {}; the lines above say what is missing",
            until_word(args.until),
            args.timeout
        ),
        End::Reached | End::Told => Ok(()),
    }
}

fn until_word(until: Option<Until>) -> &'static str {
    match until {
        Some(Until::Healthy) => "all groups are healthy",
        _ => "all groups have converged",
    }
}

/// Becomes true at the first signal to stop; the second one ends the process at once.
fn spawn_signals() -> Result<tokio::sync::watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
    let (sender, receiver) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let mut times = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            times += 1;
            if times > 1 {
                eprintln!("stopped at once; instances are left as they are");
                std::process::exit(FORCED);
            }
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

/// Starts the plugins and commits the groups, once all of them would be accepted.
async fn start(host: &Host, args: &UpArgs, wanted: &Wanted) -> Result<Arc<Groups>> {
    let poll = Any::from(json!({ "PollInterval": args.poll.to_string() }));
    let controller = kinds::expect("group")?;
    check_plugins(host, wanted)?;
    for name in wanted.kinds() {
        let kind = kinds::expect(name)?;
        if kind.name != controller.name {
            host.start(kind, kind.socket, &Any::default()).await?;
        }
    }
    host.start(controller, controller.socket, &poll).await?;
    let groups = host.groups().pop().ok_or_else(|| anyhow!("start the group controller"))?;
    commit(host, wanted).await?;
    Ok(groups)
}

/// Every plugin that a spec names must be one that starts here or one that runs already.
fn check_plugins(host: &Host, wanted: &Wanted) -> Result<()> {
    let running = host.finder().names();
    for (name, place) in wanted.plugins() {
        let lookup = name.lookup();
        if kinds::find(lookup).is_some() || running.iter().any(|known| known == lookup) {
            continue;
        }
        let kinds = || kinds::KINDS.iter().map(|kind| kind.name);
        let hint = kinds::similar(lookup, kinds())
            .map_or_else(String::new, |near| format!("did you mean {near:?}? "));
        bail!(
            "read spec {place}: plugin not found:{lookup}; {hint}`up` starts {}, and no other \
             plugin runs under that name",
            kinds().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

async fn commit(host: &Host, wanted: &Wanted) -> Result<()> {
    let name = kinds::expect("group")?.socket;
    let controller = host.lookup().group(&name.into()).await?;
    for pretend in [true, false] {
        for group in &wanted.groups {
            let answer = controller.commit_group(&group.item, pretend).await;
            answer.map_err(|fault: PluginError| {
                anyhow!("commit group {} of {}: {fault}", group.item.id, group.place)
            })?;
        }
    }
    Ok(())
}

/// Shows what happens until it is time to end.
async fn attend(
    args: &UpArgs,
    wanted: &Wanted,
    groups: &Arc<Groups>,
    host: &Host,
    view: &mut View,
    began: Instant,
    mut told: tokio::sync::watch::Receiver<bool>,
) -> Result<End> {
    let (sender, mut happenings) = mpsc::channel(HAPPENINGS_BUFFERED);
    let ids: Vec<_> = wanted.groups.iter().map(|group| group.item.id.clone()).collect();
    let plugins = host.lookup();
    follow::start(groups, &plugins, &ids, &sender);
    let mut tracker = Tracker::default();
    let limit = args.until.map(|_| began + Duration::from(args.timeout));
    let mut healthy = tokio::time::interval(HEALTH_POLL);
    loop {
        let timeout = async {
            match limit {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let all_converged = tracker.all_converged(ids.len());
        tokio::select! {
            _ = told.wait_for(|told| *told) => return Ok(End::Told),
            () = timeout => return Ok(End::TimedOut),
            happening = happenings.recv() => {
                let Some(happening) = happening else { bail!("follow the groups: it has ended") };
                let at = began.elapsed();
                let lines = match happening {
                    Happening::Note(note) => vec![Line::of_note(at, &note)],
                    Happening::Snapshot(group) => tracker.snapshot(group, at),
                    Happening::Lost { instance, why, seen } => {
                        tracker.lost(&instance, &why, seen.duration_since(began), at)
                    }
                };
                for line in &lines {
                    view.line(line);
                }
                view.groups(tracker.groups(), at);
            }
            _ = healthy.tick(), if args.until == Some(Until::Healthy) && all_converged => {
                if health::all_healthy(groups, plugins.as_ref(), &ids).await {
                    view.line(&Line::info(began.elapsed(), "all members are healthy"));
                    return Ok(End::Reached);
                }
            }
        }
        if args.until == Some(Until::Converged) && tracker.all_converged(ids.len()) {
            return Ok(End::Reached);
        }
    }
}
