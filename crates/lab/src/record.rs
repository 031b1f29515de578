//! What happened on sockets: each call, what it was given and what it gave.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};

/// How much of a long message is kept, in bytes.
const KEPT: usize = 64;

/// The calls of all who take part, in the order in which they returned.
#[derive(Debug, Default)]
pub struct Recording(Mutex<Vec<Call>>);

impl Recording {
    /// Adds a call.
    pub fn add(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Takes what was recorded so far.
    pub fn taken(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One call, by the name that Python gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Who called.
    pub who: &'static str,
    /// What was called: `send`, `recv`, …
    pub call: &'static str,
    /// What it was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Datum>,
    /// What it gave.
    #[serde(skip_serializing_if = "Datum::is_nothing")]
    pub got: Datum,
    /// Whose address was named, or came with the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<&'static str>,
}

impl fmt::Display for Call {
    /// As it would be typed: `send(b"hello") = 5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<String> = self.given.iter().map(ToString::to_string).collect();
        write!(f, "{}({})", self.call, given.join(", "))?;
        match &self.got {
            Datum::Nothing => {}
            failed @ Datum::Failed(_) => write!(f, " fails: {failed}")?,
            got => write!(f, " = {got}")?,
        }
        match (self.peer, self.call.starts_with("send")) {
            (None, _) => Ok(()),
            (Some(peer), true) => write!(f, " to {peer}"),
            (Some(peer), false) => write!(f, " from {peer}"),
        }
    }
}

/// What goes into a call or comes out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Datum {
    /// Nothing.
    Nothing,
    /// A number, of bytes mostly.
    Number(u64),
    /// A word: an option, a setting.
    Word(&'static str),
    /// Bytes.
    Bytes(Excerpt),
    /// The error's name.
    Failed(Failure),
}

impl Datum {
    fn is_nothing(&self) -> bool {
        *self == Datum::Nothing
    }

    /// What a call gave.
    pub fn of<T: Into<Datum> + Clone>(result: &io::Result<T>) -> Datum {
        match result {
            Ok(value) => value.clone().into(),
            Err(error) => Datum::Failed(Failure::of(error)),
        }
    }
}

impl From<()> for Datum {
    fn from((): ()) -> Datum {
        Datum::Nothing
    }
}

impl From<&'static str> for Datum {
    fn from(word: &'static str) -> Datum {
        Datum::Word(word)
    }
}

impl From<usize> for Datum {
    fn from(number: usize) -> Datum {
        Datum::Number(number as u64)
    }
}

impl From<Vec<u8>> for Datum {
    fn from(bytes: Vec<u8>) -> Datum {
        Datum::Bytes(Excerpt::of(&bytes))
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Nothing => Ok(()),
            Datum::Number(number) => number.fmt(f),
            Datum::Word(word) => f.write_str(word),
            Datum::Bytes(bytes) => bytes.fmt(f),
            Datum::Failed(failure) => write!(f, "{} ({})", failure.error, failure.says),
        }
    }
}

/// An error of the system, as errno(3) names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `EAGAIN`, `EMSGSIZE`, …
    pub error: &'static str,
    /// What that means.
    pub says: &'static str,
}

impl Failure {
    fn of(error: &io::Error) -> Failure {
        let (error, says) = match error.raw_os_error() {
            Some(libc::EAGAIN) => ("EAGAIN", "it would have to wait"),
            Some(libc::EMSGSIZE) => ("EMSGSIZE", "message too long"),
            Some(libc::ECONNREFUSED) => ("ECONNREFUSED", "no program listens there"),
            Some(libc::ECONNRESET) => ("ECONNRESET", "the peer broke the connection off"),
            Some(libc::EPIPE) => ("EPIPE", "the peer reads no more"),
            _ => ("error", "the system refused"),
        };
        Failure { error, says }
    }
}

/// Bytes of a message: all of a short one, the beginning of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The beginning.
    pub start: Vec<u8>,
    /// How long the message is.
    pub length: u64,
}

impl Excerpt {
    /// Takes what is kept of a message.
    pub fn of(bytes: &[u8]) -> Excerpt {
        Excerpt { start: bytes[..bytes.len().min(KEPT)].to_vec(), length: bytes.len() as u64 }
    }

    /// The first `length` bytes of it.
    #[must_use]
    pub fn first(&self, length: u64) -> Excerpt {
        let kept = usize::try_from(length).unwrap_or(usize::MAX).min(self.start.len());
        Excerpt { start: self.start[..kept].to_vec(), length: length.min(self.length) }
    }

    /// Whether all of the message was kept.
    pub fn is_whole(&self) -> bool {
        self.start.len() as u64 == self.length
    }

    /// The kept bytes, as text where they are text; else with `\x..` for what is none.
    pub fn text(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.start) {
            Ok(text) if !text.contains(char::is_control) => Cow::Borrowed(text),
            Ok(text) => Cow::Owned(text.chars().map(escaped).collect()),
            Err(_) => Cow::Owned(self.start.escape_ascii().to_string()),
        }
    }
}

/// A character as Python shows it in a string of bytes.
fn escaped(character: char) -> String {
    match character {
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        control if control.is_control() => format!("\\x{:02x}", u32::from(control)),
        other => other.into(),
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_whole() {
            true => write!(f, "b\"{}\"", self.text()),
            false => write!(f, "{} bytes", self.length),
        }
    }
}

impl Serialize for Excerpt {
    /// `{"bytes": 5, "text": "hello"}`; a message that isn't whole here has no text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            bytes: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<Cow<'a, str>>,
        }
        Shown { bytes: self.length, text: self.is_whole().then(|| self.text()) }.serialize(serializer)
    }
}

/// The same bytes twice: as they were sent, and as they were received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Who sent.
    pub from: &'static str,
    /// Who received.
    pub to: &'static str,
    /// What each `send` took.
    pub sent: Vec<Excerpt>,
    /// What each `recv` gave.
    pub received: Vec<Excerpt>,
}

impl Flow {
    /// What went from one to the other.
    pub fn among(calls: &[Call], from: &'static str, to: &'static str) -> Flow {
        let sent = calls.iter().filter(|call| call.who == from && ["send", "sendto"].contains(&call.call));
        let received = calls.iter().filter(|call| call.who == to && ["recv", "recvfrom"].contains(&call.call));
        Flow { from, to, sent: sent.filter_map(taken).collect(), received: received.filter_map(given).collect() }
    }
}

/// As much of the message as `send` took.
fn taken(call: &Call) -> Option<Excerpt> {
    match (call.given.first(), &call.got) {
        (Some(Datum::Bytes(bytes)), Datum::Number(taken)) => Some(bytes.first(*taken)),
        _ => None,
    }
}

fn given(call: &Call) -> Option<Excerpt> {
    match &call.got {
        Datum::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(who: &'static str, call: &'static str, given: Datum, got: Datum) -> Call {
        Call { who, call, given: vec![given], got, peer: None }
    }

    #[test]
    fn calls_read_as_they_are_typed() {
        let sent = call("client", "send", b"hello".to_vec().into(), 5.into());
        assert_eq!(sent.to_string(), "send(b\"hello\") = 5");
        let error = io::Error::from_raw_os_error(libc::EAGAIN);
        let failed = call("server", "recv", 10.into(), Datum::of::<usize>(&Err(error)));
        assert_eq!(failed.to_string(), "recv(10) fails: EAGAIN (it would have to wait)");
        let long = Call { peer: Some("a"), ..call("b", "recvfrom", 9.into(), vec![0; 1000].into()) };
        assert_eq!(long.to_string(), "recvfrom(9) = 1000 bytes from a");
    }

    #[test]
    fn a_flow_holds_what_was_taken_and_given() {
        let calls = [
            call("a", "send", b"hello".to_vec().into(), 3.into()),
            call("b", "recv", 10.into(), b"hel".to_vec().into()),
            call("b", "send", b"x".to_vec().into(), 1.into()),
        ];
        let flow = Flow::among(&calls, "a", "b");
        assert_eq!((flow.sent, flow.received), (vec![Excerpt::of(b"hel")], vec![Excerpt::of(b"hel")]));
    }

    #[test]
    fn bytes_are_shown_as_text_or_escaped() {
        let shown = [b"a\n\x02".as_slice(), "你".as_bytes(), b"\xe4\xbd"].map(|bytes| Excerpt::of(bytes).to_string());
        assert_eq!(shown, ["b\"a\\n\\x02\"", "b\"你\"", "b\"\\xe4\\xbd\""]);
    }
}
