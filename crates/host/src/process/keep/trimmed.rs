//! A terminal's output whose oldest part was dropped, and what is kept in its place.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use unglue_proto::life::Output;
use unglue_proto::message::exec::TerminalSize;

use super::directory::JobDirectory;

/// No picture is larger: some ten bytes for each cell of the largest terminal that is drawn.
const MOST: u64 = 64 << 20;
const HEAD: usize = 12;

/// What is known of a terminal's output before an offset. The bytes before it are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The offset at which the output begins.
    pub before: u64,
    /// The terminal's size there.
    pub size: TerminalSize,
    /// What brings an empty terminal of this size into the state that it had there.
    pub state: Vec<u8>,
}

impl Trimmed {
    /// Reads it from the job's directory; `None` where the output is whole. Waits for the disk.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let file = match JobDirectory::open(directory).and_then(|directory| directory.open_screen()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(file), MOST), &mut bytes)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the picture of the terminal is cut");
        let (head, state) = bytes.split_first_chunk::<HEAD>().ok_or_else(damaged)?;
        let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let before = u64::from_le_bytes(std::array::from_fn(|byte| head[byte]));
        Ok(Some(Self { before, size: TerminalSize::new(number(8), number(10)), state: state.to_vec() }))
    }

    /// Puts it in the job's directory. The bytes of the output are still there. Waits for the disk.
    ///
    /// # Errors
    /// The disk is full, or the job was removed; what was there before is there.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let mut content = Vec::with_capacity(HEAD + self.state.len());
        content.extend_from_slice(&self.before.to_le_bytes());
        content.extend_from_slice(&self.size.rows.to_le_bytes());
        content.extend_from_slice(&self.size.columns.to_le_bytes());
        content.extend_from_slice(&self.state);
        Ok(JobDirectory::open(directory)?.put_screen(&content)?)
    }

    /// Gives the disk back the bytes before it.
    ///
    /// # Errors
    /// `Unsupported`: the file system can't. The bytes stay where they are then.
    pub fn drop_older(&self, directory: &Path) -> io::Result<()> {
        Ok(JobDirectory::open(directory)?.drop_output(Output::Stdout, self.before)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_is_dropped_is_replaced_by_its_picture_and_offsets_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        std::fs::write(path.join("stdout"), vec![b'x'; 1 << 20]).expect("a spool");
        assert_eq!(Trimmed::read(path).expect("whole"), None);
        let trimmed = Trimmed { before: 1 << 19, size: TerminalSize::new(24, 80), state: b"\x1b[2;1H$ ".to_vec() };
        trimmed.write(path).expect("written");
        trimmed.write(path).expect("written again");
        assert_eq!(Trimmed::read(path).expect("it is there"), Some(trimmed.clone()));
        let before = std::fs::metadata(path.join("stdout")).expect("there").blocks();
        trimmed.drop_older(path).expect("this file system can");
        let after = std::fs::metadata(path.join("stdout")).expect("there");
        assert_eq!(after.len(), 1 << 20, "offsets mean what they meant");
        assert!(after.blocks() <= before / 2 + 8, "{} of {before} blocks are left", after.blocks());
        assert_eq!(std::fs::read(path.join("stdout")).expect("read")[1 << 19], b'x');
    }
}
