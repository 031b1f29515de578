//! The one process that owns a user's state on a machine.
//!
//! A state directory may be shared by machines (a home directory on a file server), so each machine has its own directory in
//! it: `machines/MACHINE`, with mode 0700. The owner holds a lock (flock(2)) on the file `lock` there. The lock ends with the
//! process, however it dies; the file stays. No child inherits it: the descriptor is closed by execve(2).

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The longest path of a unix socket (unix(7)), without the final NUL.
const SOCKET_PATH: usize = 107;
/// For how long a lock is tried for whose owner is dead: a child that it was just starting has the lock until it calls
/// execve(2).
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });
/// How much of the lock's text is read.
const TEXT: u64 = 4096;

/// The ownership of a user's state on this machine, until it is dropped.
#[derive(Debug)]
pub struct Owner {
    directory: PathBuf,
    handle: OwnedFd,
    lock: File,
}

/// The lock ends here, even if a child that is just being started has a copy of the descriptor.
impl Drop for Owner {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.lock, FlockOperation::NonBlockingUnlock);
    }
}

/// The state can't be owned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Owned {
    /// Another process owns it.
    #[error("{} belongs to {holder}", directory.display())]
    By {
        /// The directory of this machine.
        directory: PathBuf,
        /// The process.
        holder: Holder,
    },
    /// The directory can't be used: it is read-only, its disk is full, it belongs to somebody else.
    #[error("{}: {what} failed: {source}", path.display())]
    Unusable {
        /// What it is about.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The process that owns the state, as far as it could say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; nothing if the disk was full when it started.
    pub pid: Option<u32>,
    /// Its program.
    pub program: Option<PathBuf>,
}

impl Holder {
    /// Whether the process is there, as far as it can be told.
    fn lives(&self) -> bool {
        let pid = self.pid.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        pid.is_none_or(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.program) {
            (Some(pid), Some(program)) => write!(f, "process {pid} ({})", program.display()),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("another process"),
        }
    }
}

impl Owner {
    /// Takes the ownership of this machine's part of the state directory; makes the directories if they aren't there.
    ///
    /// # Errors
    /// [`Owned::By`] if another process has it; [`Owned::Unusable`] if the system refused.
    pub fn take(state: &Path) -> Result<Owner, Owned> {
        let directory = of_this_machine(state)?;
        make(&directory)?;
        let started = Instant::now();
        loop {
            let handle = open_directory(&directory)?;
            let lock = open_lock(&handle, &directory)?;
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                // A lock on a file that has lost its name is worth nothing.
                Ok(()) if is_still(&lock, &directory.join("lock")) => {
                    sign(&lock);
                    return Ok(Owner { directory, handle, lock });
                }
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let holder = holder(&lock);
                    if started.elapsed() > PATIENCE || holder.lives() {
                        return Err(Owned::By { holder, directory });
                    }
                }
                Err(errno) => return Err(unusable(&directory.join("lock"), "locking it", errno)),
            }
            if started.elapsed() > PATIENCE {
                return Err(unusable(&directory, "locking it while it is replaced again and again", Errno::STALE));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The directory of this machine: for the journal, and for the jobs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the owner listens.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn socket_path(&self) -> io::Result<SocketPath> {
        SocketPath::new(&self.directory, self.handle.try_clone()?)
    }

    /// Listens there, in place of an owner that has died. Only the owner's user can connect, since the socket has mode 0600 and the
    /// directory 0700. No child inherits the socket.
    ///
    /// # Errors
    /// The system refuses: the disk is full, or read-only.
    pub fn listen(&self) -> io::Result<(UnixListener, OwnedSocket)> {
        let path = self.socket_path()?;
        match std::fs::remove_file(path.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // What is bound gets this mode from its beginning.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path.path())?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok((UnixListener::from(socket), OwnedSocket(Some(path))))
    }

    /// Where the owner of this state listens, for those who aren't the owner.
    ///
    /// # Errors
    /// There is no directory of this machine, or it can't be opened.
    pub fn socket_of(state: &Path) -> Result<SocketPath, Owned> {
        let directory = of_this_machine(state)?;
        let handle = open_directory(&directory)?;
        SocketPath::new(&directory, handle).map_err(|source| Owned::Unusable {
            path: directory,
            what: "naming the socket",
            source,
        })
    }
}

/// The name of the socket that the owner listens on; dropped, it is removed. Drop it before the owner: the next one has the same
/// name.
#[derive(Debug)]
pub struct OwnedSocket(Option<SocketPath>);

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What is left of it is replaced by the next owner.
            let _ = std::fs::remove_file(path.path());
        }
    }
}

/// The path of the owner's socket, short enough for one.
///
/// If the path itself is too long, this is a path below `/proc/self/fd`, which is good in this process and as long as this
/// value lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    real: PathBuf,
    _handle: Option<OwnedFd>,
}

impl SocketPath {
    fn new(directory: &Path, handle: OwnedFd) -> io::Result<SocketPath> {
        let real = directory.join("socket");
        if real.as_os_str().len() <= SOCKET_PATH {
            return Ok(SocketPath { path: real.clone(), real, _handle: None });
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}/socket", handle.as_raw_fd()));
        Ok(SocketPath { path, real, _handle: Some(handle) })
    }

    /// The path to bind, to connect to or to remove.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path for messages.
    pub fn real(&self) -> &Path {
        &self.real
    }
}

fn unusable(path: &Path, what: &'static str, source: impl Into<io::Error>) -> Owned {
    Owned::Unusable { path: path.to_owned(), what, source: source.into() }
}

fn of_this_machine(state: &Path) -> Result<PathBuf, Owned> {
    // Paths below /proc/self/fd, and messages, want an absolute one.
    let state = std::path::absolute(state).map_err(|error| unusable(state, "making it absolute", error))?;
    Ok(state.join("machines").join(machine()))
}

/// The machine's id (machine-id(5)), or its name.
fn machine() -> String {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let id = files.iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        let id = text.trim();
        (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
    });
    id.unwrap_or_else(|| name_of(rustix::system::uname().nodename().to_bytes()))
}

/// A host's name as the name of a directory.
fn name_of(host: &[u8]) -> String {
    let safe = |byte: &u8| match byte.is_ascii_alphanumeric() || *byte == b'-' {
        true => char::from(*byte),
        false => '_',
    };
    format!("host-{}", host.iter().map(safe).collect::<String>())
}

/// Makes the directories. Their names are made durable, so that a synced journal in them is not lost.
fn make(directory: &Path) -> Result<(), Owned> {
    let missing = directory.ancestors().take_while(|ancestor| !ancestor.is_dir()).count();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| unusable(directory, "making the directory", error))?;
    for parent in directory.ancestors().skip(1).take(missing) {
        let opened = rustix::fs::openat(CWD, parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        match opened.and_then(rustix::fs::fsync) {
            // A directory that may be written but not read can't be synced.
            Ok(()) | Err(Errno::ACCESS) => {}
            Err(errno) => return Err(unusable(parent, "syncing the directory", errno)),
        }
    }
    Ok(())
}

/// Opens the directory, if it belongs to this user and others can't write into it.
fn open_directory(path: &Path) -> Result<OwnedFd, Owned> {
    let opened = rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let handle = opened.map_err(|errno| unusable(path, "opening the directory", errno))?;
    let stat = rustix::fs::fstat(&handle).map_err(|errno| unusable(path, "looking at the directory", errno))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        let what = "trusting the directory, which belongs to another user or can be written by others,";
        return Err(unusable(path, what, Errno::PERM));
    }
    Ok(handle)
}

fn open_lock(directory: &OwnedFd, path: &Path) -> Result<File, Owned> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::openat(directory, "lock", flags, Mode::RUSR | Mode::WUSR);
    lock.map(File::from).map_err(|errno| unusable(&path.join("lock"), "opening it", errno))
}

fn is_still(lock: &File, path: &Path) -> bool {
    match (rustix::fs::fstat(lock), rustix::fs::stat(path)) {
        (Ok(held), Ok(there)) => (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino),
        _ => false,
    }
}

/// Writes who holds the lock: the process id, and the program's path. It is for messages only, so a full disk is no error.
fn sign(lock: &File) {
    let program = std::env::current_exe().unwrap_or_default();
    let text = [format!("{}\n", std::process::id()).as_bytes(), program.as_os_str().as_bytes(), b"\n"].concat();
    let _ = rustix::fs::ftruncate(lock, 0);
    let _ = lock.write_all_at(&text, 0);
}

/// Reads who holds the lock.
fn holder(lock: &File) -> Holder {
    let mut text = Vec::new();
    let _ = lock.take(TEXT).read_to_end(&mut text);
    let mut lines = text.split(|byte| *byte == b'\n');
    let pid = lines.next().and_then(|line| str::from_utf8(line).ok()?.parse().ok());
    let program = lines.next().filter(|line| !line.is_empty()).map(|line| std::ffi::OsStr::from_bytes(line).into());
    Holder { pid, program }
}
