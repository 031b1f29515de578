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
        if bytes.len() % self.size() != 0 {
            return Err(Error::NotAMultiple { size: self.size(), got: bytes.len() });
        }
        Ok(IterUnpack { format: self, records: bytes.chunks_exact(self.size()) })
    }
}

/// The values of one record, decoded one by one; see [`Format::unpack`].
#[derive(Clone, Debug)]
pub struct Values<'f, 'b> {
    runs: core::slice::Iter<'f, Run>,
    /// The run that the next item belongs to, while `left` isn't zero.
    run: &'f Run,
    /// Items of the run that are still to come, and where the next one starts.
    left: usize,
    start: usize,
    record: &'b [u8],
}

impl<'f, 'b> Values<'f, 'b> {
    #[inline]
    fn new(format: &'f Format, record: &'b [u8]) -> Values<'f, 'b> {
        Values { runs: format.runs.iter(), run: &Run::NONE, left: 0, start: 0, record }
    }

    /// The next item.
    #[inline(always)]
    pub(crate) fn next_item(&mut self) -> Option<Item<'f, 'b>> {
        if self.left == 0 {
            self.run = self.runs.next()?;
            self.left = self.run.count;
            self.start = self.run.offset;
        }
        let item = Item { run: self.run, record: self.record, start: self.start };
        self.left -= 1;
        self.start += self.run.size;
        Some(item)
    }
}

impl<'b> Iterator for Values<'_, 'b> {
    type Item = Value<'b>;

    // Out of line, each value would go through memory twice.
    #[inline(always)]
    fn next(&mut self) -> Option<Value<'b>> {
        self.next_item().map(Item::value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left + self.runs.clone().map(|run| run.count).sum::<usize>();
        (left, Some(left))
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

/// One item of a record: what it is and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'f, 'b> {
    pub(crate) run: &'f Run,
    record: &'b [u8],
    start: usize,
}

impl<'b> Item<'_, 'b> {
    /// Decodes it.
    #[inline(always)]
    pub(crate) fn value(self) -> Value<'b> {
        match self.run.kind {
            Kind::I8 => Value::Int(i128::from(self.u8() as i8)),
            Kind::U8 => Value::Int(i128::from(self.u8())),
            Kind::I16 => Value::Int(i128::from(self.u16() as i16)),
            Kind::U16 => Value::Int(i128::from(self.u16())),
            Kind::I32 => Value::Int(i128::from(self.u32() as i32)),
            Kind::U32 => Value::Int(i128::from(self.u32())),
            Kind::I64 => Value::Int(i128::from(self.u64() as i64)),
            Kind::U64 => Value::Int(i128::from(self.u64())),
            Kind::Pointer if self.run.size == 4 => Value::Int(i128::from(self.u32())),
            Kind::Pointer => Value::Int(i128::from(self.u64())),
            Kind::F64 => Value::Float(f64::from_bits(self.u64())),
            Kind::F32 | Kind::F32Saturating => Value::Float(f32_from_bits(self.u32())),
            Kind::F16 => Value::Float(f16_from_bits(self.u16())),
            Kind::Bool => Value::Bool(self.u8() != 0),
            Kind::Char | Kind::Bytes => Value::Bytes(self.bytes()),
            Kind::Pascal => Value::Bytes(pascal(self.bytes())),
        }
    }

    fn bytes(self) -> &'b [u8] {
        &self.record[self.start..self.start + self.run.size]
    }

    #[inline(always)]
    fn u8(self) -> u8 {
        self.record[self.start]
    }

    #[inline(always)]
    fn u16(self) -> u16 {
        let number = u16::from_le_bytes(self.array());
        if self.run.big { number.swap_bytes() } else { number }
    }

    #[inline(always)]
    fn u32(self) -> u32 {
        let number = u32::from_le_bytes(self.array());
        if self.run.big { number.swap_bytes() } else { number }
    }

    #[inline(always)]
    fn u64(self) -> u64 {
        let number = u64::from_le_bytes(self.array());
        if self.run.big { number.swap_bytes() } else { number }
    }

    /// The item's first `N` bytes. The record is as long as the format says, so they are there.
    #[inline(always)]
    fn array<const N: usize>(self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.record[self.start..][..N]);
        array
    }
}

/// A length byte, then as much of the text as there is.
fn pascal(bytes: &[u8]) -> &[u8] {
    match bytes.split_first() {
        Some((len, text)) => &text[..text.len().min(usize::from(*len))],
        None => bytes,
    }
}
