//! Images: all tables at one moment, as a sequence of chunks, for members that are too far behind
//! and for backups.
//!
//! A chunk is `crc32c (u32) | length (u32) | content`, numbers little-endian, the checksum over
//! length and content. Content begins with its kind (u8). The first chunk (kind 0) tells the format:
//! `rgrow-image` and version 1 (u16). Then come keys and values (kind 1), each `length (u32) |
//! bytes`, ascending over all chunks. The last chunk (kind 2) is the number of keys (u64).

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use crate::tables::{Span, TableError, TablesView, View as _};
use crate::transport::Chunks;

const MAGIC: &[u8] = b"rgrow-image";
const VERSION: u16 = 1;
/// Content of a chunk is closed once it has this many bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// A chunk cannot be larger than its target, one key and one value.
const CHUNK_LIMIT: usize = CHUNK_BYTES + (16 << 20);

const HEAD: u8 = 0;
const DATA: u8 = 1;
const END: u8 = 2;

fn chunk(kind: u8, body: &[u8]) -> Bytes {
    let content = [&[kind], body].concat();
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &content);
    Bytes::from([crc.to_le_bytes().as_slice(), &length, &content].concat())
}

fn damaged(why: impl Into<String>) -> io::Error {
    let why = why.into();
    io::Error::new(io::ErrorKind::InvalidData, format!("read image: {why}; take another copy"))
}

enum Stage {
    Head,
    From(Span),
    End,
}

/// Makes the chunks of an image of a view.
pub(crate) struct ImageReader {
    view: Arc<TablesView>,
    stage: Stage,
    keys: u64,
}

impl ImageReader {
    pub(crate) const fn new(view: Arc<TablesView>) -> Self {
        Self { view, stage: Stage::Head, keys: 0 }
    }

    /// The next chunk; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TableError> {
        match std::mem::replace(&mut self.stage, Stage::End) {
            Stage::Head => {
                self.stage = Stage::From(Span::all());
                Ok(Some(chunk(HEAD, &[MAGIC, &VERSION.to_le_bytes()].concat())))
            }
            Stage::From(span) => self.data(&span).map(Some),
            Stage::End => Ok(None),
        }
    }

    /// The chunks, made as they are asked for.
    pub(crate) fn chunks(self) -> Chunks {
        let chunks = stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            match reader.next() {
                Ok(chunk) => chunk.map(|chunk| (Ok(chunk), Some(reader))),
                Err(error) => Some((Err(io::Error::other(error)), None)),
            }
        });
        chunks.boxed()
    }

    fn data(&mut self, span: &Span) -> Result<Bytes, TableError> {
        let mut content = Vec::new();
        let mut next = None;
        let mut keys = 0;
        self.view.scan(span, &mut |key, value| {
            for part in [key, value] {
                let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
                content.extend_from_slice(&length.to_le_bytes());
                content.extend_from_slice(part);
            }
            keys += 1;
            if content.len() < CHUNK_BYTES {
                return ControlFlow::Continue(());
            }
            next = Some([key, &[0]].concat());
            ControlFlow::Break(())
        })?;
        self.keys += keys;
        match next {
            Some(from) => self.stage = Stage::From(Span { from, to: None }),
            None if content.is_empty() => return Ok(chunk(END, &self.keys.to_le_bytes())),
            // The chunk behind this one closes the image.
            None => self.stage = Stage::From(Span { from: Vec::new(), to: Some(Vec::new()) }),
        }
        Ok(chunk(DATA, &content))
    }
}

/// Bytes of an image as they arrive: in a file that goes with it, or in memory.
#[derive(Debug)]
pub(crate) enum Spool {
    Memory(Vec<u8>),
    File { path: PathBuf, file: File },
}

impl Spool {
    /// In `dir`, or in memory where there is none.
    pub(crate) fn new(dir: Option<&Path>) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Some(dir) = dir else { return Ok(Self::Memory(Vec::new())) };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("incoming-{}-{number}.image", std::process::id()));
        let file = File::options().create(true).truncate(true).write(true).open(&path)?;
        Ok(Self::File { path, file })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(memory) => memory.write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }

    /// Bytes that arrived.
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Memory(memory) => Ok(memory.len() as u64),
            Self::File { file, .. } => Ok(file.metadata()?.len()),
        }
    }

    /// Reads the image once for nothing but its checksums.
    pub(crate) fn check(&self) -> io::Result<()> {
        read_image(&mut *self.reader()?, &mut |_, _| Ok(()))
    }

    /// From the beginning.
    pub(crate) fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Memory(memory) => Box::new(memory.as_slice()),
            Self::File { path, .. } => Box::new(BufReader::new(File::open(path)?)),
        })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Self::File { path, .. } = self {
            // What stays is removed at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes a key and its value.
pub(crate) type Put<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<()>;

/// Calls `put` with each key and value of an image. What was put counts only when this succeeds.
pub(crate) fn read_image(from: &mut dyn Read, put: Put<'_>) -> io::Result<()> {
    let (kind, head) = read_chunk(from)?;
    match head.strip_prefix(MAGIC).filter(|_| kind == HEAD).map(<[u8; 2]>::try_from) {
        Some(Ok(version)) if u16::from_le_bytes(version) == VERSION => {}
        Some(Ok(version)) => {
            let found = u16::from_le_bytes(version);
            return Err(damaged(format!("it has version {found}, this program knows {VERSION}")));
        }
        _ => return Err(damaged("it is no image")),
    }
    let mut keys = 0_u64;
    let mut last: Option<Vec<u8>> = None;
    loop {
        let (kind, content) = read_chunk(from)?;
        if kind == END {
            let whole = content == keys.to_le_bytes() && from.read(&mut [0])? == 0;
            return if whole { Ok(()) } else { Err(damaged("keys are missing")) };
        }
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let (key, value) = (take(&mut rest)?, take(&mut rest)?);
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(damaged("keys are out of order"));
            }
            put(key, value)?;
            last = Some(key.to_vec());
            keys += 1;
        }
    }
}

fn take<'b>(rest: &mut &'b [u8]) -> io::Result<&'b [u8]> {
    let cut = || damaged("a key or value is cut off");
    let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut())?;
    let (part, behind) = behind.split_at_checked(length).ok_or_else(cut)?;
    *rest = behind;
    Ok(part)
}

/// Kind and body of the next chunk.
fn read_chunk(from: &mut dyn Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 8];
    from.read_exact(&mut head).map_err(|_| damaged("it ends too early"))?;
    let [c0, c1, c2, c3, l0, l1, l2, l3] = head;
    let length = [l0, l1, l2, l3];
    let size = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if size == 0 || size > CHUNK_LIMIT {
        return Err(damaged(format!("a chunk of {size} bytes")));
    }
    let mut content = vec![0; size];
    from.read_exact(&mut content).map_err(|_| damaged("it ends inside a chunk"))?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &content);
    if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(damaged("a checksum does not fit"));
    }
    let kind = content.remove(0);
    if kind > END {
        return Err(damaged(format!("a chunk of kind {kind}")));
    }
    Ok((kind, content))
}
