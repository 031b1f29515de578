//! The sizes that a command's terminal has had, and where in its output they begin: so the output can be read again as it was
//! meant, by a later process.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use unglue_proto::message::exec::TerminalSize;

use super::directory::JobDirectory;

/// A record: the offset (eight bytes), rows and columns (two bytes each), little endian.
const RECORD: usize = 12;
/// So many are kept: after that, the last one is replaced. Only a client that resizes its terminal for hours comes so far.
const MOST: u64 = 64 * 1024;

/// From this offset of the output on, the terminal has this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resized {
    /// Bytes of output before it.
    pub at: u64,
    /// The size from there on.
    pub size: TerminalSize,
}

/// The list, as the keeper writes it.
#[derive(Debug)]
pub(in crate::process) struct Sizes {
    file: OwnedFd,
    count: u64,
    last: Resized,
}

impl Sizes {
    /// Begins the list in an empty file.
    pub(in crate::process) fn begin(file: OwnedFd, size: TerminalSize) -> rustix::io::Result<Self> {
        let mut sizes = Self { file, count: 0, last: Resized { at: 0, size } };
        sizes.put(sizes.last, 0)?;
        sizes.count = 1;
        Ok(sizes)
    }

    /// Notes a size. One that the disk has no room for is lost: what is read again may then be laid out otherwise.
    pub(in crate::process) fn note(&mut self, resized: Resized) {
        if resized.size == self.last.size {
            return;
        }
        let replaces = resized.at == self.last.at || self.count >= MOST;
        let number = self.count - u64::from(replaces);
        if self.put(resized, number).is_ok() {
            (self.count, self.last) = (number + 1, resized);
        }
    }

    fn put(&self, resized: Resized, number: u64) -> rustix::io::Result<()> {
        let Resized { at, size } = resized;
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&at.to_le_bytes());
        record[8..10].copy_from_slice(&size.rows.to_le_bytes());
        record[10..].copy_from_slice(&size.columns.to_le_bytes());
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, &record, number * RECORD as u64))?;
        if written == RECORD { Ok(()) } else { Err(Errno::NOSPC) }
    }
}

/// The sizes that the terminal of the job with this directory has had, the first first; none if its command has no terminal.
///
/// # Errors
/// The list can't be read.
pub fn terminal_sizes(directory: &Path) -> io::Result<Vec<Resized>> {
    let file = match JobDirectory::open(directory).and_then(|directory| directory.open_sizes()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let most = MOST * RECORD as u64;
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(file), most), &mut bytes)?;
    let (records, _) = bytes.as_chunks::<RECORD>();
    Ok(records.iter().map(read).collect())
}

fn read(record: &[u8; RECORD]) -> Resized {
    let number = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
    let at = u64::from_le_bytes(std::array::from_fn(|byte| record[byte]));
    Resized { at, size: TerminalSize::new(number(8), number(10)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_back_in_order_and_each_offset_has_one() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(terminal_sizes(directory.path()).expect("no list is no terminal"), []);
        let place = JobDirectory::open(directory.path()).expect("it opens");
        let resized = |at, rows, columns| Resized { at, size: TerminalSize::new(rows, columns) };
        let mut sizes =
            Sizes::begin(place.create_sizes().expect("a file"), TerminalSize::new(24, 80)).expect("written");
        for noted in
            [resized(0, 25, 80), resized(7, 25, 80), resized(9, 30, 300), resized(9, 50, 132), resized(10, 1, 1)]
        {
            sizes.note(noted);
        }
        let expected = [resized(0, 25, 80), resized(9, 50, 132), resized(10, 1, 1)];
        assert_eq!(terminal_sizes(directory.path()).expect("a list"), expected);
    }
}
