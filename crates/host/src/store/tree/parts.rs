//! A large file of a tree whose content comes in parts: those that changed, or those that are missing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::ftruncate;
use rustix::io::Errno;
use unglue_proto::message::Tally;
use unglue_proto::{Code, Fault};

use super::landing::{Landed, Landing, Refused, Why};
use crate::store::Reading;
use crate::store::arriving::Arriving;
use crate::store::error::{Op, Problem, StoreError};
use crate::store::temporary::Syncing;

/// Holes are made of whole blocks of this many bytes.
const BLOCK: usize = 4096;

/// A large file that the sender announced, and what the receiver may have of it.
#[derive(Debug)]
pub struct Large {
    /// The stream on which the file is opened and closed,
    pub stream: u64,
    /// and the one for its parts.
    pub parts: u64,
    /// The file.
    pub landing: Box<Landing>,
    /// A file that may have much in common with it.
    pub old: Option<Reading>,
}

/// What a sink writes: the file, until it is complete.
#[derive(Debug)]
pub(in crate::store) struct Assembling {
    landing: Box<Landing>,
    done: Arc<Mutex<Done>>,
}

/// What became of the file.
#[derive(Debug, Default)]
enum Done {
    #[default]
    Nothing,
    Landed(Box<Landed>),
    /// What came was wrong, and the file is empty again.
    Emptied(Box<Landing>),
}

/// Where the file is once its sink was committed.
#[derive(Debug)]
pub struct Assembly(Arc<Mutex<Done>>);

impl Assembling {
    pub(in crate::store) fn new(landing: Box<Landing>) -> (Assembling, Assembly) {
        let done = Arc::new(Mutex::new(Done::Nothing));
        (Assembling { landing, done: done.clone() }, Assembly(done))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(&self.landing.name)
    }

    fn failed(&self, op: Op, problem: impl Into<Problem>) -> StoreError {
        StoreError::new(op, &self.path(), problem)
    }

    fn written(&self, result: std::io::Result<()>) -> Result<(), StoreError> {
        result.map_err(|error| self.failed(Op::Write, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Writes what isn't zero, where the source has holes.
    fn write_sparse(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut left = bytes;
        while !left.is_empty() {
            let to_end = BLOCK - (self.landing.at % BLOCK as u64) as usize;
            let (part, rest) = left.split_at(to_end.min(left.len()));
            if part.iter().any(|&byte| byte != 0) {
                let written = self.landing.file.write_all_at(part, self.landing.at);
                self.written(written)?;
            }
            self.landing.at += part.len() as u64;
            left = rest;
        }
        Ok(())
    }
}

impl Assembly {
    /// The complete file.
    ///
    /// # Errors
    /// The sink was not committed.
    pub fn landed(self, tally: &Tally) -> Result<Box<Landed>, Why> {
        match (self.take(), blake3::Hash::from_hex(&tally.blake3)) {
            (Done::Landed(landed), Ok(digest)) => Ok(Box::new(Landed { digest: *digest.as_bytes(), ..*landed })),
            _ => Err(Why::broken(Fault::us("a large file ended without being complete"))),
        }
    }

    /// The file, empty, to be written anew. `None`: the sink was not discarded.
    pub fn emptied(self) -> Option<Box<Landing>> {
        match self.take() {
            Done::Emptied(landing) => Some(landing),
            _ => None,
        }
    }

    fn take(&self) -> Done {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Arriving for Assembling {
    fn kept(&self) -> u64 {
        self.landing.kept
    }

    fn reader(&self) -> Result<File, StoreError> {
        let reader = self.landing.file.try_clone();
        reader.map_err(|error| self.failed(Op::Read, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    fn restart(&mut self) -> Result<(), StoreError> {
        let restarted = self.landing.empty();
        restarted.map_err(|errno| self.failed(Op::Write, errno))
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.landing.data += bytes.len() as u64;
        match self.landing.entry.sparse {
            true => self.write_sparse(bytes)?,
            false => {
                let written = self.landing.file.write_all_at(bytes, self.landing.at);
                self.written(written)?;
                self.landing.at += bytes.len() as u64;
            }
        }
        self.landing.write_behind();
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let written = self.landing.file.write_all_at(bytes, offset);
        self.written(written)?;
        self.landing.at = offset + bytes.len() as u64;
        self.landing.write_behind();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> Result<(), StoreError> {
        ftruncate(&self.landing.file, length).map_err(|errno| self.failed(Op::Write, errno))?;
        self.landing.data = length;
        Ok(())
    }

    fn syncing(&self) -> Option<Syncing> {
        self.landing.syncing()
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let path = self.path();
        let failed = |op: Op, problem: Problem| StoreError::new(op, &path, problem);
        let size = self.landing.size();
        ftruncate(&self.landing.file, size).map_err(|errno| failed(Op::Write, errno.into()))?;
        match self.landing.complete([0; 32]) {
            Ok(landed) => {
                *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Done::Landed(Box::new(landed));
                Ok(())
            }
            Err(Refused::Problem(problem)) => Err(failed(Op::SetAttributes, problem)),
            // Only what comes over the wire can be wrong in these ways.
            Err(Refused::Sender | Refused::Peer(_) | Refused::Again(_)) => Err(failed(Op::Write, Errno::IO.into())),
        }
    }

    fn discard(mut self: Box<Self>) {
        self.landing.forget();
        (self.landing.at, self.landing.data, self.landing.kept) = (0, 0, 0);
        if ftruncate(&self.landing.file, 0).is_ok() {
            *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Done::Emptied(self.landing);
        }
    }
}

impl Why {
    /// The store failed.
    pub fn store(error: StoreError) -> Why {
        match error.op() {
            // Of the old file, which has a name of its own.
            Op::Read if error.path() != Path::new("") => Why(Refused::Peer(error.fault())),
            _ => Why(Refused::Problem(error.into_problem())),
        }
    }

    /// The sender has reported that it could not read it.
    pub fn unread() -> Why {
        Why(Refused::Sender)
    }

    /// More of the file came than was asked for.
    pub fn early() -> Why {
        Why(Refused::Peer(Fault::peer(Code::BadMessage, "a large file's content came before it was asked for")))
    }
}
