//! The SSH wire encoding (RFC 4251 section 5), as far as keys, signatures and the agent need it.
//!
//! Reading borrows from the input and allocates nothing: a length that a peer announces is only ever
//! compared with the bytes that are there. (`ssh-encoding` 0.2 allocates up to 1 MiB for an announced length
//! before it looks, which is why input from the network is not given to it.)

/// A position in bytes that are being read; every method gives `None` where the input is too short.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes exactly `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes a `uint32`, most significant byte first.
    pub(super) fn uint32(&mut self) -> Option<u32> {
        let (taken, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*taken))
    }

    /// Takes a `string`: a `uint32` length and that many bytes.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint32()?).ok()?;
        self.take(length)
    }

    /// Takes a `uint64`, most significant byte first.
    pub(super) fn uint64(&mut self) -> Option<u64> {
        let (taken, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*taken))
    }

    /// Takes a positive `mpint` as big-endian bytes without leading zeros. As OpenSSH, it reads numbers that have more
    /// leading zeros than they need, and no negative ones.
    pub(super) fn mpint(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|&byte| byte & 0x80 != 0) {
            return None;
        }
        let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        Some(&bytes[start..])
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read. A parser must end here, or it took a longer message for a shorter one.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Appends a `string`.
///
/// # Panics
///
/// If `bytes` is 4 GiB or longer: every caller writes keys, names and signatures of its own making.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a key, name or signature is shorter than 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a positive number, given as big-endian bytes, as the shortest `mpint`.
pub(super) fn put_mpint(out: &mut Vec<u8>, magnitude: &[u8]) {
    let start = magnitude.iter().position(|&byte| byte != 0).unwrap_or(magnitude.len());
    let digits = &magnitude[start..];
    match digits.first() {
        Some(&byte) if byte & 0x80 != 0 => put_string(out, &[&[0], digits].concat()),
        _ => put_string(out, digits),
    }
}

/// An algorithm's name as a peer or a file wrote it, if it is fit to be shown: 1 to 64 visible ASCII characters.
pub(super) fn algorithm_name(bytes: &[u8]) -> Option<&str> {
    let fit = (1..=64).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(bytes).ok().filter(|_| fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_back_in_order_and_end_empty() {
        let mut bytes = Vec::new();
        put_string(&mut bytes, b"one");
        put_string(&mut bytes, b"");
        bytes.push(7);
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.string(), Some(&b"one"[..]));
        assert_eq!(cursor.string(), Some(&b""[..]));
        assert!(!cursor.is_empty());
        assert_eq!(cursor.take(1), Some(&[7][..]));
        assert!(cursor.is_empty());
        assert_eq!(cursor.take(1), None);
    }

    #[test]
    fn an_announced_length_beyond_the_input_is_refused() {
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 1]).string(), None);
        assert_eq!(Cursor::new(&[0, 0, 0]).uint32(), None);
    }

    #[test]
    fn names_unfit_to_be_shown_are_refused() {
        assert_eq!(algorithm_name(b"ssh-rsa"), Some("ssh-rsa"));
        for unfit in [&b""[..], b"a b", b"\x1b[31m", "\u{e9}".as_bytes(), &[b'a'; 65]] {
            assert_eq!(algorithm_name(unfit), None);
        }
    }
}
