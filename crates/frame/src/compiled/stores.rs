//! Writing a header of fixed width: each number a store of eight bytes, whose surplus the next one covers.

use crate::{int::Form, layout::Part};
use alloc::vec::Vec;

/// The room for a header that is written so, eight bytes of surplus included.
pub(crate) const WIDEST_HEAD: usize = 32;

/// How a header is written.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    list: Vec<Store>,
    /// The header's bytes.
    pub(crate) len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Store {
    at: usize,
    shift: u32,
    big: bool,
    largest: u64,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Length,
    Field(usize),
    Fixed(u64),
}

impl Stores {
    /// The stores for the parts before the data, where their width is fixed and small.
    pub(super) fn new(before: &[Part]) -> Option<Stores> {
        let (mut list, mut at, mut fields) = (Vec::new(), 0, 0);
        for part in before {
            let (int, source) = match part {
                Part::Literal(bytes) => {
                    for (index, byte) in bytes.iter().enumerate() {
                        let source = Source::Fixed(u64::from(*byte));
                        list.push(Store { at: at + index, shift: 0, big: false, largest: 255, source });
                    }
                    at += bytes.len();
                    continue;
                }
                Part::Reserved(count) => {
                    at += count;
                    continue;
                }
                Part::Length { int, mask: u64::MAX, .. } => (int, Source::Length),
                Part::Field { int, .. } => {
                    fields += 1;
                    (int, Source::Field(fields - 1))
                }
                Part::Length { .. } | Part::Data { .. } | Part::Pad { .. } | Part::Check(_) => return None,
            };
            let width = int.binary_width()?;
            let (shift, big) = (64 - 8 * width as u32, int.form == Form::Big);
            list.push(Store { at, shift, big, largest: int.largest(), source });
            at += width;
        }
        (at + 8 <= WIDEST_HEAD).then_some(Stores { list, len: at })
    }

    /// The header. `None` if a field is missing or too large.
    #[inline]
    pub(crate) fn write(&self, length: u64, fields: &[u64]) -> Option<[u8; WIDEST_HEAD]> {
        let mut bytes = [0; WIDEST_HEAD];
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
            bytes.get_mut(store.at..)?.first_chunk_mut::<8>()?.copy_from_slice(&placed);
        }
        Some(bytes)
    }
}
