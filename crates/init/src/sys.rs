//! The kernel, as far as init needs it: every `unsafe` of the loop is here or in `exec`, each with why
//! it holds.
//!
//! Nothing allocates and nothing panics. That is why this speaks to the C library itself where rustix
//! has safe words for it: those check what they get and panic, which a test forbids here.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr, slice};

use crate::protocol::Ended;
use crate::wire::{FILES_MAX, Files, Frame};

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

pub fn checked(answer: c_int) -> Result<c_int> {
    if answer < 0 { Err(errno()) } else { Ok(answer) }
}

fn owned(answer: c_int) -> Result<OwnedFd> {
    // SAFETY: callers pass a descriptor that was made for them, and it is not negative.
    checked(answer).map(|file| unsafe { OwnedFd::from_raw_fd(file) })
}

/// Forks: the number of the child, 0 in the child. It leads a group of its own, which a terminal does not
/// signal and which takes with it what it starts, and every signal is let through.
pub fn fork() -> Result<i32> {
    // SAFETY: `split` is called while there is one thread, so the child finds every lock free. A signal
    // set is plain bits, here none.
    unsafe {
        let pid = checked(libc::fork())?;
        // Both do it: whoever is later fails, and a signal sent by either finds the group.
        libc::setpgid(pid, pid);
        if pid == 0 {
            let none: libc::sigset_t = mem::zeroed();
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        }
        Ok(pid)
    }
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
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(i64::unsigned_abs);
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// Waits until one of them can be read or so many milliseconds passed; which can be read.
pub fn wait(files: [Option<&OwnedFd>; 2], limit: u64) -> [bool; 2] {
    // What is more than this is days, after which nothing is found.
    let limit = c_int::try_from(limit).unwrap_or(c_int::MAX);
    let mut files = files.map(|file| {
        let fd = file.map_or(-1, OwnedFd::as_raw_fd);
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    });
    // SAFETY: two entries, alive over the call; negative descriptors are passed over. It cannot fail: no
    // signal is let through, and for two entries the kernel needs no memory of its own.
    unsafe { libc::poll(files.as_mut_ptr(), 2, limit) };
    files.map(|file| file.revents != 0)
}

/// Blocks every signal and gives the descriptor from which they are taken instead.
pub fn block_signals() -> Result<OwnedFd> {
    // SAFETY: a signal set is plain bits, and the call fills it. Where SIGCHLD is ignored by inheritance
    // the kernel would reap without us.
    unsafe {
        let mut every: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut every);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const every, ptr::null_mut()))?;
        owned(libc::signalfd(-1, &raw const every, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
    }
}

/// The number of a signal that came, 0 where none did.
pub fn take_signal(file: &OwnedFd) -> i32 {
    let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
    read(file, &mut record).first_chunk().map_or(0, |number| i32::from_ne_bytes(*number))
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
    // SAFETY: no memory is handed over.
    unsafe { libc::waitpid(pid, ptr::null_mut(), libc::WNOHANG) };
}

/// The group of a process, 0 for this one.
pub fn group_of(pid: i32) -> i32 {
    // SAFETY: touches no memory.
    unsafe { libc::getpgid(pid) }
}

/// Makes this process the one that orphans below it fall to, as the first of a name space is anyway.
pub fn adopt_orphans() -> Result<()> {
    // SAFETY: touches no memory.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1_u64) })?;
    Ok(())
}

/// Makes the limit of descriptors as high as it may be; what it was.
pub fn raise_limit() -> libc::rlimit {
    let mut was = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the one and reads the other.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut was);
        libc::setrlimit(libc::RLIMIT_NOFILE, &libc::rlimit { rlim_cur: was.rlim_max, ..was });
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

/// Reads; nothing where there is nothing, or an error.
pub fn read<'a>(file: &OwnedFd, bytes: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: so many bytes may be written there.
    let taken = unsafe { libc::read(file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    usize::try_from(taken).ok().and_then(|taken| bytes.get(..taken)).unwrap_or_default()
}

/// Lets go of the program's pages that can be read again from its files: start-up touched many that
/// nothing needs afterwards. What is needed comes back from the page cache when it is touched.
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
        let kept =
            headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0);
        for header in kept {
            let start = object.dlpi_addr.wrapping_add(header.p_vaddr);
            let over = start % PAGE;
            let (page, size) = (start.wrapping_sub(over), header.p_memsz.wrapping_add(over));
            libc::madvise(page as *mut libc::c_void, size as usize, libc::MADV_DONTNEED);
        }
    }
    0
}

/// What is beside a message, as the kernel lays it out: descriptors behind a header.
#[repr(C)]
struct Beside {
    header: libc::cmsghdr,
    files: [RawFd; FILES_MAX],
}

/// Bytes before the descriptors.
const BESIDE_HEAD: usize = mem::offset_of!(Beside, files);
// SAFETY: plain arithmetic.
const _: () = assert!(unsafe { libc::CMSG_LEN(0) } as usize == BESIDE_HEAD);
// SAFETY: plain numbers.
const NOTHING: Beside = unsafe { mem::zeroed() };

/// A message of one part, with so many bytes beside it.
fn message(part: &mut libc::iovec, beside: &mut Beside, size: usize) -> libc::msghdr {
    // SAFETY: plain numbers, and pointers that may be null.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(beside).cast();
    message.msg_controllen = size as _;
    message
}

/// Sends one message with files beside it, whole or not at all, without waiting.
pub fn send(socket: &OwnedFd, frame: Frame, files: &[OwnedFd]) -> Result<()> {
    let mut beside = NOTHING;
    beside.files.iter_mut().zip(files).for_each(|(place, file)| *place = file.as_raw_fd());
    let size = BESIDE_HEAD + size_of::<RawFd>() * files.len().min(FILES_MAX);
    beside.header.cmsg_level = libc::SOL_SOCKET;
    beside.header.cmsg_type = libc::SCM_RIGHTS;
    beside.header.cmsg_len = size as _;
    let mut bytes = frame.encode();
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let message = message(&mut part, &mut beside, size);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `message` points to what lives until the call is over.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
    if sent < 0 { Err(errno()) } else { Ok(()) }
}

/// Takes one message without waiting. `EAGAIN` where there is none, `EBADMSG` for what is no message of
/// ours, `EPIPE` where the other end is closed, or sent an empty datagram.
pub fn receive(socket: &OwnedFd) -> Result<(Frame, Files)> {
    // One byte more than a message has, to see that it is not longer.
    let mut bytes = [0_u8; 17];
    let mut beside = NOTHING;
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = message(&mut part, &mut beside, size_of::<Beside>());
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `message` points to what lives until the call is over.
    let taken = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let taken = usize::try_from(taken).map_err(|_| errno())?;
    // Nothing but descriptors comes beside a message of ours; where none did the length stays zero.
    let size = beside.header.cmsg_len.saturating_sub(BESIDE_HEAD);
    let mut files = Files::default();
    let came = beside.files.iter().take(size / size_of::<RawFd>());
    files.iter_mut().zip(came).for_each(|(place, file)| *place = owned(*file).ok());
    match bytes.get(..taken).unwrap_or_default() {
        [] => Err(libc::EPIPE),
        bytes => Ok((Frame::decode(bytes).ok_or(libc::EBADMSG)?, files)),
    }
}
