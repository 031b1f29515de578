//! HL7's minimal lower layer protocol: a vertical tab, the message, a file separator and a carriage return.

use crate::{EncodeError, Fault, Limits, Output, Rule, Step, TooLong, find::find};

#[derive(Clone, Debug)]
pub(crate) struct Mllp;

const START: u8 = 0x0b;
const END: &[u8] = b"\x1c\r";

/// How far the frame that has begun was looked at.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    at: usize,
    dropping: bool,
}

impl Rule for Mllp {
    type State = Seen;

    fn name(&self) -> &str {
        "mllp"
    }

    fn find(&self, seen: &mut Seen, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        let got = frame.first().copied().unwrap_or(START);
        if got != START && !seen.dropping {
            return Err(Fault::Literal { at: 0, want: START, got });
        }
        let head = usize::from(!seen.dropping);
        // What is said of a frame that is too long must not depend on how much of it is there.
        let longest = usize::try_from(limits.max).unwrap_or(usize::MAX).saturating_add(head + END.len());
        let window = if seen.dropping { frame.len() } else { frame.len().min(longest) };
        let from = seen.at.saturating_sub(1).max(head);
        if let Some(at) = frame.get(from..window).and_then(|bytes| find(END, bytes)).map(|at| from + at) {
            let dropping = core::mem::take(seen).dropping;
            let total = at + END.len();
            return if dropping { Ok(Step::Skip(total as u64)) } else { limits.frame(head, (at - head) as u64, 2) };
        }
        seen.at = window;
        if !seen.dropping && window < longest {
            return Ok(Step::More(frame.len() + 1));
        }
        if !seen.dropping && limits.too_long == TooLong::Fail {
            return Err(Fault::TooMuch { limit: limits.max });
        }
        // The last byte may be the first of the end.
        seen.dropping = true;
        seen.at = 0;
        match window - usize::from(frame[..window].last() == END.first()) {
            0 => Ok(Step::More(frame.len() + 1)),
            bytes => Ok(Step::Drop(bytes)),
        }
    }

    fn too_long(&self) -> &[TooLong] {
        &[TooLong::Fail, TooLong::Skip]
    }

    fn encode(&self, _: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        if let Some(at) = find(END, data) {
            return Err(EncodeError::Delimiter { at });
        }
        out.put(&[START]);
        out.put(data);
        out.put(END);
        Ok(())
    }
}
