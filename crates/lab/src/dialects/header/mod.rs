//! `header`: an upload. Four bytes of length (`struct.pack('i', n)`), a JSON header of n bytes, then a file's bytes. No answer comes.
//!
//! ```text
//! 34 00 00 00  {"cmd":"put","filename":"a.txt","filesize":123123}  …123,123 bytes…
//! ```
//!
//! The header names a command, and [`Commands`] is the table of those that the server has: what isn't in it can't be called.
//! The fuller header, `{"file_size":…,"file_name":"/a/b/c.txt","md5":"…"}`, is an upload as well.

mod commands;
mod put;
mod store;

use serde_json::{Map, Value};

use super::exchange::{advice_on, length_of};
use crate::LabError;
use crate::server::{ServedConnection, Service};
pub use commands::{Call, Commands};
pub use put::Uploader;
pub(super) use store::sweep;

/// The longest header that is read, in bytes.
pub const LONGEST: u32 = 65_536;

/// The server's half.
#[derive(Debug, Default)]
pub struct Header {
    /// What clients may call.
    pub commands: Commands,
}

impl Service for Header {
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
        while let Some(header) = receive(session)? {
            self.commands.call(header, session)?;
        }
        Ok(())
    }
}

/// The next header; `None` if the client has closed instead.
fn receive(session: &mut ServedConnection<'_>) -> Result<Option<Map<String, Value>>, LabError> {
    let mut length = [0; 4];
    match session.recv_command(&mut length)? {
        0 => return Ok(None),
        4 => {}
        n => {
            let rest = session.connection.recv_exact(&mut length[n..], "a header's length");
            rest.map_err(|error| of_four(error, n as u64))?;
        }
    }
    let bytes = length_of(length, "a header's length")?;
    if bytes == 0 || bytes > LONGEST {
        let what = format!("{bytes} as a header's length, where 1 to {LONGEST} are allowed");
        return Err(LabError::malformed(what, advice_on(length, LONGEST)));
    }
    let within = session.settings().patience;
    let header = session.connection.recv_whole(bytes, "a header", within)?;
    parse(&session.settings().coding.from_wire(&header)).map(Some)
}

/// The same error, counted from the length's first byte.
fn of_four(error: LabError, before: u64) -> LabError {
    match error {
        LabError::Cut { what, got, .. } => LabError::Cut { what, got: got + before, wanted: 4 },
        error => error,
    }
}

fn parse(header: &[u8]) -> Result<Map<String, Value>, LabError> {
    let advice = "a header is one JSON object, such as {\"cmd\":\"put\",\"filename\":\"a.txt\",\"filesize\":5}";
    match serde_json::from_slice(header) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(LabError::malformed(format!("`{}` as a header", beginning(&other.to_string())), advice)),
        Err(error) => Err(LabError::malformed(format!("a header that is no JSON ({error})"), advice)),
    }
}

/// Enough of a text to recognise it.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text[..at].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}
