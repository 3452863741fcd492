//! Writing that does not lose: waits for a slow reader, tries again on a full disk, completes what was
//! written in part, and goes on without an output that nobody reads any more.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::batch::Batch;
use super::inbox::{Inbox, Own};
use super::output::Output;
use crate::config::{Format, Level};

/// Pauses after a write that failed: the first, doubled up to the last.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long one wait for a reader lasts at most, so that the figure of the stall is never older.
const WAIT: Duration = Duration::from_secs(1);

/// The time to finish is over and not everything is written.
#[derive(Debug)]
pub struct Abandoned;

/// What takes batches. The thread writes to an output; a test to something that dies at any byte.
pub trait Sheet {
    /// The length to be recorded before this batch is written, where it could be torn by a death.
    fn mark(&self, batch: &Batch) -> Option<u64>;

    /// Ends a record that a predecessor did not finish.
    fn mend(&mut self, length: u64) -> Result<(), Abandoned>;

    /// Writes all of it.
    fn write(&mut self, batch: &Batch) -> Result<(), Abandoned>;
}

/// Writes to the output and follows the settings while it waits.
#[derive(Debug)]
pub struct Writer {
    inbox: Arc<Inbox>,
    output: Output,
    /// Nobody reads it any more; the records that were lost since.
    closed: Option<u64>,
    /// The least important level that is shown.
    pub level: Level,
    /// The form of records.
    pub format: Format,
    /// Somebody looks at them on a terminal.
    pub terminal: bool,
}

impl Writer {
    /// A writer to this output.
    pub fn new(inbox: Arc<Inbox>, output: Output, level: Level, format: Format) -> Self {
        let terminal = output.is_terminal();
        Self { inbox, output, closed: None, level, format, terminal }
    }

    /// Takes over what was changed. True: there is another output now.
    pub fn adopt_settings(&mut self) -> bool {
        let settings = std::mem::take(&mut self.inbox.mail().settings);
        if let Some((level, format)) = settings.form {
            (self.level, self.format) = (level, format);
        }
        let Some(output) = settings.output else { return false };
        self.terminal = output.is_terminal();
        self.output = output;
        if let Some(lost) = self.closed.take() {
            self.say(format!("{lost} records were lost while nobody read the log"));
        }
        true
    }

    /// Waits without taking anything from the pipes. Counts as a stall.
    pub fn pause(&self, time: Duration) -> Result<(), Abandoned> {
        self.wait(None, time)
    }

    fn say(&self, text: String) {
        let at = jiff::Timestamp::now();
        self.inbox.say(Own { at, level: Level::Warning, job: None, text });
    }

    /// Waits until the output takes more, the time is over or something is in the inbox.
    fn wait(&self, output: Option<&Output>, time: Duration) -> Result<(), Abandoned> {
        let begun = Instant::now();
        let finish = self.inbox.mail().finish;
        let left = finish.map_or(time, |at| at.saturating_duration_since(begun).min(time));
        if left.is_zero() && finish.is_some() {
            return Err(Abandoned);
        }
        let bell = self.inbox.bell();
        let mut fds = vec![PollFd::from_borrowed_fd(bell, PollFlags::IN)];
        fds.extend(output.map(|o| PollFd::from_borrowed_fd(o.as_fd(), PollFlags::OUT)));
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            // Without poll there is still the clock.
            Err(_) => std::thread::sleep(left.min(PAUSE)),
        }
        if !fds[0].revents().is_empty() {
            self.inbox.heard();
        }
        self.inbox.figures.add_stalled(begun.elapsed());
        Ok(())
    }

    /// True: the output takes some bytes now without making us wait.
    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.output.as_fd(), PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut fds, Some(&now)), Ok(0) | Err(Errno::INTR))
    }

    /// To a file: as much at once as it takes.
    fn write_file(
        &mut self,
        batch: &Batch,
        done: &mut usize,
        trouble: &mut Trouble,
    ) -> Result<(), Abandoned> {
        match self.output.write(&batch.bytes()[*done..]) {
            Ok(n) if n > 0 => {
                *done += n;
                trouble.over(self);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            outcome => trouble.again(self, outcome.err()),
        }
    }

    /// To a pipe, a socket or a terminal: a chunk that it takes whole, when there is room for it.
    fn write_chunk(&mut self, batch: &Batch, done: &mut usize) -> Result<(), Abandoned> {
        if !self.is_ready() {
            return self.wait(Some(&self.output), WAIT);
        }
        let end = batch.chunk(*done).map_or(batch.bytes().len(), |chunk| chunk.end);
        match self.output.write(&batch.bytes()[*done..end]) {
            Ok(n) => *done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return self.pause(PAUSE / 10);
            }
            Err(error) => self.close(&error),
        }
        Ok(())
    }

    /// Nobody reads the log any more: the jobs go on, their lines are counted. Said on standard
    /// error, the one place that may be left.
    fn close(&mut self, error: &io::Error) {
        self.closed = Some(0);
        let text =
            format!("the log cannot be written ({error}): records are dropped from now on\n");
        let stderr = io::stderr();
        let mut fds = [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if matches!(poll(&mut fds, Some(&now)), Ok(1)) {
            let _: rustix::io::Result<usize> = rustix::io::write(stderr.as_fd(), text.as_bytes());
        }
    }
}

impl Sheet for Writer {
    fn mark(&self, batch: &Batch) -> Option<u64> {
        if self.output.is_regular() {
            return self.output.length().ok();
        }
        batch.can_be_torn().then_some(0)
    }

    fn mend(&mut self, length: u64) -> Result<(), Abandoned> {
        if !self.output.mend(length) {
            return Ok(());
        }
        let mut end_of_line = Batch::default();
        end_of_line.push(|out| out.push(b'\n'));
        self.write(&end_of_line)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Abandoned> {
        let mut done = 0;
        let mut trouble = Trouble::default();
        while done < batch.bytes().len() {
            if let Some(lost) = &mut self.closed {
                *lost += batch.records();
                self.inbox.figures.add_lost(batch.records());
                return Ok(());
            }
            if self.output.begins_within_line() {
                let mut end_of_line = Batch::default();
                end_of_line.push(|out| out.push(b'\n'));
                self.write(&end_of_line)?;
            }
            if self.output.is_regular() {
                self.write_file(batch, &mut done, &mut trouble)?;
            } else {
                self.write_chunk(batch, &mut done)?;
            }
            if done < batch.bytes().len() && self.adopt_settings() {
                // What was begun in the old output is written whole in the new one.
                done = batch.chunk(done).map_or(done, |chunk| chunk.start);
            }
        }
        Ok(())
    }
}

/// A write to a file that fails again and again.
#[derive(Debug, Default)]
struct Trouble {
    since: Option<(Instant, String)>,
    pause: Duration,
}

impl Trouble {
    fn again(&mut self, writer: &Writer, error: Option<io::Error>) -> Result<(), Abandoned> {
        let reason = error.map_or("nothing was written".to_owned(), |error| error.to_string());
        self.since.get_or_insert_with(|| (Instant::now(), reason));
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        writer.pause(self.pause)
    }

    fn over(&mut self, writer: &Writer) {
        if let Some((since, reason)) = self.since.take() {
            let time = since.elapsed().as_secs_f32();
            writer.say(format!("the log could not be written for {time:.1} s: {reason}"));
        }
    }
}
