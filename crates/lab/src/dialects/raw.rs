//! `raw`: a line's text goes out, the outputs' bytes come back, and nothing says where either ends.
//!
//! The server takes one `recv(1024)` as one command. The client calls `recv(1024)` once: whatever that gives, it takes for
//! the reply. On a fast network with short replies this works nearly always, which is what makes it a trap.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::exchange::{serve_commands, unwritable};
use super::{Asks, RECV, Reply};
use crate::LabError;
use crate::coding::{Coding, Decoding};
use crate::connection::Connection;
use crate::server::{ServedConnection, Service};
use crate::shell::Shell;

/// The server's half.
#[derive(Debug)]
pub struct Raw(pub Shell);

impl Service for Raw {
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
        serve_commands(session, &self.0, |connection, printed| {
            connection.send_all(&printed.stderr, "a reply")?;
            connection.send_all(&printed.stdout, "a reply")
        })
    }
}

/// The client's half.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    coding: Coding,
    /// One for all replies: where one ends, nobody knows.
    decoding: Decoding,
}

impl Client {
    /// Connects. No wait is longer than `wait`.
    ///
    /// # Errors
    /// [`LabError`]: no program listens there.
    pub fn connect(address: SocketAddr, wait: Duration, coding: Coding) -> Result<Client, LabError> {
        Ok(Client { connection: Connection::connect(address, wait)?, coding, decoding: coding.decoding() })
    }

    /// Sends a command.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn send(&mut self, command: &[u8]) -> Result<(), LabError> {
        self.connection.send_all(&self.coding.to_wire(command), "a command")
    }

    /// One `recv(1024)`: that is the mistake. At the connection's end it is empty.
    ///
    /// # Errors
    /// [`LabError::Deadline`] if nothing comes.
    pub fn receive(&mut self) -> Result<Vec<u8>, LabError> {
        let mut buffer = vec![0; RECV];
        let patience = self.connection.patience();
        let n = self.connection.recv(&mut buffer, "a reply", patience)?;
        buffer.truncate(n);
        Ok(buffer)
    }

    /// How many bytes have arrived that were not received yet.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn queued(&self) -> Result<u64, LabError> {
        self.connection.queued()
    }
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        self.send(command)?;
        match self.receive() {
            Ok(bytes) if bytes.is_empty() => Err(LabError::Cut { what: "a reply".into(), got: 0, wanted: 1 }),
            Ok(bytes) => self.decoding.pass(&bytes, reply).map_err(unwritable).map(|()| Reply::Came),
            Err(LabError::Deadline { after, .. }) => Ok(Reply::Silence(after)),
            Err(error) => Err(error),
        }
    }

    fn leave(mut self: Box<Self>, reply: &mut dyn Write) -> Result<(), LabError> {
        // Whose bytes would be late? In this dialect nobody can say.
        self.decoding.end(reply).map_err(unwritable)
    }
}
