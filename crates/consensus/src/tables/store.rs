//! The tables on disk or in memory: one redb table of bytes.

use std::fmt::Display;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::ops::{Bound, ControlFlow};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable,
    StorageError, TableDefinition,
};

use crate::machine::Change;
use crate::tables::{Edit, MemoryFile, Span, TableError, View, Visit};

/// Name and layout of the one table. A new layout gets a new name.
const DATA: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("data-1");

/// Bytes that must be free on the disk before anything is written: more than changes between two
/// flushes take, which go to new pages.
const ROOM: u64 = 24 << 20;

/// Whether a batch is on disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It is: it and all before it survive a power cut.
    Now,
    /// A power cut may lose it, whole batches from the end. Readers see it all the same.
    Later,
}

/// Ordered tables with one writer and many readers. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    database: Arc<Database>,
    medium: Medium,
    /// The file, where the operating system has it.
    file: Option<Arc<Path>>,
}

/// Where tables are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    /// A file of the operating system: flushing takes time.
    Disk,
    /// A model of a file: flushing counts, and takes no time.
    Model,
    /// Memory that goes with the process.
    Process,
}

fn store<E: Display>(doing: &'static str) -> impl FnOnce(E) -> TableError {
    move |error| TableError::Store { doing, reason: error.to_string() }
}

/// Why the file was not opened: what the disk did to it is told from all else.
fn unopened(error: DatabaseError) -> TableError {
    let damaged = |reason: String| TableError::Damaged { what: "tables", reason };
    let foreign = |kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
    match error {
        DatabaseError::Storage(StorageError::Corrupted(reason)) => damaged(reason),
        DatabaseError::Storage(StorageError::Io(cause)) if foreign(cause.kind()) => {
            damaged(cause.to_string())
        }
        other => store("open tables")(other),
    }
}

/// The file, which only its owner reads and writes: also one that was made with another mode.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

impl Tables {
    /// Opens or makes the file, gives it mode 0600, and reads all of it: the checksum of every page is
    /// looked at. `cache_bytes` bounds the pages kept in memory.
    ///
    /// # Errors
    /// [`TableError::Damaged`] when the disk changed it or it is no such file; else it cannot be
    /// opened, or another process uses it.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, TableError> {
        let mut builder = Database::builder();
        // A page that is damaged would be believed, or end the process, when it is read.
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
        let file = private(path).map_err(store("open tables"))?;
        let file = FileBackend::new(file).map_err(unopened)?;
        let tables =
            Self::with(builder.create_with_backend(file).map_err(unopened)?, Medium::Disk)?;
        Ok(Self { file: Some(path.into()), ..tables })
    }

    /// Tables that go with the process.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn memory() -> Result<Self, TableError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Self::with(database.map_err(store("make tables"))?, Medium::Process)
    }

    /// Opens or makes tables in a file in memory whose power can be cut: for simulated worlds, in
    /// which a thread that flushes would bring chance in.
    ///
    /// # Errors
    /// What the file holds is no tables.
    pub fn in_memory_file(file: &MemoryFile) -> Result<Self, TableError> {
        let database = Database::builder().create_with_backend(file.user());
        Self::with(database.map_err(store("open tables"))?, Medium::Model)
    }

    fn with(database: Database, medium: Medium) -> Result<Self, TableError> {
        let tables = Self { database: Arc::new(database), medium, file: None };
        // Readers expect the table to be there.
        tables.write(Flush::Now, |_| Ok(()))?;
        Ok(tables)
    }

    /// True for tables that go with the process.
    pub const fn volatile(&self) -> bool {
        matches!(self.medium, Medium::Process)
    }

    /// Whether the disk has room for what a flush writes, and so many bytes more. The store below
    /// cannot go on after a write that found no space, so nothing is written then.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let Some(file) = &self.file else { return true };
        // Where the operating system does not say, the write will.
        let Ok(disk) = rustix::fs::statvfs(&**file) else { return true };
        disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM.saturating_add(bytes)
    }

    /// True for tables whose flushing waits for a disk, so that an async caller must not do it.
    pub(crate) const fn blocks(&self) -> bool {
        matches!(self.medium, Medium::Disk)
    }

    /// The state after the last batch.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn view(&self) -> Result<TablesView, TableError> {
        let doing = "open tables for reading";
        let reading = self.database.begin_read().map_err(store(doing))?;
        let table = reading.open_table(DATA).map_err(store(doing))?;
        Ok(TablesView { table })
    }

    /// Runs a batch of changes: all of them become visible together when it returns, none where it
    /// fails. Waits for the batch before it.
    ///
    /// # Errors
    /// What `change` says, or the store cannot be written.
    pub fn write<R>(
        &self,
        flush: Flush,
        change: impl FnOnce(&mut Batch<'_>) -> Result<R, TableError>,
    ) -> Result<(R, Vec<Change>), TableError> {
        let doing = "write tables";
        let mut writing = self.database.begin_write().map_err(store(doing))?;
        let durability = match flush {
            Flush::Now => Durability::Immediate,
            Flush::Later => Durability::None,
        };
        writing.set_durability(durability).map_err(store(doing))?;
        let mut batch = Batch {
            table: writing.open_table(DATA).map_err(store(doing))?,
            index: 0,
            changes: Vec::new(),
        };
        let result = change(&mut batch)?;
        let changes = std::mem::take(&mut batch.changes);
        drop(batch);
        writing.commit().map_err(store(doing))?;
        Ok((result, changes))
    }
}

/// A batch of changes in the making.
pub struct Batch<'t> {
    table: redb::Table<'t, &'static [u8], &'static [u8]>,
    index: u64,
    changes: Vec<Change>,
}

impl Batch<'_> {
    /// The changes that follow are made by the command at this position.
    pub const fn at(&mut self, index: u64) {
        self.index = index;
    }

    /// Removes everything.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn clear(&mut self) -> Result<(), TableError> {
        self.table.retain(|_, _| false).map_err(store("empty tables"))
    }

    fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_vec);
        self.changes.push(Change { index: self.index, key: key.to_vec(), value });
    }
}

/// The tables as they were at one moment.
#[derive(Debug)]
pub struct TablesView {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

type Bounds<'s> = (Bound<&'s [u8]>, Bound<&'s [u8]>);

fn bounds(span: &Span) -> Option<Bounds<'_>> {
    let to = match &span.to {
        // The store below panics on a range that ends before it begins.
        Some(to) if *to <= span.from => return None,
        Some(to) => Bound::Excluded(to.as_slice()),
        None => Bound::Unbounded,
    };
    Some((Bound::Included(span.from.as_slice()), to))
}

fn walk<T>(table: &T, span: &Span, visit: Visit<'_>) -> Result<(), TableError>
where
    T: ReadableTable<&'static [u8], &'static [u8]>,
{
    let doing = "scan tables";
    let Some(bounds) = bounds(span) else { return Ok(()) };
    for entry in table.range::<&[u8]>(bounds).map_err(store(doing))? {
        let (key, value) = entry.map_err(store(doing))?;
        if visit(key.value(), value.value()) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

fn find<T>(table: &T, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>
where
    T: ReadableTable<&'static [u8], &'static [u8]>,
{
    let found = table.get(key).map_err(store("read tables"))?;
    Ok(found.map(|value| value.value().to_vec()))
}

impl View for TablesView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        find(&self.table, key)
    }

    fn scan(&self, span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
        walk(&self.table, span, visit)
    }
}

impl View for Batch<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        find(&self.table, key)
    }

    fn scan(&self, span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
        walk(&self.table, span, visit)
    }
}

impl Edit for Batch<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.table.insert(key, value).map_err(store("write tables"))?;
        self.note(key, Some(value));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<bool, TableError> {
        let was = self.table.remove(key).map_err(store("write tables"))?.is_some();
        if was {
            self.note(key, None);
        }
        Ok(was)
    }
}
