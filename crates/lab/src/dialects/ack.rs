//! `ack`: the reply's length in decimal, a wait for `recv_ready`, then the reply.
//!
//! The wait is there so that the length and the reply don't stick together. It costs a round trip for each command, and it
//! doesn't say where the length ends: if a network cuts `1024` after `10`, the client takes 10 bytes for the reply. It finds out
//! when the rest comes behind the reply.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::exchange::{part, refuse_late, serve_commands, take_reply};
use super::{Asks, Reply};
use crate::LabError;
use crate::coding::Coding;
use crate::connection::Connection;
use crate::server::{Service, Session};
use crate::shell::Shell;

/// What the client sends between the length and the reply.
pub const READY: &[u8] = b"recv_ready";
/// The digits of the largest number of 64 bits.
const DIGITS: usize = 20;

/// The server's half.
#[derive(Debug)]
pub struct Ack(pub Shell);

impl Service for Ack {
    fn serve(&self, session: &mut Session<'_>) -> Result<(), LabError> {
        serve_commands(session, &self.0, |connection, printed| {
            let reply = printed.either();
            connection.send_all(reply.len().to_string().as_bytes(), "a reply's length")?;
            await_ready(connection)?;
            connection.send_all(reply, "a reply")
        })
    }
}

fn await_ready(connection: &mut Connection) -> Result<(), LabError> {
    let mut ready = [0; READY.len()];
    connection.recv_exact(&mut ready, "recv_ready")?;
    match ready == *READY {
        true => Ok(()),
        false => Err(LabError::malformed(
            format!("\"{}\" where recv_ready belongs", ready.escape_ascii()),
            "each reply's length is answered by recv_ready, and nothing else comes before it",
        )),
    }
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

    /// One `recv` for the length, and what else has come of it before the server was told to go on.
    fn receive_length(&mut self) -> Result<u64, LabError> {
        let mut digits = [0; DIGITS + 1];
        let patience = self.connection.patience();
        let mut got = self.connection.recv(&mut digits, "a reply's length", patience)?;
        while got > 0 && got < digits.len() && self.connection.queued()? > 0 {
            match self.connection.recv(&mut digits[got..], "a reply's length", patience)? {
                0 => break,
                n => got += n,
            }
        }
        match got {
            0 => Err(LabError::Cut { what: "a reply's length".into(), got: 0, wanted: 1 }),
            n => length_in(&digits[..n]),
        }
    }
}

/// A length in decimal.
fn length_in(digits: &[u8]) -> Result<u64, LabError> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        LabError::malformed(
            format!("\"{}\" as a reply's length", digits.escape_ascii()),
            "a length is a number in decimal digits and nothing else; the peer lost its place, or speaks another dialect",
        )
    })
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        refuse_late(self.connection.queued()?)?;
        self.connection.send_all(&self.coding.to_wire(command), "a command")?;
        let length = self.receive_length()?;
        self.connection.send_all(READY, "recv_ready")?;
        take_reply(&mut self.connection, length, self.coding, reply)?;
        Ok(Reply::Came)
    }

    fn leave(self: Box<Self>, _: &mut dyn Write) -> Result<(), LabError> {
        part(self.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits_and_nothing_else() {
        assert_eq!(length_in(b"0").expect("a length"), 0);
        assert_eq!(length_in(b"18446744073709551615").expect("a length"), u64::MAX);
        for wrong in [b"-5".as_slice(), b"+5", b"1 ", b"18446744073709551616", b"ten", b"\xff", b"1\n"] {
            assert!(length_in(wrong).is_err(), "{wrong:?}");
        }
    }
}
