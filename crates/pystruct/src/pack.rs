//! Values to bytes: `pack` and `pack_into`.

use alloc::vec::Vec;

use crate::error::{Call, Error, FieldError};
use crate::float::{f16_bits, f32_checked, f32_saturating};
use crate::format::{Field, Format};
use crate::run::{Kind, Run};
use crate::value::Value;

impl Format {
    /// Packs values into a record of [`size`](Format::size) bytes. Pad bytes and padding are zero.
    ///
    /// # Errors
    ///
    /// [`Error::ItemCount`] if the number of values isn't [`len`](Format::len), [`Error::Field`] for the
    /// first value that doesn't fit, [`Error::NoMemory`].
    pub fn pack(&self, values: &[Value<'_>]) -> Result<Vec<u8>, Error> {
        self.check_count(Call::Pack, values.len())?;
        let mut record = self.zeroed_record()?;
        self.fill(&mut record, values)?;
        Ok(record)
    }

    /// Packs values into a buffer at `offset`; a negative offset counts from the buffer's end.
    ///
    /// ```
    /// use unglue_struct::Format;
    ///
    /// let mut buffer = [0xff; 6];
    /// Format::parse("<H")?.pack_into(&mut buffer, -4, &[1.into()])?;
    /// assert_eq!(buffer, [0xff, 0xff, 1, 0, 0xff, 0xff]);
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`pack`](Format::pack), and [`Error::BufferTooSmall`], [`Error::PastEnd`] or
    /// [`Error::OffsetOutOfRange`]. After an [`Error::Field`] the record's place in the buffer holds the
    /// fields before the refused one, and zeros from there on, as Python leaves it.
    pub fn pack_into(&self, buffer: &mut [u8], offset: isize, values: &[Value<'_>]) -> Result<(), Error> {
        self.check_count(Call::PackInto, values.len())?;
        let place = self.place(Call::PackInto, offset, buffer.len())?;
        self.fill(&mut buffer[place], values)
    }

    /// Packs values that are made on demand, field by field, into a place of exactly
    /// [`size`](Format::size) bytes: for a caller whose values can fail to be made, or whose conversion
    /// depends on the field. `index` counts the values from 0.
    ///
    /// ```
    /// use unglue_struct::{Error, Format};
    ///
    /// let format = Format::parse(">2H")?;
    /// let mut record = [0; 4];
    /// format.pack_with(&mut record, |index, _field| Ok::<_, Error>((index + 1).into()))?;
    /// assert_eq!(record, [0, 1, 0, 2]);
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::WrongSize`] if the place isn't as long as the record; else the first error, of the
    /// closure or of a field, in the fields' order.
    pub fn pack_with<'v, E: From<Error>>(
        &self,
        place: &mut [u8],
        mut value: impl FnMut(usize, Field) -> Result<Value<'v>, E>,
    ) -> Result<(), E> {
        if place.len() != self.size() {
            return Err(Error::WrongSize { expected: self.size(), got: place.len() }.into());
        }
        self.each_item(place, |index, run, offset, out| {
            let field = Field { code: run.code, offset, size: run.size };
            Ok(encode(run, &value(index, field)?, out).map_err(|reason| refused(index, run, reason))?)
        })
    }

    /// Zeros the place, then goes over its items in order: `index`, run, offset and bytes.
    #[inline]
    fn each_item<E>(
        &self,
        place: &mut [u8],
        mut put: impl FnMut(usize, &Run, usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        place.fill(0);
        let mut index = 0;
        for run in &self.runs {
            let mut offset = run.offset;
            for _ in 0..run.count {
                let end = offset + run.size;
                put(index, run, offset, &mut place[offset..end])?;
                (index, offset) = (index + 1, end);
            }
        }
        Ok(())
    }

    fn check_count(&self, call: Call, got: usize) -> Result<(), Error> {
        if got == self.len() { Ok(()) } else { Err(Error::ItemCount { call, expected: self.len(), got }) }
    }

    fn zeroed_record(&self) -> Result<Vec<u8>, Error> {
        let mut record = Vec::new();
        record.try_reserve_exact(self.size()).map_err(|_| Error::NoMemory { size: self.size() })?;
        record.resize(self.size(), 0);
        Ok(record)
    }

    /// `values` are as many as the format has, `place` is as long as its record.
    fn fill(&self, place: &mut [u8], values: &[Value<'_>]) -> Result<(), Error> {
        self.each_item(place, |index, run, _, out| {
            encode(run, &values[index], out).map_err(|reason| refused(index, run, reason))
        })
    }
}

#[cold]
fn refused(index: usize, run: &Run, reason: FieldError) -> Error {
    Error::Field { index, code: run.code, reason }
}

/// Encodes one item into zeroed bytes of exactly its size.
#[inline]
fn encode(run: &Run, value: &Value<'_>, out: &mut [u8]) -> Result<(), FieldError> {
    macro_rules! put {
        ($number:expr) => {{
            let number = $number;
            out.copy_from_slice(&if run.big { number.to_be_bytes() } else { number.to_le_bytes() });
        }};
    }
    match run.kind {
        Kind::I8 => put!(integer::<i8>(run, value)?),
        Kind::U8 => put!(integer::<u8>(run, value)?),
        Kind::I16 => put!(integer::<i16>(run, value)?),
        Kind::U16 => put!(integer::<u16>(run, value)?),
        Kind::I32 => put!(integer::<i32>(run, value)?),
        Kind::U32 => put!(integer::<u32>(run, value)?),
        Kind::I64 => put!(integer::<i64>(run, value)?),
        Kind::U64 => put!(integer::<u64>(run, value)?),
        Kind::Pointer => put!(pointer(value)?),
        Kind::F16 => put!(checked_float(value, f16_bits)?),
        Kind::F32 => put!(checked_float(value, f32_checked)?),
        Kind::F32Saturating => put!(f32_saturating(float(value)?)),
        Kind::F64 => put!(float(value)?.to_bits()),
        Kind::Bool => put!(u8::from(value.truth())),
        Kind::Char => put!(single_byte(value)?),
        Kind::Bytes => return encode_bytes(value, out),
        Kind::Pascal => return encode_pascal(value, out),
    }
    Ok(())
}

/// An integer type that a field can have.
trait Integer: TryFrom<i128> {
    const MIN: i128;
    const MAX: i128;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Integer for $integer {
            const MIN: i128 = <$integer>::MIN as i128;
            const MAX: i128 = <$integer>::MAX as i128;
        }
    )*};
}

integers!(i8 u8 i16 u16 i32 u32 i64 u64);

#[inline]
fn integer<T: Integer>(run: &Run, value: &Value<'_>) -> Result<T, FieldError> {
    let got = value.integer().ok_or(FieldError::NotAnInteger)?;
    T::try_from(got).map_err(|_| out_of_range::<T>(run, got))
}

#[cold]
fn out_of_range<T: Integer>(run: &Run, got: i128) -> FieldError {
    FieldError::OutOfRange { got, min: T::MIN, max: T::MAX, native: run.has_native_routine() }
}

/// An address, or the negative number that has the same bits.
fn pointer(value: &Value<'_>) -> Result<usize, FieldError> {
    let number = value.integer().ok_or(FieldError::NotAnInteger)?;
    let signed = isize::try_from(number).map(|number| number as usize);
    usize::try_from(number).or(signed).map_err(|_| FieldError::IntTooLarge { got: number })
}

fn float(value: &Value<'_>) -> Result<f64, FieldError> {
    value.float().ok_or(FieldError::NotAFloat)
}

fn checked_float<T>(value: &Value<'_>, narrow: impl Fn(f64) -> Option<T>) -> Result<T, FieldError> {
    let got = float(value)?;
    narrow(got).ok_or(match value.integer() {
        Some(got) => FieldError::IntTooLarge { got },
        None => FieldError::FloatTooLarge { got },
    })
}

fn single_byte(value: &Value<'_>) -> Result<u8, FieldError> {
    match value {
        Value::Bytes([byte]) => Ok(*byte),
        _ => Err(FieldError::NotOneByte),
    }
}

/// Cut to the field's length, or filled up with zeros.
fn encode_bytes(value: &Value<'_>, out: &mut [u8]) -> Result<(), FieldError> {
    let Value::Bytes(bytes) = value else {
        return Err(FieldError::NotBytes);
    };
    let len = bytes.len().min(out.len());
    out[..len].copy_from_slice(&bytes[..len]);
    Ok(())
}

/// The length byte stops at 255, though a longer field takes more of the text, as Python has it.
fn encode_pascal(value: &Value<'_>, out: &mut [u8]) -> Result<(), FieldError> {
    let Some((length, text)) = out.split_first_mut() else {
        return encode_bytes(value, out);
    };
    encode_bytes(value, text)?;
    let Value::Bytes(bytes) = value else {
        return Err(FieldError::NotBytes);
    };
    *length = u8::try_from(bytes.len().min(text.len())).unwrap_or(u8::MAX);
    Ok(())
}
