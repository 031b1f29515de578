//! What travels in a transfer of a tree, and what is decided about it. No IO.
//!
//! - [`Entry`]: one file, directory or symbolic link, with its attributes.
//! - [`Record`]: what the sender sends on its stream: entries in the order of the walk, and the content of files.
//! - [`Answer`]: what the receiver sends on its own: which contents it wants, and what has become of them.
//! - [`Records`]: takes either out of a stream's bytes, in any chunks.
//! - [`Filter`]: the rules of `--exclude` and `--include`, as rsync has them.
//! - [`Chmod`]: the changes of `--chmod`.
//! - [`compare`]: whether a file at the destination counts as unchanged.
//!
//! Every record is a byte for its kind, a variable-length number (LEB128) for the length of its body, and the body. A
//! record of an unknown kind is an error: both ends agree on the version of the protocol before.
//!
//! ```
//! use unglue_proto::tree::{Entry, Kind, Record, Records};
//!
//! let entry = Entry::new(Kind::Directory, b"src".to_vec());
//! let mut wire = Vec::new();
//! Record::Entry(Box::new(entry.clone())).encode(&mut wire);
//! Record::EndList { whole: true }.encode(&mut wire);
//!
//! let mut records = Records::default();
//! let mut input = wire.as_slice();
//! let (kind, body) = records.next(&mut input).unwrap().unwrap();
//! assert_eq!(Record::decode(kind, body), Ok(Record::Entry(Box::new(entry))));
//! ```

mod answer;
mod chmod;
mod coding;
mod compare;
mod entry;
mod filter;
mod records;
mod wild;

pub use answer::Answer;
pub use chmod::Chmod;
pub use compare::{Facts, compare};
pub use entry::{Attribute, Entry, Kind, is_name};
pub use filter::{Filter, Rule, Verdict};
pub use records::{Digest, Malformed, Record, Records, frame};

/// The longest body of a record, in bytes.
pub const RECORD_MAX: usize = 1024 * 1024;

/// Bytes of content in one record, at most.
pub const DATA_MAX: usize = 64 * 1024;

/// A file of this size is large: it may have a stream of its own.
pub const LARGE: u64 = 4 * 1024 * 1024;

/// A file of this size may be equal to another one that the receiver has. Smaller ones are sent.
pub const CANDIDATE_LEAST: u64 = 4 * 1024;

/// Bytes of sums and digests of old files that a receiver may send beyond those of the files that have come.
pub const SUMS_MOST: usize = 8 * 1024 * 1024;

/// As many entries a sender may send beyond the last one that was answered.
pub const WINDOW: usize = 16 * 1024;

/// As many bytes of records a sender may send for entries beyond the last one that was answered.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// The number of the destination's own directory. Entries are numbered from 1, in the order in which they are sent.
pub const ROOT: u64 = 0;
