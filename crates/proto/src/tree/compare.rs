//! Whether a file at the destination counts as unchanged.

use super::Entry;
use crate::message::Time;

/// What is known of a file at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its number of bytes.
    pub size: u64,
    /// The time of its last modification.
    pub modified: Time,
}

/// Whether the file at the destination has the entry's content, as far as size and time tell: the time is compared to the
/// nanosecond. `None`: only the contents can tell, which the entry's digest asks for.
///
/// ```
/// use unglue_proto::message::Time;
/// use unglue_proto::tree::{Entry, Facts, Kind, compare};
///
/// let mut entry = Entry::new(Kind::File, b"f".to_vec());
/// entry.size = 3;
/// let there = Facts { size: 3, modified: entry.modified };
/// assert_eq!(compare(&entry, &there), Some(true));
/// let later = Time { nanoseconds: 1, ..entry.modified };
/// assert_eq!(compare(&entry, &Facts { modified: later, ..there }), Some(false));
/// entry.digest = Some([0; 32]);
/// assert_eq!(compare(&entry, &there), None);
/// ```
pub fn compare(entry: &Entry, there: &Facts) -> Option<bool> {
    match (entry.size == there.size, entry.digest) {
        (false, _) => Some(false),
        (true, Some(_)) => None,
        (true, None) => Some(entry.modified == there.modified),
    }
}
