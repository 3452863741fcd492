//! The child becomes the command: its block is mapped, never copied, and nothing is allocated.

use std::ffi::c_char;
use std::os::fd::{AsRawFd, OwnedFd};
use std::{mem, ptr, slice};

use crate::command::{BYTES_MAX, Parts};
use crate::sys::errno;

/// Longest path that is tried for a program without a slash, with its zero byte.
const PATH_MAX: usize = 4096;

type Pointers = *const *const c_char;

/// Becomes the command in this file; the `errno` where that is not possible.
pub fn execute(file: &OwnedFd) -> i32 {
    let Some(block) = size(file).and_then(|size| map(size, libc::PROT_READ, file.as_raw_fd()))
    else {
        return errno();
    };
    let Some(parts) = Parts::parse(block) else { return libc::EINVAL };
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    let places = parts.count.saturating_add(2);
    let Some(memory) = map(places.saturating_mul(size_of::<Pointers>()), writable, -1) else {
        return errno();
    };
    // SAFETY: the mapping is that long, zero, writable, aligned to a page, and only ours.
    let list: &mut [*const c_char] =
        unsafe { slice::from_raw_parts_mut(memory.as_ptr().cast_mut().cast(), places) };
    let texts = parts.texts().map(|text| text.as_ptr().cast());
    let (arguments, environment) =
        (texts.clone().take(parts.arguments), texts.skip(parts.arguments));
    let texts = arguments.chain([ptr::null()]).chain(environment);
    list.iter_mut().zip(texts).for_each(|(place, text)| *place = text);
    let environment = list.get(parts.arguments.saturating_add(1)..).unwrap_or_default().as_ptr();
    // SAFETY: the folder ends in zero.
    if parts.directory.len() > 1 && unsafe { libc::chdir(parts.directory.as_ptr().cast()) } < 0 {
        return errno();
    }
    search(&parts, list.as_ptr(), environment)
}

fn size(file: &OwnedFd) -> Option<usize> {
    // SAFETY: a status is plain numbers, and the kernel fills it.
    let size = unsafe {
        let mut status: libc::stat = mem::zeroed();
        libc::fstat(file.as_raw_fd(), &raw mut status);
        status.st_size
    };
    usize::try_from(size).ok().filter(|size| *size <= BYTES_MAX)
}

/// Maps a file, -1 for fresh memory. Should the worker cut the file short meanwhile, a signal ends this
/// child and nobody else.
fn map(size: usize, access: i32, file: i32) -> Option<&'static [u8]> {
    let flags = libc::MAP_PRIVATE | if file < 0 { libc::MAP_ANONYMOUS } else { 0 };
    // SAFETY: a new mapping of its own address, so long, never unmapped.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), size, access, flags, file, 0);
        (start != libc::MAP_FAILED).then(|| slice::from_raw_parts(start.cast(), size))
    }
}

/// `execve` of the program, or of each file of that name in the folders of `PATH` until one is.
fn search(parts: &Parts<'_>, arguments: Pointers, environment: Pointers) -> i32 {
    let execve = |program: &[u8]| {
        // SAFETY: callers pass what ends in zero; the lists end in null; all of it is alive.
        unsafe { libc::execve(program.as_ptr().cast(), arguments, environment) };
        errno()
    };
    if parts.program.contains(&b'/') {
        return execve(parts.program);
    }
    let mut answer = libc::ENOENT;
    for folder in parts.path().split(|byte| *byte == b':') {
        let mut program = [0_u8; PATH_MAX];
        let folder: &[u8] = if folder.is_empty() { b"." } else { folder };
        if folder.len().saturating_add(parts.program.len()) >= PATH_MAX {
            continue;
        }
        let bytes = folder.iter().chain(b"/").chain(parts.program);
        program.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        match execve(&program) {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => answer = libc::EACCES,
            error => return error,
        }
    }
    answer
}
