//! Layouts: header, data, and what stands behind.

use super::{
    Fast, Limits, Measure, Miss, Span,
    stores::{Packed, Stores},
};
use crate::{
    Checksum, Fault, Int, Layout, Looks, TooLong,
    checksum::Over,
    int::{Form, Read},
    layout::Part,
    looks,
};
use alloc::vec::Vec;
use core::ops::Range;

/// A compiled layout.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// What stands before the data.
    pub(crate) before: Vec<Part>,
    /// What stands behind it.
    pub(crate) behind: Vec<Part>,
    /// What the length is multiplied by, and what is then added, to give the data's bytes.
    pub(crate) scale: u32,
    pub(crate) adjust: i64,
    /// The fields by index.
    pub(crate) fields: Vec<Place>,
    /// How many of them stand before the data.
    pub(crate) fields_before: usize,
    /// The length, as a place to read it again.
    pub(crate) length: Place,
    /// The index of the field in the bits that the length's mask leaves.
    rest: Option<usize>,
    /// The most bytes around the data, padding aside.
    room: usize,
    /// The bytes behind the data, without padding.
    pub(super) tail: usize,
    /// The fixed bytes before the data, without a varint length.
    least_head: usize,
    /// Whether bytes are fixed, or summed up.
    pub(super) checked: bool,
    /// How the header is written, where that is simple.
    pub(crate) stores: Option<Stores>,
    /// The data's fewest bytes that can be written, and how many more can.
    fewest: u64,
    more: u64,
    /// The index of the field that tells the padding.
    pub(crate) pad: Option<usize>,
    /// Whether there is a checksum.
    pub(crate) checks: bool,
    /// The hot path's plan.
    pub(crate) fast: Option<Fast>,
}

/// Where a number stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: alloc::string::String,
    pub(crate) int: Int,
    pub(crate) from: From,
    /// Its bits in the number that stands there; all bits if it is the number.
    pub(crate) mask: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// So many bytes from the frame's first.
    Start(usize),
    /// Behind varints: the part's index in `before`.
    Walk(usize),
    /// So many bytes behind the data's end.
    Data(usize),
    /// So many bytes before the frame's end.
    End(usize),
}

impl Place {
    /// The largest value.
    pub(crate) fn largest(&self) -> u64 {
        if self.mask == u64::MAX { self.int.largest() } else { taken_from(u64::MAX, self.mask) }
    }

    /// Its value in the number that stands there.
    fn of(&self, number: u64) -> u64 {
        if self.mask == u64::MAX { number } else { taken_from(number, self.mask) }
    }

    /// Whether it stands behind the data.
    pub(crate) fn behind(&self) -> bool {
        matches!(self.from, From::Data(_) | From::End(_))
    }
}

impl Head {
    pub(crate) fn new(layout: Layout, limits: Limits) -> Head {
        let mut before = layout.parts;
        let data = before.iter().position(|part| matches!(part, Part::Data { .. })).unwrap_or(before.len());
        let behind = before.split_off((data + 1).min(before.len()));
        let (scale, adjust) = match before.pop() {
            Some(Part::Data { scale, adjust }) => (scale, adjust),
            _ => (1, 0),
        };
        let tail: usize = behind.iter().map(least_width).sum();
        let room = tail + before.iter().map(most_width).sum::<usize>();
        let stores = Stores::new(&before);
        let mut head = Head {
            fields: Vec::new(),
            fields_before: 0,
            length: Place { name: "".into(), int: Int::U8, from: From::Start(0), mask: u64::MAX },
            rest: None,
            pad: behind.iter().find_map(|part| match part {
                Part::Pad { field } => Some(*field),
                _ => None,
            }),
            checks: behind.iter().any(|part| matches!(part, Part::Check(_))),
            fast: None,
            least_head: before.iter().map(|part| fixed_width(part).unwrap_or(0)).sum(),
            checked: before.iter().chain(&behind).any(|part| matches!(part, Part::Literal(_) | Part::Check(_))),
            stores,
            fewest: 0,
            more: 0,
            before,
            behind,
            scale,
            adjust,
            room,
            tail,
        };
        head.place_before();
        head.fields_before = head.fields.len();
        head.place_behind();
        head.limit(limits);
        head
    }

    /// Sets the limits that the hot paths keep to.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.fast = Fast::new(self, limits);
        self.fewest = u64::try_from(self.adjust).unwrap_or(0).max(u64::from(!limits.empty));
        self.more = match self.most(limits).checked_sub(self.fewest) {
            Some(more) => more,
            None => {
                // Nothing can be written.
                self.fewest = u64::MAX;
                0
            }
        };
    }

    fn place_before(&mut self) {
        let mut at = Some(0);
        for (index, part) in self.before.iter().enumerate() {
            let from = at.map_or(From::Walk(index), From::Start);
            match part {
                Part::Field { name, int } => {
                    self.fields.push(Place { name: name.clone(), int: *int, from, mask: u64::MAX });
                }
                Part::Length { name, int, mask, rest } => {
                    self.length = Place { name: name.clone(), int: *int, from, mask: *mask };
                    if let Some(name) = rest {
                        self.rest = Some(self.fields.len());
                        self.fields.push(Place { name: name.clone(), int: *int, from, mask: !mask & int.largest() });
                    }
                }
                _ => {}
            }
            at = at.zip(fixed_width(part)).map(|(at, width)| at + width);
        }
    }

    fn place_behind(&mut self) {
        let (mut at, mut padded) = (0, false);
        for part in &self.behind {
            if let Part::Field { name, int } = part {
                let from = if padded { From::End(self.tail - at) } else { From::Data(at) };
                self.fields.push(Place { name: name.clone(), int: *int, from, mask: u64::MAX });
            }
            padded |= matches!(part, Part::Pad { .. });
            at += least_width(part);
        }
    }

    /// The bytes before and behind the length, within the header, where nothing else has a variable width.
    pub(super) fn around_length(&self) -> Option<(usize, usize)> {
        let place = self.before.iter().position(|part| matches!(part, Part::Length { .. }))?;
        let width = |parts: &[Part]| parts.iter().map(fixed_width).sum::<Option<usize>>();
        self.pad.is_none().then_some((width(&self.before[..place])?, width(&self.before[place + 1..])?))
    }

    /// The frame that begins with `bytes`, on the hot path.
    #[inline(always)]
    pub(crate) fn quick(&self, bytes: &[u8]) -> Result<Span, Miss> {
        match self.fast.as_ref().and_then(|fast| fast.span(bytes)) {
            Some(span) if !self.checked || self.sound(&bytes[..span.total], span) => Ok(span),
            _ => Err(Miss::Unknown),
        }
    }

    /// Whether the literals and checksums of a whole frame are right.
    fn sound(&self, frame: &[u8], span: Span) -> bool {
        let mut at = 0;
        for part in &self.before {
            if let Part::Literal(want) = part
                && !frame[at..].starts_with(want)
            {
                return false;
            }
            at += match part {
                Part::Length { int, .. } => int.fixed_width().unwrap_or(span.head - self.least_head),
                part => least_width(part),
            };
        }
        self.check_tail(frame, span).is_ok()
    }

    /// Whether the data's bytes are the number itself and what is added to it.
    pub(super) fn is_plain(&self) -> bool {
        self.scale == 1 && self.length.mask == u64::MAX
    }

    /// The length that announces `data` bytes of data, where that isn't scaled; it may be one that can't be written.
    pub(super) fn length_for(&self, data: u64) -> i128 {
        i128::from(data) - i128::from(self.adjust)
    }

    /// The number to write for a length: with a mask, the other bits are a field's.
    pub(crate) fn number(&self, length: u64, fields: &[u64]) -> u64 {
        let mask = self.length.mask;
        if mask == u64::MAX {
            return length;
        }
        let rest = self.rest.and_then(|index| fields.get(index)).map_or(0, |value| put_into(*value, !mask));
        (put_into(length, mask) | rest) & self.length.int.largest()
    }

    /// A length of four bytes, most significant first, then the data, and no more.
    #[inline(always)]
    pub(crate) fn is_u32be(&self) -> bool {
        matches!(self.fast, Some(Fast::U32Be { .. }))
    }

    /// A varint of the data's bytes, then the data, and no more.
    pub(crate) fn is_varint(&self) -> bool {
        matches!(self.fast, Some(Fast::Varint { .. }))
    }

    /// How frames are written that have no more than a short header before the data.
    pub(crate) fn packed(&self) -> Option<Packed> {
        let stores = self.stores.as_ref().filter(|_| self.behind.is_empty() && self.scale == 1)?;
        Some(Packed::new(stores)?.fitting(self.adjust as u64, self.fitting()))
    }

    /// The data's fewest bytes that can be written, and how many more can.
    pub(crate) fn fitting(&self) -> (u64, u64) {
        (self.fewest, self.more)
    }

    /// Whether fields stand behind the data.
    #[inline]
    pub(crate) fn fields_behind(&self) -> bool {
        self.fields_before < self.fields.len()
    }

    /// The bytes behind the data, without padding.
    #[inline]
    pub(crate) fn tail(&self) -> usize {
        self.tail
    }

    /// Room that suffices for the bytes around the data, padding aside.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// The largest data that both the limit and the length's width allow.
    pub(crate) fn most(&self, limits: Limits) -> u64 {
        let written = i128::from(self.length.largest()) * i128::from(self.scale) + i128::from(self.adjust);
        u64::try_from(written.max(0)).unwrap_or(u64::MAX).min(limits.max)
    }

    /// The length to write for `data` bytes, where that is allowed and fits.
    #[inline]
    pub(crate) fn length_of(&self, data: u64) -> Option<u64> {
        let length = data.wrapping_sub(self.adjust as u64);
        if data.wrapping_sub(self.fewest) > self.more {
            return None;
        }
        if self.scale == 1 {
            return Some(length);
        }
        let scale = u64::from(self.scale);
        (length / scale * scale == length).then_some(length / scale)
    }

    /// Walks the header, part by part, as far as the bytes reach.
    pub(crate) fn measure(&self, bytes: &[u8], limits: Limits) -> Result<Measure, Fault> {
        let (mut at, mut data) = (0, 0);
        for part in &self.before {
            let rest = bytes.get(at..).unwrap_or_default();
            at += match part {
                Part::Literal(want) => {
                    same(want, rest, at)?;
                    want.len()
                }
                Part::Reserved(count) => *count,
                Part::Field { int, .. } | Part::Length { int, .. } => {
                    match int.read(rest).map_err(|fault| moved(fault, at))? {
                        Read::More(more) => return Ok(Measure::More(at + more)),
                        Read::Value { value, width } => {
                            if matches!(part, Part::Length { .. }) {
                                data = self.data_bytes(self.length.of(value), bytes, rest, limits)?;
                            }
                            width
                        }
                    }
                }
                Part::Data { .. } | Part::Pad { .. } | Part::Check(_) => 0,
            };
            if at > bytes.len() {
                return Ok(Measure::More(at));
            }
        }
        let pad = self.pad.and_then(|field| self.read(field, bytes, at, bytes.len())).unwrap_or(0);
        if pad > limits.max.max(u64::from(u8::MAX)) {
            return Err(Fault::TooLong { got: pad, limit: limits.max, looks: None });
        }
        limits.judge(at, data, pad.saturating_add(self.tail as u64))
    }

    /// The data's bytes for an announced length, within the limits.
    fn data_bytes(&self, length: u64, bytes: &[u8], field: &[u8], limits: Limits) -> Result<u64, Fault> {
        let data = i128::from(length) * i128::from(self.scale) + i128::from(self.adjust);
        if data < 0 {
            let least = self.adjust.unsigned_abs().div_ceil(self.scale.into());
            return Err(Fault::TooShort { got: length, least });
        }
        if data > i128::from(limits.max) && limits.too_long == TooLong::Fail {
            let got = u64::try_from(data).unwrap_or(u64::MAX);
            return Err(Fault::TooLong { got, limit: limits.max, looks: self.looks(bytes, field, limits) });
        }
        if data == 0 && !limits.empty {
            return Err(Fault::Empty);
        }
        Ok(u64::try_from(data).unwrap_or(u64::MAX))
    }

    /// What a bad length looks like. Only the bytes up to the length's end are looked at, since they were there for
    /// every chunking.
    fn looks(&self, bytes: &[u8], field: &[u8], limits: Limits) -> Option<Looks> {
        let width = self.length.int.binary_width().filter(|_| self.is_plain())?;
        let end = bytes.len() - field.len() + width;
        let other = match self.length.int.form {
            Form::Big => Int { form: Form::Little, ..self.length.int },
            _ => Int { form: Form::Big, ..self.length.int },
        };
        looks::guess(&bytes[..end]).or_else(|| match other.read(field) {
            Ok(Read::Value { value, .. }) if value > 0 && value <= limits.max => Some(Looks::OtherOrder(value)),
            _ => None,
        })
    }

    pub(crate) fn check_tail(&self, frame: &[u8], span: Span) -> Result<(), Fault> {
        let pad = span.total - span.head - span.data - self.tail;
        let mut at = span.head + span.data;
        for part in &self.behind {
            match part {
                Part::Literal(want) => same(want, &frame[at..], at)?,
                Part::Check(check) => {
                    let covered = match check.over {
                        Over::Data => &frame[span.head..span.head + span.data],
                        Over::All => &frame[..at],
                        Over::Parts { from, to } => &frame[self.covered(from, to, span, at, frame)],
                    };
                    check.verify(covered, &frame[at..])?;
                }
                _ => {}
            }
            at += if matches!(part, Part::Pad { .. }) { pad } else { least_width(part) };
        }
        Ok(())
    }

    /// The value of a field, where it stands within `frame`; `data_end` and the frame's end place those behind.
    pub(crate) fn read(&self, field: usize, frame: &[u8], data_end: usize, end: usize) -> Option<u64> {
        self.read_place(self.fields.get(field)?, frame, data_end, end)
    }

    #[inline]
    pub(crate) fn read_place(&self, place: &Place, frame: &[u8], data_end: usize, end: usize) -> Option<u64> {
        let at = match place.from {
            From::Start(at) => at,
            From::Walk(index) => self.walk(index, frame)?,
            From::Data(behind) => data_end + behind,
            From::End(before) => end.checked_sub(before)?,
        };
        match place.int.read(frame.get(at..)?) {
            Ok(Read::Value { value, .. }) => Some(place.of(value)),
            _ => None,
        }
    }

    /// The bytes from one part to the end of another, or to the checksum at `at`.
    pub(crate) fn covered(&self, from: u16, to: u16, span: Span, at: usize, frame: &[u8]) -> Range<usize> {
        let start = self.walk(from.into(), frame).unwrap_or(0);
        let end = match usize::from(to) {
            _ if to == Checksum::UP_TO_ITSELF => at,
            to if to >= self.before.len() => span.head + span.data,
            to => self.walk(to + 1, frame).unwrap_or(span.head),
        };
        start.min(end)..end
    }

    /// Where the part of this index begins, past the varints before it.
    fn walk(&self, index: usize, frame: &[u8]) -> Option<usize> {
        self.before[..index.min(self.before.len())].iter().try_fold(0, |at, part| {
            let width = match part {
                Part::Field { int, .. } | Part::Length { int, .. } => match int.read(frame.get(at..)?) {
                    Ok(Read::Value { width, .. }) => width,
                    _ => return None,
                },
                _ => least_width(part),
            };
            Some(at + width)
        })
    }
}

/// A fault of a number that stands at `by`.
fn moved(fault: Fault, by: usize) -> Fault {
    match fault {
        Fault::Number { at, got } => Fault::Number { at: at + by as u64, got },
        fault => fault,
    }
}

/// The bits of `number` in `mask`, moved together at the lowest.
fn taken_from(number: u64, mask: u64) -> u64 {
    let (mut value, mut to) = (0, 0);
    for bit in (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1) {
        value |= (number >> bit & 1) << to;
        to += 1;
    }
    value
}

/// The lowest bits of `value`, moved to those of `mask`.
fn put_into(value: u64, mask: u64) -> u64 {
    let (mut number, mut from) = (0, 0);
    for bit in (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1) {
        number |= (value >> from & 1) << bit;
        from += 1;
    }
    number
}

/// Bytes that must stand at `at`, compared as far as they are there.
fn same(want: &[u8], bytes: &[u8], at: usize) -> Result<(), Fault> {
    let wrong = want.iter().zip(bytes).enumerate().find(|(_, (want, got))| want != got);
    wrong.map_or(Ok(()), |(index, (&want, &got))| Err(Fault::Literal { at: (at + index) as u64, want, got }))
}

/// The bytes of a part, where they don't depend on its value.
pub(crate) fn fixed_width(part: &Part) -> Option<usize> {
    match part {
        Part::Literal(bytes) => Some(bytes.len()),
        Part::Field { int, .. } | Part::Length { int, .. } => int.fixed_width(),
        Part::Reserved(count) => Some(*count),
        Part::Check(check) => Some(check.width()),
        Part::Data { .. } | Part::Pad { .. } => None,
    }
}

/// The fewest bytes of a part.
pub(crate) fn least_width(part: &Part) -> usize {
    match part {
        Part::Field { int, .. } | Part::Length { int, .. } => int.least_width(),
        _ => fixed_width(part).unwrap_or(0),
    }
}

/// The most bytes of a part.
fn most_width(part: &Part) -> usize {
    match part {
        Part::Field { int, .. } | Part::Length { int, .. } => int.most_width(),
        _ => fixed_width(part).unwrap_or(0),
    }
}
