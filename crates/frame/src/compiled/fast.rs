//! The hot path of length-prefixed frames: a load, a shift and a comparison each.

use super::{Kind, Limits, Lost, Span, head::Head};
use crate::int::Form;

/// The plan for layouts whose end follows from one number, with nothing of variable width before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fast {
    /// A length of four bytes, most significant first, and the data: the commonest deserves the least work.
    U32Be { low: u64, room: u64 },
    /// A length of fixed width.
    Fixed(Plan),
    /// A varint and the data, with nothing beside them.
    Varint { low: u64, room: u64 },
    /// A varint.
    VarintIn(Plan),
}

/// A length and then the data, with nothing to check: these are looked for before all others. No length is in the range if
/// the framing is another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    /// The smallest length, and how many more are good.
    low: u64,
    room: u64,
    way: Way,
}

/// How the length is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is the first four bytes, most significant first, and the header.
    Four,
    /// It is a varint, and the header.
    Varint,
    /// It has a fixed width, and stands in a header with other numbers: the plan says where.
    Planned,
}

/// A frame at the front of some bytes, and what follows it.
pub(crate) struct Cut<'b> {
    /// Where its data begins.
    pub(crate) head: usize,
    pub(crate) data: &'b [u8],
    pub(crate) rest: &'b [u8],
}

impl Hot {
    /// The plan of a framing whose header it finds by one.
    pub(super) fn plan(kind: &Kind) -> Plan {
        match kind {
            Kind::Head(Head { fast: Some(Fast::Fixed(plan)), .. }) => *plan,
            _ => Plan::default(),
        }
    }

    /// Finds nothing.
    pub(crate) const NONE: Hot = Hot { low: u64::MAX, room: 0, way: Way::Four };

    pub(super) fn of(kind: &Kind) -> Hot {
        match kind {
            Kind::Head(head) => match head.fast {
                Some(Fast::U32Be { low, room }) => Hot { low, room, way: Way::Four },
                Some(Fast::Varint { low, room }) => Hot { low, room, way: Way::Varint },
                Some(Fast::Fixed(plan)) if plan.tail == 0 && !head.checked => {
                    Hot { low: plan.low, room: plan.room, way: Way::Planned }
                }
                _ => Hot::NONE,
            },
            _ => Hot::NONE,
        }
    }

    /// The frame that `bytes` begin with, if it is whole and valid. The plan isn't in `self`, which stays in registers.
    #[inline(always)]
    pub(crate) fn cut<'b>(&self, plan: &Plan, bytes: &'b [u8]) -> Option<Cut<'b>> {
        match self.way {
            Way::Four => {
                let (header, behind) = bytes.split_first_chunk::<4>()?;
                self.data(4, u32::from_be_bytes(*header).into(), 0, behind)
            }
            Way::Varint => self.cut_varint(bytes),
            Way::Planned => {
                let length = plan.fixed(bytes)?;
                self.data(plan.head, length, plan.adjust, bytes.get(plan.head..)?)
            }
        }
    }

    #[inline(always)]
    fn cut_varint<'b>(&self, bytes: &'b [u8]) -> Option<Cut<'b>> {
        let (&first, behind) = bytes.split_first()?;
        if first < 0x80 {
            return self.data(1, first.into(), 0, behind);
        }
        // Two bytes or three, the last neither padding nor followed by another.
        let (&second, behind) = behind.split_first()?;
        let length = u64::from(first & 0x7f) | u64::from(second & 0x7f) << 7;
        if (1..0x80).contains(&second) {
            return self.data(2, length, 0, behind);
        }
        let (&third, behind) = behind.split_first()?;
        match third {
            1..0x80 if second >= 0x80 => self.data(3, length | u64::from(third) << 14, 0, behind),
            _ => None,
        }
    }

    /// The span of a valid frame whose first bytes these are, if they tell, and if there are more.
    pub(crate) fn begun(&self, plan: &Plan, bytes: &[u8]) -> Option<Span> {
        let (head, length, adjust) = match self.way {
            Way::Four => (4, u32::from_be_bytes(*bytes.first_chunk()?).into(), 0),
            Way::Varint => {
                let bytes = &bytes[..bytes.len().min(3)];
                // As in `cut`: what is padded, or goes on, is left to others.
                let last = bytes.iter().position(|byte| *byte < 0x80).filter(|last| *last == 0 || bytes[*last] > 0)?;
                let length = bytes[..=last].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
                (last + 1, length, 0)
            }
            // As for others, nothing is known of a frame before its header is there.
            Way::Planned if bytes.len() >= plan.head => (plan.head, plan.fixed(bytes)?, plan.adjust),
            Way::Planned => return None,
        };
        let data = length.wrapping_add(adjust) as usize;
        let total = data.checked_add(head).filter(|total| self.allows(length) && *total > bytes.len())?;
        Some(Span { head, data, total, lost: Lost::Nothing })
    }

    /// Whether it finds any frames. They have no more than a header and the data, and nothing to check.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.low != u64::MAX
    }

    /// Whether a frame may be so long.
    #[inline(always)]
    pub(crate) fn allows(&self, length: u64) -> bool {
        length.wrapping_sub(self.low) <= self.room
    }

    #[inline(always)]
    fn data<'b>(&self, head: usize, length: u64, adjust: u64, behind: &'b [u8]) -> Option<Cut<'b>> {
        if !self.allows(length) {
            return None;
        }
        // Good lengths are sizes of memory.
        let (data, rest) = behind.split_at_checked(length.wrapping_add(adjust) as usize)?;
        Some(Cut { head, data, rest })
    }
}

/// Why the hot path gave no frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The slow path finds out.
    #[default]
    Unknown,
    /// The delimiter isn't in these bytes, as far as it may lie in them.
    NoDelimiter,
    /// So many bytes are a whole stuffed frame with its delimiter, not too long, whose data has to be decoded.
    Stuffed(usize),
}

/// Where the length stands, and what follows from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// The bytes before the length.
    at: usize,
    /// The unused bits of the eight bytes loaded there.
    shift: u32,
    big: bool,
    /// The smallest length allowed, and how many more are.
    low: u64,
    room: u64,
    /// Bytes before the data; for a varint those behind it.
    head: usize,
    /// Data's bytes less the length, modulo 2^64.
    adjust: u64,
    tail: usize,
}

impl Fast {
    /// The plan, where there can be one. Whatever the length, nothing overflows that is computed from one in its room.
    pub(super) fn new(head: &Head, limits: Limits) -> Option<Fast> {
        let (at, behind) = head.around_length().filter(|_| head.is_plain())?;
        let (low, high) = (head.length_for(u64::from(!limits.empty)), head.length_for(limits.max));
        // The smallest may lie below zero, where the length itself begins; the largest may not.
        let low = u64::try_from(low.max(0)).ok()?;
        let high = u64::try_from(high.min(i128::from(head.length.int.largest()))).ok()?;
        let most = high.checked_add_signed(head.adjust)?;
        usize::try_from(most).ok()?.checked_add(at + 10 + behind + head.tail)?;
        let room = high.checked_sub(low)?;
        let int = head.length.int;
        let plan = Plan {
            at,
            shift: 64 - 8 * u32::from(int.width.min(8)),
            big: int.form == Form::Big,
            low,
            room,
            head: behind + if int.form == Form::Varint { at } else { at + usize::from(int.width) },
            adjust: head.adjust as u64,
            tail: head.tail,
        };
        Some(match int.form {
            // Longer ones are left to the slow path, which knows the most bytes.
            Form::Varint if int.width >= 2 && at + behind + plan.tail == 0 && head.adjust == 0 => {
                Fast::Varint { low, room }
            }
            Form::Varint if int.width >= 2 => Fast::VarintIn(plan),
            Form::Varint | Form::Digits(_) => return None,
            Form::Padded => return None,
            Form::Big if int.width == 4 && plan.head == 4 && head.adjust == 0 && plan.tail == 0 => {
                Fast::U32Be { low, room }
            }
            _ => Fast::Fixed(plan),
        })
    }

    /// The span of the frame that begins with `bytes`, if it is whole and valid, and not near the end of the input:
    /// else the slow path finds out which.
    #[inline(always)]
    pub(crate) fn span(&self, bytes: &[u8]) -> Option<Span> {
        let span = match self {
            Fast::Fixed(plan) => plan.span(plan.fixed(bytes)?, 0)?,
            Fast::U32Be { .. } | Fast::Varint { .. } => return None,
            Fast::VarintIn(plan) => {
                let (length, width) = plan.varint(bytes)?;
                plan.span(length, width)?
            }
        };
        (span.total <= bytes.len()).then_some(span)
    }
}

impl Plan {
    #[inline(always)]
    fn span(&self, length: u64, width: usize) -> Option<Span> {
        if length.wrapping_sub(self.low) > self.room {
            return None;
        }
        let (head, data) = (self.head + width, length.wrapping_add(self.adjust) as usize);
        Some(Span { head, data, total: head + data + self.tail, lost: Lost::Nothing })
    }

    #[inline(always)]
    fn fixed(&self, bytes: &[u8]) -> Option<u64> {
        let load = bytes.get(self.at..)?.first_chunk::<8>()?;
        Some(if self.big {
            u64::from_be_bytes(*load) >> self.shift
        } else {
            u64::from_le_bytes(*load) << self.shift >> self.shift
        })
    }

    /// A varint of one byte or two.
    #[inline(always)]
    fn varint(&self, bytes: &[u8]) -> Option<(u64, usize)> {
        let [low, high] = bytes.get(self.at..)?.first_chunk()?.map(u64::from);
        if low < 0x80 {
            return Some((low, 1));
        }
        (1..0x80).contains(&high).then_some((low & 0x7f | high << 7, 2))
    }
}
