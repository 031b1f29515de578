//! Checksums behind the data.

use crate::Fault;

/// A checksum: its kind, what it covers, and its byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub(crate) kind: Kind,
    pub(crate) over: Over,
    pub(crate) little: bool,
}

/// What a checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The data.
    Data,
    /// All bytes of the frame before the checksum.
    All,
    /// From the layout's part of this index to the end of that one.
    Parts { from: u16, to: u16 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sum8,
    #[cfg(feature = "checksums")]
    Crc16,
    #[cfg(feature = "checksums")]
    Crc16Modbus,
    #[cfg(feature = "checksums")]
    Crc16Xmodem,
    #[cfg(feature = "checksums")]
    Crc16X25,
    #[cfg(feature = "checksums")]
    Crc32,
    #[cfg(feature = "checksums")]
    Crc32c,
}

/// The checksums of this build by the names that the notation gives them.
pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("sum8", Kind::Sum8),
    #[cfg(feature = "checksums")]
    ("crc16", Kind::Crc16),
    #[cfg(feature = "checksums")]
    ("crc16-modbus", Kind::Crc16Modbus),
    #[cfg(feature = "checksums")]
    ("crc16-xmodem", Kind::Crc16Xmodem),
    #[cfg(feature = "checksums")]
    ("crc16-x25", Kind::Crc16X25),
    #[cfg(feature = "checksums")]
    ("crc32", Kind::Crc32),
    #[cfg(feature = "checksums")]
    ("crc32c", Kind::Crc32c),
];

impl Checksum {
    /// The sum of all bytes, modulo 256.
    pub const SUM8: Checksum = Checksum { kind: Kind::Sum8, over: Over::Data, little: false };
    /// CRC-16/ARC, most significant byte first.
    #[cfg(feature = "checksums")]
    pub const CRC16: Checksum = Checksum { kind: Kind::Crc16, ..Checksum::SUM8 };
    /// CRC-16/MODBUS, most significant byte first; Modbus itself has the other order.
    #[cfg(feature = "checksums")]
    pub const CRC16_MODBUS: Checksum = Checksum { kind: Kind::Crc16Modbus, ..Checksum::SUM8 };
    /// CRC-16/XMODEM, most significant byte first.
    #[cfg(feature = "checksums")]
    pub const CRC16_XMODEM: Checksum = Checksum { kind: Kind::Crc16Xmodem, ..Checksum::SUM8 };
    /// CRC-16/IBM-SDLC, also known as X-25, most significant byte first; HDLC itself has the other order.
    #[cfg(feature = "checksums")]
    pub const CRC16_X25: Checksum = Checksum { kind: Kind::Crc16X25, ..Checksum::SUM8 };
    /// CRC-32/ISO-HDLC, which Ethernet, gzip and PNG have, most significant byte first.
    #[cfg(feature = "checksums")]
    pub const CRC32: Checksum = Checksum { kind: Kind::Crc32, ..Checksum::SUM8 };
    /// CRC-32/ISCSI, also known as Castagnoli, most significant byte first.
    #[cfg(feature = "checksums")]
    pub const CRC32C: Checksum = Checksum { kind: Kind::Crc32c, ..Checksum::SUM8 };

    /// The same, least significant byte first.
    pub const fn little_endian(self) -> Checksum {
        Checksum { little: true, ..self }
    }

    /// The same, over all bytes of the frame before it, not over the data alone.
    pub const fn over_all(self) -> Checksum {
        Checksum { over: Over::All, ..self }
    }

    /// No part of a layout.
    pub(crate) const NOWHERE: u16 = u16::MAX - 1;
    /// Where what is covered ends right before the checksum.
    pub(crate) const UP_TO_ITSELF: u16 = u16::MAX;

    pub(crate) const fn over_parts(self, from: u16, to: u16) -> Checksum {
        Checksum { over: Over::Parts { from, to }, ..self }
    }

    /// Its bytes.
    pub(crate) const fn width(self) -> usize {
        match self.kind {
            Kind::Sum8 => 1,
            #[cfg(feature = "checksums")]
            Kind::Crc16 | Kind::Crc16Modbus | Kind::Crc16Xmodem | Kind::Crc16X25 => 2,
            #[cfg(feature = "checksums")]
            Kind::Crc32 | Kind::Crc32c => 4,
        }
    }

    /// The checksum of `covered`, as it stands on the wire in the first [`width`](Self::width) bytes.
    pub(crate) fn of(self, covered: &[u8]) -> [u8; 4] {
        let value = match self.kind {
            Kind::Sum8 => u32::from(covered.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte))),
            #[cfg(feature = "checksums")]
            kind => crcs::of(kind, covered),
        };
        if self.little { value.to_le_bytes() } else { (value << (32 - 8 * self.width())).to_be_bytes() }
    }

    pub(crate) fn verify(self, covered: &[u8], stands: &[u8]) -> Result<(), Fault> {
        let want = self.of(covered);
        let push = |value, byte: &u8| value << 8 | u32::from(*byte);
        let number = |bytes: &[u8]| match self.little {
            true => bytes[..self.width()].iter().rev().fold(0, push),
            false => bytes[..self.width()].iter().fold(0, push),
        };
        if want[..self.width()] == stands[..self.width()] {
            return Ok(());
        }
        Err(Fault::Checksum { want: number(&want), got: number(stands) })
    }
}

#[cfg(feature = "checksums")]
mod crcs {
    use super::Kind;
    use crc::{CRC_16_ARC, CRC_16_IBM_SDLC, CRC_16_MODBUS, CRC_16_XMODEM, Crc, Table};

    static ARC: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_ARC);
    static MODBUS: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_MODBUS);
    static XMODEM: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);
    static X25: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_IBM_SDLC);

    /// By the processor's instruction.
    #[cfg(feature = "fast-checksums")]
    use crc32c::crc32c;

    #[cfg(not(feature = "fast-checksums"))]
    fn crc32c(bytes: &[u8]) -> u32 {
        static CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_ISCSI);
        CASTAGNOLI.checksum(bytes)
    }

    pub(super) fn of(kind: Kind, bytes: &[u8]) -> u32 {
        match kind {
            Kind::Sum8 => 0,
            Kind::Crc16 => ARC.checksum(bytes).into(),
            Kind::Crc16Modbus => MODBUS.checksum(bytes).into(),
            Kind::Crc16Xmodem => XMODEM.checksum(bytes).into(),
            Kind::Crc16X25 => X25.checksum(bytes).into(),
            Kind::Crc32 => crc32fast::hash(bytes),
            Kind::Crc32c => crc32c(bytes),
        }
    }
}
