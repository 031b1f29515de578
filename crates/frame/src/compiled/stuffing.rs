//! COBS and SLIP: the delimiter never stands in the data, since it is taken out or escaped.

use super::blocks::copy_until;
use crate::{
    Fault, Output,
    find::{find, find_any},
};

/// SLIP's delimiter (RFC 1055).
pub(crate) const END: u8 = 0xc0;
pub(super) const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;

/// The most bytes that COBS makes of so many.
pub(crate) fn cobs_bound(data: u64) -> u64 {
    data.saturating_add(data / 254).saturating_add(1)
}

/// Decodes COBS (Cheshire and Baker, 1999), without its final zero, at most `most` bytes. `out` is as long as `bytes` at
/// least. Gives the number of bytes.
pub(super) fn cobs_decode(bytes: &[u8], most: usize, out: &mut [u8]) -> Result<usize, Fault> {
    let (mut at, mut len) = (0, 0);
    while at < bytes.len() && len < most {
        let (code, rest) = (usize::from(bytes[at]), &bytes[at + 1..]);
        let run = code.wrapping_sub(1);
        if run > rest.len() && len + rest.len() < most {
            return Err(Fault::CobsBlock { at: at as u64, runs: code as u64, have: (bytes.len() - at) as u64 });
        }
        copy_run(rest, run.min(rest.len()), &mut out[len..]);
        len += run.min(rest.len());
        at += code;
        if code < 255 && at < bytes.len() {
            out[len] = 0;
            len += 1;
        }
    }
    Ok(len.min(most))
}

/// Copies the first `run` bytes. Those behind them may change in `to`.
#[inline(always)]
fn copy_run(from: &[u8], run: usize, to: &mut [u8]) {
    const SHORT: usize = 32;
    match (from.first_chunk::<SHORT>(), to.first_chunk_mut::<SHORT>()) {
        // A copy whose size is known takes less.
        (Some(from), Some(to)) if run <= SHORT => *to = *from,
        _ => to[..run].copy_from_slice(&from[..run]),
    }
}

/// How many bytes COBS decodes to. What runs beyond the end counts as far as it is there.
pub(super) fn cobs_size(bytes: &[u8]) -> usize {
    let (mut at, mut len) = (0, 0);
    while at < bytes.len() {
        let code = usize::from(bytes[at]);
        len += (code - 1).min(bytes.len() - at - 1);
        at += code;
        len += usize::from(code < 255 && at < bytes.len());
    }
    len
}

/// Appends `data` as COBS, with its final zero.
pub(crate) fn cobs_encode(data: &[u8], out: &mut impl Output) {
    out.reserve(cobs_bound(data.len() as u64) as usize + 1);
    let mut rest = data;
    loop {
        let zero = find(&[0], rest);
        let (mut block, after) = match zero {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        while block.len() >= 254 {
            out.put(&[255]);
            out.put(&block[..254]);
            block = &block[254..];
            // A full block at the very end needs no empty one behind it.
            if block.is_empty() && after.is_none() {
                out.put(&[0]);
                return;
            }
        }
        out.put(&[block.len() as u8 + 1]);
        out.put(block);
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    out.put(&[0]);
}

/// Decodes SLIP, without its END, at most `most` bytes. `out` is as long as `bytes` at least. Gives the number of bytes.
pub(super) fn slip_decode(bytes: &[u8], most: usize, out: &mut [u8]) -> Result<usize, Fault> {
    let most = most.min(out.len());
    let (mut at, mut len) = (0, 0);
    loop {
        let plain = copy_until(ESC, ESC, &bytes[at..], &mut out[len..most]);
        len += plain;
        at += plain;
        if at == bytes.len() || len == most {
            return Ok(len);
        }
        let got = bytes.get(at + 1).copied();
        if !matches!(got, Some(ESC_END | ESC_ESC)) {
            return Err(Fault::SlipEscape { at: at as u64, got });
        }
        // Without a branch, which would be guessed wrongly half of the time.
        out[len] = if got == Some(ESC_END) { END } else { ESC };
        len += 1;
        at += 2;
    }
}

/// How many bytes SLIP decodes to.
pub(super) fn slip_size(bytes: &[u8]) -> usize {
    bytes.len() - bytes.iter().filter(|byte| **byte == ESC).count()
}

/// Appends `data` as SLIP, with its END.
pub(crate) fn slip_encode(data: &[u8], out: &mut impl Output) {
    out.reserve(data.len() + 1);
    let mut rest = data;
    while let Some(at) = find_any(&[END, ESC], rest) {
        out.put(&rest[..at]);
        out.put(&[ESC, if rest[at] == END { ESC_END } else { ESC_ESC }]);
        rest = &rest[at + 1..];
    }
    out.put(rest);
    out.put(&[END]);
}
