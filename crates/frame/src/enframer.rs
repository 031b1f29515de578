//! Payloads in, bytes out.

use crate::{
    EncodeError, Framing, Output,
    layout::Part,
    rule::{Head, Rule},
};

/// Writes frames. Either a whole frame is written, or an error is given and nothing is.
#[derive(Clone, Debug)]
pub struct Enframer {
    rule: Rule,
}

/// A frame that was begun in place; see [`Enframer::begin`].
#[derive(Debug)]
#[must_use = "a frame that was begun has no length until Enframer::end writes it"]
pub struct Mark {
    start: usize,
    data: usize,
}

/// The most bytes that one part of a header takes, literals and reserved bytes aside.
const WIDEST: usize = 10;

impl Enframer {
    /// An enframer for `framing`.
    pub fn new(framing: Framing) -> Enframer {
        Enframer { rule: Rule::new(framing) }
    }

    /// Appends a frame with these fields (in the layout's order, lengths left out) and this data to `out`.
    ///
    /// # Errors
    /// The data or a field doesn't fit, or the number of fields is wrong. Nothing was written.
    #[inline]
    pub fn encode(&self, fields: &[u64], data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        let head = &self.rule.head;
        let length = self.length(data.len() as u64)?;
        if !fields.is_empty() || !head.fields.is_empty() {
            self.check_fields(fields)?;
        }
        out.reserve(head.room() + data.len());
        write_parts(&head.before, length, fields, out);
        out.put(data);
        write_behind(head, fields, out);
        Ok(())
    }

    /// Appends a frame whose data `write` appends to `out`, in place: nothing is copied afterwards, except that a varint
    /// length may have to make room for itself.
    ///
    /// ```
    /// # use unglue_frame::{Enframer, Framing};
    /// let mut out = Vec::new();
    /// Enframer::new(Framing::u32be()).encode_with(&[], &mut out, |out| out.extend_from_slice(b"hi"))?;
    /// assert_eq!(out, b"\0\0\0\x02hi");
    /// # Ok::<(), unglue_frame::EncodeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`encode`](Self::encode); `out` is as it was.
    pub fn encode_with<O: Output>(
        &self,
        fields: &[u64],
        out: &mut O,
        write: impl FnOnce(&mut O),
    ) -> Result<(), EncodeError> {
        let mark = self.begin(fields, out)?;
        write(out);
        self.end(mark, fields, out)
    }

    /// Begins a frame in place: reserves its header. Append the data to `out`, then call [`end`](Self::end).
    ///
    /// # Errors
    /// A field doesn't fit, or the number of fields is wrong. Nothing was written.
    pub fn begin(&self, fields: &[u64], out: &mut impl Output) -> Result<Mark, EncodeError> {
        self.check_fields(fields)?;
        let start = out.written().len();
        write_parts(&self.rule.head.before, 0, fields, out);
        Ok(Mark { start, data: out.written().len() })
    }

    /// Ends the frame that was begun at `mark`: everything behind its header is its data.
    ///
    /// # Errors
    /// The data doesn't fit. `out` is cut back to where the frame began.
    ///
    /// # Panics
    /// If `out` was cut to before the data in the meantime, or `fields` aren't those of [`begin`](Self::begin) in number.
    pub fn end(&self, mark: Mark, fields: &[u64], out: &mut impl Output) -> Result<(), EncodeError> {
        let data = out.written().len() - mark.data;
        let length = self.length(data as u64).inspect_err(|_| out.cut(mark.start))?;
        let head = &self.rule.head;
        let int = head.length.int;
        let place = mark.start + place_of_length(&head.before, fields);
        // A varint was reserved with one byte, for 0: its other bytes push the rest back.
        let more = int.width_of(length) - int.width_of(0);
        if more > 0 {
            let old = out.written().len();
            out.put(&[0; WIDEST][..more]);
            out.written().copy_within(place + 1..old, place + 1 + more);
        }
        int.write(length, &mut out.written()[place..]);
        write_behind(head, fields, out);
        Ok(())
    }

    /// The length for `data` bytes, or why there is none.
    #[inline]
    fn length(&self, data: u64) -> Result<u64, EncodeError> {
        let Rule { limits, head } = &self.rule;
        match head.length_of(data) {
            Some(length) if data <= limits.max && (data > 0 || limits.empty) => Ok(length),
            _ => Err(self.misfit(data)),
        }
    }

    #[cold]
    fn misfit(&self, data: u64) -> EncodeError {
        let Rule { limits, head } = &self.rule;
        let least = u64::try_from(head.adjust).unwrap_or(0);
        let limit = head.most(*limits);
        if data == 0 && !limits.empty {
            EncodeError::Empty
        } else if data > limit {
            EncodeError::TooLong { got: data, limit }
        } else {
            EncodeError::TooShort { got: data, least }
        }
    }

    fn check_fields(&self, fields: &[u64]) -> Result<(), EncodeError> {
        let places = &self.rule.head.fields;
        if fields.len() != places.len() {
            return Err(EncodeError::Fields { got: fields.len(), want: places.len() });
        }
        for (index, (&got, place)) in fields.iter().zip(places).enumerate() {
            let limit = place.int.largest();
            if got > limit {
                return Err(EncodeError::Field { index, got, limit });
            }
        }
        Ok(())
    }
}

/// Writes header or trailer parts; gives the number of fields used.
#[inline]
fn write_parts(parts: &[Part], length: u64, fields: &[u64], out: &mut impl Output) -> usize {
    let mut next = 0;
    for part in parts {
        let (int, value) = match part {
            Part::Literal(bytes) => {
                out.put(bytes);
                continue;
            }
            Part::Reserved(count) => {
                zeros(*count as u64, out);
                continue;
            }
            Part::Pad { .. } | Part::Data { .. } => continue,
            Part::Length { int, .. } => (int, length),
            Part::Field { int, .. } => {
                next += 1;
                (int, fields[next - 1])
            }
        };
        let mut bytes = [0; WIDEST];
        let width = int.write(value, &mut bytes);
        out.put(&bytes[..width]);
    }
    next
}

fn write_behind(head: &Head, fields: &[u64], out: &mut impl Output) {
    let mut next = head.fields_before;
    for part in &head.behind {
        match part {
            Part::Pad { field } => zeros(fields[*field], out),
            part => next += write_parts(core::slice::from_ref(part), 0, &fields[next..], out),
        }
    }
}

fn zeros(mut count: u64, out: &mut impl Output) {
    const ZEROS: [u8; 256] = [0; 256];
    while count > 0 {
        let some = count.min(256);
        out.put(&ZEROS[..some as usize]);
        count -= some;
    }
}

fn place_of_length(before: &[Part], fields: &[u64]) -> usize {
    let mut fields = fields.iter();
    let mut at = 0;
    for part in before {
        at += match part {
            Part::Length { .. } => return at,
            Part::Field { int, .. } => int.width_of(fields.next().copied().unwrap_or(0)),
            part => crate::rule::least_width(part),
        };
    }
    at
}
