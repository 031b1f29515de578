//! WebSocket frames (RFC 6455 section 5), behind the handshake. A fragment of a message is a frame, and so is a control
//! frame between two of them: `fin` and `opcode` tell which.

use super::value::fault;
use crate::{EncodeError, Fault, Limits, Output, Rule, Step};
use alloc::{string::String, vec::Vec};

/// Whose frames these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Anyone,
    /// Every frame is masked.
    Client,
    /// No frame is masked.
    Server,
}

#[derive(Clone, Debug)]
pub(crate) struct WebSocket {
    pub(crate) from: From,
}

const FIN: usize = 0;
const RSV: usize = 1;
const OPCODE: usize = 2;
const MASKED: usize = 3;
const KEY: usize = 4;

/// The largest value of each field.
const LARGEST: [u64; 5] = [1, 7, 15, 1, u32::MAX as u64];

/// The most bytes of a control frame's payload.
const CONTROL: u64 = 125;

impl Rule for WebSocket {
    type State = ();

    fn name(&self) -> &str {
        "websocket"
    }

    fn args(&self) -> Vec<String> {
        match self.from {
            From::Anyone => Vec::new(),
            From::Client => Vec::from(["from=client".into()]),
            From::Server => Vec::from(["from=server".into()]),
        }
    }

    fn find(&self, (): &mut (), frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        let (Some(&first), second) = (frame.first(), frame.get(1)) else { return Ok(Step::More(2)) };
        let opcode = first & 0x0f;
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(fault(0, "its opcode is reserved: are both ends in step?"));
        }
        if opcode >= 8 && first & 0x80 == 0 {
            return Err(fault(0, "a control frame can't be fragmented"));
        }
        let Some(&second) = second else { return Ok(Step::More(2)) };
        match (self.from, second & 0x80 != 0) {
            (From::Client, false) => return Err(fault(1, "a client's frame must be masked")),
            (From::Server, true) => return Err(fault(1, "a server's frame must not be masked")),
            _ => {}
        }
        if opcode >= 8 && u64::from(second & 0x7f) > CONTROL {
            return Err(fault(1, "a control frame has more than 125 bytes"));
        }
        let head = Head::of(second);
        match head.payload(frame) {
            Some(payload) if payload < head.least => {
                Err(fault(1, "its length is written with more bytes than it needs"))
            }
            Some(payload) if payload >> 63 != 0 => Err(fault(2, "its length has the highest bit set")),
            Some(payload) => limits.frame(head.len, payload, 0),
            None => Ok(Step::More(head.len)),
        }
    }

    fn open(&self, frame: &[u8], _: &Limits, out: &mut [u8]) -> Result<Option<usize>, Fault> {
        let Some(head) = frame.get(1).map(|second| Head::of(*second)) else { return Ok(None) };
        let (Some(key), Some(payload)) = (head.key(frame), frame.get(head.len..)) else { return Ok(None) };
        let Some(place) = out.get_mut(..payload.len()) else { return Ok(None) };
        place.copy_from_slice(payload);
        mask(place, key);
        Ok(Some(payload.len()))
    }

    fn decodes(&self) -> bool {
        self.from != From::Server
    }

    fn fields(&self) -> &[&str] {
        &["fin", "rsv", "opcode", "masked", "key"]
    }

    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        let (first, second) = (*frame.first()?, *frame.get(1)?);
        Some(match index {
            FIN => u64::from(first >> 7),
            RSV => u64::from(first >> 4 & 7),
            OPCODE => u64::from(first & 0x0f),
            MASKED => u64::from(second >> 7),
            KEY => u64::from(Head::of(second).key(frame).map_or(0, u32::from_be_bytes)),
            _ => return None,
        })
    }

    /// A whole binary message. A client's must be masked, with a key that the peer can't foresee.
    fn default_field(&self, index: usize) -> u64 {
        match index {
            FIN => 1,
            OPCODE => 2,
            MASKED => u64::from(self.from == From::Client),
            _ => 0,
        }
    }

    fn encode(&self, fields: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        for (index, (&got, limit)) in fields.iter().zip(LARGEST).enumerate() {
            if got > limit {
                return Err(EncodeError::field(index, got, limit));
            }
        }
        let &[fin, rsv, opcode, masked, key] = fields else {
            return Err(EncodeError::Fields { got: fields.len(), want: LARGEST.len() });
        };
        let reason = match (self.from, masked, opcode) {
            (From::Client, 0, _) => "a client's frame must be masked",
            (From::Server, 1, _) => "a server's frame must not be masked",
            (_, 0, _) if key != 0 => "a key was given for a frame that isn't masked",
            (_, _, 3..=7 | 11..) => "this opcode is reserved",
            (_, _, 8..) if fin == 0 => "a control frame can't be fragmented",
            (_, _, 8..) if data.len() as u64 > CONTROL => "a control frame has 125 bytes at most",
            _ => "",
        };
        if !reason.is_empty() {
            return Err(EncodeError::Rule { reason });
        }
        let mark = (masked << 7) as u8;
        out.put(&[(fin << 7 | rsv << 4 | opcode) as u8]);
        match data.len() {
            short @ 0..=125 => out.put(&[mark | short as u8]),
            medium @ 126..=0xffff => {
                out.put(&[mark | 126]);
                out.put(&(medium as u16).to_be_bytes());
            }
            long => {
                out.put(&[mark | 127]);
                out.put(&(long as u64).to_be_bytes());
            }
        }
        if masked == 1 {
            out.put(&(key as u32).to_be_bytes());
        }
        let at = out.written().len();
        out.put(data);
        if masked == 1 {
            mask_behind(out, at, (key as u32).to_be_bytes());
        }
        Ok(())
    }
}

fn mask_behind(out: &mut dyn Output, at: usize, key: [u8; 4]) {
    if let Some(data) = out.written().get_mut(at..) {
        mask(data, key);
    }
}

/// Masks, or takes the mask off (section 5.3): eight bytes at once.
fn mask(data: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = data.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// What the second byte says of the header.
struct Head {
    /// Its bytes.
    len: usize,
    /// The bytes of the longer length.
    wide: usize,
    /// The length in seven bits.
    short: u64,
    /// The smallest payload that needs a length of this width.
    least: u64,
    masked: bool,
}

impl Head {
    fn of(second: u8) -> Head {
        let masked = second & 0x80 != 0;
        let (wide, least) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        Head { len: 2 + wide + if masked { 4 } else { 0 }, wide, short: u64::from(second & 0x7f), least, masked }
    }

    /// The payload's bytes, once the whole header is there.
    fn payload(&self, frame: &[u8]) -> Option<u64> {
        let head = frame.get(..self.len)?;
        let wide = &head[2..2 + self.wide];
        Some(if wide.is_empty() {
            self.short
        } else {
            wide.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
        })
    }

    fn key(&self, frame: &[u8]) -> Option<[u8; 4]> {
        let at = 2 + self.wide;
        if self.masked { frame.get(at..at + 4)?.try_into().ok() } else { None }
    }
}
