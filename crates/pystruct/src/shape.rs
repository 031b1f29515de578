//! A record's layout in one number, so that a tuple which mirrors it is recognised at once.
//!
//! A run-time format whose values lie one after the other, without padding, and are stored as the tuple's
//! types are, is decoded by code that the compiler made for the tuple: as fast as code written by hand.

use crate::run::{Kind, Run};

/// The kinds of up to twelve values, the byte order, and that nothing lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u64);

impl Shape {
    /// The shape of no values.
    pub const EMPTY: Shape = Shape(0);
    /// What no tuple has: a record with padding, strings, or too many values.
    const IRREGULAR: Shape = Shape(u64::MAX >> 1);

    const BIG_ENDIAN: u64 = 1 << 63;
    const BITS: u32 = 5;
    const CAPACITY: u32 = 12;

    /// The shape of a record of `size` bytes.
    pub(crate) fn of(runs: &[Run], size: usize) -> Shape {
        let mut shape = Shape::EMPTY;
        let mut end = 0;
        for run in runs {
            if run.offset != end || run.count > Shape::CAPACITY as usize {
                return Shape::IRREGULAR;
            }
            // Native singles read as the others do.
            let kind = if run.kind == Kind::F32Saturating { Kind::F32 } else { run.kind };
            shape = (0..run.count).fold(shape, |shape, _| shape.then(Some(kind)));
            end += run.size * run.count;
        }
        let big = runs.first().is_some_and(|run| run.big);
        match shape {
            Shape::IRREGULAR => shape,
            _ if end != size => Shape::IRREGULAR,
            Shape(kinds) => Shape(kinds | if big { Shape::BIG_ENDIAN } else { 0 }),
        }
    }

    /// The shape with a value more; `None` is a type without a storage of its own.
    pub const fn then(self, kind: Option<Kind>) -> Shape {
        match kind {
            Some(kind) if self.0 >> ((Shape::CAPACITY - 1) * Shape::BITS) == 0 && !kind.is_string() => {
                Shape(self.0 << Shape::BITS | (kind as u64 + 1))
            }
            _ => Shape::IRREGULAR,
        }
    }

    /// Whether a record of this shape holds what a tuple of shape `tuple` does; if so, whether the most
    /// significant byte comes first.
    #[inline]
    pub(crate) const fn mirrors(self, tuple: Shape) -> Option<bool> {
        let same = self.0 & !Shape::BIG_ENDIAN == tuple.0 && tuple.0 != Shape::IRREGULAR.0;
        if same { Some(self.0 & Shape::BIG_ENDIAN != 0) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    fn shape(text: &str) -> Shape {
        let format = Format::parse(text).unwrap();
        Shape::of(&format.runs, format.size())
    }

    #[test]
    fn a_plain_record_mirrors_the_tuple_of_its_types() {
        let tuple = Shape::EMPTY.then(Some(Kind::U32)).then(Some(Kind::U16)).then(Some(Kind::F64));
        assert_eq!(shape("<IHd").mirrors(tuple), Some(false));
        assert_eq!(shape(">IHd").mirrors(tuple), Some(true));
        assert_eq!(shape("<IhHd").mirrors(tuple), None);
        assert_eq!(shape("<IH").mirrors(tuple), None);
    }

    #[test]
    fn padding_strings_and_length_make_a_record_irregular() {
        for text in ["<Ix", "<xI", "@bi", "<I3s", "<4p", "<13B", "<I0s", "<c"] {
            assert_eq!(shape(text), Shape::IRREGULAR, "{text}");
            assert_eq!(shape(text).mirrors(Shape::IRREGULAR), None);
        }
        assert_ne!(shape("<12B"), Shape::IRREGULAR);
        assert_ne!(shape("<12d"), shape("<11d"));
    }
}
