//! DER (X.690), as far as private keys and raw public keys need it.

use zeroize::Zeroizing;

/// The tags that are needed.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

/// The contents of the element with this tag at the start, and what follows it. Lengths of up to 64 KiB are read.
pub(super) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *der.strip_prefix(&[tag])? {
        [length @ 0..=0x7f, ref rest @ ..] => (usize::from(length), rest),
        [0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Appends an element of at most 64 KiB.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    out.push(tag);
    match contents.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend_from_slice(&[0x81, length as u8]),
        length => out.extend_from_slice(&[0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(contents);
}

/// Appends a positive integer, given as big-endian bytes.
pub(super) fn put_integer(out: &mut Vec<u8>, magnitude: &[u8]) {
    let start = magnitude.iter().position(|&byte| byte != 0).unwrap_or(magnitude.len());
    let digits = &magnitude[start..];
    let mut contents = Zeroizing::new(Vec::with_capacity(digits.len() + 1));
    if digits.first().is_none_or(|&byte| byte & 0x80 != 0) {
        contents.push(0);
    }
    contents.extend_from_slice(digits);
    put(out, INTEGER, &contents);
}
