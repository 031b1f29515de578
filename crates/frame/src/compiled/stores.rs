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
