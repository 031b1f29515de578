//! A job's directory, and the one file in it that decides whether the command starts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use unglue_proto::life::Output;
use unglue_proto::message::exec::Report;

const CLAIMED: &str = "claimed";
const SOCKET: &str = "socket";
const OUTCOME: &str = "outcome";
const SIZES: &str = "sizes";
const SCREEN: &str = "screen";
/// The picture before it is whole.
const SCREEN_NEW: &str = "screen.new";
/// The outcome before it is whole.
const OUTCOME_ROOM: &str = "outcome.new";
/// What `claimed` holds where the command never starts, where a keeper has not yet started it, and from just before it starts.
const NEVER: [u8; CLAIM_SIZE] = *b"never  \n";
const WAITING: [u8; CLAIM_SIZE] = *b"waiting\n";
const STARTED: [u8; CLAIM_SIZE] = *b"started\n";
const CLAIM_SIZE: usize = 8;

/// Room for an outcome, taken before the command starts: a disk that has become full meanwhile doesn't keep it from its end.
const OUTCOME_SIZE: usize = 4096;
/// No outcome is larger.
const OUTCOME_MAX: u64 = 1 << 20;
/// Connections that wait for the keeper: servers come one after the other.
const BACKLOG: i32 = 8;

/// The open directory of a job.
#[derive(Debug)]
pub(in crate::process) struct JobDirectory(OwnedFd);

/// Proof that this process decides about the command. Its lock lasts as long as this.
#[derive(Debug)]
pub(in crate::process) struct Claimed {
    file: OwnedFd,
}

/// Where a job's claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Claim {
    /// Nobody has made it.
    Unmade,
    /// The command never starts.
    Never,
    /// A keeper lives.
    Held,
    /// Its keeper is dead, and may have started the command.
    Released,
    /// Its keeper died before it started the command.
    Unstarted,
}

impl Claimed {
    /// The command may start from now on.
    pub(in crate::process) fn starting(&self) -> Result<()> {
        write_whole(&self.file, &STARTED)
    }
}

pub(in crate::process) const fn spool_name(output: Output) -> &'static str {
    match output {
        Output::Stdout => "stdout",
        Output::Stderr => "stderr",
    }
}

impl JobDirectory {
    pub(in crate::process) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map(Self)
    }

    /// Claims the job for a keeper. `EEXIST` if somebody has claimed it before.
    ///
    /// The file gets its name when it is locked already: nobody ever sees the claim of a living keeper without its lock.
    pub(in crate::process) fn claim(&self) -> Result<Claimed> {
        self.make_claim(&WAITING).map(|file| Claimed { file })
    }

    /// Makes the claim as one that says that the command never starts. `EEXIST` if there is a claim.
    pub(in crate::process) fn claim_never(&self) -> Result<()> {
        self.make_claim(&NEVER).map(drop)
    }

    fn make_claim(&self, content: &[u8; CLAIM_SIZE]) -> Result<OwnedFd> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{CLAIMED}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = match self.create(&name) {
            // Of a dead process with the same number.
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(self, &name, AtFlags::empty())?;
                self.create(&name)?
            }
            file => file?,
        };
        let made = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .and_then(|()| write_whole(&file, content))
            .and_then(|()| self.rename_new(&name, CLAIMED));
        if let Err(error) = made {
            let _ = rustix::fs::unlinkat(self, &name, AtFlags::empty());
            return Err(error);
        }
        Ok(file)
    }

    /// Renames a file, unless there is one of the new name.
    fn rename_new(&self, from: &str, to: &str) -> Result<()> {
        match rustix::fs::renameat_with(self, from, self, to, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(self, from, self, to, AtFlags::empty())?;
                let _ = rustix::fs::unlinkat(self, from, AtFlags::empty());
                Ok(())
            }
            result => result,
        }
    }

    /// Whether it still has this path. It has not where it is being removed.
    pub(in crate::process) fn is_at(&self, path: &Path) -> bool {
        let same = |there: &Stat, this: &Stat| (there.st_dev, there.st_ino) == (this.st_dev, this.st_ino);
        rustix::fs::stat(path).is_ok_and(|there| rustix::fs::fstat(self).is_ok_and(|this| same(&there, &this)))
    }

    /// Who has claimed the job.
    pub(in crate::process) fn claim_state(&self) -> Result<Claim> {
        // An exclusive lock over NFS needs a file that is open for writing.
        let file = match self.open_file(CLAIMED, OFlags::RDWR) {
            Ok(file) => file,
            Err(Errno::ROFS | Errno::ACCESS) => self.open_file(CLAIMED, OFlags::RDONLY)?,
            Err(Errno::NOENT) => return Ok(Claim::Unmade),
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Claim::Held),
            Err(error) => return Err(error),
        }
        let mut content = [0; CLAIM_SIZE];
        rustix::io::pread(&file, &mut content, 0)?;
        Ok(match content {
            NEVER => Claim::Never,
            WAITING => Claim::Unstarted,
            _ => Claim::Released,
        })
    }

    /// Listens for servers.
    pub(in crate::process) fn listen(&self) -> Result<OwnedFd> {
        let listener = socket()?;
        rustix::net::bind(&listener, &self.address()?)?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    }

    /// Connects with the keeper; `None` if there is none that listens.
    pub(in crate::process) fn connect(&self) -> Result<Option<OwnedFd>> {
        let socket = socket()?;
        match rustix::net::connect(&socket, &self.address()?) {
            Ok(()) => Ok(Some(socket)),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Through the descriptor, since the path of a socket has room for 107 bytes only.
    fn address(&self) -> Result<SocketAddrUnix> {
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", self.0.as_raw_fd()))
    }

    /// Removes the socket's name, so that nobody connects any more.
    pub(in crate::process) fn remove_socket(&self) {
        let _ = rustix::fs::unlinkat(self, SOCKET, AtFlags::empty());
    }

    /// Makes an empty spool.
    pub(in crate::process) fn create_spool(&self, output: Output) -> Result<OwnedFd> {
        self.create(spool_name(output))
    }

    /// Opens a spool to read it.
    pub(in crate::process) fn open_spool(&self, output: Output) -> Result<OwnedFd> {
        self.open_file(spool_name(output), OFlags::RDONLY)
    }

    /// Makes the list of a terminal's sizes.
    pub(in crate::process) fn create_sizes(&self) -> Result<OwnedFd> {
        self.create(SIZES)
    }

    /// Opens the list of a terminal's sizes to read it. `ENOENT` for a command without a terminal.
    pub(in crate::process) fn open_sizes(&self) -> Result<OwnedFd> {
        self.open_file(SIZES, OFlags::RDONLY)
    }

    /// Opens what is kept in place of a terminal's oldest output. `ENOENT` where none was dropped.
    pub(in crate::process) fn open_screen(&self) -> Result<OwnedFd> {
        self.open_file(SCREEN, OFlags::RDONLY)
    }

    /// Puts this in place of a terminal's oldest output.
    pub(in crate::process) fn put_screen(&self, content: &[u8]) -> Result<()> {
        // One that was not finished.
        let _ = rustix::fs::unlinkat(self, SCREEN_NEW, AtFlags::empty());
        write_whole(self.create(SCREEN_NEW)?, content)?;
        rustix::fs::renameat(self, SCREEN_NEW, self, SCREEN)
    }

    /// Gives the disk back what a spool holds before this offset.
    pub(in crate::process) fn drop_output(&self, output: Output, before: u64) -> Result<()> {
        let file = self.open_file(spool_name(output), OFlags::RDWR)?;
        rustix::fs::fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, before)
    }

    /// Takes the room that the outcome will need.
    pub(in crate::process) fn reserve_outcome(&self) -> Result<OwnedFd> {
        let file = self.create(OUTCOME_ROOM)?;
        write_whole(&file, &[b' '; OUTCOME_SIZE])?;
        Ok(file)
    }

    /// Puts the outcome in its place. May be tried again after an error.
    pub(in crate::process) fn put_outcome(&self, room: BorrowedFd<'_>, report: &[u8], durable: bool) -> Result<()> {
        write_whole(room, report)?;
        rustix::fs::ftruncate(room, report.len() as u64)?;
        if durable {
            rustix::fs::fsync(room)?;
        }
        match rustix::fs::renameat(self, OUTCOME_ROOM, self, OUTCOME) {
            // An attempt before this one got so far.
            Err(Errno::NOENT) if self.open_file(OUTCOME, OFlags::RDONLY).is_ok() => {}
            result => result?,
        }
        if durable { rustix::fs::fsync(self) } else { Ok(()) }
    }

    /// The outcome, if there is one.
    pub(in crate::process) fn outcome(&self) -> io::Result<Option<Box<Report>>> {
        let file = match self.open_file(OUTCOME, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(file), OUTCOME_MAX), &mut text)?;
        let report = serde_json::from_slice(&text).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the job's outcome is not a report: {error}"))
        })?;
        Ok(Some(Box::new(report)))
    }

    /// Makes the claim durable, and the directory itself.
    pub(in crate::process) fn sync_claim(&self, claimed: &Claimed) -> Result<()> {
        rustix::fs::fsync(&claimed.file)?;
        rustix::fs::fsync(self)?;
        let parent =
            rustix::fs::openat(self, "..", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::fsync(parent)
    }

    fn create(&self, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self, name, flags, Mode::RUSR | Mode::WUSR)
    }

    fn open_file(&self, name: &str, flags: OFlags) -> Result<OwnedFd> {
        rustix::fs::openat(self, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }
}

impl AsFd for JobDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn socket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn write_whole(file: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    let mut offset = 0;
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, bytes, offset))?;
        bytes = bytes.get(written..).filter(|_| written > 0).ok_or(Errno::IO)?;
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_was_removed_may_be_made_again_but_not_where_it_counts() {
        let jobs = tempfile::tempdir().expect("a directory");
        let (path, gone) = (jobs.path().join("7"), jobs.path().join("7.gone"));
        std::fs::create_dir(&path).expect("made");
        // A keeper that is slow has it open when a server decides that the command never starts, and removes it.
        let late = JobDirectory::open(&path).expect("it is there");
        late.claim_never().expect("it is the first");
        assert!(late.is_at(&path) && late.claim().is_err());
        std::fs::rename(&path, &gone).expect("renamed");
        std::fs::remove_file(gone.join(CLAIMED)).expect("removed");
        assert!(late.claim().is_ok() && !late.is_at(&path));
        // Another job of this number is another one.
        std::fs::create_dir(&path).expect("made");
        assert!(!late.is_at(&path));
    }
}
