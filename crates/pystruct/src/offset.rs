//! Where in a buffer a record lies: Python's rules for offsets, and its four ways to refuse one.

use core::ops::Range;

use crate::error::{Call, Error};
use crate::format::Format;

impl Format {
    /// The bytes that a record takes at `offset` in a buffer of `len` bytes; a negative offset counts
    /// from the buffer's end. [`pack_into`](Format::pack_into) and [`unpack_from`](Format::unpack_from)
    /// find their place so; `call` is what an error speaks of.
    ///
    /// ```
    /// use unglue_struct::{Call, Format};
    ///
    /// let format = Format::parse("<I")?;
    /// assert_eq!(format.place(Call::PackInto, -4, 10), Ok(6..10));
    /// let error = format.place(Call::PackInto, -2, 10).unwrap_err();
    /// assert_eq!(error.to_string(), "no space to pack 4 bytes at offset -2");
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`], [`Error::PastEnd`] or [`Error::OffsetOutOfRange`].
    pub fn place(&self, call: Call, offset: isize, len: usize) -> Result<Range<usize>, Error> {
        let size = self.size();
        let start = if offset < 0 { from_end(call, size, offset, len)? } else { offset.unsigned_abs() };
        if len.checked_sub(start).is_none_or(|room| room < size) {
            return Err(Error::BufferTooSmall { call, size, offset: start, len });
        }
        Ok(start..start + size)
    }
}

fn from_end(call: Call, size: usize, offset: isize, len: usize) -> Result<usize, Error> {
    let back = offset.unsigned_abs();
    if size > back {
        return Err(Error::PastEnd { call, size, offset });
    }
    len.checked_sub(back).ok_or(Error::OffsetOutOfRange { offset, len })
}
