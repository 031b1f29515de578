//! The journal: what must be remembered of jobs when the server is killed, or the machine goes down.
//!
//! [`Journal::open`] reads the file and gives the [`Index`]: all jobs that are remembered. From then on, the caller appends a
//! [`Record`] first and applies it to the index afterwards:
//!
//! 1. [`Record::Begun`] before anything runs. If the id must survive a power cut, [`Journal::sync`] follows.
//! 2. [`Record::Started`] when the command runs; [`Record::Ended`] when it has ended. Or [`Record::NeverStarted`].
//! 3. [`Index::prune`] from time to time, with a [`Record::Forgotten`] for each job that it names.
//!
//! What [`Journal::append`] has written survives the death of the process. What [`Journal::sync`] has synced survives a power
//! cut.
//!
//! # The journal's id
//!
//! A journal has a random id. It gets a new one whenever records may be missing: with a new file; after a torn end or damage;
//! when the file is a copy (its inode differs); when the machine went down while the journal was open; after
//! [`Journal::mark_incomplete`]. So a client that
//! knows the id of the journal under which it made a request can tell "this id was never used here" from "it may have been".
//!
//! # The file
//!
//! All numbers are little-endian. A header of 32 bytes comes first:
//!
//! ```text
//!  0  "unglue journal\n\0"
//! 16  u32  version: 1
//! 20  u32  tag: random, for this file alone
//! 24  u8   1 if a job went on although it could not be recorded, otherwise 0
//! 25       three zeros
//! 28  u32  CRC-32C of the 28 bytes before
//! ```
//!
//! Then come records:
//!
//! ```text
//!  0  u32  length of the payload: 13 bytes to 1 MiB
//!  4  u32  CRC-32C of the length and the payload
//!  8  u64  number: 1, 2, 3, …
//! 16  u32  the file's tag
//! 20  u8   kind
//! 21       body
//! ```
//!
//! | kind | body | |
//! |---|---|---|
//! | `r` | JSON | a [`Record`] |
//! | `o` | JSON: `id`, `boot`, `inode`, `time` | a process opened the journal. It is synced before any other record |
//! | `c` | | the process closed the journal. It is synced |
//! | `f` | i64 seconds, u64 milliseconds, u64 … | when ids were forgotten, the latest time in an UUIDv7 among them, and their hashes |
//! | `h` | u64 milliseconds | an UUIDv7 up to this time that is not known is forgotten |
//!
//! A record whose checksum, tag or number is wrong is not accepted. If whole records follow it, the file is *damaged* there: it
//! is kept under another name (`journal.damaged-1`), and a new file gets the records before and after. If the file ends inside
//! it, or with zeros, it is *torn*: it is cut off.
//!
//! Later versions may add fields to JSON bodies, which older ones ignore. A new kind of record needs a new version, whose files
//! this one keeps as damaged ones.
//!
//! Not noticed: a file system that loses synced data, or that loses written data without a restart of this machine (a file
//! server that restarts, a disk that is unplugged), unless it leaves a torn or damaged file.

mod compaction;
mod file;
mod forgotten;
mod index;
mod open;
mod record;
mod retention;
mod scan;
mod sync;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use unglue_proto::message::Time;

pub use index::{Ended, Entry, Index, Pruned};
pub use open::JournalError;
pub use record::{Record, shortened};
pub use retention::Retention;

use file::{Place, Stopped, Writer};
use open::Circumstances;
use record::Line;
use sync::Queue;

/// The thread that syncs needs no more.
const STACK: usize = 128 * 1024;

/// An open journal. Clones share it. One process at a time may open it: the [owner](crate::Owner) of its directory.
///
/// Dropping the last clone leaves the journal as a killed process would.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Handle>);

/// Ends the threads with the last clone.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    syncing: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    id: String,
    place: Place,
    retention: Retention,
    here: Circumstances,
    writer: Mutex<Writer>,
    queue: Queue,
    /// How long the file may become before it is compacted.
    compact_at: AtomicU64,
    compaction: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in a directory, or makes one. Blocks.
    ///
    /// A damaged file is not an error: what it still says is in the index, and the log tells the rest.
    ///
    /// # Errors
    /// The directory or the file can't be read or written.
    pub fn open(directory: &Path, retention: Retention) -> Result<(Journal, Index), JournalError> {
        Journal::open_here(directory, retention, Circumstances::here())
    }

    fn open_here(
        directory: &Path,
        retention: Retention,
        here: Circumstances,
    ) -> Result<(Journal, Index), JournalError> {
        let failed = |what| move |error: io::Error| JournalError::new(directory.to_owned(), what, error);
        let place = Place::open(directory).map_err(|errno| failed("opening the directory")(errno.into()))?;
        let open::Open { id, writer, index, compact_at } = open::open(&place, retention.clone(), &here)?;
        let shared = Arc::new(Shared {
            id,
            place,
            retention,
            here,
            writer: Mutex::new(writer),
            queue: Queue::default(),
            compact_at: AtomicU64::new(compact_at),
            compaction: Mutex::new(None),
        });
        let run = {
            let shared = shared.clone();
            move || sync::run(&shared)
        };
        let syncing = std::thread::Builder::new().name("unglue-journal".into()).stack_size(STACK).spawn(run);
        let syncing = Mutex::new(Some(syncing.map_err(failed("starting a thread"))?));
        Ok((Journal(Arc::new(Handle { shared, syncing })), index))
    }

    /// The journal's id: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.0.shared.id
    }

    /// Appends a record with one system call. It survives the death of this process, but not a power cut: see
    /// [`Journal::sync`].
    ///
    /// # Errors
    /// The record was not written, and the file is as before. After some errors it can't be known what the file holds; then
    /// all later calls fail, too.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let shared = &self.0.shared;
        let mut writer = shared.writer();
        writer.record(record)?;
        let (_, length) = writer.file();
        drop(writer);
        compaction::start_if_due(shared, length);
        Ok(())
    }

    /// Notes that a command runs although its beginning could not be appended. It can't be known later whether it ran, so the next
    /// process gives the journal a new id. This works on a full disk, too.
    ///
    /// # Errors
    /// The system could not write. Then the journal may keep its id.
    pub fn mark_incomplete(&self) -> io::Result<()> {
        self.0.shared.writer().mark_incomplete()
    }

    /// Waits until everything that was appended before is on the disk. Callers that come together share one call of
    /// fdatasync(2).
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// The system could not write, or the journal is closed. Records may be lost; nothing more can be appended.
    pub async fn sync(&self) -> io::Result<()> {
        {
            let writer = self.0.shared.writer();
            writer.check()?;
            if writer.is_synced() {
                return Ok(());
            }
        }
        self.0.shared.queue.wait().await
    }

    /// How many times the file was synced for [`Journal::sync`].
    pub fn syncs(&self) -> u64 {
        self.0.shared.queue.calls()
    }

    /// Ends the journal: the next process knows that nothing is missing. Blocks. Clones can't append any more.
    ///
    /// # Errors
    /// The last record could not be written and synced; the journal is left as a killed process would leave it.
    pub fn close(self) -> io::Result<()> {
        let shared = &self.0.shared;
        join(&shared.compaction);
        let closed = {
            let mut writer = shared.writer();
            let closed = writer.append(&Line::Closed).and_then(|()| {
                let (file, length) = writer.file();
                rustix::fs::fdatasync(&*file)?;
                writer.synced(&file, length);
                Ok(())
            });
            writer.stop(Stopped::Closed);
            closed
        };
        shared.queue.end();
        join(&self.0.syncing);
        closed
    }
}

/// The threads must not outlive the owner's lock: the next owner may write to the same directory.
impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.writer().stop(Stopped::Closed);
        self.shared.queue.end();
        join(&self.shared.compaction);
        join(&self.syncing);
    }
}

/// Waits for a thread's end, if it runs.
fn join(thread: &Mutex<Option<JoinHandle<()>>>) {
    let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(thread) = thread {
        // A panic was reported by the thread itself.
        let _ = thread.join();
    }
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compaction(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.compaction.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanoseconds: since.subsec_nanos() }
}
