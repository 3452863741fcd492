//! One run of `up`, from the first socket to the last line.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use regrow_reconcile::Note;
use tokio::sync::{mpsc, watch};

use super::args::{Until, UpArgs};
use super::follow::{self, Happening, Notes};
use super::specs::Wanted;
use super::stack::{self, Stack};
use super::tracker::{Line, Tracker};
use super::{finish, health};
use crate::kinds::Host;
use crate::places::Places;
use crate::signals;
use crate::view::{Manner, View};

/// Happenings that wait to be shown.
const HAPPENINGS_BUFFERED: usize = 4_096;
/// Time between questions for the health of all members, while `--until healthy` waits.
const HEALTH_POLL: Duration = Duration::from_millis(100);

/// Why following ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Reached,
    TimedOut,
    Told,
}

/// A run, as its parts see it.
struct Session<'a> {
    args: &'a UpArgs,
    wanted: &'a Wanted,
    host: &'a Host,
    stack: &'a Stack,
    began: Instant,
}

/// Starts everything, commits the groups and follows them.
pub async fn run(args: &UpArgs, mut wanted: Wanted, places: &Places) -> Result<()> {
    let began = Instant::now();
    let state = places.make_state()?;
    let directory = places.plugins()?;
    let mut view = View::new(match (args.json, args.plain || !std::io::stdout().is_terminal()) {
        (true, _) => Manner::Json,
        (_, true) => Manner::Plain,
        _ => Manner::Terminal,
    });
    // Before the first effect, so that an early Ctrl-C is an orderly end as well.
    let (remaining, known) = watch::channel(finish::Remaining::new());
    let told = signals::told_saying(move || finish::last_words(&known.borrow()))?;
    view.line(&Line::info(
        began.elapsed(),
        format!("state in {}, plugins in {}", state.display(), directory.path().display()),
    ));
    let host = Host::new(directory, state);
    let ended = match stack::start(&host, args, &mut wanted).await {
        Ok(stack) => {
            let session = Session { args, wanted: &wanted, host: &host, stack: &stack, began };
            session.run(&mut view, told, &remaining).await
        }
        Err(error) => Err(error),
    };
    view.end();
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

impl Session<'_> {
    async fn run(
        &self,
        view: &mut View,
        told: watch::Receiver<bool>,
        remaining: &watch::Sender<finish::Remaining>,
    ) -> Result<End> {
        // Follow first: the first lines are about what the commits start.
        let (sender, happenings) = mpsc::channel(HAPPENINGS_BUFFERED);
        follow::start(&self.stack.controller, &self.host.lookup(), &sender);
        let notes = Notes::of(&self.stack.controller);
        stack::commit(self.stack.groups.as_ref(), self.wanted).await?;
        let end = self.attend(view, told, notes, happenings).await?;
        view.end();
        let at = self.began.elapsed();
        match finish::decide(self.args.on_exit, end == End::Told) {
            finish::Decision::Destroy => {
                finish::destroy(self.stack, view, self.began, remaining).await;
            }
            finish::Decision::Leave => {
                view.line(&Line::info(at, finish::left(&self.stack.controller.watched())));
            }
        }
        Ok(end)
    }

    /// Shows what happens until it is time to end.
    async fn attend(
        &self,
        view: &mut View,
        mut told: watch::Receiver<bool>,
        mut notes: Notes,
        mut happenings: mpsc::Receiver<Happening>,
    ) -> Result<End> {
        let (args, began) = (self.args, self.began);
        let (ids, plugins) = (self.wanted.ids(), self.host.lookup());
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
            let converged = tracker.have_converged(&ids);
            tokio::select! {
                _ = told.wait_for(|told| *told) => return Ok(End::Told),
                () = timeout => return Ok(End::TimedOut),
                note = notes.next() => {
                    let Some(note) = note else { bail!("follow the groups: it has ended") };
                    self.tell(view, &tracker, &note);
                }
                happening = happenings.recv() => {
                    let Some(happening) = happening else { bail!("follow the groups: it has ended") };
                    // What was said before it comes first: with it this may end.
                    while let Some(note) = notes.ready() {
                        self.tell(view, &tracker, &note);
                    }
                    self.show(view, &mut tracker, happening);
                }
                _ = healthy.tick(), if args.until == Some(Until::Healthy) && converged => {
                    let controller = &self.stack.controller;
                    if health::all_healthy(controller, plugins.as_ref(), &ids).await {
                        view.line(&Line::good(began.elapsed(), "all members are healthy"));
                        return Ok(End::Reached);
                    }
                }
            }
            if args.until == Some(Until::Converged) && tracker.have_converged(&ids) {
                return Ok(End::Reached);
            }
        }
    }

    fn tell(&self, view: &mut View, tracker: &Tracker, note: &Note) {
        for line in tracker.note(note, self.began.elapsed()) {
            view.line(&line);
        }
    }

    fn show(&self, view: &mut View, tracker: &mut Tracker, happening: Happening) {
        let at = self.began.elapsed();
        let lines = match happening {
            Happening::Snapshot(group) => tracker.snapshot(group, at),
            Happening::Gone(group) => tracker.gone(&group, at),
            Happening::Lost { instance, why, seen } => {
                tracker.lost(&instance, &why, seen.duration_since(self.began), at)
            }
        };
        for line in &lines {
            view.line(line);
        }
        view.groups(tracker.groups());
    }
}
