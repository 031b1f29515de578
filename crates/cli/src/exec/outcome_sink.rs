//! Where `--outcome` writes: found out before anything runs.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;

use super::inherited;
use crate::args::exec::OutcomeTo;
use crate::complaint::Complaint;

/// An open place for the outcome.
#[derive(Debug)]
pub(crate) struct OutcomeSink {
    file: File,
    name: String,
}

impl OutcomeSink {
    /// Opens the place, if there is one beside standard output.
    ///
    /// # Errors
    /// The file can't be made, or the descriptor isn't open for writing: then nothing must run.
    pub(crate) fn open(to: &OutcomeTo) -> Result<Option<OutcomeSink>, Complaint> {
        match to {
            OutcomeTo::Exit | OutcomeTo::Stdout { .. } | OutcomeTo::Events => Ok(None),
            OutcomeTo::File(path) => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|error| unusable(&name, &error))?;
                Ok(Some(OutcomeSink { file, name }))
            }
            OutcomeTo::Descriptor(number) => {
                let name = format!("fd:{number}");
                let file = inherited::duplicate(*number).and_then(writable).map_err(|error| unusable(&name, &error))?;
                Ok(Some(OutcomeSink { file, name }))
            }
        }
    }

    /// Writes the outcome.
    ///
    /// # Errors
    /// It could not be written whole.
    pub(crate) fn write(mut self, line: &[u8]) -> Result<(), Complaint> {
        self.file
            .write_all(line)
            .map_err(|error| Complaint::new(format!("the outcome could not be written to {}: {error}", self.name)))
    }
}

fn writable(descriptor: OwnedFd) -> io::Result<File> {
    match rustix::fs::fcntl_getfl(&descriptor)? & OFlags::ACCMODE {
        OFlags::RDONLY => Err(io::Error::other("it is open for reading only")),
        _ => Ok(File::from(descriptor)),
    }
}

fn unusable(name: &str, error: &io::Error) -> Complaint {
    Complaint::new(format!("--outcome can't write to {name}: {error}; nothing was run"))
}
