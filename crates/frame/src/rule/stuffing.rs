//! COBS and SLIP: the delimiter never stands in the data, since it is taken out or escaped.

use crate::{Fault, Output};

/// SLIP's delimiter (RFC 1055).
pub(crate) const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;

/// The most bytes that COBS makes of so many.
pub(crate) fn cobs_bound(data: u64) -> u64 {
    data.saturating_add(data / 254).saturating_add(1)
}

/// Decodes COBS (Cheshire and Baker, 1999), without its final zero. `out` is as long as `bytes` at least. Gives the
/// number of bytes.
pub(super) fn cobs_decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let (mut at, mut len) = (0, 0);
    while at < bytes.len() {
        let code = usize::from(bytes[at]);
        let Some(block) = bytes.get(at + 1..at + code) else {
            return Err(Fault::CobsBlock { at: at as u64, runs: code as u64, have: (bytes.len() - at) as u64 });
        };
        out[len..len + block.len()].copy_from_slice(block);
        len += block.len();
        at += code;
        if code < 255 && at < bytes.len() {
            out[len] = 0;
            len += 1;
        }
    }
    Ok(len)
}

/// Appends `data` as COBS, with its final zero.
pub(crate) fn cobs_encode(data: &[u8], out: &mut impl Output) {
    let mut blocks = data.split(|byte| *byte == 0).peekable();
    while let Some(mut block) = blocks.next() {
        while block.len() >= 254 {
            out.put(&[255]);
            out.put(&block[..254]);
            block = &block[254..];
            // A full block at the very end needs no empty one behind it.
            if block.is_empty() && blocks.peek().is_none() {
                out.put(&[0]);
                return;
            }
        }
        out.put(&[block.len() as u8 + 1]);
        out.put(block);
    }
    out.put(&[0]);
}

/// Decodes SLIP, without its END. `out` is as long as `bytes` at least. Gives the number of bytes.
pub(super) fn slip_decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let (mut at, mut len) = (0, 0);
    while at < bytes.len() {
        let byte = match (bytes[at], bytes.get(at + 1)) {
            (ESC, Some(&ESC_END)) => END,
            (ESC, Some(&ESC_ESC)) => ESC,
            (ESC, got) => return Err(Fault::SlipEscape { at: at as u64, got: got.copied() }),
            (byte, _) => byte,
        };
        at += if bytes[at] == ESC { 2 } else { 1 };
        out[len] = byte;
        len += 1;
    }
    Ok(len)
}

/// Appends `data` as SLIP, with its END.
pub(crate) fn slip_encode(data: &[u8], out: &mut impl Output) {
    let mut rest = data;
    while let Some(at) = rest.iter().position(|byte| matches!(*byte, END | ESC)) {
        out.put(&rest[..at]);
        out.put(&[ESC, if rest[at] == END { ESC_END } else { ESC_ESC }]);
        rest = &rest[at + 1..];
    }
    out.put(rest);
    out.put(&[END]);
}
