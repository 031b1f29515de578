//! `len32`: four bytes of length, as Python's `struct.pack('i', n)` writes them, then the reply.
//!
//! The boundary is there, at last, at the cost of four bytes. What is left: `'i'` has the byte order of the machine that packs, and
//! ends at 2,147,483,647; and commands still have no boundary.

use unglue_frame::Looks;
use unglue_struct::Format;

use super::exchange::{length_of, serve_commands};
use super::measured::{self, Measure};
use crate::LabError;
use crate::connection::Connection;
use crate::server::{ServedConnection, Service};
use crate::shell::Shell;

/// The server's half.
#[derive(Debug)]
pub struct Len32(pub Shell);

impl Service for Len32 {
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
        serve_commands(session, &self.0, |connection, printed| {
            let reply = printed.either();
            connection.send_all(&pack(reply.len())?, "a reply's length")?;
            connection.send_all(reply, "a reply")
        })
    }
}

/// `struct.pack('i', length)`.
pub(super) fn pack(length: usize) -> Result<Vec<u8>, LabError> {
    let packed = Format::parse("i").and_then(|format| format.pack(&[(length as u64).into()]));
    packed.map_err(|error| LabError::misuse(format!("a length of {length}: {error}"), "send less at once"))
}

/// The client's half.
pub type Client = measured::Client<Packed>;

/// A length as `struct.pack('i', n)` writes it.
#[derive(Debug)]
pub struct Packed;

impl Measure for Packed {
    type Seen = [u8; 4];

    fn receive(connection: &mut Connection) -> Result<(u64, [u8; 4]), LabError> {
        let mut length = [0; 4];
        connection.recv_exact(&mut length, "a reply's length")?;
        Ok((length_of(length, "a reply's length")?.into(), length))
    }

    fn doubt(bytes: u64, seen: [u8; 4], error: LabError) -> LabError {
        let rest = match &error {
            LabError::Cut { got, .. } => format!("and {got} bytes behind it"),
            LabError::Deadline { .. } => "and then not so many bytes".into(),
            _ => return error,
        };
        match Looks::of(&seen) {
            Some(looks) => LabError::malformed(format!("{bytes} as a reply's length, {rest}"), looks.to_string()),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_packed_as_python_does() {
        assert_eq!(pack(5).expect("it fits"), 5_i32.to_ne_bytes());
        let error = pack(1 << 31).expect_err("too long").to_string();
        assert!(error.contains("2147483648") && error.contains("'i' format requires"), "{error}");
    }
}
