//! AMQP's frames. The header with which a connection begins, `AMQP` and four bytes, is a frame of the type 65 (`A`), whose
//! data is these four bytes. `amqp` is version 0-9-1, `amqp1` is 1.0.

use super::value::fault;
use crate::{EncodeError, Fault, Limits, Output, Rule, Step};

#[derive(Clone, Debug)]
pub(crate) struct Amqp {
    pub(crate) one: bool,
}

const HEADER: &[u8; 4] = b"AMQP";
/// The type of the protocol header.
const HEADER_TYPE: u64 = 0x41;
const FRAME_END: u8 = 0xce;

impl Rule for Amqp {
    type State = ();

    fn name(&self) -> &str {
        if self.one { "amqp1" } else { "amqp" }
    }

    fn find(&self, (): &mut (), frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        if frame.first() == Some(&HEADER[0]) {
            for (at, (&want, &got)) in HEADER.iter().zip(frame).enumerate() {
                if want != got {
                    return Err(Fault::Literal { at: at as u64, want, got });
                }
            }
            return if frame.len() < HEADER.len() { Ok(Step::More(frame.len() + 1)) } else { limits.frame(4, 4, 0) };
        }
        if self.one { find_one(frame, limits) } else { find_nine(frame, limits) }
    }

    fn open(&self, frame: &[u8], _: &Limits, _: &mut [u8]) -> Result<Option<usize>, Fault> {
        match frame.last() {
            Some(&got) if !self.one && frame.first() != Some(&HEADER[0]) && got != FRAME_END => {
                Err(Fault::Literal { at: frame.len() as u64 - 1, want: FRAME_END, got })
            }
            _ => Ok(None),
        }
    }

    fn fields(&self) -> &[&str] {
        &["type", "channel"]
    }

    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        if frame.first() == Some(&HEADER[0]) {
            return [HEADER_TYPE, 0].get(index).copied();
        }
        let (kind, channel) = if self.one { (5, 6) } else { (0, 1) };
        match index {
            0 => frame.get(kind).map(|kind| u64::from(*kind)),
            1 => Some(u64::from(u16::from_be_bytes([*frame.get(channel)?, *frame.get(channel + 1)?]))),
            _ => None,
        }
    }

    /// A method in 0-9-1, a frame of AMQP in 1.0, on the channel 0.
    fn default_field(&self, index: usize) -> u64 {
        u64::from(index == 0 && !self.one)
    }

    fn encode(&self, fields: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        let &[kind, channel] = fields else { return Err(EncodeError::Fields { got: fields.len(), want: 2 }) };
        let kind_byte = u8::try_from(kind).map_err(|_| EncodeError::field(0, kind, 255))?;
        let largest = u64::from(u16::MAX);
        let number = u16::try_from(channel).map_err(|_| EncodeError::field(1, channel, largest))?;
        if kind == HEADER_TYPE {
            if data.len() != 4 || channel != 0 {
                return Err(EncodeError::Rule { reason: "a protocol header has four bytes of data and the channel 0" });
            }
            out.put(HEADER);
            out.put(data);
            return Ok(());
        }
        let around = if self.one { 8 } else { 0 };
        let limit = u64::from(u32::MAX) - around;
        let too_long = EncodeError::TooLong { got: data.len() as u64, limit };
        let size = u32::try_from(data.len() as u64 + around).map_err(|_| too_long)?;
        if self.one {
            out.put(&size.to_be_bytes());
            out.put(&[2, kind_byte]);
            out.put(&number.to_be_bytes());
            out.put(data);
            return Ok(());
        }
        if !is_type(kind_byte) {
            return Err(EncodeError::Rule {
                reason: "the type of a frame is 1, 2, 3 or 8, and 65 for a protocol header",
            });
        }
        out.put(&[kind_byte]);
        out.put(&number.to_be_bytes());
        out.put(&size.to_be_bytes());
        out.put(data);
        out.put(&[FRAME_END]);
        Ok(())
    }
}

/// Method, header, body, heartbeat.
fn is_type(kind: u8) -> bool {
    matches!(kind, 1..=3 | 8)
}

/// Type, channel, size, payload, end (0-9-1, section 4.2.3).
fn find_nine(frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
    if frame.first().is_some_and(|kind| !is_type(*kind)) {
        return Err(fault(0, "AMQP 0-9-1 has no frame of this type: are both ends in step?"));
    }
    match frame {
        [_, _, _, a, b, c, d, ..] => limits.frame(7, u64::from(u32::from_be_bytes([*a, *b, *c, *d])), 1),
        _ => Ok(Step::More(7)),
    }
}

/// Size, data offset, type, two bytes, an extended header, the body (1.0, section 2.3.1).
fn find_one(frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
    let [a, b, c, d, offset, ..] = frame else { return Ok(Step::More(5)) };
    let size = u64::from(u32::from_be_bytes([*a, *b, *c, *d]));
    let head = u64::from(*offset) * 4;
    if *offset < 2 {
        return Err(fault(4, "its data offset is below 2, but it counts the header"));
    }
    match size.checked_sub(head) {
        Some(data) => limits.frame(head as usize, data, 0),
        None => Err(Fault::TooShort { got: size, least: head }),
    }
}
