//! Where in a buffer a record lies: Python's rules for offsets, and its four ways to refuse one.

use core::ops::Range;

use crate::error::{Call, Error};

/// The bytes that a record of `size` bytes takes at `offset` in a buffer of `len` bytes. A negative
/// offset counts from the buffer's end.
pub(crate) fn locate(call: Call, size: usize, offset: isize, len: usize) -> Result<Range<usize>, Error> {
    let start = if offset < 0 { from_end(call, size, offset, len)? } else { offset.unsigned_abs() };
    if len.checked_sub(start).is_none_or(|room| room < size) {
        return Err(Error::BufferTooSmall { call, size, offset: start, len });
    }
    Ok(start..start + size)
}

fn from_end(call: Call, size: usize, offset: isize, len: usize) -> Result<usize, Error> {
    let back = offset.unsigned_abs();
    if size > back {
        return Err(Error::PastEnd { call, size, offset });
    }
    len.checked_sub(back).ok_or(Error::OffsetOutOfRange { offset, len })
}
