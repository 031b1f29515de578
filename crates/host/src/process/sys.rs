//! The system calls that no safe library offers: the only unsafe code of this crate's processes.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The highest signal number of Linux.
pub(super) const SIGNAL_MAX: c_int = 64;

/// What a program gets as its descriptors 0 to 2.
pub(super) enum Streams<'a> {
    /// These; one that isn't given is this process's own.
    Given([Option<BorrowedFd<'a>>; 3]),
    /// The terminal with this path, which becomes its controlling terminal, and it the foreground process group.
    Terminal(&'a CStr),
}

/// Registers a descriptor with the event loop, for what can be read from it. It doesn't block from now on. Must be called within the
/// runtime.
pub(super) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    // SAFETY: the `AsyncFd` owns the descriptor, which stays open until it is taken out of the event loop. What it gives out are
    // shared references, through which the descriptor can't be closed or replaced.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

/// Starts `program` in a session of its own, with default dispositions, an empty mask and these streams.
///
/// glibc's `posix_spawn(3)` shares memory with the child until it executes, so the cost doesn't grow with the
/// caller's size, and it returns the child's `execve(2)` error.
pub(super) fn spawn(program: &CStr, argv: &[&CStr], env: &[&CStr], streams: &Streams<'_>) -> Result<i32, c_int> {
    let argv = null_terminated(argv);
    let env = null_terminated(env);
    let actions = FileActions::new(streams)?;
    let attributes = SpawnAttributes::new()?;
    let mut pid = 0;
    // SAFETY: `program` and every string outlive the call, both lists end in a null pointer, and the two objects
    // were initialised. The strings aren't written to; the `mut` in the prototype is historical.
    let errno = unsafe {
        libc::posix_spawn(&mut pid, program.as_ptr(), &actions.0, &attributes.0, argv.as_ptr(), env.as_ptr())
    };
    check(errno).map(|()| pid)
}

fn null_terminated(strings: &[&CStr]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

fn check(errno: c_int) -> Result<(), c_int> {
    if errno == 0 { Ok(()) } else { Err(errno) }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new(streams: &Streams<'_>) -> Result<Self, c_int> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialises `raw` when it returns 0.
        check(unsafe { libc::posix_spawn_file_actions_init(raw.as_mut_ptr()) })?;
        // SAFETY: initialised above.
        let mut actions = Self(unsafe { raw.assume_init() });
        match streams {
            Streams::Given(stdio) => {
                for (target, fd) in (0..).zip(stdio) {
                    fd.as_ref().map_or(Ok(()), |fd| actions.dup(fd.as_raw_fd(), target))?;
                }
            }
            // The actions run in the new session, whose leader gets the first terminal that it opens (tty(4)).
            Streams::Terminal(path) => {
                // SAFETY: `actions.0` is initialised; the path is copied here (posix_spawn_file_actions_addopen(3)).
                check(unsafe {
                    libc::posix_spawn_file_actions_addopen(&mut actions.0, 0, path.as_ptr(), libc::O_RDWR, 0)
                })?;
                actions.dup(0, 1)?;
                actions.dup(0, 2)?;
            }
        }
        Ok(actions)
    }

    fn dup(&mut self, from: RawFd, target: c_int) -> Result<(), c_int> {
        // SAFETY: `self.0` is initialised; the numbers are only recorded here.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, target) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct SpawnAttributes(libc::posix_spawnattr_t);

impl SpawnAttributes {
    fn new() -> Result<Self, c_int> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialises `raw` when it returns 0.
        check(unsafe { libc::posix_spawnattr_init(raw.as_mut_ptr()) })?;
        // SAFETY: initialised above.
        let mut attributes = Self(unsafe { raw.assume_init() });
        let flags = libc::POSIX_SPAWN_SETSID as c_int | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        let (all, none) = (signal_set(true), signal_set(false));
        // SAFETY: the attributes and both sets are initialised; the sets are copied.
        unsafe {
            check(libc::posix_spawnattr_setflags(&mut attributes.0, flags as _))?;
            check(libc::posix_spawnattr_setsigdefault(&mut attributes.0, &all))?;
            check(libc::posix_spawnattr_setsigmask(&mut attributes.0, &none))?;
        }
        Ok(attributes)
    }
}

impl Drop for SpawnAttributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// Every signal there is, or none. `sigfillset(3)` would leave out the two that glibc keeps for itself, and its
/// `posix_spawn(3)` then has the command ignore them.
fn signal_set(full: bool) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: a set is an array of bits, of which each pattern is valid; the whole of it is written.
    unsafe {
        ptr::write_bytes(set.as_mut_ptr(), if full { 0xff } else { 0 }, 1);
        set.assume_init()
    }
}

/// Which side of a fork this is.
pub(super) enum Fork {
    Parent(i32),
    Child,
}

/// Forks this process.
///
/// Callers run in a process with one thread (in a test binary: with one thread that does anything), so that the
/// child finds no lock held by a thread that it doesn't have.
pub(super) fn fork() -> io::Result<Fork> {
    // SAFETY: see above; glibc makes its own locks, the allocator's among them, usable in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends this process at once: no destructors, no exit handlers.
pub(super) fn exit_now(code: c_int) -> ! {
    // SAFETY: always sound; it doesn't return.
    unsafe { libc::_exit(code) }
}

/// What `wait4(2)` found.
#[derive(Debug)]
pub(super) enum Wait {
    /// There are no children.
    Childless,
    /// There are children, all of them running.
    Nothing,
    /// This child ended and was reaped.
    Ended { pid: i32, wait_status: c_int, user: Duration, system: Duration },
    /// This child was stopped.
    Stopped { pid: i32 },
}

/// Asks for a child that ended or was stopped, without waiting.
pub(super) fn wait_any() -> Wait {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes.
    let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG | libc::WUNTRACED, usage.as_mut_ptr()) };
    match pid {
        -1 => Wait::Childless, // ECHILD is the only error possible with WNOHANG.
        0 => Wait::Nothing,
        pid if libc::WIFSTOPPED(status) => Wait::Stopped { pid },
        pid => {
            // SAFETY: zeroed is a valid rusage, and the kernel has filled it in.
            let usage = unsafe { usage.assume_init() };
            Wait::Ended { pid, wait_status: status, user: time(usage.ru_utime), system: time(usage.ru_stime) }
        }
    }
}

fn time(value: libc::timeval) -> Duration {
    Duration::from_secs(value.tv_sec.max(0) as u64) + Duration::from_micros(value.tv_usec.max(0) as u64)
}

/// `kill(2)`: a process, or with a negative number the process group.
pub(super) fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: always sound; it takes numbers only.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ignores every signal that can be ignored, but SIGCHLD.
pub(super) fn ignore_signals() {
    for signal in (1..=SIGNAL_MAX).filter(|&signal| signal != libc::SIGCHLD) {
        // SAFETY: SIG_IGN is a valid disposition; the numbers which can't have it are refused, harmlessly.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Where the SIGCHLD handler writes.
static CHILD_EVENTS: AtomicI32 = AtomicI32::new(-1);

/// From now on SIGCHLD makes this eventfd readable. It is never closed: the handler outlives every owner.
pub(super) fn announce_children(eventfd: OwnedFd) -> BorrowedFd<'static> {
    let fd: RawFd = eventfd.into_raw_fd();
    CHILD_EVENTS.store(fd, Ordering::SeqCst);
    let handler: extern "C" fn(c_int) = on_child;
    // SAFETY: an all-zero sigaction is valid; the handler only makes async-signal-safe calls (signal-safety(7)).
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut());
    }
    // SAFETY: the descriptor was given up above, so it stays open for good.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

extern "C" fn on_child(_: c_int) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write(2) is async-signal-safe, and `one` is eight bytes long. errno is kept as the interrupted code
    // had it.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(CHILD_EVENTS.load(Ordering::Relaxed), one.as_ptr().cast(), one.len());
        *libc::__errno_location() = errno;
    }
}

/// Closes every descriptor from 3 on, but this one.
///
/// Callers run in a process that has just begun, with no code that uses one of them.
pub(super) fn close_all_but(kept: BorrowedFd<'_>) -> io::Result<()> {
    close_beyond(kept.as_raw_fd())
}

/// Closes every descriptor from 3 on. As [`close_all_but`].
pub(super) fn close_all() -> io::Result<()> {
    // Standard error isn't among them.
    close_beyond(2)
}

fn close_beyond(kept: RawFd) -> io::Result<()> {
    let close_range = |first: RawFd, last: u32| {
        // SAFETY: nobody uses these descriptors, see above.
        first as u32 > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0
    };
    if close_range(3, kept as u32 - 1) && close_range(kept + 1, u32::MAX) {
        return Ok(());
    }
    // Before Linux 5.9. The list is whole before the first is closed: reading it needs one itself.
    let entries = std::fs::read_dir("/proc/self/fd")?.flatten();
    let open: Vec<RawFd> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|&fd| fd > 2 && fd != kept) {
        // SAFETY: as above; a number that is closed already is refused.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Reads what of a file lies in memory, at most `max` bytes; `EAGAIN` where reading it would wait for the disk
/// (`preadv2(2)`, `RWF_NOWAIT`).
pub(super) fn read_cached(file: impl AsFd, offset: u64, max: usize) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = Vec::<u8>::with_capacity(max);
    let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: max };
    let offset = libc::off64_t::try_from(offset).map_err(|_| rustix::io::Errno::INVAL)?;
    // SAFETY: the vector has room for the `max` bytes that may be written.
    let read = unsafe { libc::preadv2(file.as_fd().as_raw_fd(), &part, 1, offset, libc::RWF_NOWAIT) };
    let Ok(read) = usize::try_from(read) else {
        return Err(rustix::io::Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(rustix::io::Errno::IO));
    };
    // SAFETY: the kernel has written so many bytes, at most `max`.
    unsafe { bytes.set_len(read) };
    Ok(bytes)
}

/// A user's entry in the password database, as bytes.
pub(super) struct PasswdEntry {
    pub(super) name: Vec<u8>,
    pub(super) gid: u32,
    pub(super) home: Vec<u8>,
    pub(super) shell: Vec<u8>,
}

/// `getpwuid_r(3)`, which asks every source that `nsswitch.conf(5)` names.
pub(super) fn passwd_entry(uid: u32) -> io::Result<Option<PasswdEntry>> {
    let mut buffer = vec![0; 4096];
    loop {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: the pointers are valid for writes, and the buffer has the length that is given.
        let errno = unsafe { libc::getpwuid_r(uid, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found) };
        match errno {
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            0 if found.is_null() => return Ok(None),
            // SAFETY: `found` points to `entry`, which was filled in; its strings lie in `buffer`, still alive.
            0 => return Ok(Some(unsafe { read_entry(&*found) })),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Copies an entry out of its buffer.
///
/// # Safety
/// The entry's strings are null or valid C strings.
unsafe fn read_entry(entry: &libc::passwd) -> PasswdEntry {
    let bytes = |string: *const c_char| {
        if string.is_null() {
            return Vec::new();
        }
        // SAFETY: the caller's promise.
        unsafe { CStr::from_ptr(string) }.to_bytes().to_vec()
    };
    PasswdEntry {
        name: bytes(entry.pw_name),
        gid: entry.pw_gid,
        home: bytes(entry.pw_dir),
        shell: bytes(entry.pw_shell),
    }
}
