//! From the link's plain bytes to what travels on the wire, and back: TLS records, or nothing at all.
//!
//! Sans-IO, as rustls is: the caller moves the bytes. Links over TCP use TLS; links that authenticate by themselves (a
//! unix socket, an `ssh` process, memory) are plain.

use std::io::{BufRead as _, Write as _};

use rustls::Connection;
use unglue_proto::{Code, Fault};

/// The two ways in which plain bytes travel.
pub(crate) enum Wire {
    /// As they are.
    Plain,
    /// In TLS 1.3 records.
    Tls(Box<Connection>),
}

/// What else the peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// More may follow.
    Open,
    /// The peer closed its direction in order (a TLS close_notify).
    Closed,
}

impl Wire {
    /// Appends `plain`, as it travels, to `out`.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Wire::Plain => out.extend_from_slice(plain),
            Wire::Tls(tls) => {
                tls.writer().write_all(plain).map_err(|error| Fault::us(format!("TLS took no data: {error}")))?;
                drain(tls, out);
            }
        }
        Ok(())
    }

    /// Appends what the handshake or an alert has to say to `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        if let Wire::Tls(tls) = self {
            drain(tls, out);
        }
    }

    /// Appends the orderly end to `out`.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if let Wire::Tls(tls) = self {
            tls.send_close_notify();
            drain(tls, out);
        }
    }

    /// Takes bytes from the wire and hands their plain bytes to `deliver`, in pieces.
    ///
    /// # Errors
    /// The records don't hold (tampered with, or no TLS at all), or `deliver` failed.
    pub(crate) fn open(
        &mut self,
        mut input: &[u8],
        mut deliver: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<Received, Fault> {
        let Wire::Tls(tls) = self else {
            deliver(input)?;
            return Ok(Received::Open);
        };
        let mut received = Received::Open;
        while !input.is_empty() {
            tls.read_tls(&mut input).map_err(|error| Fault::us(format!("TLS took no bytes: {error}")))?;
            let state = tls.process_new_packets().map_err(tls_fault)?;
            if state.plaintext_bytes_to_read() > 0 {
                deliver_all(tls, &mut deliver)?;
            }
            if state.peer_has_closed() {
                received = Received::Closed;
                break;
            }
        }
        Ok(received)
    }

    /// Whether the handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Wire::Plain => false,
            Wire::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Whether an end of input without an orderly end would be a truncation that nobody signed.
    pub(crate) fn needs_close(&self) -> bool {
        matches!(self, Wire::Tls(_))
    }
}

fn drain(tls: &mut Connection, out: &mut Vec<u8>) {
    while tls.wants_write() {
        // Writing to a vector can't fail.
        if tls.write_tls(out).is_err() {
            break;
        }
    }
}

fn deliver_all(tls: &mut Connection, deliver: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
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

/// What a failure of TLS says about the peer.
fn tls_fault(error: rustls::Error) -> Fault {
    use rustls::Error::*;
    match error {
        InvalidMessage(what) => Fault::peer(Code::BadFrame, format!("what arrived is not TLS 1.3 ({what:?})"))
            .advise("check the port: is it an unglue server that listens there?"),
        AlertReceived(alert) => Fault::peer(Code::LinkLost, format!("the peer ended the TLS handshake: {alert:?}"))
            .advise("its log says why"),
        error => Fault::peer(Code::BadFrame, format!("TLS failed: {error}")),
    }
}
