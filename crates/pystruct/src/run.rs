//! Equal items that lie side by side: what packing and unpacking walk over.

use crate::code::{ByteOrder, Code};
use crate::layout::Part;

/// How an item is stored, once byte order, mode and size are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Char,
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    Pointer,
    F16,
    F32,
    /// Native `f`, where a number that is too large becomes an infinity as a C cast makes it.
    F32Saturating,
    F64,
    Bytes,
    Pascal,
}

/// `count` items of one kind, each `size` bytes, one after the other from `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) kind: Kind,
    pub(crate) code: Code,
    pub(crate) order: ByteOrder,
    pub(crate) big: bool,
    pub(crate) size: usize,
    pub(crate) offset: usize,
    pub(crate) count: usize,
}

impl Kind {
    /// Whether its values are byte strings.
    pub(crate) const fn is_string(self) -> bool {
        matches!(self, Kind::Char | Kind::Bytes | Kind::Pascal)
    }
}

impl Run {
    /// A run of no items: where an iteration starts.
    pub(crate) const NONE: Run =
        Run { kind: Kind::U8, code: Code::Pad, order: ByteOrder::Little, big: false, size: 0, offset: 0, count: 0 };

    /// The run of a part; `None` for pad bytes and for counts of zero.
    pub(crate) fn new(part: &Part, order: ByteOrder) -> Option<Run> {
        let count = part.values();
        let kind = kind_of(part.code, part.item_size, order)?;
        (count > 0).then_some(Run {
            kind,
            code: part.code,
            order,
            big: order.is_big_endian(),
            size: part.item_size,
            offset: part.offset,
            count,
        })
    }

    /// Takes `next` in, if it continues this run without a gap: `iii` is `3i`.
    pub(crate) fn absorb(&mut self, next: &Run) -> bool {
        let end = self.offset + self.size * self.count;
        let continues = next.code == self.code && next.offset == end && !self.code.is_string();
        if continues {
            self.count += next.count;
        }
        continues
    }

    /// Whether CPython serves this item with its native routine, which before 3.12 had other words
    /// for some errors. It does so in standard modes too, where order and size happen to agree.
    pub(crate) fn has_native_routine(&self) -> bool {
        let same_layout = self.big == cfg!(target_endian = "big") && self.size == self.code.native_size();
        self.order.is_native() || same_layout
    }
}

fn kind_of(code: Code, size: usize, order: ByteOrder) -> Option<Kind> {
    Some(match code {
        Code::Pad => return None,
        Code::Char => Kind::Char,
        Code::Bool => Kind::Bool,
        Code::Half => Kind::F16,
        Code::Float if order.is_native() => Kind::F32Saturating,
        Code::Float => Kind::F32,
        Code::Double => Kind::F64,
        Code::Bytes => Kind::Bytes,
        Code::Pascal => Kind::Pascal,
        Code::Pointer => Kind::Pointer,
        _ => integer_kind(code.letter().is_ascii_lowercase(), size),
    })
}

/// Small letters are signed, capitals unsigned.
const fn integer_kind(signed: bool, size: usize) -> Kind {
    match (signed, size) {
        (true, 1) => Kind::I8,
        (false, 1) => Kind::U8,
        (true, 2) => Kind::I16,
        (false, 2) => Kind::U16,
        (true, 4) => Kind::I32,
        (false, 4) => Kind::U32,
        (true, _) => Kind::I64,
        (false, _) => Kind::U64,
    }
}
