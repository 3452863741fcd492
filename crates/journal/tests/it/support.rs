//! Small journals in memory, and ways to wait for an answer.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, JournalError, Mode, OpenError, Options, Report, Stream, StreamId};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        cache_bytes: 2048,
        mode: Mode::Inline,
        ..Options::default()
    }
}

pub fn open(disk: &MemoryDisk, options: Options) -> Result<(Journal, Report), OpenError> {
    Journal::open_on(Arc::new(disk.clone()), options)
}

/// An answer that will come.
pub struct Answer(mpsc::Receiver<Result<(), JournalError>>);

impl Answer {
    pub fn wait(self) -> Result<(), JournalError> {
        self.0.recv_timeout(PATIENCE).expect("an answer")
    }

    /// The answer, if it has come.
    pub fn now(self) -> Option<Result<(), JournalError>> {
        self.0.try_recv().ok()
    }
}

/// Something that is called with an answer, and the answer.
pub fn answer() -> (impl FnOnce(Result<(), JournalError>) + Send + 'static, Answer) {
    let (tell, told) = mpsc::channel();
    let done = move |result| tell.send(result).expect("somebody who waits");
    (done, Answer(told))
}

pub fn append(stream: &Stream, entries: &[(u64, &[u8])]) -> Answer {
    let entries = entries.iter().map(|(index, bytes)| (*index, Bytes::copy_from_slice(bytes)));
    let (done, answer) = answer();
    stream.append(entries.collect(), done);
    answer
}

/// All entries of a stream, read in small steps.
pub fn entries(stream: &Stream) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
    let (Some(mut at), Some(last)) = (stream.first(), stream.last()) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    while at <= last {
        let part = stream.read(at..last + 1, 1000)?;
        at += part.len() as u64;
        all.extend(part.into_iter().map(|(index, bytes)| (index, bytes.to_vec())));
    }
    Ok(all)
}

pub fn id(stream: u32) -> StreamId {
    StreamId(stream)
}
