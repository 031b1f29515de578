//! MessagePack values, one after the other.

use super::{
    nest::Kind,
    value::{Scan, Scanned, fault},
    walk::{self, Items, Walk},
};
use crate::Fault;

#[derive(Debug, Default)]
pub(super) struct MsgPack {
    walk: Walk,
    /// The bytes left of a number in big-endian, its value so far, and what it counts.
    number: Option<(u8, u64, Counts)>,
}

#[derive(Clone, Copy, Debug)]
enum Counts {
    /// Bytes, this many more than it says.
    Bytes(u64),
    Items,
    Pairs,
}

impl Scan for MsgPack {
    const NAME: &'static str = "msgpack";
    const NOT_ONE: &'static str = "the message is not one MessagePack value";

    fn scan(&mut self, bytes: &[u8], most: u64) -> Result<Scanned, Fault> {
        walk::scan(self, bytes, most)
    }
}

impl Items for MsgPack {
    fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }

    fn step(&mut self, byte: u8, most: u64) -> Result<bool, Fault> {
        if let Some((left, value, counts)) = self.number.take() {
            let value = value << 8 | u64::from(byte);
            if left > 1 {
                self.number = Some((left - 1, value, counts));
                return Ok(false);
            }
            return self.counted(value, counts, most);
        }
        match byte {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Ok(self.walk.nest.item()),
            0x80..=0x8f => self.counted(u64::from(byte & 0x0f), Counts::Pairs, most),
            0x90..=0x9f => self.counted(u64::from(byte & 0x0f), Counts::Items, most),
            0xa0..=0xbf => self.counted(u64::from(byte & 0x1f), Counts::Bytes(0), most),
            0xc1 => Err(fault(self.walk.at, "MessagePack never uses the byte c1")),
            0xc4..=0xc6 => self.read(1 << (byte - 0xc4), Counts::Bytes(0)),
            0xc7..=0xc9 => self.read(1 << (byte - 0xc7), Counts::Bytes(1)),
            0xca => self.counted(4, Counts::Bytes(0), most),
            0xcb => self.counted(8, Counts::Bytes(0), most),
            0xcc..=0xcf => self.counted(1 << (byte - 0xcc), Counts::Bytes(0), most),
            0xd0..=0xd3 => self.counted(1 << (byte - 0xd0), Counts::Bytes(0), most),
            0xd4..=0xd8 => self.counted(1 << (byte - 0xd4), Counts::Bytes(1), most),
            0xd9..=0xdb => self.read(1 << (byte - 0xd9), Counts::Bytes(0)),
            0xdc | 0xdd => self.read(2 << (byte - 0xdc), Counts::Items),
            0xde | 0xdf => self.read(2 << (byte - 0xde), Counts::Pairs),
        }
    }
}

impl MsgPack {
    fn read(&mut self, width: u8, counts: Counts) -> Result<bool, Fault> {
        self.number = Some((width, 0, counts));
        Ok(false)
    }

    fn counted(&mut self, value: u64, counts: Counts, most: u64) -> Result<bool, Fault> {
        match counts {
            Counts::Items => self.walk.nest.open(self.walk.at, Kind::Counted, value),
            Counts::Pairs => self.walk.nest.open(self.walk.at, Kind::Counted, 2 * value),
            Counts::Bytes(more) if value + more == 0 => Ok(self.walk.nest.item()),
            Counts::Bytes(more) => self.walk.pass(value + more, most),
        }
    }
}
