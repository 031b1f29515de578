//! Moving the bytes of the handshake and of the messages before the streams.

use std::io::IoSlice;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use unglue_proto::{Code, Fault};

use crate::tls;
use crate::wire::{Received, Wire};

/// Bytes that are read at once before authentication: what a stranger can cost is bounded by this and TLS's own limits.
const READ: usize = 4096;

/// A connection before its streams: TLS, and what arrived.
pub(super) struct Session {
    pub(super) tcp: TcpStream,
    pub(super) wire: Wire,
    /// Plain bytes that arrived and were not yet taken.
    pub(super) unread: Vec<u8>,
}

impl Session {
    pub(super) fn new(tcp: TcpStream, tls: rustls::Connection) -> Session {
        Session { tcp, wire: Wire::Tls(Box::new(tls)), unread: Vec::new() }
    }

    /// The handshake, to the point where this end may send data; its own last flight is still to be sent.
    pub(super) async fn handshake(&mut self) -> Result<(), Fault> {
        loop {
            if !self.wire.is_handshaking() {
                return tls::check_alpn(self.tls()?);
            }
            self.send().await?;
            if let Err(fault) = self.receive().await {
                // The alert that says why goes out before the connection ends.
                let _ = self.send().await;
                return Err(fault);
            }
        }
    }

    pub(super) fn tls(&self) -> Result<&rustls::Connection, Fault> {
        match &self.wire {
            Wire::Tls(tls) => Ok(tls),
            Wire::Plain(_) => Err(Fault::us("a TCP connection without TLS")),
        }
    }

    /// Seals a message for the next flight.
    pub(super) fn queue(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.wire.seal(&mut [IoSlice::new(message)])
    }

    /// Sends what is queued.
    pub(super) async fn send(&mut self) -> Result<(), Fault> {
        let mut flight = Vec::new();
        while self.wire.wants_write() {
            self.wire.write_to(&mut flight).map_err(lost)?;
        }
        self.tcp.write_all(&flight).await.map_err(lost)
    }

    /// Reads once; plain bytes go to `unread`.
    pub(super) async fn receive(&mut self) -> Result<(), Fault> {
        let mut buffer = [0; READ];
        let len = self.tcp.read(&mut buffer).await.map_err(lost)?;
        if len == 0 {
            return Err(Fault::system(Code::LinkLost, "the other end closed the connection before it was set up"));
        }
        let unread = &mut self.unread;
        let received = self.wire.open(&buffer[..len], |plain| {
            unread.extend_from_slice(plain);
            Ok(())
        })?;
        match received {
            Received::Open => Ok(()),
            // The last words came with the end: they are read first.
            Received::Closed if !self.unread.is_empty() => Ok(()),
            Received::Closed => Err(Fault::system(Code::LinkLost, "the other end closed the link")),
        }
    }

    /// Sends what is queued and the orderly end, then reads and drops until the peer has closed too: it must not see a
    /// reset before our last words. The caller sets the deadline.
    pub(super) async fn part(&mut self) {
        self.wire.close();
        if self.send().await.is_err() || self.tcp.shutdown().await.is_err() {
            return;
        }
        let mut buffer = [0; READ];
        while matches!(self.tcp.read(&mut buffer).await, Ok(len) if len > 0) {}
    }
}

fn lost(error: std::io::Error) -> Fault {
    Fault::system(Code::LinkLost, format!("the connection failed: {error}"))
}
