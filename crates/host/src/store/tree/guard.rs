//! The files that belong to the server, found once for a whole transfer.

use std::ffi::{OsStr, OsString};

use rustix::fs::stat;

use super::deletion::Doomed;
use crate::store::FileId;
use crate::store::error::Problem;
use crate::store::protected::Protected;

/// What [`Protected`] protects, by what it is at the beginning of a transfer.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Guard {
    directories: Vec<FileId>,
    files: Vec<FileId>,
    secrets: Vec<FileId>,
    names: Vec<(FileId, OsString)>,
}

impl Guard {
    pub(in crate::store) fn new(protected: &Protected) -> Guard {
        let mut guard = Guard::default();
        let id = |path: &std::path::Path| stat(path).ok().map(|stat| FileId::of(&stat));
        guard.directories.extend(protected.directories().filter_map(id));
        guard.secrets.extend(protected.secrets().filter_map(id));
        for path in protected.files().chain(protected.secrets()) {
            guard.files.extend(id(path));
            let places = [Some(path.to_owned()), path.canonicalize().ok()];
            for place in places.into_iter().flatten() {
                if let (Some(parent), Some(name)) = (place.parent().and_then(id), place.file_name()) {
                    guard.names.push((parent, name.to_owned()));
                }
            }
        }
        guard
    }

    /// Refuses to enter a directory in order to write.
    pub(super) fn check_directory(&self, id: FileId) -> Result<(), Problem> {
        match self.directories.contains(&id) {
            true => Err(Problem::Protected),
            false => Ok(()),
        }
    }

    /// Refuses to replace a directory as a whole.
    pub(in crate::store) fn check_whole(&self, id: FileId) -> Result<(), Problem> {
        self.check_directory(id)
    }

    /// Refuses to make, replace or remove a name.
    pub(in crate::store) fn check(&self, dir: FileId, name: &OsStr, there: Option<FileId>) -> Result<(), Problem> {
        if self.names.is_empty() && self.directories.is_empty() {
            return Ok(());
        }
        let is_there = there.is_some_and(|id| self.files.contains(&id) || self.directories.contains(&id));
        match is_there || self.names.iter().any(|(parent, protected)| *parent == dir && protected == name) {
            true => Err(Problem::Protected),
            false => Ok(()),
        }
    }

    /// Refuses to remove an entry.
    pub(in crate::store) fn check_doomed(&self, doomed: &Doomed<'_>) -> Result<(), Problem> {
        self.check(doomed.dir, doomed.name, Some(doomed.id()))
    }

    /// Refuses to read a secret.
    pub(super) fn check_read(&self, id: FileId) -> Result<(), Problem> {
        match self.secrets.contains(&id) {
            true => Err(Problem::Protected),
            false => Ok(()),
        }
    }
}
