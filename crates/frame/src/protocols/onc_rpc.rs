//! ONC RPC's record marking (RFC 5531 section 11): a bit that says whether this is a record's last fragment, its length in 31
//! bits, and the fragment, which is a frame.

use crate::{EncodeError, Fault, Limits, Output, Rule, Step};

#[derive(Clone, Debug)]
pub(crate) struct OncRpc;

const LAST: u32 = 1 << 31;

impl Rule for OncRpc {
    type State = ();

    fn name(&self) -> &str {
        "onc-rpc"
    }

    fn find(&self, (): &mut (), frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        match mark(frame) {
            Some(mark) => limits.frame(4, u64::from(mark & !LAST), 0),
            None => Ok(Step::More(4)),
        }
    }

    fn fields(&self) -> &[&str] {
        &["last"]
    }

    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        if index > 0 { None } else { Some(u64::from(mark(frame)? >> 31)) }
    }

    fn default_field(&self, _: usize) -> u64 {
        1
    }

    fn encode(&self, fields: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        let last = match fields.first() {
            Some(0) => 0,
            Some(1) | None => LAST,
            Some(&got) => return Err(EncodeError::field(0, got, 1)),
        };
        let limit = u64::from(LAST - 1);
        let length = u32::try_from(data.len()).ok().filter(|length| *length < LAST);
        let length = length.ok_or(EncodeError::TooLong { got: data.len() as u64, limit })?;
        out.put(&(last | length).to_be_bytes());
        out.put(data);
        Ok(())
    }
}

fn mark(frame: &[u8]) -> Option<u32> {
    frame.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
