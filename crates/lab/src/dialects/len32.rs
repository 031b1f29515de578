//! `len32`: four bytes of length, as Python's `struct.pack('i', n)` writes them, then the reply.
//!
//! The boundary is there, at last, at the cost of four bytes. What is left: `'i'` has the byte order of the machine that packs, and
//! ends at 2,147,483,647; and commands still have no boundary.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use unglue_frame::Looks;
use unglue_struct::Format;

use super::exchange::{length_of, part, refuse_late, serve_commands, take_reply};
use super::{Asks, Reply};
use crate::LabError;
use crate::coding::Coding;
use crate::connection::Connection;
use crate::server::{Service, Session};
use crate::shell::Shell;

/// The server's half.
#[derive(Debug)]
pub struct Len32(pub Shell);

impl Service for Len32 {
    fn serve(&self, session: &mut Session<'_>) -> Result<(), LabError> {
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
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    coding: Coding,
}

impl Client {
    /// Connects. No wait is longer than `wait`.
    ///
    /// # Errors
    /// [`LabError`]: nobody listens there.
    pub fn connect(address: SocketAddr, wait: Duration, coding: Coding) -> Result<Client, LabError> {
        Ok(Client::over(Connection::connect(address, wait)?, coding))
    }

    /// A client on a connection that is there.
    pub(crate) fn over(connection: Connection, coding: Coding) -> Client {
        Client { connection, coding }
    }
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        refuse_late(self.connection.queued()?)?;
        self.connection.send_all(&self.coding.to_wire(command), "a command")?;
        let mut length = [0; 4];
        self.connection.recv_exact(&mut length, "a reply's length")?;
        let bytes = length_of(length, "a reply's length")?;
        let taken = take_reply(&mut self.connection, bytes.into(), self.coding, reply);
        taken.map_err(|error| doubted(length, bytes, error))?;
        Ok(Reply::Came)
    }

    fn leave(self: Box<Self>, _: &mut dyn Write) -> Result<(), LabError> {
        part(self.connection)
    }
}

/// A reply that never came whole: perhaps its length was none.
fn doubted(length: [u8; 4], bytes: u32, error: LabError) -> LabError {
    match (Looks::of(&length), &error) {
        (Some(looks), LabError::Cut { got, .. }) => {
            LabError::malformed(format!("{bytes} as a reply's length, and {got} bytes behind it"), looks.to_string())
        }
        (Some(looks), LabError::Deadline { .. }) => {
            LabError::malformed(format!("{bytes} as a reply's length, and then not so many bytes"), looks.to_string())
        }
        _ => error,
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
