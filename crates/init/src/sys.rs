//! The kernel, as far as init needs it: every `unsafe` of the loop is here or in `exec`, each with why
//! it holds.
//!
//! Nothing allocates and nothing panics. That is why this speaks to the C library itself where rustix
//! has safe words for it: those check what they get and panic, which a test forbids here.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr, slice};

use crate::protocol::Ended;
use crate::wire::{FILES_MAX, Files};

/// What a call gave, or its `errno`.
pub type Result<T> = std::result::Result<T, i32>;

/// Highest signal number of Linux.
pub const SIGNAL_MAX: i32 = 64;
/// Smallest page of any machine that we run on; the kernel wants addresses at the start of one.
const PAGE: u64 = 4096;

pub fn errno() -> i32 {
    // SAFETY: the C library gives every thread a valid place for its errno.
    unsafe { *libc::__errno_location() }
}

fn checked(answer: c_int) -> Result<c_int> {
    if answer < 0 { Err(errno()) } else { Ok(answer) }
}

fn owned(answer: c_int) -> Result<OwnedFd> {
    // SAFETY: callers pass a descriptor that was made for them, and it is not negative.
    checked(answer).map(|file| unsafe { OwnedFd::from_raw_fd(file) })
}

/// Forks: the number of the child, 0 in the child.
pub fn fork() -> Result<i32> {
    // SAFETY: `split` is called while there is one thread, so the child finds every lock free.
    checked(unsafe { libc::fork() })
}

/// Ends the process here, without destructors and `atexit`.
pub fn exit(code: i32) -> ! {
    // SAFETY: touches no memory.
    unsafe { libc::_exit(code) }
}

/// Milliseconds since some moment in the past.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0))
}

/// Waits until one of them can be read or so many milliseconds passed; which can be read.
pub fn wait(files: [Option<&OwnedFd>; 2], limit: Option<u64>) -> [bool; 2] {
    let limit = limit.map_or(-1, |limit| c_int::try_from(limit).unwrap_or(c_int::MAX));
    let mut files = files.map(|file| {
        let fd = file.map_or(-1, OwnedFd::as_raw_fd);
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    });
    // SAFETY: two entries, alive over the call; negative descriptors are passed over.
    if unsafe { libc::poll(files.as_mut_ptr(), 2, limit) } < 0 {
        // Without memory even waiting fails, and nothing may spin then.
        pause(100);
    }
    files.map(|file| file.revents != 0)
}

/// Does nothing for so many milliseconds.
pub fn pause(milliseconds: c_int) {
    // SAFETY: there are no entries.
    unsafe { libc::poll(ptr::null_mut(), 0, milliseconds) };
}

fn every_signal() -> libc::sigset_t {
    // SAFETY: a signal set is plain bits, and the call fills it.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Blocks every signal and gives the descriptor from which they are taken instead.
pub fn block_signals() -> Result<OwnedFd> {
    let every = every_signal();
    // SAFETY: `every` is a whole signal set. Where SIGCHLD is ignored by inheritance the kernel would
    // reap without us.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const every, ptr::null_mut()))?;
        owned(libc::signalfd(-1, &raw const every, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
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

/// `kill(2)`. Errors are ignored: the target may be gone, which is what was wanted.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: touches no memory. Whom it hits is the caller's duty: only what is not yet reaped.
    unsafe { libc::kill(pid, signal) };
}

/// Looks at a child that has ended and leaves it as it is; `None` where there is none now, `ECHILD`
/// where there are no children at all.
pub fn peek() -> Result<Option<(i32, Ended)>> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel fills `info` for SIGCHLD or leaves it zero: its fields are plain numbers.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        checked(libc::waitid(libc::P_ALL, 0, &raw mut info, flags))?;
        let (pid, status) = (info.si_pid(), info.si_status());
        let exited = info.si_code == libc::CLD_EXITED;
        let how = if exited { Ended::Code(status) } else { Ended::Signal(status) };
        Ok(Some((pid, how)).filter(|_| pid > 0))
    }
}

/// Reaps this child, which has ended.
pub fn reap(pid: i32) {
    let flags = libc::WEXITED | libc::WNOHANG;
    // SAFETY: no memory is handed over.
    unsafe { libc::waitid(libc::P_PID, pid.unsigned_abs(), ptr::null_mut(), flags) };
}

/// Makes a process, 0 for this one, leader of its own group.
pub fn lead_group(pid: i32) {
    // SAFETY: touches no memory.
    unsafe { libc::setpgid(pid, pid) };
}

/// The group of a process, 0 for this one.
pub fn group_of(pid: i32) -> i32 {
    // SAFETY: touches no memory.
    unsafe { libc::getpgid(pid) }
}

/// Makes this process the one that orphans below it fall to; true where it is the first process of
/// its name space and so is that already.
pub fn adopt_orphans() -> Result<bool> {
    // SAFETY: touches no memory.
    unsafe {
        let first = libc::getpid() == 1;
        checked(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1_u64, 0_u64, 0_u64, 0_u64))?;
        Ok(first)
    }
}

/// Sets the limit of descriptors, and gives what it was.
pub fn swap_limit(to: impl FnOnce(libc::rlimit) -> libc::rlimit) -> libc::rlimit {
    let mut was = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the one and reads the other.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut was);
        let new = to(was);
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const new);
    }
    was
}

/// A new empty file in memory.
pub fn memory_file(name: &CStr) -> Result<OwnedFd> {
    // SAFETY: `name` ends in zero; the descriptor is new.
    owned(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })
}

/// Opens a file for reading.
pub fn open(path: &CStr) -> Result<OwnedFd> {
    // SAFETY: `path` ends in zero; the descriptor is new.
    owned(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })
}

fn pair(make: impl FnOnce(*mut c_int) -> c_int) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    checked(make(ends.as_mut_ptr()))?;
    let [one, other] = ends;
    Ok((owned(one)?, owned(other)?))
}

/// A pipe: the end to read, which never waits, and the end to write, which does.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    // SAFETY: the kernel fills `ends` with two new descriptors.
    let pipe = pair(|ends| unsafe { libc::pipe2(ends, libc::O_CLOEXEC) })?;
    // SAFETY: touches no memory.
    unsafe { libc::fcntl(pipe.0.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    Ok(pipe)
}

/// A pair of sockets that keep messages whole.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the kernel fills `ends` with two new descriptors.
    pair(|ends| unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends) })
}

/// Makes `file` the descriptor `number`, open over `execve`.
pub fn place(file: &OwnedFd, number: RawFd) -> Result<()> {
    // SAFETY: only in a child that is about to execute: nobody owns 0, 1 and 2 there any more.
    checked(unsafe { libc::dup2(file.as_raw_fd(), number) }).map(drop)
}

/// Reads; nothing where there is nothing, or an error.
pub fn read<'a>(file: &OwnedFd, bytes: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: so many bytes may be written there.
    let taken = unsafe { libc::read(file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    usize::try_from(taken).ok().and_then(|taken| bytes.get(..taken)).unwrap_or_default()
}

/// Writes, or fails and nobody minds.
pub fn write(file: &OwnedFd, bytes: &[u8]) {
    // SAFETY: so many bytes may be read there.
    unsafe { libc::write(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
}

/// Lets go of the program's pages that can be read again from its files: start-up touched many that
/// the loop never needs.
pub fn shrink() {
    // SAFETY: the callback keeps nothing of what it is shown.
    unsafe { libc::dl_iterate_phdr(Some(shrink_object), ptr::null_mut()) };
}

unsafe extern "C" fn shrink_object(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> c_int {
    // SAFETY: the loader hands over a whole object with so many headers. What is not writable is as
    // its file has it, private and without a change that could be lost; the parts that the loader
    // writes and then protects are in segments that are writable by their header.
    unsafe {
        let object = &*object;
        let headers = slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum));
        for header in
            headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0)
        {
            let start = object.dlpi_addr.wrapping_add(header.p_vaddr);
            let page = start & !(PAGE - 1);
            let size = start.wrapping_sub(page).wrapping_add(header.p_memsz);
            libc::madvise(page as *mut libc::c_void, size as usize, libc::MADV_DONTNEED);
        }
    }
    0
}

/// Room beside a message for its files, aligned as the kernel wants it.
type Beside = [u64; 4];
/// Bytes of that room that so many files take.
const fn room(files: usize) -> usize {
    // SAFETY: plain arithmetic.
    unsafe { libc::CMSG_SPACE((files * size_of::<RawFd>()) as u32) as usize }
}
const _: () = assert!(room(FILES_MAX) == size_of::<Beside>());

/// Sends one message with files beside it, whole or not at all, without waiting.
pub fn send(socket: &OwnedFd, bytes: &[u8], files: &[&OwnedFd]) -> Result<()> {
    let mut beside: Beside = [0; 4];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let files = files.iter().take(FILES_MAX);
    // SAFETY: `message` points to what lives until the call is over. `beside` has room for a header
    // and `FILES_MAX` descriptors, which the macros find.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if files.len() > 0 {
            let size = size_of::<RawFd>().saturating_mul(files.len()) as u32;
            message.msg_control = beside.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            let header = message.msg_control.cast::<libc::cmsghdr>();
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            let place = libc::CMSG_DATA(header).cast::<RawFd>();
            files.enumerate().for_each(|(at, file)| place.add(at).write(file.as_raw_fd()));
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let sent = libc::sendmsg(socket.as_raw_fd(), &raw const message, flags);
        if sent < 0 { Err(errno()) } else { Ok(()) }
    }
}

/// Takes one message without waiting: its bytes and files. `EAGAIN` where there is none.
pub fn receive<'a>(socket: &OwnedFd, bytes: &'a mut [u8]) -> Result<(&'a [u8], Files)> {
    let mut beside: Beside = [0; 4];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut files = Files::default();
    // SAFETY: as above. The kernel puts at most `FILES_MAX` new descriptors there, says how many,
    // and nobody else owns them.
    let taken = unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = beside.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Beside>() as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let taken = libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags);
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if taken >= 0 && !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            let size = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            let places = files.iter_mut().enumerate().take(size / size_of::<RawFd>());
            places.for_each(|(at, place)| *place = owned(data.add(at).read()).ok());
        }
        taken
    };
    let taken = usize::try_from(taken).map_err(|_| errno())?;
    Ok((bytes.get(..taken).unwrap_or_default(), files))
}
