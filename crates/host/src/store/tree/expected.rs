//! Files whose contents are to come, and the room that they need.

use std::ffi::OsString;
use std::path::Path;

use unglue_proto::tree::Entry;
use unglue_proto::{Code, Fault};

use super::dirs::Node;
use super::landing::Landing;
use super::olds::Basis;
use super::sink::TreeSink;
use crate::store::error::{Op, StoreError};
use crate::store::space;

/// A file whose content is to come.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) node: Node,
    pub(super) entry: Box<Entry>,
    pub(super) replaces: bool,
    /// Whether something has the name.
    pub(super) exists: bool,
    /// Whether this transfer has made its directory.
    pub(super) fresh: bool,
    /// The bytes on the disk that are free again once it is replaced, and those that an earlier transfer has left of it.
    pub(super) frees: u64,
    /// It was reported that it can't be stored.
    pub(super) refused: bool,
    pub(super) bytes: usize,
    pub(super) name: OsString,
    /// An old file that it may be made of.
    pub(super) basis: Option<Box<Basis>>,
}

#[derive(Debug, Default)]
pub(super) enum Writing {
    #[default]
    Nothing,
    File(Box<Landing>),
    /// The rest of a file that can't be written is thrown away.
    Refused {
        entry: u64,
        /// Whether parts of an old file came in it.
        copied: bool,
    },
}

/// Room on a disk.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Room {
    /// What a file surely takes. Holes take nothing.
    pub(super) fn of(expected: &Expected) -> Room {
        let size = if expected.entry.sparse { 0 } else { space::blocks(expected.entry.size) };
        Room { bytes: size.saturating_sub(expected.frees), files: u64::from(!expected.exists && !expected.refused) }
    }
}

impl TreeSink {
    /// There has to be room for a file.
    pub(super) fn need(&mut self, expected: &Expected) {
        let room = Room::of(expected);
        self.needed.bytes = self.needed.bytes.saturating_add(room.bytes);
        self.needed.files += room.files;
    }

    /// A file's content will come.
    pub(super) fn want(&mut self, number: u64, expected: Expected) {
        self.moving.wanted += expected.entry.size;
        if self.options.asks(expected.entry.size) {
            self.wanted.push(number);
        }
        if self.options.dry_run {
            self.summary.files += 1;
            self.summary.bytes += expected.entry.size;
            return;
        }
        self.need(&expected);
        self.expected_bytes += expected.bytes;
        if expected.basis.is_some() {
            self.olds.unread.push_back(number);
        }
        self.expected.insert(number, expected);
    }

    pub(super) fn expect(&mut self, number: u64) -> Result<Expected, Fault> {
        let expected = self.expected.remove(&number);
        let mut expected = expected.ok_or_else(|| {
            Fault::peer(Code::BadMessage, format!("content came for entry {number}, which wants none"))
        })?;
        self.expected_bytes -= expected.bytes;
        self.old_came(&mut expected);
        let room = Room::of(&expected);
        self.needed.bytes = self.needed.bytes.saturating_sub(room.bytes);
        self.needed.files = self.needed.files.saturating_sub(room.files);
        Ok(expected)
    }

    /// Lack of space is noticed before the contents are asked for.
    pub(super) fn check_space(&mut self) -> Result<(), Fault> {
        let (needed, checked) = (self.needed, self.checked);
        if needed.bytes <= checked.bytes && needed.files <= checked.files || self.dirs.is_absent(0) {
            self.checked = Room { bytes: checked.bytes.min(needed.bytes), files: checked.files.min(needed.files) };
            return Ok(());
        }
        self.checked = needed;
        let Ok(dir) = self.dirs.file(0) else { return Ok(()) };
        space::check_many(&*dir, needed.bytes, needed.files).map_err(|problem| {
            let top = if self.top.as_os_str().is_empty() { Path::new(".") } else { &self.top };
            StoreError::new(Op::Create, top, problem).fault()
        })
    }
}
