//! The child becomes the command: its block is mapped, never copied, and nothing is allocated.

use std::ffi::c_char;
use std::os::fd::{AsRawFd, OwnedFd};
use std::{ptr, slice};

use crate::command::{BYTES_MAX, Parts};
use crate::sys::errno;

unsafe extern "C" {
    /// What `execvp` hands over as environment, and where it finds `PATH`.
    static mut environ: *const *const c_char;
}

/// Becomes the command in this file; the `errno` where that is not possible.
pub fn execute(file: &OwnedFd) -> i32 {
    // SAFETY: touches no memory.
    let size = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_END) };
    let size = usize::try_from(size).ok().filter(|size| *size <= BYTES_MAX);
    let block = size.and_then(|size| map(size, libc::PROT_READ, file.as_raw_fd()));
    let Some(parts) = block.and_then(Parts::parse) else { return libc::EINVAL };
    let places = parts.count.saturating_add(2);
    let size = places.saturating_mul(size_of::<*const c_char>());
    let Some(memory) = map(size, libc::PROT_READ | libc::PROT_WRITE, -1) else { return errno() };
    // SAFETY: the mapping is that long, zero, writable, aligned to a page, and only ours.
    let list: &mut [*const c_char] =
        unsafe { slice::from_raw_parts_mut(memory.as_ptr().cast_mut().cast(), places) };
    let texts = parts.texts().map(|text| text.as_ptr().cast());
    let arguments = texts.clone().take(parts.arguments);
    let texts = arguments.chain([ptr::null()]).chain(texts.skip(parts.arguments));
    list.iter_mut().zip(texts).for_each(|(place, text)| *place = text);
    let [arguments, environment] =
        [Some(0), parts.arguments.checked_add(1)].map(|at| at.and_then(|at| list.get(at..)));
    let (Some(arguments), Some(environment)) = (arguments, environment) else {
        return libc::EINVAL;
    };
    // SAFETY: texts end in zero, both lists end in null, and nobody else is in this process.
    unsafe {
        if parts.directory.len() == 1 || libc::chdir(parts.directory.as_ptr().cast()) == 0 {
            environ = environment.as_ptr();
            libc::execvp(*arguments.as_ptr(), arguments.as_ptr());
        }
    }
    errno()
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
