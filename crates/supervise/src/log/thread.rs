//! The thread of the log: waits for pipes and for mail, and writes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use regrow_init::ProcessId;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;

use super::Label;
use super::batch::Batch;
use super::form::{Form, Who};
use super::inbox::{Attach, Inbox, Mail, Own};
use super::spool::{Spool, SpoolError};
use super::stream::{Destination, Scratch, Stream, TAKE_BYTES, Turn, TurnError};
use super::tail::{Drained, Tail};
use super::writer::{Abandoned, Sheet as _, Writer};
use super::zone;
use crate::config::Level;

/// Pipes that are looked at in one round.
const EVENTS: usize = 256;
/// The bell's key; streams count from 0.
const BELL: u64 = u64::MAX;
/// Pause after a failure that time may mend, such as memory that is short.
const PAUSE: Duration = Duration::from_millis(100);

/// A stream and whose it is.
#[derive(Debug)]
struct Reading {
    process: ProcessId,
    label: Label,
    stream: Stream,
}

/// All that the thread owns.
#[derive(Debug)]
pub struct Reader {
    inbox: Arc<Inbox>,
    epoll: OwnedFd,
    readings: BTreeMap<u64, Reading>,
    next: u64,
    writer: Writer,
    form: Form,
    scratch: Scratch,
    /// What running checks said.
    said: BTreeMap<ProcessId, Tail>,
    drained: UnboundedSender<Drained>,
}

impl Reader {
    /// A reader of no streams.
    pub fn new(
        inbox: Arc<Inbox>,
        writer: Writer,
        drained: UnboundedSender<Drained>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, inbox.bell(), epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        let form = Form::new(writer.format, zone::local());
        Ok(Self {
            inbox,
            epoll,
            readings: BTreeMap::new(),
            next: 0,
            writer,
            form,
            scratch: Scratch::default(),
            said: BTreeMap::new(),
            drained,
        })
    }

    /// Reads and writes until it is told to finish.
    pub fn run(mut self) {
        // What was not written in time stays where it is.
        let whole = self.rounds().is_ok();
        self.inbox.set_finished(whole);
    }

    fn rounds(&mut self) -> Result<(), Abandoned> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let finish = self.read_mail()?;
            if finish {
                return self.finish();
            }
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => self.writer.pause(PAUSE)?,
            }
            for event in &events {
                match event.data.u64() {
                    BELL => self.inbox.heard(),
                    key => self.turn(key)?,
                }
            }
        }
    }

    /// Takes what is in the inbox. True: it is time to finish.
    fn read_mail(&mut self) -> Result<bool, Abandoned> {
        self.writer.adopt_settings();
        let (attached, own, dropped, finish) = {
            let mail: &mut Mail = &mut self.inbox.mail();
            if !mail.adopted && mail.finish.is_none() {
                return Ok(false);
            }
            let own = std::mem::take(&mut mail.own);
            let dropped = std::mem::take(&mut mail.dropped);
            (std::mem::take(&mut mail.attached), own, dropped, mail.finish.is_some())
        };
        self.form.adopt(self.writer.format, self.writer.terminal);
        self.attach(attached)?;
        let left_out = (dropped > 0).then(|| Own {
            at: jiff::Timestamp::now(),
            level: Level::Warning,
            job: None,
            text: format!("{dropped} records of the supervisor are left out: too many waited"),
        });
        for own in left_out.into_iter().chain(own) {
            self.write_own(&own)?;
        }
        Ok(finish)
    }

    fn write_own(&mut self, own: &Own) -> Result<(), Abandoned> {
        if own.level > self.writer.level {
            return Ok(());
        }
        let field = own.job.as_deref().map(|job| (job, false));
        let frame = self.form.frame(own.at, Who { level: own.level, field, pid: None });
        let mut batch = Batch::default();
        batch.push(|out| frame.write(out, own.text.as_bytes(), b""));
        self.writer.write(&batch)
    }

    /// Begins to read processes: first all records that a predecessor tore are mended, then what it
    /// took is written, so that nothing is joined with a torn one.
    fn attach(&mut self, attached: Vec<Attach>) -> Result<(), Abandoned> {
        let processes: Vec<ProcessId> = attached.iter().map(|attach| attach.process).collect();
        let mut keys = Vec::new();
        for Attach { process, label, streams } in attached {
            for stream in [streams.out, streams.err] {
                keys.extend(self.read_from(process, &label, stream));
            }
        }
        for key in &keys {
            if let Some(mended) = self.with(*key, |stream, to| stream.mend(to)) {
                mended?;
            }
        }
        for key in keys {
            if let Some(Err(error)) = self.with(key, |stream, to| stream.write_out(false, to)) {
                self.failed(key, error)?;
            }
        }
        for process in processes {
            self.tell_drained(process);
        }
        Ok(())
    }

    /// Registers a stream. `None` where it cannot be read, which is said.
    fn read_from(
        &mut self,
        process: ProcessId,
        label: &Label,
        stream: regrow_init::protocol::Stream,
    ) -> Option<u64> {
        let opened = open(stream).and_then(|(stream, passed_over)| {
            let data = epoll::EventData::new_u64(self.next);
            epoll::add(&self.epoll, stream.pipe(), data, epoll::EventFlags::IN)
                .map_err(|error| SpoolError::File(error.into()))?;
            Ok((stream, passed_over))
        });
        let stream = match opened {
            Ok((stream, passed_over)) => {
                if let Some(error) = passed_over {
                    self.complain(label, &error);
                }
                stream
            }
            Err(error) => {
                self.complain(label, &error);
                return None;
            }
        };
        let key = self.next;
        self.next += 1;
        self.readings.insert(key, Reading { process, label: label.clone(), stream });
        Some(key)
    }

    /// Does something with a stream.
    fn with<T>(
        &mut self,
        key: u64,
        act: impl FnOnce(&mut Stream, &mut Destination<'_, Writer>) -> T,
    ) -> Option<T> {
        let Reading { process, label, stream } = self.readings.get_mut(&key)?;
        let shown = self.writer.level >= Level::Info;
        let (form, sheet, scratch) = (&self.form, &mut self.writer, &mut self.scratch);
        let said = label.check.then(|| self.said.entry(*process).or_default());
        Some(act(stream, &mut Destination { label, form, shown, sheet, scratch, said }))
    }

    fn turn(&mut self, key: u64) -> Result<(), Abandoned> {
        // What comes after a change is written as it says, also where the bell is still to be heard.
        self.writer.adopt_settings();
        self.form.adopt(self.writer.format, self.writer.terminal);
        match self.with(key, |stream, to| stream.turn(to)) {
            None | Some(Ok(Turn::Took(_) | Turn::Empty)) => {}
            Some(Ok(Turn::Ended)) => self.end(key),
            Some(Err(error)) => self.failed(key, error)?,
        }
        Ok(())
    }

    /// A pipe that is none is given up; everything else is tried again.
    fn failed(&mut self, key: u64, error: TurnError) -> Result<(), Abandoned> {
        let error = match error {
            TurnError::Abandoned => return Err(Abandoned),
            TurnError::Io(error) => error,
        };
        if let Some(label) = self.readings.get(&key).map(|reading| reading.label.clone()) {
            self.complain(&label, &error);
        }
        if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::BADF)) {
            self.end(key);
            return Ok(());
        }
        self.writer.pause(PAUSE)
    }

    fn end(&mut self, key: u64) {
        let Some(reading) = self.readings.remove(&key) else { return };
        let _: rustix::io::Result<()> = epoll::delete(&self.epoll, reading.stream.pipe());
        self.tell_drained(reading.process);
    }

    fn tell_drained(&mut self, process: ProcessId) {
        if !self.readings.values().any(|reading| reading.process == process) {
            let said = self.said.remove(&process).map(|said| said.text()).unwrap_or_default();
            // The worker that would pass it on is gone: then nobody needs it.
            let _: Result<(), _> = self.drained.send(Drained { process, said });
        }
    }

    fn complain(&self, label: &Label, error: &dyn std::error::Error) {
        let mut text = format!("failed to read the output of {}: {error}", label.name);
        let mut cause = error.source();
        while let Some(next) = cause {
            text.push_str(&format!(": {next}"));
            cause = next.source();
        }
        let at = jiff::Timestamp::now();
        self.inbox.say(Own { at, level: Level::Error, job: None, text });
    }

    /// Takes what is in the pipes now, not what comes later, and writes all of it.
    fn finish(&mut self) -> Result<(), Abandoned> {
        let keys: Vec<u64> = self.readings.keys().copied().collect();
        for key in keys {
            self.drain(key)?;
        }
        self.read_mail()?;
        Ok(())
    }

    fn drain(&mut self, key: u64) -> Result<(), Abandoned> {
        let Some(reading) = self.readings.get(&key) else { return Ok(()) };
        let held = rustix::io::ioctl_fionread(reading.stream.pipe().as_fd()).unwrap_or(0);
        let mut left = usize::try_from(held).unwrap_or(TAKE_BYTES);
        while left > 0 {
            match self.with(key, |stream, to| stream.turn(to)) {
                Some(Ok(Turn::Took(taken))) => left = left.saturating_sub(taken),
                Some(Err(TurnError::Abandoned)) => return Err(Abandoned),
                _ => break,
            }
        }
        match self.with(key, |stream, to| stream.write_out(true, to)) {
            Some(Err(TurnError::Abandoned)) => Err(Abandoned),
            _ => Ok(()),
        }
    }
}

/// Opens a stream; where its spool cannot be read, what is in it is passed over.
fn open(stream: regrow_init::protocol::Stream) -> Result<(Stream, Option<SpoolError>), SpoolError> {
    let again = stream.spool.try_clone().map_err(SpoolError::File)?;
    let pipe = stream.pipe.try_clone().map_err(SpoolError::File)?;
    match Stream::open(stream) {
        Ok(stream) => Ok((stream, None)),
        Err(error) => {
            drop(Spool::pass_over(again.try_clone().map_err(SpoolError::File)?));
            let stream = regrow_init::protocol::Stream { pipe, spool: again };
            Ok((Stream::open(stream)?, Some(error)))
        }
    }
}
