//! `raw`: a line's text goes out, the outputs' bytes come back, and nothing says where either ends.
//!
//! The server takes one `recv(1024)` as one command. The client calls `recv(1024)` once: whatever that gives, it takes for
//! the reply. On a fast network with short replies this works nearly always, which is what makes it a trap.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Asks, RECV, Reply, unwritable};
use crate::LabError;
use crate::connection::Connection;
use crate::server::{Event, Service, Session};
use crate::shell::Shell;

/// The server's half.
#[derive(Debug)]
pub struct Raw(pub Shell);

impl Service for Raw {
    fn serve(&self, session: &mut Session<'_>) -> Result<(), LabError> {
        let mut buffer = [0; RECV];
        loop {
            let command = match session.recv_command(&mut buffer)? {
                0 => return Ok(()),
                n => &buffer[..n],
            };
            let printed = self.0.answer(command, session.settings().coding, session.stop())?;
            session.connection.send_all(&printed.stderr, "a reply")?;
            session.connection.send_all(&printed.stdout, "a reply")?;
            session.tell(&Event::ran(command, &printed));
        }
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

    /// Sends a command.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn send(&mut self, command: &[u8]) -> Result<(), LabError> {
        self.0.send_all(command, "a command")
    }

    /// One `recv(1024)`: that is the mistake. At the connection's end it is empty.
    ///
    /// # Errors
    /// [`LabError::Deadline`] if nothing comes.
    pub fn receive(&mut self) -> Result<Vec<u8>, LabError> {
        let mut buffer = vec![0; RECV];
        let patience = self.0.patience();
        let n = self.0.recv(&mut buffer, "a reply", patience)?;
        buffer.truncate(n);
        Ok(buffer)
    }

    /// How many bytes have arrived that were not received yet.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn queued(&self) -> Result<u64, LabError> {
        self.0.queued()
    }
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        self.send(command)?;
        match self.receive() {
            Ok(bytes) if bytes.is_empty() => Err(LabError::Cut { what: "a reply".into(), got: 0, wanted: 1 }),
            Ok(bytes) => reply.write_all(&bytes).map_err(unwritable).map(|()| Reply::Came),
            Err(LabError::Deadline { after, .. }) => Ok(Reply::Silence(after)),
            Err(error) => Err(error),
        }
    }

    fn leave(self: Box<Self>) -> Result<(), LabError> {
        // Whose bytes would be late? In this dialect nobody can say.
        Ok(())
    }
}
