//! Payloads in, bytes out.

mod parts;
mod slice;

use crate::{
    EncodeError, FieldName, Framing, Limits, MAX_DELIMITER, Output,
    compiled::{Compiled, Decimal, Ended, Head, Kind, Packed, SURPLUS, Style, cobs_encode, slip_encode},
};
use alloc::vec::Vec;
use slice::Slice;

/// Writes frames. Either a whole frame is written, or an error is given and nothing is.
#[derive(Clone, Debug)]
pub struct Enframer {
    rule: Compiled,
    /// Where the framing is a length and the data, without more, and one of these that deserve the least work: the data's
    /// fewest bytes, and how many more there may be. No data fits otherwise.
    fits: (u64, u64),
    /// That length is a varint; otherwise it has four bytes, most significant first.
    varint: bool,
    /// Where the framing is a header of a few numbers and the data.
    packed: Option<Packed>,
}

/// A frame that was begun in place; see [`Enframer::begin`].
#[derive(Debug)]
#[must_use = "a frame that was begun has no length until Enframer::end writes it"]
pub struct Mark {
    start: usize,
    data: usize,
}

impl Enframer {
    /// An enframer for `framing`.
    pub fn new(framing: Framing) -> Enframer {
        let rule = Compiled::new(framing);
        let (fits, varint) = hot(&rule);
        Enframer { packed: packed(&rule), rule, fits, varint }
    }

    /// Allows another number of bytes of data in a frame.
    pub fn set_max(&mut self, bytes: u64) {
        self.rule.set_max(bytes);
        (self.fits, self.varint) = hot(&self.rule);
        self.packed = packed(&self.rule);
    }

    /// Appends a frame with these fields (in the layout's order, lengths left out) and this data to `out`. Where a header
    /// is followed by a body in pieces, the data is the header, and the body's bytes follow as they are.
    ///
    /// # Errors
    /// The data or a field doesn't fit, or the number of fields is wrong. Nothing was written.
    #[inline(always)]
    pub fn encode(&self, fields: &[u64], data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        let len = data.len() as u64;
        if len.wrapping_sub(self.fits.0) <= self.fits.1 && fields.is_empty() {
            match len {
                _ if !self.varint => out.put(&(len as u32).to_be_bytes()),
                0..0x80 => out.put(&[len as u8]),
                0x80..0x4000 => out.put(&(len as u16 & 0x7f | 0x80 | (len as u16) << 1 & 0x7f00).to_le_bytes()),
                _ => return self.encode_any(fields, data, out),
            }
            out.put(data);
            return Ok(());
        }
        match self.packed.as_ref().and_then(|packed| packed.head(fields, len)) {
            Some((head, len)) => {
                out.put_framed(head, len, data);
                Ok(())
            }
            None => self.encode_any(fields, data, out),
        }
    }

    #[inline(never)]
    fn encode_any(&self, fields: &[u64], data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        match &self.rule.kind {
            Kind::Head(head) => self.encode_head(head, fields, data, out),
            _ => self.encode_other(fields, data, out),
        }
    }

    /// Writes a frame to the front of `out`, which doesn't grow, and gives its size. Nothing is allocated, except for a
    /// [`Rule`](crate::Rule) of one's own.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and [`EncodeError::NoRoom`].
    #[inline]
    pub fn encode_to(&self, fields: &[u64], data: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
        let (fewest, more) = self.fits;
        let fits = (data.len() as u64).wrapping_sub(fewest) <= more && fields.is_empty();
        if fits
            && !self.varint
            && let Some((head, rest)) = out.split_first_chunk_mut::<4>()
            && let Some(place) = rest.get_mut(..data.len())
        {
            *head = (data.len() as u32).to_be_bytes();
            place.copy_from_slice(data);
            return Ok(4 + data.len());
        }
        if let Some(packed) = &self.packed
            && let Some(bytes) = encode_packed_to(packed, fields, data, out)
        {
            return Ok(bytes);
        }
        self.encode_in_slice(fields, data, out)
    }

    fn encode_in_slice(&self, fields: &[u64], data: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
        // Where all fits for sure, it is written at once; otherwise it is first found out how large it is.
        let roomy = out.len() / 2 > data.len() + 64;
        match &self.rule.kind {
            Kind::Custom(_) => return self.encode_elsewhere(fields, data, out),
            Kind::Head(head) if head.pad.is_none() && out.len() >= head.room() + data.len() => {}
            Kind::Head(_) => self.fits(fields, data, out.len())?,
            _ if roomy => {}
            _ => self.fits(fields, data, out.len())?,
        }
        let mut out = Slice::new(out);
        self.encode(fields, data, &mut out)?;
        out.fits()
    }

    /// Whether the frame has at most `have` bytes.
    fn fits(&self, fields: &[u64], data: &[u8], have: usize) -> Result<(), EncodeError> {
        let mut none = Slice::new(&mut []);
        self.encode(fields, data, &mut none)?;
        let need = none.size();
        if need <= have { Ok(()) } else { Err(EncodeError::NoRoom { need, have }) }
    }

    /// A rule of one's own may look at what it has written: it gets a buffer for that.
    fn encode_elsewhere(&self, fields: &[u64], data: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut whole = Vec::new();
        self.encode(fields, data, &mut whole)?;
        let room = EncodeError::NoRoom { need: whole.len(), have: out.len() };
        out.get_mut(..whole.len()).ok_or(room)?.copy_from_slice(&whole);
        Ok(whole.len())
    }

    /// Appends a frame whose data `write` appends to `out`. With a binary header nothing is copied afterwards, except
    /// that a varint length may have to make room for itself; other framings copy the data once.
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
    #[inline]
    pub fn encode_with<O: Output>(
        &self,
        fields: &[u64],
        out: &mut O,
        write: impl FnOnce(&mut O),
    ) -> Result<(), EncodeError> {
        let (fewest, more) = self.fits;
        if more == 0 || self.varint || !fields.is_empty() {
            let mark = self.begin(fields, out)?;
            write(out);
            return self.end(mark, fields, out);
        }
        let start = out.written().len();
        out.put(&[0; 4]);
        write(out);
        match out.written().get_mut(start..).and_then(<[u8]>::split_first_chunk_mut::<4>) {
            Some((head, data)) if (data.len() as u64).wrapping_sub(fewest) <= more => {
                *head = (data.len() as u32).to_be_bytes();
                Ok(())
            }
            // The slow way finds out what is wrong.
            _ => self.end(Mark { start, data: start + 4 }, fields, out),
        }
    }

    /// Begins a frame in place: reserves its header. Append the data to `out`, then call [`end`](Self::end).
    ///
    /// # Errors
    /// A field doesn't fit, or the number of fields is wrong. Nothing was written.
    pub fn begin(&self, fields: &[u64], out: &mut impl Output) -> Result<Mark, EncodeError> {
        self.check_fields(fields)?;
        let start = out.written().len();
        if let Kind::Head(head) = &self.rule.kind {
            match &head.stores {
                // Its bytes come with the length.
                Some(stores) => parts::zeros(stores.len as u64, out),
                None => parts::write_before(head, 0, fields, out),
            }
        }
        Ok(Mark { start, data: out.written().len() })
    }

    /// Ends the frame that was begun at `mark` with the same fields: everything behind its header is its data.
    ///
    /// # Errors
    /// The data doesn't fit: `out` is cut back to where the frame began. Or `out` was cut to before the data in the
    /// meantime: [`EncodeError::Shrunk`].
    ///
    /// # Panics
    /// If there are fewer `fields` than [`begin`](Self::begin) had.
    pub fn end(&self, mark: Mark, fields: &[u64], out: &mut impl Output) -> Result<(), EncodeError> {
        if out.written().len() < mark.data {
            return Err(EncodeError::Shrunk);
        }
        let Kind::Head(head) = &self.rule.kind else {
            let data = Vec::from(&out.written()[mark.data..]);
            out.cut(mark.start);
            return self.encode_other(fields, &data, out);
        };
        let data = out.written().len() - mark.data;
        let length = length(head, self.rule.limits, data as u64).inspect_err(|_| out.cut(mark.start))?;
        let place = &mut out.written()[mark.start..mark.data];
        let at = match head.stores.as_ref().and_then(|stores| stores.write(length, fields, &mut Slice::new(place))) {
            Some(()) => mark.data,
            None => mark.data + parts::patch(head, mark.start, length, fields, out),
        };
        parts::write_behind(head, mark.start, at..at + data, fields, out);
        Ok(())
    }

    /// Appends what stands before `len` bytes of data, and nothing else: for large data that the caller writes by
    /// itself, without a copy (a vectored write of header, data and [`trailer`](Self::trailer)).
    ///
    /// # Errors
    /// As [`encode`](Self::encode). Framings that look at the data to write its frame can't do this:
    /// [`EncodeError::NeedsData`].
    pub fn header(&self, fields: &[u64], len: u64, out: &mut impl Output) -> Result<(), EncodeError> {
        self.check_fields(fields)?;
        match &self.rule.kind {
            Kind::Head(head) if !head.checks => {
                parts::write_before(head, length(head, self.rule.limits, len)?, fields, out);
                Ok(())
            }
            Kind::Fixed(size) => check_size(*size, len),
            Kind::Digits(digits) => {
                check_limits(self.rule.limits, len)?;
                out.put(Decimal::new(len).bytes());
                out.put(&[digits.mark]);
                Ok(())
            }
            Kind::Lsp(_) => {
                check_limits(self.rule.limits, len)?;
                put_lsp(len, out);
                Ok(())
            }
            _ => Err(EncodeError::NeedsData),
        }
    }

    /// Appends what stands behind the data whose [`header`](Self::header) was written with the same fields.
    pub fn trailer(&self, fields: &[u64], out: &mut impl Output) {
        match &self.rule.kind {
            Kind::Head(head) => parts::write_behind(head, 0, 0..0, fields, out),
            Kind::Digits(digits) => digits.close.iter().for_each(|close| out.put(&[*close])),
            _ => {}
        }
    }

    #[inline]
    fn encode_head(&self, head: &Head, fields: &[u64], data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        let length = length(head, self.rule.limits, data.len() as u64)?;
        match &head.stores {
            Some(stores) if head.pad.is_none() && fields.len() == head.fields_before && !head.fields_behind() => {
                out.reserve(stores.len + SURPLUS + data.len() + head.tail());
                let start = out.written().len();
                if stores.write(length, fields, out).is_none() {
                    out.cut(start);
                    return self.check_fields(fields);
                }
                out.put(data);
                if !head.behind.is_empty() {
                    let at = start + stores.len;
                    parts::write_behind(head, start, at..at + data.len(), fields, out);
                }
                Ok(())
            }
            _ => self.encode_parts(head, length, fields, data, out),
        }
    }

    fn encode_parts(
        &self,
        head: &Head,
        length: u64,
        fields: &[u64],
        data: &[u8],
        out: &mut impl Output,
    ) -> Result<(), EncodeError> {
        self.check_fields(fields)?;
        let start = out.written().len();
        out.reserve(head.room() + data.len());
        parts::write_before(head, length, fields, out);
        let at = out.written().len();
        out.put(data);
        parts::write_behind(head, start, at..at + data.len(), fields, out);
        Ok(())
    }

    fn encode_other(&self, fields: &[u64], data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        if let Some(custom) = self.rule.custom() {
            check_limits(self.rule.limits, data.len() as u64)?;
            return custom.encode(fields, data, &self.rule.limits, out);
        }
        self.check_fields(fields)?;
        match &self.rule.kind {
            Kind::Ended(ended) => return encode_ended(ended, self.rule.limits, data, out),
            #[cfg(feature = "json")]
            Kind::Json { head, .. } => {
                self.rule.body(data).map_err(|_| EncodeError::JsonHeader)?;
                return self.encode_head(head, fields, data, out);
            }
            _ => {}
        }
        self.header(fields, data.len() as u64, out)?;
        out.put(data);
        self.trailer(fields, out);
        Ok(())
    }

    fn check_fields(&self, fields: &[u64]) -> Result<(), EncodeError> {
        if self.rule.custom().is_some() {
            // A rule of one's own checks them, once it writes them.
            return Ok(());
        }
        let places = self.rule.head().map_or(&[][..], |head| &head.fields[..]);
        if fields.len() != places.len() {
            return Err(EncodeError::Fields { got: fields.len(), want: places.len() });
        }
        for (index, (&got, place)) in fields.iter().zip(places).enumerate() {
            let limit = place.largest();
            if got > limit {
                return Err(EncodeError::Field { index, name: FieldName::new(&place.name), got, limit });
            }
        }
        self.check_padding(fields)
    }

    /// Padding is held against the same limit as when it is read.
    fn check_padding(&self, fields: &[u64]) -> Result<(), EncodeError> {
        let pad = self.rule.head().and_then(|head| head.pad);
        let limit = self.rule.limits.max.max(u64::from(u8::MAX));
        match pad.map(|index| (index, fields[index])) {
            Some((index, got)) if got > limit => {
                let name = |index: usize| FieldName::new(self.rule.head().map_or("", |head| &head.fields[index].name));
                Err(EncodeError::field(index, got, limit).named(name))
            }
            _ => Ok(()),
        }
    }
}

/// What fits a framing that deserves the least work, and whether its length is a varint; nothing fits if it isn't one.
fn hot(rule: &Compiled) -> ((u64, u64), bool) {
    match &rule.kind {
        Kind::Head(head) if head.is_u32be() => (head.fitting(), false),
        Kind::Head(head) if head.is_varint() => (head.fitting(), true),
        _ => ((u64::MAX, 0), false),
    }
}

/// What such framings are written by.
fn packed(rule: &Compiled) -> Option<Packed> {
    match &rule.kind {
        Kind::Head(head) => head.packed(),
        _ => None,
    }
}

/// Writes a frame of at least sixteen bytes to the front of a slice that has room for it.
#[inline(never)]
fn encode_packed_to(packed: &Packed, fields: &[u64], data: &[u8], out: &mut [u8]) -> Option<usize> {
    let (head, len) = packed.head(fields, data.len() as u64)?;
    let frame = out.get_mut(..len.checked_add(data.len())?)?;
    // What is written too much is overwritten by the data.
    *frame.first_chunk_mut()? = head;
    frame[len..].copy_from_slice(data);
    Some(frame.len())
}

/// The length for `data` bytes, or why there is none.
#[inline]
fn length(head: &Head, limits: Limits, data: u64) -> Result<u64, EncodeError> {
    head.length_of(data).ok_or_else(|| misfit(head, limits, data))
}

#[cold]
fn misfit(head: &Head, limits: Limits, data: u64) -> EncodeError {
    let least = u64::try_from(head.adjust).unwrap_or(0);
    let limit = head.most(limits);
    if data == 0 && !limits.empty {
        EncodeError::Empty
    } else if data > limit {
        EncodeError::TooLong { got: data, limit }
    } else if data < least {
        EncodeError::TooShort { got: data, least }
    } else {
        EncodeError::Multiple { got: data, of: head.scale.into() }
    }
}

fn check_limits(limits: Limits, data: u64) -> Result<(), EncodeError> {
    if data > limits.max {
        return Err(EncodeError::TooLong { got: data, limit: limits.max });
    }
    if data == 0 && !limits.empty { Err(EncodeError::Empty) } else { Ok(()) }
}

fn check_size(size: usize, data: u64) -> Result<(), EncodeError> {
    let want = size as u64;
    if data == want { Ok(()) } else { Err(EncodeError::Size { got: data, want }) }
}

fn put_lsp(len: u64, out: &mut impl Output) {
    out.put(b"Content-Length: ");
    out.put(Decimal::new(len).bytes());
    out.put(b"\r\n\r\n");
}

fn encode_ended(ended: &Ended, limits: Limits, data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
    check_limits(limits, data.len() as u64)?;
    match ended.style {
        Style::Cobs => cobs_encode(data, out),
        // Between two ENDs there is no frame: this one would be lost.
        Style::Slip if data.is_empty() => return Err(EncodeError::Empty),
        Style::Slip => slip_encode(data, out),
        Style::Plain | Style::Lines => {
            let delim = ended.until.delim();
            check_delimiter(ended, data)?;
            out.reserve(data.len() + delim.len());
            out.put(data);
            out.put(delim);
        }
    }
    Ok(())
}

/// Refuses data that would be cut short, or lose its last bytes, at the reader.
fn check_delimiter(ended: &Ended, data: &[u8]) -> Result<(), EncodeError> {
    let until = &ended.until;
    if let Some(hit) = until.place(data) {
        return Err(EncodeError::Delimiter { at: hit.at });
    }
    if ended.style == Style::Lines && data.last() == Some(&b'\r') {
        return Err(EncodeError::Delimiter { at: data.len() - 1 });
    }
    if until.is_short() {
        return Ok(());
    }
    // The data's last bytes and the delimiter's first may make one too, a little earlier.
    let mut seam = [0; 2 * MAX_DELIMITER];
    let (tail, delim) = (&data[data.len() - data.len().min(MAX_DELIMITER)..], until.delim());
    seam[..tail.len()].copy_from_slice(tail);
    seam[tail.len()..tail.len() + delim.len()].copy_from_slice(delim);
    match until.place(&seam[..tail.len() + delim.len()]) {
        Some(hit) if hit.at < tail.len() => Err(EncodeError::Delimiter { at: data.len() - tail.len() + hit.at }),
        _ => Ok(()),
    }
}
