//! Sums on their way.

/// The length of a group's header, in bytes.
pub const GROUP: usize = 4;

/// The header's bit that says which sums follow.
const ANSWER: u32 = 1 << 31;

/// So many sums follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Those of the next blocks of the old file.
    Blocks(u32),
    /// Those that the sender asked for: all that answer its first question without an answer.
    Answer(u32),
}

impl Group {
    /// As it travels: their number, big-endian; the uppermost bit says that it is an answer. Numbers of 2^31 and more don't fit.
    pub fn encode(self) -> [u8; GROUP] {
        match self {
            Group::Blocks(count) => (count & !ANSWER).to_be_bytes(),
            Group::Answer(count) => (count | ANSWER).to_be_bytes(),
        }
    }

    /// The header that these bytes are.
    pub fn decode(bytes: [u8; GROUP]) -> Group {
        match u32::from_be_bytes(bytes) {
            count if count & ANSWER == 0 => Group::Blocks(count),
            count => Group::Answer(count & !ANSWER),
        }
    }
}
