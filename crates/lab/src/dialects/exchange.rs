//! What the dialects over TCP share: a command is one `recv`, a reply may have a length, and a length may be none.

use std::io::{self, Write};
use std::time::Duration;

use unglue_frame::Looks;

use super::RECV;
use crate::LabError;
use crate::coding::Coding;
use crate::connection::Connection;
use crate::server::{Event, ServedConnection};
use crate::shell::{Printed, Shell};

/// How long a client waits for the server's close, to see whether bytes come behind the last reply.
const PARTING: Duration = Duration::from_secs(1);

/// A server's half over TCP: each `recv` is a command, which is run, and its reply is sent in the dialect's way.
pub(super) fn serve_commands(
    session: &mut ServedConnection<'_>,
    shell: &Shell,
    send: impl Fn(&mut Connection, &Printed) -> Result<(), LabError>,
) -> Result<(), LabError> {
    let mut buffer = [0; RECV];
    loop {
        let command = match session.recv_command(&mut buffer)? {
            0 => return Ok(()),
            n => &buffer[..n],
        };
        refuse_browsers(command)?;
        let printed = session.run(shell, command)?;
        send(&mut session.connection, &printed)?;
        session.tell(&Event::ran(command, &printed));
    }
}

/// Any page in a browser on this machine can send a request to a loopback port, and a shell would run what it finds in it.
fn refuse_browsers(command: &[u8]) -> Result<(), LabError> {
    let target = command.split(|byte| *byte == b' ').nth(1).and_then(|word| word.first());
    match matches!(Looks::of(command), Some(Looks::Http(_))) && target == Some(&b'/') {
        true => Err(LabError::malformed("an HTTP request", "it is not run; a browser has no business here")),
        false => Ok(()),
    }
}

/// Receives a reply of so many bytes.
pub(super) fn take_reply(
    connection: &mut Connection,
    bytes: u64,
    coding: Coding,
    reply: &mut dyn Write,
) -> Result<(), LabError> {
    let mut decoding = coding.decoding();
    connection.recv_each(bytes, "a reply", 1 << 16, |piece| decoding.pass(piece, reply).map_err(unwritable))?;
    decoding.end(reply).map_err(unwritable)
}

/// A client's close, where replies have a length: nothing may come behind the last one.
pub(super) fn part(connection: Connection) -> Result<(), LabError> {
    match connection.finish(PARTING) {
        Ok(finish) => refuse_late(finish.late),
        // It broke while nothing was owed.
        Err(_) => Ok(()),
    }
}

/// Bytes behind a reply: the length was wrong, or it was cut in two.
pub(super) fn refuse_late(late: u64) -> Result<(), LabError> {
    match late {
        0 => Ok(()),
        n => Err(LabError::malformed(
            format!("{n} bytes behind the reply"),
            "the last reply shown is not whole: its length was too small or came in pieces, or the command had more than the \
             1,024 bytes that a server takes at once",
        )),
    }
}

/// What to make of a length that can't be one.
pub(super) fn advice_on(length: [u8; 4], most: u32) -> String {
    let swapped = i32::from_ne_bytes(length).swap_bytes();
    let other = u32::try_from(swapped).ok().filter(|other| *other > 0 && *other <= most);
    match Looks::of(&length).or(other.map(|other| Looks::OtherOrder(other.into()))) {
        Some(looks) => looks.to_string(),
        None => "a length is a signed number of four bytes in this machine's order; the peer lost its place, or \
                 speaks another dialect"
            .into(),
    }
}

/// A length as `struct.pack('i', n)` writes it, if it is none below zero.
pub(super) fn length_of(bytes: [u8; 4], what: &str) -> Result<u32, LabError> {
    let length = i32::from_ne_bytes(bytes);
    u32::try_from(length).map_err(|_| LabError::malformed(format!("{length} as {what}"), advice_on(bytes, 1 << 20)))
}

pub(super) fn unwritable(error: io::Error) -> LabError {
    LabError::Output { source: error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_text_is_told_as_such() {
        let error = length_of([0xff; 4], "a length").expect_err("below zero").to_string();
        assert!(error.starts_with("the peer sent -1 as a length; a length is a signed number"), "{error}");
        assert!(advice_on(*b"GET ", 100).contains("`GET ` in ASCII: is the peer speaking HTTP?"));
        assert!(advice_on(5_i32.to_be_bytes(), 100).contains("in the other byte order it is 5"));
    }
}
