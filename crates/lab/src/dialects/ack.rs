//! `ack`: the reply's length in decimal, a wait for `recv_ready`, then the reply.
//!
//! The wait is there so that the length and the reply don't stick together. It costs a round trip for each command, and it
//! doesn't say where the length ends: if a network cuts `1024` after `10`, the client takes 10 bytes for the reply. It finds out
//! when the rest comes behind the reply.

use super::exchange::serve_commands;
use super::measured::{self, Measure};
use crate::LabError;
use crate::connection::Connection;
use crate::server::{ServedConnection, Service};
use crate::shell::Shell;

/// What the client sends between the length and the reply.
pub const READY: &[u8] = b"recv_ready";
/// The digits of the largest number of 64 bits.
const DIGITS: usize = 20;

/// The server's half.
#[derive(Debug)]
pub struct Ack(pub Shell);

impl Service for Ack {
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
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
pub type Client = measured::Client<Decimal>;

/// A length in decimal digits, which is answered by [`READY`].
#[derive(Debug)]
pub struct Decimal;

impl Measure for Decimal {
    type Seen = ();

    /// One `recv` for the length, and what else has come of it before the server is told to go on.
    fn receive(connection: &mut Connection) -> Result<(u64, ()), LabError> {
        let mut digits = [0; DIGITS + 1];
        let patience = connection.patience();
        let mut got = connection.recv(&mut digits, "a reply's length", patience)?;
        while got > 0 && got < digits.len() && connection.queued()? > 0 {
            match connection.recv(&mut digits[got..], "a reply's length", patience)? {
                0 => break,
                n => got += n,
            }
        }
        let length = match got {
            0 => Err(LabError::Cut { what: "a reply's length".into(), got: 0, wanted: 1 }),
            n => length_in(&digits[..n]),
        }?;
        connection.send_all(READY, "recv_ready")?;
        Ok((length, ()))
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
