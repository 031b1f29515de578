//! From the link's plain bytes to what travels on the wire, and back: TLS records, or nothing at all.
//!
//! Sans-IO, as rustls is: the caller moves the bytes. Links over TCP use TLS; links that authenticate by themselves (a
//! unix socket, an `ssh` process, memory) are plain.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, IoSlice, Write};

use bytes::{Buf as _, Bytes};
use rustls::Connection;
use unglue_proto::Blame;
use unglue_proto::mux::Gather;

use crate::error::LinkError;

/// Pieces that are written at once.
const PIECES: usize = 32;

/// The two ways in which plain bytes travel, each with what is still to be sent.
pub(crate) enum Wire {
    /// As they are.
    Plain(VecDeque<Bytes>),
    /// In TLS 1.3 records.
    Tls(Box<Connection>),
}

/// What the peer did besides sending bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// More may follow.
    Open,
    /// The peer closed its direction in order (a TLS close_notify).
    Closed,
}

impl Wire {
    /// A wire that changes nothing.
    pub(crate) fn plain() -> Wire {
        Wire::Plain(VecDeque::new())
    }

    /// Takes plain bytes to be sent, in pieces that follow each other; they are encrypted at once.
    pub(crate) fn seal(&mut self, mut pieces: &mut [IoSlice<'_>]) -> Result<(), LinkError> {
        match self {
            Wire::Plain(queue) => queue.extend(pieces.iter().map(|piece| Bytes::copy_from_slice(piece))),
            Wire::Tls(tls) => {
                while !pieces.is_empty() {
                    let taken = tls.writer().write_vectored(pieces);
                    let taken = taken.map_err(|error| LinkError::tls("TLS took no data", error))?;
                    IoSlice::advance_slices(&mut pieces, taken);
                }
            }
        }
        Ok(())
    }

    /// Takes all plain bytes of `gathered`, which is empty then. Bytes that travel as they are, are not copied.
    pub(crate) fn seal_gathered(&mut self, gathered: &mut Gather) -> Result<(), LinkError> {
        if let Wire::Plain(queue) = self {
            queue.extend(gathered.take());
            return Ok(());
        }
        self.seal(&mut gathered.slices())?;
        gathered.clear();
        Ok(())
    }

    /// Whether there is something for [`Wire::write_to`].
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Wire::Plain(queue) => !queue.is_empty(),
            Wire::Tls(tls) => tls.wants_write(),
        }
    }

    /// Writes some of what is to be sent, and returns how much `io` took.
    pub(crate) fn write_to(&mut self, io: &mut dyn Write) -> io::Result<usize> {
        match self {
            Wire::Plain(queue) => write_plain(queue, io),
            Wire::Tls(tls) => tls.write_tls(io),
        }
    }

    /// Queues the orderly end.
    pub(crate) fn close(&mut self) {
        if let Wire::Tls(tls) = self {
            tls.send_close_notify();
        }
    }

    /// Takes bytes from the wire and hands their plain bytes to `deliver`, in pieces.
    ///
    /// # Errors
    /// The records don't hold (tampered with, or no TLS at all), or `deliver` failed.
    pub(crate) fn open(
        &mut self,
        mut input: &[u8],
        mut deliver: impl FnMut(&[u8]) -> Result<(), LinkError>,
    ) -> Result<Received, LinkError> {
        let Wire::Tls(tls) = self else {
            deliver(input)?;
            return Ok(Received::Open);
        };
        while !input.is_empty() {
            tls.read_tls(&mut input).map_err(|error| LinkError::tls("TLS took no bytes", error))?;
            let state = tls.process_new_packets().map_err(tls_error)?;
            if state.plaintext_bytes_to_read() > 0 {
                deliver_all(tls, &mut deliver)?;
            }
            if state.peer_has_closed() {
                return Ok(Received::Closed);
            }
        }
        Ok(Received::Open)
    }

    /// Whether the handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Wire::Plain(_) => false,
            Wire::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Whether an end of input without an orderly end would be a truncation that nobody signed.
    pub(crate) fn needs_close(&self) -> bool {
        matches!(self, Wire::Tls(_))
    }
}

fn write_plain(queue: &mut VecDeque<Bytes>, io: &mut dyn Write) -> io::Result<usize> {
    let slices: Vec<IoSlice<'_>> = queue.iter().take(PIECES).map(|piece| IoSlice::new(piece)).collect();
    let taken = io.write_vectored(&slices)?;
    let mut left = taken;
    while let Some(front) = queue.front_mut() {
        if left < front.len() {
            front.advance(left);
            break;
        }
        left -= front.len();
        queue.pop_front();
    }
    Ok(taken)
}

fn deliver_all(
    tls: &mut Connection,
    deliver: &mut impl FnMut(&[u8]) -> Result<(), LinkError>,
) -> Result<(), LinkError> {
    let mut reader = tls.reader();
    // WouldBlock ends it: everything that was decrypted is delivered.
    while let Ok(chunk) = reader.fill_buf() {
        if chunk.is_empty() {
            break;
        }
        deliver(chunk)?;
        let len = chunk.len();
        reader.consume(len);
    }
    Ok(())
}

/// The error for a failure of TLS.
fn tls_error(error: rustls::Error) -> LinkError {
    use rustls::Error::*;
    let (what, advice) = match &error {
        InvalidMessage(what) => (
            format!("what arrived is not TLS 1.3 ({what:?})"),
            "check the port: is it an unglue server that listens there?",
        ),
        AlertReceived(alert) => {
            return LinkError::Alert { alert: format!("{alert:?}") };
        }
        error => (format!("TLS failed: {error}"), ""),
    };
    LinkError::Tls { what, advice, blame: Blame::Peer, source: Some(std::sync::Arc::new(error)) }
}
