//! What a wrong length really was: most absurd lengths are the first bytes of another protocol.

use core::fmt;

/// What the bytes at a bad length look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Looks {
    /// An HTTP request or reply, which begins with these bytes.
    Http([u8; 4]),
    /// The first record of a TLS handshake.
    Tls,
    /// The banner of an SSH server or client.
    Ssh,
    /// The client preface of HTTP/2, in clear.
    Http2,
    /// A JSON object or array.
    Json,
    /// Printable text of no protocol known here, which begins with these bytes.
    Text([u8; 4]),
    /// The length with its bytes in the other order would have been fine: this value.
    OtherOrder(u64),
}

const HTTP: [&[u8]; 9] = [b"GET ", b"POST", b"PUT ", b"HEAD", b"HTTP", b"DELE", b"OPTI", b"PATC", b"CONN"];

/// Guesses from the first bytes of a frame (or of its length field, which comes to the same for a bad one).
pub(crate) fn guess(bytes: &[u8]) -> Option<Looks> {
    let first: &[u8; 4] = bytes.first_chunk()?;
    if first == b"PRI " {
        return Some(Looks::Http2);
    }
    if HTTP.contains(&&first[..]) {
        return Some(Looks::Http(*first));
    }
    if first == b"SSH-" {
        return Some(Looks::Ssh);
    }
    if first[0] == 0x16 && first[1] == 3 && first[2] <= 4 {
        return Some(Looks::Tls);
    }
    let text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    if !first.iter().all(text) {
        return None;
    }
    Some(if matches!(first[0], b'{' | b'[') { Looks::Json } else { Looks::Text(*first) })
}

impl Looks {
    /// Guesses from the first four bytes of what should have been a frame; `None` if they resemble nothing known.
    ///
    /// ```
    /// use unglue_frame::Looks;
    ///
    /// assert_eq!(Looks::of(b"GET / HTTP/1.1"), Some(Looks::Http(*b"GET ")));
    /// assert_eq!(Looks::of(&[0, 0, 0, 5]), None);
    /// ```
    pub fn of(bytes: &[u8]) -> Option<Looks> {
        guess(bytes)
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Looks::Http(first) => write!(f, "that is `{}` in ASCII: is the peer speaking HTTP?", first.escape_ascii()),
            Looks::Http2 => f.write_str("that is `PRI ` in ASCII: is the peer speaking HTTP/2?"),
            Looks::Tls => f.write_str("that begins a TLS handshake: does the peer expect TLS here?"),
            Looks::Ssh => f.write_str("that is `SSH-` in ASCII: is the other end an SSH server?"),
            Looks::Json => f.write_str("that looks like JSON: does the peer send it without a length?"),
            Looks::Text(first) => {
                write!(f, "that is `{}` in ASCII: is the peer speaking a text protocol?", first.escape_ascii())
            }
            Looks::OtherOrder(value) => {
                write!(f, "in the other byte order it is {value}: do both ends agree on the order?")
            }
        }
    }
}
