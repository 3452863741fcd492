//! The log: one thread of its own reads the pipes of all wrapped processes, makes a record of each
//! line and writes it to standard output, standard error or a file.
//!
//! ```text
//!   job ──► pipe ──splice──► spool ──► lines ──► form ──► batch ──► writer ──► output
//!            └──── kept by init ────┘                                  ▲
//!                        worker ── say, attach, reopen ──► inbox ──────┘
//! ```
//!
//! What holds:
//!
//! - No line of a job is lost or joined with another when the worker or the job is killed at any
//!   instant. What was taken from a pipe is in a `spool` that init keeps; what was written is
//!   recorded there afterwards. The next worker goes on at that place, so after a crash some lines
//!   come a second time, none not at all. A record that a dead worker wrote in part is taken back
//!   from a file. A pipe takes whole records of up to 4 KiB or nothing; the rest of a longer one is
//!   ended by a newline, and the record follows whole. For that, nothing is written before the streams
//!   of a predecessor are adopted.
//! - A slow reader or a full disk: nothing is taken from the pipes, so that jobs that write wait. The
//!   time is a figure. A write is tried again until it succeeds, and completed where it was torn.
//! - Nobody reads the output any more: jobs go on, their records are counted as lost.
//! - A line of up to 1 MiB is one record. A longer one is split into records of about 1 MiB; each but
//!   the last ends in ` [line continues]`. The last line needs no newline.
//! - The lines of a job have the level `info`: where only more important records are shown they are
//!   read and not shown, as in ContainerPilot.
//!
//! On a terminal the form `text` is logrus' coloured one; elsewhere nothing is coloured.
//!
//! Start reading at [`Logger`], then `stream.rs`.

mod batch;
mod form;
mod inbox;
mod lines;
mod output;
mod quote;
mod spool;
mod stream;
mod tail;
mod thread;
mod trace;
mod writer;
mod zone;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regrow_init::{ProcessId, Streams};
use tokio::sync::mpsc::UnboundedSender;

use crate::config::{Level, Logging, Sink};
use inbox::{Attach, Inbox, Own};
use output::Output;
use thread::Reader;
use writer::Writer;

pub use inbox::Figures;
pub use tail::Drained;
pub use trace::Trace;

/// Who a process is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// `NAME`, or `check.NAME` for a check.
    pub name: Arc<str>,
    /// It is a check: its records carry `check`, not `job`.
    pub check: bool,
    /// Its number in the kernel; 0 where it is not known.
    pub pid: i32,
}

/// The log cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("Error initializing log file '{}': {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output or standard error cannot be used.
    #[error("use the standard output or error for the log")]
    Output(#[source] io::Error),
    /// The thread cannot be started.
    #[error("start the thread of the log")]
    Thread(#[source] io::Error),
}

/// The log.
#[derive(Debug)]
pub struct Logger {
    inbox: Arc<Inbox>,
    logging: Mutex<Logging>,
}

impl Logger {
    /// Starts the thread, which writes nothing before [`Self::adopt`]. `drained` is told of each
    /// process whose both streams have ended and are written.
    pub fn start(logging: &Logging, drained: UnboundedSender<Drained>) -> Result<Self, LogError> {
        let output = Output::open(&logging.output)?;
        let inbox = Arc::new(Inbox::new().map_err(LogError::Thread)?);
        let writer = Writer::new(inbox.clone(), output, logging.level, logging.format);
        let reader = Reader::new(inbox.clone(), writer, drained).map_err(LogError::Thread)?;
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || reader.run())
            .map_err(LogError::Thread)?;
        Ok(Self { inbox, logging: Mutex::new(logging.clone()) })
    }

    /// Reads the lines of this process from now on.
    pub fn attach(&self, process: ProcessId, label: Label, streams: Streams) {
        self.inbox.put(|mail| mail.attached.push(Attach { process, label, streams }));
    }

    /// Goes on with the processes of a predecessor: mends the records that it tore, writes what it took
    /// and did not write, and reads on. To be called once, with all of them; what was said before is
    /// written then.
    pub fn adopt(&self, processes: impl IntoIterator<Item = (ProcessId, Label, Streams)>) {
        let new = |(process, label, streams)| Attach { process, label, streams };
        self.inbox.put(|mail| {
            mail.attached.extend(processes.into_iter().map(new));
            mail.adopted = true;
        });
    }

    /// Says something of the supervisor, about a job or nobody in particular. Never waits: where too
    /// many records wait already the oldest is dropped, which is said later.
    pub fn say(&self, level: Level, job: Option<&str>, text: impl Into<String>) {
        let at = jiff::Timestamp::now();
        self.inbox.say(Own { at, level, job: job.map(str::to_owned), text: text.into() });
    }

    /// Opens the file again, where the log is one, because somebody renamed it. Where that fails the
    /// old one stays.
    pub fn reopen(&self) -> Result<(), LogError> {
        let sink = self.logging().output.clone();
        if matches!(sink, Sink::File(_)) {
            let output = Output::open(&sink)?;
            self.inbox.put(|mail| mail.settings.output = Some(output));
        }
        Ok(())
    }

    /// Logs in another way from now on. Where the output cannot be opened all stays as it is.
    pub fn reconfigure(&self, logging: &Logging) -> Result<(), LogError> {
        let mut now = self.logging();
        let other = now.output != logging.output;
        let output = other.then(|| Output::open(&logging.output)).transpose()?;
        now.clone_from(logging);
        self.inbox.put(|mail| {
            mail.settings.form = Some((logging.level, logging.format));
            if output.is_some() {
                mail.settings.output = output;
            }
        });
        Ok(())
    }

    /// The least important level that is shown.
    pub fn level(&self) -> Level {
        self.logging().level
    }

    /// Figures for telemetry; they go on to be counted.
    pub fn figures(&self) -> Figures {
        self.inbox.figures.clone()
    }

    /// Takes what is in the pipes, writes it, an unfinished last line too, and ends the thread. Waits
    /// no longer than `within`; false: not everything could be written.
    pub fn finish(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        self.inbox.put(|mail| mail.finish = Some(until));
        self.inbox.wait_finished(until)
    }

    fn logging(&self) -> MutexGuard<'_, Logging> {
        self.logging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
