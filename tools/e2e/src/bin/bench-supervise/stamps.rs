//! Times that jobs tell the benchmark, by the clock that all processes of a machine share.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Variable with the time at which the program above a job was executed, in nanoseconds.
pub const BEGAN: &str = "BENCH_SUPERVISE_BEGAN";

/// Bytes of one stamp on the way: three numbers of eight bytes. Far below what a pipe takes in one
/// piece, so stamps of many jobs never mix.
const SIZE: usize = 24;

/// The monotonic clock, in nanoseconds.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// What a job says: when the program above it was executed, and when the job was there.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Who says it, as its arguments told it.
    pub who: u64,
    pub began: u64,
    pub at: u64,
}

impl Stamp {
    /// Now, from a job.
    pub fn of_job(who: u64) -> Self {
        let began = std::env::var(BEGAN).ok().and_then(|text| text.parse().ok());
        Self { who, began: began.unwrap_or(0), at: now() }
    }

    /// From the execution of the program above to the job.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.at.saturating_sub(self.began))
    }

    /// Tells the benchmark.
    pub fn send(&self, fifo: &Path) -> Result<()> {
        let mut bytes = [0; SIZE];
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.who, self.began, self.at]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let mut file = OpenOptions::new().write(true).open(fifo).context("open the fifo")?;
        file.write_all(&bytes).context("write a stamp")
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut numbers = bytes.chunks_exact(8).map(|part| {
            let mut number = [0; 8];
            number.copy_from_slice(part);
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or_default();
        Self { who: next(), began: next(), at: next() }
    }
}

/// The benchmark's end of a fifo: it stays open on both sides, so nobody waits for anybody to open.
pub struct Fifo {
    path: PathBuf,
    file: File,
}

impl Fifo {
    pub fn new(path: PathBuf) -> Result<Self> {
        let made = Command::new("mkfifo").arg(&path).status().context("start mkfifo")?;
        ensure!(made.success(), "make a fifo");
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = options.open(&path).context("open the fifo")?;
        Ok(Self { path, file })
    }

    /// Its path as an argument of a job.
    pub fn argument(&self) -> String {
        self.path.display().to_string()
    }

    /// Writes so many bytes: a gate opens for whoever reads them. Returns how many went in.
    pub fn put(&self, count: usize) -> Result<usize> {
        match rustix::io::write(&self.file, &vec![b'\n'; count]) {
            Err(Errno::AGAIN) => Ok(0),
            done => done.context("write to the fifo"),
        }
    }

    /// Bytes that nobody has read yet.
    pub fn unread(&self) -> Result<u64> {
        rustix::io::ioctl_fionread(&self.file).context("ask how full the fifo is")
    }

    /// The next stamp; an error when none comes in time.
    pub fn next(&self, within: Duration) -> Result<Stamp> {
        let found = self.take(1, Instant::now() + within)?;
        found.first().copied().context("the job did not come up in time")
    }

    /// Stamps until there are so many, or until then.
    pub fn take(&self, most: usize, until: Instant) -> Result<Vec<Stamp>> {
        let mut found = vec![];
        let mut buffer = [0; SIZE * 64];
        while found.len() < most {
            let want = SIZE * (most - found.len()).min(64);
            match rustix::io::read(&self.file, buffer.get_mut(..want).unwrap_or_default()) {
                Ok(read) => {
                    let read = buffer.get(..read).unwrap_or_default();
                    found.extend(read.chunks_exact(SIZE).map(Stamp::decode));
                }
                Err(Errno::AGAIN) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    readable(&self.file, left)?;
                }
                Err(error) => return Err(error).context("read stamps"),
            }
        }
        Ok(found)
    }
}

/// Waits until something can be read, or has ended; says whether it has.
pub fn readable(what: impl std::os::fd::AsFd, within: Duration) -> Result<bool> {
    let time = Timespec::try_from(within).context("a time to wait")?;
    let mut polled = [PollFd::new(&what, PollFlags::IN)];
    match poll(&mut polled, Some(&time)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("poll"),
    }
}
