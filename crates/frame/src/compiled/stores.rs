//! Writing a header of fixed width: each number is written as eight bytes, of which as many count as it has.

use crate::{Int, Output, int::Form, layout::Part};
use alloc::vec::Vec;

/// The bytes that may be written beyond the header's end.
pub(crate) const SURPLUS: usize = 8;

/// How a header is written.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    list: Vec<Store>,
    /// The header's bytes.
    pub(crate) len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Store {
    source: Source,
    width: u8,
    /// The unused bits of eight bytes.
    shift: u8,
    big: bool,
    largest: u64,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Length,
    Field(usize),
    Fixed(u64),
}

impl Store {
    fn new(int: Int, source: Source) -> Option<Store> {
        let width = int.binary_width()? as u8;
        Some(Store { source, width, shift: 64 - 8 * width, big: int.form == Form::Big, largest: int.largest() })
    }

    /// Eight of these bytes, or the fewer that there are.
    fn fixed(bytes: &[u8]) -> Store {
        let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let width = bytes.len() as u8;
        Store { source: Source::Fixed(value), width, shift: 64 - 8 * width, big: true, largest: u64::MAX }
    }
}

impl Stores {
    /// The stores for the parts before the data, where their width is fixed.
    pub(super) fn new(before: &[Part]) -> Option<Stores> {
        let (mut list, mut fields) = (Vec::new(), 0);
        for part in before {
            match part {
                Part::Literal(bytes) => list.extend(bytes.chunks(8).map(Store::fixed)),
                Part::Reserved(count) => {
                    list.extend((0..*count).step_by(8).map(|at| Store::fixed(&[0; 8][..(count - at).min(8)])));
                }
                Part::Length { int, mask: u64::MAX, .. } => list.push(Store::new(*int, Source::Length)?),
                Part::Field { int, .. } => {
                    list.push(Store::new(*int, Source::Field(fields))?);
                    fields += 1;
                }
                Part::Length { .. } | Part::Data { .. } | Part::Pad { .. } | Part::Check(_) => return None,
            }
        }
        let len = list.iter().map(|store| usize::from(store.width)).sum();
        Some(Stores { list, len })
    }

    /// Appends the header. `None` if a field is missing or too large: some of it may have been written.
    #[inline]
    pub(crate) fn write(&self, length: u64, fields: &[u64], out: &mut impl Output) -> Option<()> {
        for store in &self.list {
            let value = match store.source {
                Source::Length => length,
                Source::Field(index) => *fields.get(index)?,
                Source::Fixed(value) => value,
            };
            if value > store.largest {
                return None;
            }
            let placed = if store.big { (value << store.shift).to_be_bytes() } else { value.to_le_bytes() };
            out.put_short(placed, store.width.into());
        }
        Some(())
    }
}

/// How a header of at most sixteen bytes before the data, with nothing behind it, is written: as one number, of which the
/// fields are bits.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// The bytes that are always the same.
    fixed: u128,
    length: Bits,
    /// The fields, in order; the others aren't used.
    fields: [Bits; Packed::FIELDS],
    count: usize,
    little: bool,
    /// The header's bytes.
    len: usize,
    /// What is subtracted from the data's bytes, modulo 2^64, to give the length.
    adjust: u64,
    /// The data's fewest bytes that can be written, and how many more can.
    fewest: u64,
    more: u64,
}

/// A number's place among a header's bits: as it is once it is rotated, in either half.
#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    rotate: u32,
    low: u64,
    high: u64,
    /// What doesn't fit.
    over: u64,
}

impl Bits {
    /// The bits of a number of so many bytes, from this one on.
    fn new(from: u32, bytes: usize) -> Bits {
        let most = u64::MAX >> (64 - 8 * bytes);
        let place = u128::from(most) << from;
        Bits { rotate: from % 64, low: place as u64, high: (place >> 64) as u64, over: !most }
    }

    /// Adds a number that fits.
    #[inline(always)]
    fn add(&self, value: u64, (low, high): (u64, u64)) -> (u64, u64) {
        let rotated = value.rotate_left(self.rotate);
        (low | rotated & self.low, high | rotated & self.high)
    }
}

impl Packed {
    const FIELDS: usize = 6;

    /// The same as these stores, where they are few, and all numbers have one byte order.
    /// The sizes of the data follow.
    pub(super) fn new(stores: &Stores) -> Option<Packed> {
        let (bytes, len) = (size_of::<u128>(), stores.len);
        let numbers =
            || stores.list.iter().filter(|store| store.width > 1 && !matches!(store.source, Source::Fixed(_)));
        let little = numbers().any(|store| !store.big);
        if len > bytes || little && numbers().any(|store| store.big) {
            return None;
        }
        let fields = [Bits::default(); Packed::FIELDS];
        let mut packed =
            Packed { fixed: 0, length: Bits::default(), fields, count: 0, little, len, adjust: 0, fewest: 1, more: 0 };
        let mut at = 0;
        for store in &stores.list {
            let width = usize::from(store.width);
            let from = 8 * if little { at } else { bytes - at - width } as u32;
            match store.source {
                Source::Length => packed.length = Bits::new(from, width),
                Source::Field(_) => {
                    *packed.fields.get_mut(packed.count)? = Bits::new(from, width);
                    packed.count += 1;
                }
                Source::Fixed(value) => {
                    let value = if little { value.swap_bytes() >> (64 - 8 * width) } else { value };
                    packed.fixed |= u128::from(value) << from;
                }
            }
            at += width;
        }
        Some(packed)
    }

    /// Takes data of these sizes.
    pub(super) fn fitting(self, adjust: u64, (fewest, more): (u64, u64)) -> Packed {
        Packed { adjust, fewest, more, ..self }
    }

    /// The header before so many bytes of data, and how many of these bytes it has. `None` if fields or data don't fit.
    #[inline(always)]
    pub(crate) fn head(&self, fields: &[u64], data: u64) -> Option<([u8; 16], usize)> {
        if fields.len() != self.count || data.wrapping_sub(self.fewest) > self.more {
            return None;
        }
        let fixed = (self.fixed as u64, (self.fixed >> 64) as u64);
        let (mut halves, mut over) = (self.length.add(data.wrapping_sub(self.adjust), fixed), 0);
        for (bits, value) in self.fields.iter().zip(fields) {
            over |= value & bits.over;
            halves = bits.add(*value, halves);
        }
        if over > 0 {
            return None;
        }
        let number = u128::from(halves.0) | u128::from(halves.1) << 64;
        let bytes = if self.little { number.to_le_bytes() } else { number.to_be_bytes() };
        Some((bytes, self.len))
    }
}
