//! ZeroMQ's frames. `zmtp` is versions 2 and 3 (RFC 23, RFC 37): the greeting, which begins with `ff`, is a frame with the
//! flags 255. `zmtp1` is version 1 (RFC 13).

use super::value::fault;
use crate::{EncodeError, Fault, Limits, Output, Rule, Step};

#[derive(Clone, Debug)]
pub(crate) struct Zmtp {
    pub(crate) first: bool,
}

/// The flags of a greeting.
const GREETING: u8 = 0xff;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

impl Rule for Zmtp {
    type State = ();

    fn name(&self) -> &str {
        if self.first { "zmtp1" } else { "zmtp" }
    }

    fn find(&self, (): &mut (), frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        if self.first { find_first(frame, limits) } else { find_later(frame, limits) }
    }

    fn fields(&self) -> &[&str] {
        &["flags"]
    }

    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        let flags = match (self.first, *frame.first()?) {
            (true, 0xff) => *frame.get(9)?,
            (true, _) => *frame.get(1)?,
            (false, GREETING) => GREETING,
            (false, flags) => flags & !LONG,
        };
        (index == 0).then_some(u64::from(flags))
    }

    fn encode(&self, fields: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        let got = fields.first().copied().unwrap_or(0);
        let flags = u8::try_from(got).map_err(|_| EncodeError::field(0, got, 255))?;
        match (self.first, flags) {
            (true, _) => match u8::try_from(data.len() + 1) {
                Ok(short @ ..=0xfe) => out.put(&[short, flags]),
                _ => {
                    out.put(&[0xff]);
                    out.put(&(data.len() as u64 + 1).to_be_bytes());
                    out.put(&[flags]);
                }
            },
            (false, GREETING) => {
                let signed = data.get(8).is_some_and(|mark| mark & 1 == 1);
                match (signed, data.get(9), data.len()) {
                    (true, Some(1 | 2), 11) | (true, Some(3..), 63) => out.put(&[GREETING]),
                    _ => {
                        let reason = "the message is not a ZMTP greeting without its first byte";
                        return Err(EncodeError::Rule { reason });
                    }
                }
            }
            (false, flags) if flags & !(MORE | COMMAND) != 0 => {
                return Err(EncodeError::Rule {
                    reason: "flags are 1 for more to come, 4 for a command, 255 for a greeting",
                });
            }
            (false, flags) => match u8::try_from(data.len()) {
                Ok(short) => out.put(&[flags, short]),
                Err(_) => {
                    out.put(&[flags | LONG]);
                    out.put(&(data.len() as u64).to_be_bytes());
                }
            },
        }
        out.put(data);
        Ok(())
    }
}

/// A flag byte, a length of one byte or eight, the body; or a greeting.
fn find_later(frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
    let Some(&flags) = frame.first() else { return Ok(Step::More(2)) };
    if flags == GREETING {
        return greeting(frame, limits);
    }
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(fault(0, "its flags have bits that ZMTP reserves: are both ends in step?"));
    }
    match (flags & LONG != 0, frame) {
        (false, [_, len, ..]) => limits.frame(2, u64::from(*len), 0),
        (false, _) => Ok(Step::More(2)),
        (true, _) => match long(&frame[1..]) {
            Some(len) => limits.frame(9, len, 0),
            None => Ok(Step::More(9)),
        },
    }
}

/// `ff`, eight bytes, `7f`, and the version, which tells how it goes on.
fn greeting(frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
    if let Some(mark) = frame.get(9)
        && mark & 1 == 0
    {
        return Err(fault(9, "its signature is none of ZMTP 2 or 3: version 1 is zmtp1"));
    }
    match frame.get(10) {
        None => Ok(Step::More(frame.len().max(9) + 1)),
        Some(1 | 2) => limits.frame(1, 11, 0),
        Some(3..) => limits.frame(1, 63, 0),
        Some(0) => Err(fault(10, "its version is 0: version 1 is zmtp1")),
    }
}

/// A length that counts the flag byte, of one byte or of `ff` and eight, the flags, the body.
fn find_first(frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
    let (len, head) = match frame.first() {
        None => return Ok(Step::More(2)),
        Some(0xff) => match long(&frame[1..]) {
            Some(len) => (len, 10),
            None => return Ok(Step::More(9)),
        },
        Some(len) => (u64::from(*len), 2),
    };
    match len.checked_sub(1) {
        None => Err(fault(0, "its length is 0, but it counts the flags")),
        Some(body) => limits.frame(head, body, 0),
    }
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
