//! What a child does: it becomes the command. Its block is mapped, never copied, and nothing is allocated.

use std::ffi::c_char;
use std::os::fd::{AsRawFd, OwnedFd};
use std::{mem, ptr, slice};

use crate::command::{BYTES_MAX, Parts};
use crate::protocol::{Ended, ProcessId};
use crate::run::Init;
use crate::start::Ends;
use crate::sys::{self, Result, errno};
use crate::wire::Frame;

/// Exit code of a child that could not execute its command, as shells have it.
const NOT_EXECUTED: i32 = 127;

unsafe extern "C" {
    /// What `execvp` hands over as environment, and where it finds `PATH`.
    static mut environ: *const *const c_char;
}

impl Init {
    /// Becomes a process that writes to `ends`, or says why it cannot. Init cannot be held up by it.
    pub fn become_process(&self, process: ProcessId, command: &OwnedFd, ends: &Ends) -> ! {
        let errno = self.prepare(ends).err().unwrap_or_else(|| execute(command));
        let report = Frame::ended(process, Ended::NotStarted(errno)).encode();
        // SAFETY: so many bytes may be read there, few enough to be written as a whole.
        unsafe { libc::write(self.reports.1.as_raw_fd(), report.as_ptr().cast(), report.len()) };
        sys::exit(NOT_EXECUTED)
    }

    /// Its input and output, its limit of descriptors, and every signal with its default meaning: what
    /// is ignored would stay so over `execve`.
    fn prepare(&self, ends: &Ends) -> Result<()> {
        let files = [&self.null].into_iter().chain(ends.iter().flatten());
        for (number, file) in [0, 1, 2].into_iter().zip(files) {
            // SAFETY: nobody owns 0, 1 and 2 here any more.
            sys::checked(unsafe { libc::dup2(file.as_raw_fd(), number) })?;
        }
        for signal in 1..=sys::SIGNAL_MAX {
            // SAFETY: installs no handler; the numbers that the C library keeps for itself are refused.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: the kernel only reads the limit.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.limit) };
        Ok(())
    }
}

/// Becomes the command in this file; the `errno` where that is not possible.
fn execute(file: &OwnedFd) -> i32 {
    let (file, access) = (file.as_raw_fd(), libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: touches no memory.
    let size = unsafe { libc::lseek(file, 0, libc::SEEK_END) };
    let size = usize::try_from(size).unwrap_or(0).min(BYTES_MAX);
    // SAFETY: a new mapping of its own address, so long, only ours, never unmapped. Should the worker cut
    // the file short meanwhile, a signal ends this child and nobody else.
    let block = unsafe {
        let start = libc::mmap(ptr::null_mut(), size, access, libc::MAP_PRIVATE, file, 0);
        if start == libc::MAP_FAILED {
            return errno();
        }
        slice::from_raw_parts_mut(start.cast(), size)
    };
    let Some(parts) = Parts::parse(block) else { return libc::EINVAL };
    // SAFETY: so many pointers have room there, and the numbers before it leave it aligned. The list ends
    // in null: one string less than there are places.
    let list: &mut [*const c_char] =
        unsafe { slice::from_raw_parts_mut(parts.room.as_mut_ptr().cast(), parts.places) };
    let texts = parts.strings.split_inclusive(|byte| *byte == 0);
    list.iter_mut().zip(texts).for_each(|(place, text)| *place = text.as_ptr().cast());
    // The folder gives its place to the null between arguments and environment.
    let Some(place) = list.get_mut(parts.arguments) else { return libc::EINVAL };
    let folder = mem::replace(place, ptr::null());
    // SAFETY: texts end in zero, both lists in null, and nobody else is in this process. Behind the place
    // of the folder there is at least the null at the end.
    unsafe {
        if *folder == 0 || libc::chdir(folder) == 0 {
            environ = list.as_ptr().add(parts.arguments).add(1);
            libc::execvp(*list.as_ptr(), list.as_ptr());
        }
    }
    errno()
}
