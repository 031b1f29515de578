//! Bytes to values: `unpack`, `unpack_from` and `iter_unpack`.

use core::iter::FusedIterator;
use core::slice::ChunksExact;

use crate::error::{Call, Error};
use crate::float::{f16_from_bits, f32_from_bits};
use crate::format::Format;
use crate::run::{Kind, Run};
use crate::value::Value;

impl Format {
    /// Unpacks a record: `bytes` must be exactly as long as the format says.
    ///
    /// ```
    /// use unglue_struct::{Format, Value};
    ///
    /// let format = Format::parse(">H2s?")?;
    /// let mut values = format.unpack(b"\x01\x00hi\x05")?;
    /// assert_eq!(values.next(), Some(Value::Int(256)));
    /// assert_eq!(values.next(), Some(Value::Bytes(b"hi")));
    /// assert_eq!(values.next(), Some(Value::Bool(true)));
    /// assert_eq!(values.next(), None);
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::WrongSize`].
    #[inline]
    pub fn unpack<'f, 'b>(&'f self, bytes: &'b [u8]) -> Result<Values<'f, 'b>, Error> {
        if bytes.len() != self.size() {
            return Err(Error::WrongSize { expected: self.size(), got: bytes.len() });
        }
        Ok(Values::new(self, bytes))
    }

    /// Unpacks a record that starts at `offset` in a larger buffer; a negative offset counts from the
    /// buffer's end.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`], [`Error::PastEnd`] or [`Error::OffsetOutOfRange`].
    pub fn unpack_from<'f, 'b>(&'f self, buffer: &'b [u8], offset: isize) -> Result<Values<'f, 'b>, Error> {
        let place = self.place(Call::UnpackFrom, offset, buffer.len())?;
        Ok(Values::new(self, &buffer[place]))
    }

    /// Unpacks records that lie one after the other.
    ///
    /// ```
    /// use unglue_struct::{Format, Value};
    ///
    /// let format = Format::parse("<Bh")?;
    /// let ids = format.iter_unpack(b"\x01\0\0\x02\0\0")?.map(|mut record| record.next());
    /// assert!(ids.eq([Some(Value::Int(1)), Some(Value::Int(2))]));
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::EmptyRecord`] if the format's size is zero; [`Error::NotAMultiple`] if a part of a record
    /// is left over.
    pub fn iter_unpack<'f, 'b>(&'f self, bytes: &'b [u8]) -> Result<IterUnpack<'f, 'b>, Error> {
        if self.size() == 0 {
            return Err(Error::EmptyRecord);
        }
        if !bytes.len().is_multiple_of(self.size()) {
            return Err(Error::NotAMultiple { size: self.size(), got: bytes.len() });
        }
        Ok(IterUnpack { format: self, records: bytes.chunks_exact(self.size()) })
    }
}

/// The values of one record, decoded one by one; see [`Format::unpack`].
#[derive(Clone, Debug)]
pub struct Values<'f, 'b> {
    runs: &'f [Run],
    /// How many items of the first run are done.
    item: usize,
    left: usize,
    record: &'b [u8],
}

impl<'f, 'b> Values<'f, 'b> {
    #[inline]
    fn new(format: &'f Format, record: &'b [u8]) -> Values<'f, 'b> {
        Values { runs: &format.runs, item: 0, left: format.len(), record }
    }

    /// The next item's run and bytes.
    #[inline]
    pub(crate) fn next_item(&mut self) -> Option<(&'f Run, &'b [u8])> {
        let (run, rest) = self.runs.split_first()?;
        let start = run.offset + self.item * run.size;
        self.item += 1;
        self.left -= 1;
        if self.item == run.count {
            (self.runs, self.item) = (rest, 0);
        }
        Some((run, &self.record[start..start + run.size]))
    }
}

impl<'b> Iterator for Values<'_, 'b> {
    type Item = Value<'b>;

    #[inline]
    fn next(&mut self) -> Option<Value<'b>> {
        self.next_item().map(|(run, bytes)| decode(run, bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_, '_> {}
impl FusedIterator for Values<'_, '_> {}

/// The records of [`Format::iter_unpack`].
#[derive(Clone, Debug)]
pub struct IterUnpack<'f, 'b> {
    format: &'f Format,
    records: ChunksExact<'b, u8>,
}

impl<'f, 'b> Iterator for IterUnpack<'f, 'b> {
    type Item = Values<'f, 'b>;

    #[inline]
    fn next(&mut self) -> Option<Values<'f, 'b>> {
        Some(Values::new(self.format, self.records.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for IterUnpack<'_, '_> {}
impl FusedIterator for IterUnpack<'_, '_> {}

/// Decodes one item; `bytes` is exactly its size.
#[inline]
pub(crate) fn decode<'b>(run: &Run, bytes: &'b [u8]) -> Value<'b> {
    match run.kind {
        Kind::Char | Kind::Bytes => Value::Bytes(bytes),
        Kind::Pascal => Value::Bytes(pascal(bytes)),
        Kind::Bool => Value::Bool(bytes.iter().any(|byte| *byte != 0)),
        Kind::I8 => Value::Int(i128::from(u8::from_le_bytes(array(bytes)) as i8)),
        Kind::U8 => Value::Int(i128::from(u8::from_le_bytes(array(bytes)))),
        Kind::I16 => Value::Int(i128::from(read_u16(bytes, run.big) as i16)),
        Kind::U16 => Value::Int(i128::from(read_u16(bytes, run.big))),
        Kind::I32 => Value::Int(i128::from(read_u32(bytes, run.big) as i32)),
        Kind::U32 => Value::Int(i128::from(read_u32(bytes, run.big))),
        Kind::I64 => Value::Int(i128::from(read_u64(bytes, run.big) as i64)),
        Kind::U64 => Value::Int(i128::from(read_u64(bytes, run.big))),
        Kind::Pointer if run.size == 4 => Value::Int(i128::from(read_u32(bytes, run.big))),
        Kind::Pointer => Value::Int(i128::from(read_u64(bytes, run.big))),
        Kind::F16 => Value::Float(f16_from_bits(read_u16(bytes, run.big))),
        Kind::F32 | Kind::F32Saturating => Value::Float(f32_from_bits(read_u32(bytes, run.big))),
        Kind::F64 => Value::Float(f64::from_bits(read_u64(bytes, run.big))),
    }
}

/// A length byte, then as much of the text as there is.
fn pascal(bytes: &[u8]) -> &[u8] {
    match bytes.split_first() {
        Some((len, text)) => &text[..text.len().min(usize::from(*len))],
        None => bytes,
    }
}

#[inline]
pub(crate) fn read_u16(bytes: &[u8], big: bool) -> u16 {
    let number = u16::from_le_bytes(array(bytes));
    if big { number.swap_bytes() } else { number }
}

#[inline]
pub(crate) fn read_u32(bytes: &[u8], big: bool) -> u32 {
    let number = u32::from_le_bytes(array(bytes));
    if big { number.swap_bytes() } else { number }
}

#[inline]
pub(crate) fn read_u64(bytes: &[u8], big: bool) -> u64 {
    let number = u64::from_le_bytes(array(bytes));
    if big { number.swap_bytes() } else { number }
}

/// The first `N` bytes; a run's size is its kind's, so there are as many.
#[inline]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
