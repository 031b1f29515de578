//! `ack`: the reply's length in decimal, a wait for `recv_ready`, then the reply.
//!
//! The wait is there so that the length and the reply don't stick together. It costs a round trip for each command, and it
//! doesn't say where the length ends: if a network cuts `1024` after `10`, the client takes 10 bytes for the reply. It finds out
//! when the rest comes behind the reply.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Asks, RECV, Reply, unwritable};
use crate::LabError;
use crate::connection::Connection;
use crate::server::{Event, Service, Session};
use crate::shell::Shell;

/// What the client sends between the length and the reply.
pub const READY: &[u8] = b"recv_ready";
/// The digits of the largest number of 64 bits.
const DIGITS: usize = 20;
/// How long the client waits for the server's close, to see whether bytes come behind the last reply.
const PARTING: Duration = Duration::from_secs(1);

/// The server's half.
#[derive(Debug)]
pub struct Ack(pub Shell);

impl Service for Ack {
    fn serve(&self, session: &mut Session<'_>) -> Result<(), LabError> {
        let mut buffer = [0; RECV];
        loop {
            let command = match session.recv_command(&mut buffer)? {
                0 => return Ok(()),
                n => &buffer[..n],
            };
            let printed = self.0.answer(command, session.settings().coding, session.stop())?;
            let reply = printed.either();
            session.connection.send_all(reply.len().to_string().as_bytes(), "a reply's length")?;
            await_ready(&mut session.connection)?;
            session.connection.send_all(reply, "a reply")?;
            session.tell(&Event::ran(command, &printed));
        }
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
pub struct Client(Connection);

impl Client {
    /// Connects. No wait is longer than `wait`.
    ///
    /// # Errors
    /// [`LabError`]: nobody listens there.
    pub fn connect(address: SocketAddr, wait: Duration) -> Result<Client, LabError> {
        Ok(Client(Connection::connect(address, wait)?))
    }

    /// One `recv` for the length, and what else has come of it before the server was told to go on.
    fn receive_length(&mut self) -> Result<u64, LabError> {
        let mut digits = [0; DIGITS + 1];
        let patience = self.0.patience();
        let mut got = self.0.recv(&mut digits, "a reply's length", patience)?;
        while got > 0 && got < digits.len() && self.0.queued()? > 0 {
            match self.0.recv(&mut digits[got..], "a reply's length", patience)? {
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

/// Bytes behind a reply: the length was wrong, or it was cut in two.
pub(super) fn refuse_late(late: u64) -> Result<(), LabError> {
    match late {
        0 => Ok(()),
        n => Err(LabError::malformed(
            format!("{n} bytes behind the reply"),
            "its length was too small, or came in pieces: the last reply shown is not whole",
        )),
    }
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        refuse_late(self.0.queued()?)?;
        self.0.send_all(command, "a command")?;
        let length = self.receive_length()?;
        self.0.send_all(READY, "recv_ready")?;
        self.0.recv_each(length, "a reply", 1 << 16, |piece| reply.write_all(piece).map_err(unwritable))?;
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
    fn lengths_are_digits_and_nothing_else() {
        assert_eq!(length_in(b"0").expect("a length"), 0);
        assert_eq!(length_in(b"18446744073709551615").expect("a length"), u64::MAX);
        for wrong in [b"-5".as_slice(), b"+5", b"1 ", b"18446744073709551616", b"ten", b"\xff", b"1\n"] {
            assert!(length_in(wrong).is_err(), "{wrong:?}");
        }
    }
}
