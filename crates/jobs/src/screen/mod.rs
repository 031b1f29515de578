//! What a terminal shows, for a client that attaches late: its output is drawn by an emulator, from what is kept of it, and the
//! emulator is gone when the picture is made. So an idle terminal costs nothing.
//!
//! A picture holds no query, and nothing that a terminal answers, because it is made from what is drawn and not from what was printed.
//!
//! Of a terminal's output only the end is kept, [`RETAINED`] bytes at least. What is older is dropped, and the state that the
//! terminal had there is put in its place.

mod emulator;
mod modes;
mod shown;
mod symbols;

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::Semaphore;
use unglue_host::process::{Resized, SpoolReader, Trimmed, terminal_sizes};
use unglue_proto::life::Output;
use unglue_proto::message::exec::TerminalSize;

pub use emulator::Emulator;
pub use shown::{Cell, Shown};

/// What is kept of a terminal's output at least, in bytes.
pub const RETAINED: u64 = 4 << 20;
/// Output that is drawn at once.
const PIECE: usize = 64 * 1024;
/// How many sizes a terminal is drawn with, the last ones: each lays all lines out anew.
const SIZES: usize = 256;
/// How many pictures are made at the same time: each takes up to some 30 MiB while it is made.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// What a terminal shows.
#[derive(Debug)]
pub struct Picture {
    /// To be written to a person's terminal.
    pub bytes: Vec<u8>,
    /// The offset of the output that follows.
    pub from: u64,
}

/// Draws the terminal of the job with this directory, as it is now, for a person's terminal of `viewer`'s size. With `holds` the
/// terminal has just got that size. The picture may end some bytes before the output does, where no sequence is cut.
/// Dropped, the picture is drawn all the same, for nothing.
///
/// # Errors
/// What is kept of its output can't be read.
pub async fn picture(directory: PathBuf, viewer: TerminalSize, holds: bool) -> io::Result<Picture> {
    on_thread(move || {
        let upto = SpoolReader::open(&directory, Output::Stdout)?.written()?;
        let (mut emulator, from) = draw(&directory, upto, true)?;
        if holds {
            emulator.resize(viewer);
        }
        Ok(Picture { bytes: emulator.picture(viewer), from })
    })
    .await
}

/// Draws the oldest part of a terminal's output, up to about this offset, and notes its state there. The bytes are still there.
///
/// # Errors
/// The output can't be read, or the state can't be written.
pub(crate) async fn note_state(directory: PathBuf, before: u64) -> io::Result<Trimmed> {
    on_thread(move || {
        let (mut emulator, before) = draw(&directory, before, false)?;
        let trimmed = Trimmed { before, size: emulator.size(), state: emulator.state() };
        trimmed.write(&directory)?;
        Ok(trimmed)
    })
    .await
}

async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let _permit = AT_ONCE.acquire().await.map_err(io::Error::other)?;
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Draws what is kept of the output before this offset. Gives where it ended.
fn draw(directory: &Path, upto: u64, history: bool) -> io::Result<(Emulator, u64)> {
    let sizes = terminal_sizes(directory)?;
    let trimmed = Trimmed::read(directory)?;
    let spool = SpoolReader::open(directory, Output::Stdout)?;
    let mut at = trimmed.as_ref().map_or(0, |trimmed| trimmed.before);
    let size = trimmed.as_ref().map(|trimmed| trimmed.size).or(sizes.first().map(|first| first.size));
    let mut emulator = Emulator::new(size.unwrap_or(TerminalSize { rows: 24, columns: 80 }), history);
    if let Some(trimmed) = &trimmed {
        emulator.feed(&trimmed.state);
    }
    let later: Vec<Resized> = sizes.into_iter().filter(|resized| resized.at >= at).collect();
    let mut sizes = later[later.len().saturating_sub(SIZES)..].iter().peekable();
    let mut unfinished = true;
    while unfinished && at < upto {
        while let Some(resized) = sizes.next_if(|resized| resized.at <= at) {
            emulator.resize(resized.size);
        }
        let end = sizes.peek().map_or(upto, |next| next.at.min(upto));
        let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        let piece = spool.read_now(at, wanted)?;
        unfinished = !piece.is_empty() && at + (piece.len() as u64) < upto;
        at += match unfinished {
            false => emulator.feed_last(&piece, !history) as u64,
            true => {
                emulator.feed(&piece);
                piece.len() as u64
            }
        };
    }
    for resized in sizes.take_while(|resized| resized.at <= upto) {
        emulator.resize(resized.size);
    }
    Ok((emulator, at))
}

#[cfg(test)]
mod tests;
