//! `len32`: four bytes of length, as Python's `struct.pack('i', n)` writes them, then the reply.
//!
//! The boundary is there, at last, at the cost of four bytes. What is left: `'i'` has the byte order of the machine that packs, and
//! ends at 2,147,483,647; and commands still have no boundary.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use unglue_struct::Format;

use super::ack::refuse_late;
use super::{Asks, RECV, Reply, length_of, unwritable};
use crate::LabError;
use crate::connection::Connection;
use crate::server::{Event, Service, Session};
use crate::shell::Shell;

/// How long the client waits for the server's close, to see whether bytes come behind the last reply.
const PARTING: Duration = Duration::from_secs(1);

/// The server's half.
#[derive(Debug)]
pub struct Len32(pub Shell);

impl Service for Len32 {
    fn serve(&self, session: &mut Session<'_>) -> Result<(), LabError> {
        let mut buffer = [0; RECV];
        loop {
            let command = match session.recv_command(&mut buffer)? {
                0 => return Ok(()),
                n => &buffer[..n],
            };
            let printed = self.0.answer(command, session.settings().coding, session.stop())?;
            let reply = printed.either();
            session.connection.send_all(&pack(reply.len())?, "a reply's length")?;
            session.connection.send_all(reply, "a reply")?;
            session.tell(&Event::ran(command, &printed));
        }
    }
}

/// `struct.pack('i', length)`.
pub(super) fn pack(length: usize) -> Result<Vec<u8>, LabError> {
    let packed = Format::parse("i").and_then(|format| format.pack(&[(length as u64).into()]));
    packed.map_err(|error| LabError::misuse(format!("a length of {length}: {error}"), "send less at once"))
}

/// The client's half.
#[derive(Debug)]
pub struct Client(Connection);

impl Client {
    /// Connects. No wait is longer than `wait`.
    ///
    /// # Errors
    /// [`LabError`]: nobody listens there.
    pub fn connect(address: SocketAddr, wait: Duration) -> Result<Client, LabError> {
        Ok(Client(Connection::connect(address, wait)?))
    }
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        refuse_late(self.0.queued()?)?;
        self.0.send_all(command, "a command")?;
        let mut length = [0; 4];
        self.0.recv_exact(&mut length, "a reply's length")?;
        let length = length_of(length, "a reply's length")?;
        self.0.recv_each(length.into(), "a reply", 1 << 16, |piece| reply.write_all(piece).map_err(unwritable))?;
        Ok(Reply::Came)
    }

    fn leave(self: Box<Self>) -> Result<(), LabError> {
        match self.0.finish(PARTING) {
            Ok(late) => refuse_late(late),
            // A server that doesn't close has nothing to say either.
            Err(_) => Ok(()),
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
