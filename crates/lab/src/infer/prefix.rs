//! Headers with a length: where it stands, how it is written, what it counts.

use super::parse::{End, Parse};

/// The most frames that a stream is cut into.
const MOST_FRAMES: usize = 3000;
/// A length beyond this is no length: no framing of `unglue frame` allows it unasked.
const MOST: u64 = 16 << 20;

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Number {
    /// So many bytes, most significant first.
    Big(u8),
    /// So many bytes, least significant first.
    Little(u8),
    /// Seven bits a byte, lowest group first, at most so many bytes.
    Varint(u8),
}

impl Number {
    /// The value at `at` and the bytes it takes; `None` beyond the bytes' end, or where it is no such number.
    #[inline]
    pub(super) fn read(self, bytes: &[u8], at: usize) -> Result<(u64, usize), Unread> {
        match self {
            Number::Big(width) => {
                let width = usize::from(width);
                let field = bytes.get(at..at + width).ok_or(Unread::Short)?;
                Ok((field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), width))
            }
            Number::Little(width) => {
                let width = usize::from(width);
                let field = bytes.get(at..at + width).ok_or(Unread::Short)?;
                Ok((field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)), width))
            }
            Number::Varint(most) => varint(bytes, at, most),
        }
    }

    /// Its bytes, of a varint the fewest.
    pub(super) fn width(self) -> usize {
        match self {
            Number::Big(width) | Number::Little(width) => width.into(),
            Number::Varint(_) => 1,
        }
    }

    /// Its name in the notation.
    pub(super) fn name(self) -> String {
        match self {
            Number::Big(1) | Number::Little(1) => "u8".into(),
            Number::Big(width) => format!("u{}be", u32::from(width) * 8),
            Number::Little(width) => format!("u{}le", u32::from(width) * 8),
            Number::Varint(most) => format!("varint({most})"),
        }
    }

    /// Its name in a sentence.
    pub(super) fn words(self) -> String {
        match self {
            Number::Big(1) | Number::Little(1) => "1 byte".into(),
            Number::Big(width) => format!("{width} bytes, big-endian"),
            Number::Little(width) => format!("{width} bytes, little-endian"),
            Number::Varint(most) => format!("a varint of at most {most} bytes"),
        }
    }
}

/// Why no number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The bytes end inside it.
    Short,
    /// It isn't one.
    Bad,
}

fn varint(bytes: &[u8], at: usize, most: u8) -> Result<(u64, usize), Unread> {
    let mut value = 0u64;
    for index in 0..usize::from(most) {
        let byte = *bytes.get(at + index).ok_or(Unread::Short)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let padded = index > 0 && byte == 0;
            return if padded { Err(Unread::Bad) } else { Ok((value, index + 1)) };
        }
    }
    Err(Unread::Bad)
}

/// A frame of `at` bytes, a length, and `length + plus` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    pub(super) at: usize,
    pub(super) number: Number,
    pub(super) plus: i64,
}

/// What stands at a place, read as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame of so many bytes, which may end beyond the stream.
    Frame(u64),
    /// The stream ends inside the header.
    Short,
    /// No frame.
    Bad,
}

impl Prefix {
    /// The frame that begins at `start`, which is below 0 where the dump lacks its first bytes.
    #[inline]
    pub(super) fn step(&self, bytes: &[u8], start: i64) -> Step {
        let field = start + self.at as i64;
        if field < 0 {
            return Step::Bad;
        }
        match self.number.read(bytes, field as usize) {
            Err(Unread::Short) => Step::Short,
            Err(Unread::Bad) => Step::Bad,
            Ok((value, _)) if value > MOST => Step::Bad,
            Ok((value, width)) => {
                let rest = value as i64 + self.plus;
                if rest < 0 { Step::Bad } else { Step::Frame((self.at + width) as u64 + rest as u64) }
            }
        }
    }

    /// Cuts the stream into frames from `start` on; `None` if they don't reach its end.
    pub(super) fn parse(&self, bytes: &[u8], start: i64) -> Option<Parse> {
        let size = bytes.len() as i64;
        let (mut at, mut ends) = (start, Vec::new());
        loop {
            if at == size {
                return Some(Parse { start, ends, end: End::Exact });
            }
            let end = match self.step(bytes, at) {
                Step::Bad => return None,
                Step::Short => Some(End::Cut(0)),
                Step::Frame(total) if at + total as i64 > size => Some(End::Cut(total)),
                Step::Frame(total) => {
                    at += total as i64;
                    ends.push(at);
                    (ends.len() >= MOST_FRAMES).then_some(End::Cut(0))
                }
            };
            if let Some(end) = end {
                return Some(Parse { start, ends, end });
            }
        }
    }

    /// Whether a frame of this length is a length of 0 and nothing else.
    pub(super) fn is_empty(&self, total: i64) -> bool {
        self.at == 0 && self.plus == 0 && total == self.number.width() as i64
    }

    /// What the length counts, in words.
    pub(super) fn counts(&self) -> String {
        let (before, width) = (self.at as i64, self.number.width() as i64);
        match self.plus {
            0 => "what follows it".into(),
            plus if plus == -(before + width) => "the whole frame".into(),
            plus if plus == -width && before > 0 => "itself and what follows it".into(),
            plus if plus < 0 => format!("what follows it and {} bytes more", -plus),
            plus => format!("what follows it, but {plus} bytes"),
        }
    }

    /// Whether the length counts what lengths usually count: what follows, the whole, or itself and what follows.
    pub(super) fn is_natural(&self) -> bool {
        let (before, width) = (self.at as i64, self.number.width() as i64);
        self.plus == 0 || self.plus == -(before + width) || self.plus == -width
    }

    /// How much must be said to name this one among all: bits.
    pub(super) fn prior(&self) -> f64 {
        let place = match self.at {
            0 => 0.5,
            1..=4 => 2.5,
            5..=8 => 4.0,
            9..=16 => 6.5,
            _ => 9.0,
        };
        let number = match self.number {
            Number::Big(4) => 1.5,
            Number::Big(2) => 2.0,
            Number::Little(4) => 2.0,
            Number::Little(2) => 2.5,
            Number::Big(1) | Number::Little(1) => 3.0,
            Number::Varint(_) => 3.5,
            Number::Big(3) => 3.5,
            _ => 4.5,
        };
        let (before, width) = (self.at as i64, self.number.width() as i64);
        let counts = match self.plus {
            0 => 1.0,
            plus if plus == -(before + width) => 2.0,
            plus if plus == -width => 3.0,
            plus if plus < 0 => 9.0,
            1..=8 => 5.5,
            _ => 9.0,
        };
        let odd = self.at % 4 == 2 && matches!(self.number, Number::Big(4) | Number::Little(4));
        place + number + counts + if odd { 1.0 } else { 0.0 }
    }
}
