//! Control messages inside one stream: a four-byte big-endian length, then that many bytes of JSON.
//!
//! ```
//! use unglue_proto::control::{Inbox, encode};
//!
//! let mut wire = Vec::new();
//! encode(&"hello", &mut wire).unwrap();
//! assert_eq!(wire, b"\0\0\0\x07\"hello\"");
//!
//! let mut inbox = Inbox::new(1024);
//! inbox.feed(&wire[..5]);
//! assert_eq!(inbox.next::<String>().unwrap(), None);
//! inbox.feed(&wire[5..]);
//! assert_eq!(inbox.next::<String>().unwrap().as_deref(), Some("hello"));
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;
use unglue_frame::{Deframer, Enframer, Framing};

use crate::limits::CONTROL_MESSAGE;
use crate::{Code, Fault};

/// Appends a message to `out`.
///
/// # Errors
/// [`Code::LimitExceeded`] if it is longer than [`CONTROL_MESSAGE`]; nothing was appended then.
pub fn encode<T: Serialize>(message: &T, out: &mut Vec<u8>) -> Result<(), Fault> {
    let json =
        serde_json::to_vec(message).map_err(|error| Fault::us(format!("a message has no JSON form: {error}")))?;
    let enframer = Enframer::new(Framing::u32be().max(CONTROL_MESSAGE as u64));
    enframer.encode(&[], &json, out).map_err(|_| {
        let got = json.len();
        Fault::user(Code::LimitExceeded, format!("a request of {got} bytes; the limit is {CONTROL_MESSAGE}"))
            .advise("pass less in arguments and environment: feed it to the command's input, or put it in a file")
    })
}

/// Takes messages out of a stream's bytes.
pub struct Inbox {
    deframer: Deframer,
}

impl Inbox {
    /// An inbox for messages of at most `max` bytes.
    pub fn new(max: usize) -> Inbox {
        Inbox { deframer: Deframer::new(Framing::u32be().max(max as u64)) }
    }

    /// Takes bytes in any chunks.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.deframer.feed(bytes);
    }

    /// The next message, once it is whole.
    ///
    /// # Errors
    /// [`Code::BadMessage`]: it is too long, or not what belongs here. Final.
    // Not an iterator: each message may be of another type.
    #[allow(clippy::should_implement_trait)]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        let malformed = |what: String| Fault::peer(Code::BadMessage, what);
        let Some(frame) = self.deframer.next().map_err(|error| malformed(error.to_string()))? else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice(frame.data());
        parsed.map(Some).map_err(|error| malformed(format!("a message that doesn't belong here: {error}")))
    }

    /// The bytes behind the last message that was taken: what follows when the protocol changes.
    pub fn into_rest(self) -> Vec<u8> {
        self.deframer.into_parts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_over_the_limit_is_refused_before_its_bytes_have_come() {
        let mut inbox = Inbox::new(16);
        inbox.feed(&17u32.to_be_bytes());
        assert_eq!(inbox.next::<String>().unwrap_err().code, Code::BadMessage);
    }

    #[test]
    fn what_follows_the_last_message_is_handed_back() {
        let mut wire = Vec::new();
        encode(&1, &mut wire).unwrap();
        wire.extend_from_slice(b"mux bytes");
        let mut inbox = Inbox::new(16);
        inbox.feed(&wire);
        assert_eq!(inbox.next::<u8>().unwrap(), Some(1));
        assert_eq!(inbox.into_rest(), b"mux bytes");
    }
}
