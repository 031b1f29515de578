//! What the uploaded program does on the other side before it serves: it proves that it is what was sent, takes its place, and
//! removes versions that nobody uses.
//!
//! A program's directory is `VERSION-DIGEST`. It holds the program, `unglue`, and the file `proved`: the inode, size and times that the
//! program had when its digest was computed. As long as they are the same, the program's bytes are, and it starts without
//! being read.

mod proof;
mod prune;
mod settle;
mod state;
mod used;

pub use proof::prove;
pub use settle::settle;
pub use state::state_beside;
pub use used::hold;

use super::digest::is_digest;

/// The program's name in its directory.
const PROGRAM: &str = "unglue";
/// The file with the identity of a program that has proved its digest.
const PROVED: &str = "proved";

/// The digest in `VERSION-DIGEST`.
fn digest_in(directory: &str) -> Option<&str> {
    let (version, digest) = directory.rsplit_once('-')?;
    (version.starts_with(|c: char| c.is_ascii_digit()) && is_digest(digest)).then_some(digest)
}
