//! A folder of the operating system, locked against other processes.
//!
//! Files are formatted before use, so a flush changes no metadata: that is what makes it cheap,
//! whichever [`Method`] is used. `examples/flushes.rs` measures both.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, OFlags};

use super::{BLOCK, Disk, DiskFile};
use crate::blocks::Blocks;

/// How writes become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Each write goes past the page cache to the disk before it returns (`O_DIRECT | O_DSYNC`).
    /// As fast as the other for small groups and several times as fast for large ones. Fails with
    /// `EINVAL` where the file system has no direct writing.
    Direct,
    /// Writes go to the page cache and from there to the disk with `fdatasync`. Works everywhere.
    Flush,
}

/// A folder, used by this process alone until dropped.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    folder: File,
    method: Method,
}

impl RealDisk {
    /// Takes the folder, making it (mode 0700) if missing. Writes with [`Method::Direct`] if the
    /// file system takes that, else with [`Method::Flush`].
    ///
    /// `WouldBlock` when another process, or another journal of this one, has the folder.
    pub fn open(dir: &Path) -> io::Result<RealDisk> {
        let disk = RealDisk::with_method(dir, Method::Direct)?;
        let method = disk.probe()?;
        Ok(RealDisk { method, ..disk })
    }

    /// Takes the folder and writes in the given way.
    pub fn with_method(dir: &Path, method: Method) -> io::Result<RealDisk> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let folder = File::open(dir)?;
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
        Ok(RealDisk { dir: dir.to_owned(), folder, method })
    }

    /// Tries a direct write, which some file systems refuse when opening, some when writing.
    fn probe(&self) -> io::Result<Method> {
        let path = self.dir.join("probe");
        let mut block = Blocks::default();
        block.reset(BLOCK);
        let file = options(true).create(true).truncate(true).open(&path);
        let tried = file.and_then(|file| file.write_at(block.bytes(), 0));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(match tried {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Method::Flush,
            // Any other failure, a full disk for one, says nothing about direct writing.
            _ => Method::Direct,
        })
    }

    fn file(&self, path: &Path, read: File) -> io::Result<Arc<dyn DiskFile>> {
        let direct = self.method == Method::Direct;
        let write = options(direct).open(path)?;
        Ok(Arc::new(RealFile { read, write, direct }))
    }
}

/// How files are opened for writing: readable by their owner only.
fn options(direct: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if direct {
        let flags = OFlags::DIRECT | OFlags::DSYNC;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    options
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name()));
        let names: io::Result<Vec<_>> = names.collect();
        // A name that is not text is none of ours.
        Ok(names?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.dir.join(name);
        let read = File::open(&path)?;
        // After a failed flush the page cache shows what the disk does not have: it is emptied.
        read.sync_data()?;
        rustix::fs::fadvise(&read, 0, None, Advice::DontNeed)?;
        self.file(&path, read)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.dir.join(name);
        let mut create = OpenOptions::new();
        create.read(true).write(true).create_new(true).mode(0o600);
        let read = create.open(&path)?;
        let allocated = match rustix::fs::fallocate(&read, FallocateFlags::empty(), 0, bytes) {
            // The formatting that follows allocates as well.
            Err(rustix::io::Errno::OPNOTSUPP) => read.set_len(bytes),
            other => other.map_err(io::Error::from),
        };
        let made = allocated.and_then(|()| read.sync_all()).and_then(|()| self.file(&path, read));
        if made.is_err() {
            fs::remove_file(&path)?;
        }
        made
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn note(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, text)?;
        File::open(&path)?.sync_all()?;
        self.folder.sync_all()
    }

    fn read_note(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn nonce(&self) -> io::Result<[u8; 16]> {
        let mut nonce = [0; 16];
        io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut nonce)?;
        Ok(nonce)
    }

    fn now(&self) -> String {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        format!("unix time {}", since.unwrap_or_default().as_secs())
    }
}

struct RealFile {
    /// Reads need no alignment, so they go through the page cache.
    read: File,
    write: File,
    direct: bool,
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.read.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.write.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // A direct write was durable when it returned.
        if self.direct { Ok(()) } else { self.write.sync_data() }
    }
}
