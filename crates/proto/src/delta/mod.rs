//! Sending only what changed: a new file as pieces of an old one, and what is new.
//!
//! The receiver has the old file, the sender the new one.
//!
//! - The receiver sends a [`Sum`] of each block of the old file, whose length is [`coarse`], in [`Group`]s. The sender gives them to an
//!   [`Index`] as they come.
//! - The sender goes through the new file with a [`Scan`]. As long as nothing changed, it needs no more than the sums up to where
//!   it is. Where something did, it finds the old blocks wherever they are by now, and so divides the new
//!   file into pieces of the old one ([`Piece::Old`]) and what is left ([`Piece::New`]).
//! - What is left may be mostly old: one byte of a block has changed. A piece names the part of the old file that it
//!   seems to replace. The receiver sends sums of blocks of [`FINE`] bytes of that part, and [`refine`] divides the piece.
//!
//! - What the sender sends are [`Record`]s; the receiver checks each with its [`Rules`].
//!
//! A small file is divided in one pass: its blocks have the length [`short`], and [`divide`] needs all of their sums.
//!
//! Nothing here is proof: the digest of the whole new file is. If two blocks have the same [`Sum`] and other bytes,
//! that digest is wrong, and the file has to be sent whole. So a sum need not withstand an attack, and is cheap; the receiver chooses a
//! seed for each transfer, so that the same two blocks don't have the same sum again.
//!
//! **Bounds.** An old file has at most [`MOST`] blocks. Each byte of the new file is digested once at its expected place, and at most
//! [`WORK`] times more, whatever either file holds.
//!
//! ```
//! use unglue_proto::delta::{Index, Piece, Scan, coarse, sums};
//!
//! let old: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
//! let new = [b"inserted".as_slice(), &old].concat();
//! let block = coarse(old.len() as u64);
//! let index = Index::new(block, old.len() as u64, 7).with(sums(&old, block, 7));
//! let (pieces, consumed) = Scan::new(index).next(&new, true);
//! assert_eq!(consumed, new.len());
//! assert_eq!(pieces[0], Piece::New { range: 0..8, old: 0..0 });
//! assert_eq!(pieces[1], Piece::Old { from: 0, len: old.len() as u64 });
//! ```

mod group;
mod index;
mod records;
mod scan;
mod speed;
mod sum;
#[cfg(test)]
mod tests;

pub use group::{GROUP, Group};
pub use index::Index;
pub use records::{ASK_MOST, BLOCK_MOST, HEADER_MOST, OLD_LEAST, Record, Rules, SUMS_LEAST, answers, asks_allowed};
pub use scan::{Piece, Scan, WINDOW, WORK, divide, refine};
pub use speed::Speed;
pub use sum::{FINE, LEAST, MOST, SUM, Sum, coarse, short, sums};
