//! The kernel, as far as init needs it: every `unsafe` of this crate is here, each with why it holds.
//!
//! Nothing allocates, and nothing panics.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr, slice};

use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use crate::command::{BYTES_MAX, Parts};
use crate::protocol::Ended;

/// Highest signal number of Linux.
pub const SIGNAL_MAX: i32 = 64;
/// Longest path that is tried for a program without a slash, with its zero byte.
const PATH_MAX: usize = 4096;

fn errno() -> Errno {
    // SAFETY: glibc and musl give every thread a valid place for its errno.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Forks. `None` in the child.
///
/// Rustix has no fork: what the child may do depends on the rest of the program. Here there is one
/// thread and no lock that it could hold.
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: this program has one thread when `split` runs, so the child finds every lock free.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(pid)),
        _ => Err(errno()),
    }
}

/// Ends the process here, without destructors and `atexit`.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process, touches no memory.
    unsafe { libc::_exit(code) }
}

/// Blocks every signal and gives the descriptor from which they are taken instead.
pub fn take_signals() -> Result<OwnedFd> {
    let every = every_signal();
    // SAFETY: `every` is a whole signal set. The descriptor is new and ours alone.
    unsafe {
        // Where SIGCHLD is ignored by inheritance the kernel would reap without us.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const every, ptr::null_mut()) < 0 {
            return Err(errno());
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        match libc::signalfd(-1, &raw const every, flags) {
            -1 => Err(errno()),
            file => Ok(OwnedFd::from_raw_fd(file)),
        }
    }
}

fn every_signal() -> libc::sigset_t {
    // SAFETY: a signal set is plain bits, and the call fills it.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Lets every signal through again.
pub fn unblock_signals() {
    let every = every_signal();
    // SAFETY: `every` is a whole signal set.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const every, ptr::null_mut()) };
}

/// Gives every signal its default meaning. What is ignored would stay so over `execve`.
pub fn default_signals() {
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: installs no handler; the numbers that the C library keeps for itself are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// `kill(2)`, errors ignored: the target may be gone, which is what was wanted.
///
/// Rustix knows only signals with a name; jobs also get those without one.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: touches no memory. Whom it hits is the caller's duty: only what is not yet reaped.
    unsafe { libc::kill(pid, signal) };
}

/// Looks at a child that has ended and leaves it as it is; `None` where there is none now.
/// [`Errno::CHILD`] where there are no children at all.
///
/// Rustix does not say which process it was.
pub fn peek() -> Result<Option<(i32, Ended)>> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel fills `info` for SIGCHLD or leaves it zero, so its fields are plain numbers.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        if libc::waitid(libc::P_ALL, 0, &raw mut info, flags) < 0 {
            return Err(errno());
        }
        let status = info.si_status();
        let how = match info.si_code {
            libc::CLD_EXITED => Ended::Code(status),
            _ => Ended::Signal(status),
        };
        Ok(Some((info.si_pid(), how)).filter(|(pid, _)| *pid > 0))
    }
}

/// Reaps this child, which has ended.
pub fn reap(pid: i32) {
    let flags = libc::WEXITED | libc::WNOHANG;
    // SAFETY: no memory is handed over.
    unsafe { libc::waitid(libc::P_PID, pid.unsigned_abs(), ptr::null_mut(), flags) };
}

/// Makes `file` the descriptor `number`, open over `execve`.
pub fn place(file: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    // SAFETY: only in a child that is about to execute: nobody owns 0, 1 and 2 there any more.
    if unsafe { libc::dup2(file.as_raw_fd(), number) } < 0 { Err(errno()) } else { Ok(()) }
}

/// Becomes the command in this file. Returns only where that is not possible.
pub fn execute(file: BorrowedFd<'_>) -> Errno {
    let size = rustix::fs::fstat(file).map(|status| usize::try_from(status.st_size));
    let size = match size {
        Ok(Ok(size)) if size <= BYTES_MAX => size,
        Ok(_) => return Errno::TOOBIG,
        Err(error) => return error,
    };
    // SAFETY: a new mapping of its own address. Should the worker cut the file short meanwhile, a
    // signal ends this child and nobody else.
    let block = unsafe { mmap(ptr::null_mut(), size, ProtFlags::READ, MapFlags::PRIVATE, file, 0) };
    let block: &[u8] = match block {
        // SAFETY: `size` readable bytes start there, and they stay until `execve`.
        Ok(start) => unsafe { slice::from_raw_parts(start.cast(), size) },
        Err(error) => return error,
    };
    let Some(parts) = Parts::parse(block) else { return Errno::INVAL };
    if !parts.directory.is_empty()
        && let Err(error) = rustix::process::chdir(parts.directory)
    {
        return error;
    }
    match pointers(&parts) {
        Ok((arguments, environment)) => search(&parts, arguments, environment),
        Err(error) => error,
    }
}

type Pointers = *const *const c_char;

/// The two lists of pointers that `execve` takes, each with its null at the end.
fn pointers(parts: &Parts<'_>) -> Result<(Pointers, Pointers)> {
    let places = parts.len().saturating_add(2);
    let size = places.saturating_mul(size_of::<Pointers>());
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping of its own address, `places` pointers long, zero, and never unmapped.
    let list: &mut [*const c_char] = unsafe {
        let start = mmap_anonymous(ptr::null_mut(), size, access, MapFlags::PRIVATE)?;
        slice::from_raw_parts_mut(start.cast(), places)
    };
    let null = ptr::null();
    let texts = parts.arguments().map(CStr::as_ptr).chain([null]);
    let texts = texts.chain(parts.environment().map(CStr::as_ptr)).chain([null]);
    list.iter_mut().zip(texts).for_each(|(place, text)| *place = text);
    let environment = list.iter().position(|text| text.is_null());
    let environment = environment.and_then(|null| list.get(null.saturating_add(1)..));
    Ok((list.as_ptr(), environment.unwrap_or_default().as_ptr()))
}

/// `execve` of the program, or of each file of that name in the folders of `PATH` until one is.
fn search(parts: &Parts<'_>, arguments: Pointers, environment: Pointers) -> Errno {
    let execve = |program: *const c_char| {
        // SAFETY: a string that ends in zero and two lists that end in null, all alive.
        unsafe { libc::execve(program, arguments, environment) };
        errno()
    };
    let name = parts.program.to_bytes_with_nul();
    if name.contains(&b'/') {
        return execve(parts.program.as_ptr());
    }
    let mut answer = Errno::NOENT;
    for folder in parts.path().split(|byte| *byte == b':') {
        let mut program = [0_u8; PATH_MAX];
        let folder: &[u8] = if folder.is_empty() { b"." } else { folder };
        if folder.len().saturating_add(name.len()) >= PATH_MAX {
            continue;
        }
        let bytes = folder.iter().chain(b"/").chain(name);
        program.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        match execve(program.as_ptr().cast()) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => answer = Errno::ACCESS,
            error => return error,
        }
    }
    answer
}
