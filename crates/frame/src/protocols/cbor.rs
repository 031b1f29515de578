//! CBOR data items (RFC 8949), one after the other: a CBOR sequence (RFC 8742).

use super::{
    nest::Kind,
    value::{Scan, Scanned, fault},
    walk::{self, Items, Walk},
};
use crate::Fault;

#[derive(Debug, Default)]
pub(super) struct Cbor {
    walk: Walk,
    /// The bytes left of an argument, its value so far, and the major type that it belongs to.
    argument: Option<(u8, u64, u8)>,
    /// The argument has one byte.
    short: bool,
    /// A tag stands before the item that comes next.
    tagged: bool,
}

/// The major types (RFC 8949 section 3.1).
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

impl Scan for Cbor {
    const NAME: &'static str = "cbor";
    const NOT_ONE: &'static str = "the message is not one CBOR data item";

    fn scan(&mut self, bytes: &[u8], most: u64) -> Result<Scanned, Fault> {
        walk::scan(self, bytes, most)
    }
}

impl Items for Cbor {
    fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }

    fn step(&mut self, byte: u8, most: u64) -> Result<bool, Fault> {
        if let Some((left, value, major)) = self.argument.take() {
            let value = value << 8 | u64::from(byte);
            if left > 1 {
                self.argument = Some((left - 1, value, major));
                return Ok(false);
            }
            if major == SIMPLE && self.short && value < 32 {
                return Err(fault(self.walk.at, "this simple value must be written in one byte"));
            }
            return self.item(major, value, most);
        }
        let (major, info) = (byte >> 5, byte & 0x1f);
        if let Some(Kind::EndlessText(of)) = self.walk.nest.innermost().map(|level| level.kind)
            && byte != 0xff
            && (major != of || info == 31)
        {
            return Err(fault(
                self.walk.at,
                "a string in pieces has pieces of its own type alone, whose sizes are known",
            ));
        }
        match info {
            0..=23 => self.item(major, u64::from(info), most),
            24..=27 => {
                self.short = info == 24;
                self.argument = Some((1 << (info - 24), 0, major));
                Ok(false)
            }
            31 => self.endless(major),
            _ => Err(fault(self.walk.at, "CBOR reserves this additional information")),
        }
    }
}

impl Cbor {
    fn item(&mut self, major: u8, value: u64, most: u64) -> Result<bool, Fault> {
        self.tagged = major == TAG;
        match major {
            TAG => Ok(false),
            BYTES | TEXT if value > 0 => self.walk.pass(value, most),
            ARRAY => self.walk.nest.open(self.walk.at, Kind::Counted, value),
            MAP => {
                let items =
                    value.checked_mul(2).ok_or(fault(self.walk.at, "it announces more pairs than can be counted"))?;
                self.walk.nest.open(self.walk.at, Kind::Counted, items)
            }
            _ => Ok(self.walk.nest.item()),
        }
    }

    /// An indefinite length, or the break that ends it (RFC 8949 section 3.2).
    fn endless(&mut self, major: u8) -> Result<bool, Fault> {
        let tagged = core::mem::take(&mut self.tagged);
        let kind = match major {
            BYTES | TEXT => Kind::EndlessText(major),
            ARRAY => Kind::Endless,
            MAP => Kind::EndlessPairs,
            SIMPLE => return self.break_off(tagged),
            _ => return Err(fault(self.walk.at, "this type of item has no indefinite length")),
        };
        self.walk.nest.open(self.walk.at, kind, 0)
    }

    fn break_off(&mut self, tagged: bool) -> Result<bool, Fault> {
        match self.walk.nest.innermost() {
            _ if tagged => Err(fault(self.walk.at, "a tag must have an item behind it")),
            Some(level) if level.kind == Kind::EndlessPairs && level.items % 2 == 1 => {
                Err(fault(self.walk.at, "a map ends between a key and its value"))
            }
            Some(level) if level.kind != Kind::Counted => Ok(self.walk.nest.close()),
            _ => Err(fault(self.walk.at, "a break stands where nothing of indefinite length has begun")),
        }
    }
}
