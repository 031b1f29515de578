//! A stream of JSON values (RFC 8259), one after the other, with or without blanks or line feeds between them. The record
//! separators of RFC 7464 may stand between them too.

use super::value::{MAX_DEPTH, Scan, Scanned, fault, too_deep};
use crate::Fault;

/// Where the grammar is.
#[derive(Debug)]
pub(super) struct Json {
    at: u64,
    state: State,
    depth: usize,
    /// Whether the level of that index is an object.
    objects: [u64; MAX_DEPTH / 64],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// A value must come.
    Value,
    /// A value or `]`.
    First,
    /// A name, or `}` where this is an object's begin.
    Name {
        first: bool,
    },
    /// `:`
    Colon,
    /// `,` or the end of the level.
    After,
    Text {
        name: bool,
    },
    Escape {
        name: bool,
    },
    Hex {
        left: u8,
        name: bool,
    },
    /// The bytes of this word that are left.
    Word(&'static [u8]),
    Number(Number),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

/// What a byte did.
enum Did {
    Went,
    /// The number before it has ended: look at the byte again.
    Again,
    EndedBefore,
    EndedWith,
}

impl Default for Json {
    fn default() -> Json {
        Json { at: 0, state: State::Value, depth: 0, objects: [0; MAX_DEPTH / 64] }
    }
}

impl Scan for Json {
    const NAME: &'static str = "json";
    const NOT_ONE: &'static str = "the message is not one JSON value, without blanks around it";
    const SEPARATOR: &'static [u8] = b"\n";

    fn scan(&mut self, bytes: &[u8], _: u64) -> Result<Scanned, Fault> {
        let mut index = 0;
        while let Some(&byte) = bytes.get(index) {
            if let State::Text { .. } = self.state {
                let plain = bytes[index..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
                if plain > 0 {
                    index += plain;
                    self.at += plain as u64;
                    continue;
                }
            }
            match self.step(byte)? {
                Did::Again => {}
                Did::EndedBefore => return Ok(Scanned::End(index)),
                Did::EndedWith => return Ok(Scanned::End(index + 1)),
                Did::Went => {
                    index += 1;
                    self.at += 1;
                }
            }
        }
        Ok(Scanned::More(1))
    }

    fn complete(&self) -> bool {
        self.depth == 0 && matches!(self.state, State::Number(number) if number.is_whole())
    }

    fn is_filler(byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x1e)
    }
}

impl Json {
    fn step(&mut self, byte: u8) -> Result<Did, Fault> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Text { name } => self.text(byte, name),
            State::Escape { name } => self.escape(byte, name),
            State::Hex { left, name } => self.hex(byte, left, name),
            State::Word(rest) => self.word(byte, rest),
            State::Number(number) => self.number(byte, number),
            _ if blank => Ok(Did::Went),
            State::Value => self.value(byte),
            State::First if byte == b']' => self.close(),
            State::First => self.value(byte),
            State::Name { .. } if byte == b'"' => self.go(State::Text { name: true }),
            State::Name { first: true } if byte == b'}' => self.close(),
            State::Name { .. } => self.wrong("a name in quotes must stand here"),
            State::Colon if byte == b':' => self.go(State::Value),
            State::Colon => self.wrong("a colon must stand here"),
            State::After => self.after(byte),
        }
    }

    fn go(&mut self, state: State) -> Result<Did, Fault> {
        self.state = state;
        Ok(Did::Went)
    }

    fn wrong(&self, reason: &'static str) -> Result<Did, Fault> {
        Err(fault(self.at, reason))
    }

    fn value(&mut self, byte: u8) -> Result<Did, Fault> {
        match byte {
            b'{' => self.open(true),
            b'[' => self.open(false),
            b'"' => self.go(State::Text { name: false }),
            b't' => self.go(State::Word(b"rue")),
            b'f' => self.go(State::Word(b"alse")),
            b'n' => self.go(State::Word(b"ull")),
            b'-' => self.go(State::Number(Number::Minus)),
            b'0' => self.go(State::Number(Number::Zero)),
            b'1'..=b'9' => self.go(State::Number(Number::Integer)),
            _ => self.wrong("no JSON value begins like this"),
        }
    }

    fn open(&mut self, object: bool) -> Result<Did, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep(self.at));
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        self.go(if object { State::Name { first: true } } else { State::First })
    }

    fn in_object(&self) -> bool {
        let level = self.depth.saturating_sub(1);
        self.objects[level / 64] >> (level % 64) & 1 == 1
    }

    fn close(&mut self) -> Result<Did, Fault> {
        self.depth -= 1;
        Ok(self.done())
    }

    /// A value has ended with this byte.
    fn done(&mut self) -> Did {
        self.state = State::After;
        if self.depth == 0 { Did::EndedWith } else { Did::Went }
    }

    fn after(&mut self, byte: u8) -> Result<Did, Fault> {
        match (byte, self.in_object()) {
            (b',', true) => self.go(State::Name { first: false }),
            (b',', false) => self.go(State::Value),
            (b'}', true) | (b']', false) => self.close(),
            (_, true) => self.wrong("a comma or } must stand here"),
            (_, false) => self.wrong("a comma or ] must stand here"),
        }
    }

    fn text(&mut self, byte: u8, name: bool) -> Result<Did, Fault> {
        match byte {
            b'"' if name => self.go(State::Colon),
            b'"' => Ok(self.done()),
            b'\\' => self.go(State::Escape { name }),
            0..0x20 => self.wrong("a control character stands in a text, which needs an escape"),
            _ => Ok(Did::Went),
        }
    }

    fn escape(&mut self, byte: u8, name: bool) -> Result<Did, Fault> {
        match byte {
            b'u' => self.go(State::Hex { left: 4, name }),
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.go(State::Text { name }),
            _ => self.wrong("this is not an escape of JSON"),
        }
    }

    fn hex(&mut self, byte: u8, left: u8, name: bool) -> Result<Did, Fault> {
        match (byte.is_ascii_hexdigit(), left) {
            (true, 1) => self.go(State::Text { name }),
            (true, _) => self.go(State::Hex { left: left - 1, name }),
            (false, _) => self.wrong("a hex digit must stand here"),
        }
    }

    fn word(&mut self, byte: u8, rest: &'static [u8]) -> Result<Did, Fault> {
        match rest.split_first() {
            Some((want, [])) if *want == byte => Ok(self.done()),
            Some((want, rest)) if *want == byte => self.go(State::Word(rest)),
            _ => self.wrong("no JSON value begins like this"),
        }
    }

    fn number(&mut self, byte: u8, number: Number) -> Result<Did, Fault> {
        if let Some(next) = number.then(byte) {
            return self.go(State::Number(next));
        }
        // What follows a number at the top must not be taken for a part of it.
        let joined = self.depth == 0 && matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.');
        if !number.is_whole() || joined {
            return self.wrong("this is not how a number goes on");
        }
        self.state = State::After;
        Ok(if self.depth == 0 { Did::EndedBefore } else { Did::Again })
    }
}

impl Number {
    fn is_whole(self) -> bool {
        matches!(self, Number::Zero | Number::Integer | Number::Fraction | Number::Power)
    }

    fn then(self, byte: u8) -> Option<Number> {
        Some(match (self, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Integer, b'0'..=b'9') => Number::Integer,
            (Number::Zero | Number::Integer, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Integer | Number::Fraction, b'e' | b'E') => Number::Exponent,
            (Number::Exponent, b'+' | b'-') => Number::Sign,
            (Number::Exponent | Number::Sign | Number::Power, b'0'..=b'9') => Number::Power,
            _ => return None,
        })
    }
}
