//! The messages before the streams, and the bytes of the handshake before them.

use std::io::IoSlice;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use unglue_proto::Blame;
use unglue_proto::control::Inbox;
use unglue_proto::limits::AUTH_MESSAGE;

use crate::error::LinkError;
use crate::transport::wire::{Received, Wire};
use crate::transport::{Io, tls};

/// Bytes that are read at once before authentication: what an unauthenticated peer can cost is bounded by this and TLS's
/// own limits.
const READ: usize = 4096;

/// A connection before its streams: how it is encrypted, and what has arrived.
pub(crate) struct Opening<T> {
    pub(crate) io: T,
    pub(crate) wire: Wire,
    /// Plain bytes that arrived and were not yet taken.
    pub(crate) unread: Vec<u8>,
}

impl<T: Io> Opening<T> {
    pub(crate) fn new(io: T, wire: Wire) -> Opening<T> {
        Opening { io, wire, unread: Vec::new() }
    }

    /// The handshake, to the point where this end may send data; its own last flight is still to be sent. `answered` is
    /// called when a flight has been sent.
    pub(crate) async fn handshake(&mut self, mut answered: impl FnMut()) -> Result<(), LinkError> {
        loop {
            if !self.wire.is_handshaking() {
                return tls::check_alpn(self.tls()?);
            }
            if self.send().await? {
                answered();
            }
            if let Err(fault) = self.receive().await {
                // The alert with the reason goes out before the connection ends.
                let _ = self.send().await;
                return Err(fault);
            }
        }
    }

    pub(crate) fn tls(&self) -> Result<&rustls::Connection, LinkError> {
        match &self.wire {
            Wire::Tls(tls) => Ok(tls),
            Wire::Plain(_) => {
                let what = "a handshake on a connection without TLS".into();
                Err(LinkError::Tls { what, advice: "", blame: Blame::Us, source: None })
            }
        }
    }

    /// Seals a message for the next flight.
    pub(crate) fn queue(&mut self, message: &[u8]) -> Result<(), LinkError> {
        self.wire.seal(&mut [IoSlice::new(message)])
    }

    /// Sends what is queued; returns whether anything was.
    pub(crate) async fn send(&mut self) -> Result<bool, LinkError> {
        let mut flight = Vec::new();
        while self.wire.wants_write() {
            self.wire.write_to(&mut flight)?;
        }
        self.io.write_all(&flight).await?;
        Ok(!flight.is_empty())
    }

    /// The peer's next message. Cancelled, it has lost nothing that `inbox` or `unread` doesn't hold.
    pub(crate) async fn next<M: DeserializeOwned>(&mut self, inbox: &mut Inbox) -> Result<M, LinkError> {
        loop {
            inbox.feed(&std::mem::take(&mut self.unread));
            if let Some(message) = inbox.next().map_err(protocol)? {
                return Ok(message);
            }
            self.receive().await?;
        }
    }

    /// Reads once; plain bytes go to `unread`.
    pub(crate) async fn receive(&mut self) -> Result<(), LinkError> {
        let mut buffer = [0; READ];
        let len = self.io.read(&mut buffer).await?;
        if len == 0 {
            return Err(LinkError::ClosedEarly);
        }
        let unread = &mut self.unread;
        let received = self.wire.open(&buffer[..len], |plain| {
            unread.extend_from_slice(plain);
            Ok(())
        })?;
        match received {
            Received::Open => Ok(()),
            // The peer's last message came with the end: it is read first.
            Received::Closed if !self.unread.is_empty() => Ok(()),
            Received::Closed => Err(LinkError::ClosedByPeer { reason: None }),
        }
    }

    /// Sends what is queued and the orderly end, then reads and drops until the peer has closed too: a reset would destroy
    /// the last message on its way. The caller sets the deadline.
    pub(crate) async fn part(&mut self) {
        self.wire.close();
        if self.send().await.is_err() || self.io.shutdown().await.is_err() {
            return;
        }
        let mut buffer = [0; READ];
        while matches!(self.io.read(&mut buffer).await, Ok(len) if len > 0) {}
    }
}

/// A message that breaks a rule of the protocol.
pub(crate) fn protocol(fault: unglue_proto::Fault) -> LinkError {
    LinkError::Protocol { fault }
}

/// For the messages before the streams.
pub(crate) fn inbox() -> Inbox {
    Inbox::new(AUTH_MESSAGE)
}
