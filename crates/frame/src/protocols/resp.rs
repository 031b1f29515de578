//! Values of the Redis protocol, versions 2 and 3: commands are arrays of strings, replies are values of any kind.

use super::nest::{Kind, Nest};
use super::value::{Scan, Scanned, announce, fault};
use crate::Fault;

#[derive(Debug, Default)]
pub(super) struct Resp {
    at: u64,
    nest: Nest,
    part: Part,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    /// The byte that tells a value's type.
    #[default]
    Type,
    /// A line of this type: how many bytes of it came, its number so far, and whether its carriage return came.
    Line { kind: u8, len: u8, number: Number, ending: bool },
    /// Bytes of a string, and the two that end it.
    Bytes { left: u64, piece: bool },
}

#[derive(Clone, Copy, Debug)]
enum Number {
    None,
    Null,
    Minus,
    Endless,
    Count(u64),
}

impl Scan for Resp {
    const NAME: &'static str = "resp";
    const NOT_ONE: &'static str = "the message is not one RESP value";

    fn scan(&mut self, bytes: &[u8], most: u64) -> Result<Scanned, Fault> {
        let mut index = 0;
        while index < bytes.len() {
            if let Part::Bytes { left, piece } = self.part
                && left > 2
            {
                let some = (left - 2).min((bytes.len() - index) as u64);
                self.part = Part::Bytes { left: left - some, piece };
                self.at += some;
                index += some as usize;
                continue;
            }
            let ended = self.step(bytes[index], most)?;
            index += 1;
            self.at += 1;
            if ended {
                return Ok(Scanned::End(index));
            }
        }
        match self.part {
            // Up to the carriage return behind them: it may be wrong.
            Part::Bytes { left, .. } => Ok(Scanned::More(left.saturating_sub(1).max(1))),
            _ => Ok(Scanned::More(1)),
        }
    }
}

impl Resp {
    /// Takes a byte. True if the value ends with it.
    fn step(&mut self, byte: u8, most: u64) -> Result<bool, Fault> {
        match self.part {
            Part::Type => self.kind(byte),
            Part::Line { ending: true, .. } if byte != b'\n' => {
                self.wrong("a line feed must follow the carriage return")
            }
            Part::Line { kind, number, ending: true, len } => self.line(kind, number, len, most),
            Part::Line { kind, number, len, .. } if byte == b'\r' => {
                self.part = Part::Line { kind, number, len, ending: true };
                Ok(false)
            }
            Part::Line { .. } if byte == b'\n' => self.wrong("a line ends with a carriage return and a line feed"),
            Part::Line { kind, number, len, .. } => {
                let number = self.grown(kind, number, len, byte)?;
                self.part = Part::Line { kind, number, len: len.saturating_add(1), ending: false };
                Ok(false)
            }
            Part::Bytes { left, piece } => {
                let want = if left == 2 { b'\r' } else { b'\n' };
                if byte != want {
                    return Err(Fault::Literal { at: self.at, want, got: byte });
                }
                self.part = Part::Bytes { left: left - 1, piece };
                Ok(left == 1 && self.value(piece))
            }
        }
    }

    fn wrong(&self, reason: &'static str) -> Result<bool, Fault> {
        Err(fault(self.at, reason))
    }

    fn kind(&mut self, byte: u8) -> Result<bool, Fault> {
        let piecewise = self.nest.innermost().is_some_and(|level| matches!(level.kind, Kind::EndlessText(_)));
        match byte {
            b';' if piecewise => {}
            _ if piecewise => return self.wrong("a piece of the string must stand here, with a semicolon in front"),
            b'+' | b'-' | b':' | b'$' | b'*' | b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~' | b'>' | b'|'
            | b'.' => {}
            _ => return self.wrong("no RESP value begins like this: is the peer speaking another protocol?"),
        }
        self.part = Part::Line { kind: byte, len: 0, number: Number::None, ending: false };
        Ok(false)
    }

    /// The number of a line with one more byte; of lines without one it is ignored.
    fn grown(&self, kind: u8, number: Number, len: u8, byte: u8) -> Result<Number, Fault> {
        let bad = Err(fault(self.at, "this is not how a length goes on"));
        match (kind, number, byte) {
            (b'+' | b'-' | b',' | b'(', ..) => Ok(Number::None),
            (b':', _, b'0'..=b'9') => Ok(Number::None),
            (b':', _, b'+' | b'-') if len == 0 => Ok(Number::None),
            (b'#', _, b't' | b'f') if len == 0 => Ok(Number::None),
            (b':' | b'#' | b'_' | b'.', ..) => Err(fault(self.at, "this value can't hold this byte")),
            (b'$' | b'*', Number::None, b'-') => Ok(Number::Minus),
            (_, Number::Minus, b'1') => Ok(Number::Null),
            (b'$' | b'*' | b'%' | b'~', Number::None, b'?') => Ok(Number::Endless),
            (_, Number::None, b'0'..=b'9') => Ok(Number::Count(u64::from(byte - b'0'))),
            (_, Number::Count(count), b'0'..=b'9') if len < 20 => {
                let grown = count.checked_mul(10).and_then(|count| count.checked_add(u64::from(byte - b'0')));
                grown.filter(|count| *count <= i64::MAX as u64).map(Number::Count).map_or(bad, Ok)
            }
            _ => bad,
        }
    }

    /// A line has ended. True if the value has, too.
    fn line(&mut self, kind: u8, number: Number, len: u8, most: u64) -> Result<bool, Fault> {
        self.part = Part::Type;
        match (kind, number) {
            (b'.', _) => self.end_mark(),
            (b':' | b'#', _) if len == 0 => self.wrong("this value has no content"),
            (b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(', _) => Ok(self.nest.item()),
            (_, Number::Null) => Ok(self.nest.item()),
            (b'$', Number::Endless) => self.nest.open(self.at, Kind::EndlessText(kind), 0),
            (b'%', Number::Endless) => self.nest.open(self.at, Kind::EndlessPairs, 0),
            (_, Number::Endless) => self.nest.open(self.at, Kind::Endless, 0),
            (b';', Number::Count(0)) => Ok(self.nest.close()),
            (b'$' | b'!' | b'=' | b';', Number::Count(count)) => {
                announce(self.at + 1 + count + 2, most)?;
                self.part = Part::Bytes { left: count + 2, piece: kind == b';' };
                Ok(false)
            }
            (b'%', Number::Count(count)) => self.nest.open(self.at, Kind::Counted, count.saturating_mul(2)),
            (b'|', Number::Count(count)) => self.nest.open(self.at, Kind::Prefix, count.saturating_mul(2)),
            (_, Number::Count(count)) => self.nest.open(self.at, Kind::Counted, count),
            _ => self.wrong("this value has no length"),
        }
    }

    /// A string has ended. True if the value has, too.
    fn value(&mut self, piece: bool) -> bool {
        self.part = Part::Type;
        !piece && self.nest.item()
    }

    fn end_mark(&mut self) -> Result<bool, Fault> {
        match self.nest.innermost() {
            Some(level) if level.kind == Kind::EndlessPairs && level.items % 2 == 1 => {
                self.wrong("a map ends between a key and its value")
            }
            Some(level) if matches!(level.kind, Kind::Endless | Kind::EndlessPairs) => Ok(self.nest.close()),
            _ => self.wrong("an end mark stands where nothing without a length has begun"),
        }
    }
}
