//! git's pkt-lines (gitprotocol-common): four hex digits that count themselves, then the data. Lengths below four have no
//! data and a meaning of their own, the field `kind`: 0 is a flush, 1 a delimiter, 2 the end of a response; 4 is a line.

use super::value::fault;
use crate::{EncodeError, Fault, Limits, Output, Rule, Step};
use alloc::format;

#[derive(Clone, Debug)]
pub(crate) struct PktLine;

/// A line of data.
const LINE: u64 = 4;
/// The most bytes of a line, its length included.
const MOST: u64 = 65520;

impl Rule for PktLine {
    type State = ();

    fn name(&self) -> &str {
        "pkt-line"
    }

    fn find(&self, (): &mut (), frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        match length(frame)? {
            None => Ok(Step::More(frame.len() + 1)),
            Some(0..=2) => Ok(Step::Frame { head: 4, data: 0, tail: 0 }),
            Some(3) => Err(fault(0, "no pkt-line has the length 0003")),
            Some(length @ MOST..) if length > MOST => Err(fault(0, "a pkt-line has 65520 bytes at most")),
            Some(length) => limits.frame(4, length - 4, 0),
        }
    }

    fn fields(&self) -> &[&str] {
        &["kind"]
    }

    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        if index > 0 { None } else { length(frame).ok()?.map(|length| length.min(LINE)) }
    }

    fn default_field(&self, _: usize) -> u64 {
        LINE
    }

    /// A flush has no data: it can't be refused.
    fn may_be_empty(&self) -> bool {
        false
    }

    fn encode(&self, fields: &[u64], data: &[u8], limits: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        let kind = fields.first().copied().unwrap_or(LINE);
        let length = data.len() as u64 + 4;
        match kind {
            0..=2 if data.is_empty() => out.put(format!("{kind:04x}").as_bytes()),
            0..=2 => {
                return Err(EncodeError::Rule { reason: "a flush, a delimiter and a response's end have no data" });
            }
            3 => {
                return Err(EncodeError::Rule {
                    reason: "kind is 0 for a flush, 1 for a delimiter, 2 for a response's end, 4 for a line",
                });
            }
            LINE if length > MOST => {
                return Err(EncodeError::TooLong { got: length - 4, limit: (MOST - 4).min(limits.max) });
            }
            LINE => {
                out.put(format!("{length:04x}").as_bytes());
                out.put(data);
            }
            got => return Err(EncodeError::field(0, got, LINE)),
        }
        Ok(())
    }
}

/// The length, once its digits are there.
fn length(frame: &[u8]) -> Result<Option<u64>, Fault> {
    let mut length = 0;
    for at in 0..4 {
        let Some(&byte) = frame.get(at) else { return Ok(None) };
        let reason = "a pkt-line begins with four hex digits: is the peer speaking another protocol?";
        length = length << 4 | u64::from((byte as char).to_digit(16).ok_or(fault(at as u64, reason))?);
    }
    Ok(Some(length))
}
