//! ClientHellos written by hand (RFC 8446 section 4.1.2): good ones, and those that want what unglue has not.

use crate::Prng;

/// What varies.
pub(super) struct ClientHello {
    /// Whether TLS 1.3 is offered; otherwise 1.2 alone.
    pub(super) tls13: bool,
    /// Whether a raw public key will do (RFC 7250); otherwise an X.509 certificate is wanted.
    pub(super) raw_public_key: bool,
    /// The application protocol.
    pub(super) alpn: &'static [u8],
}

impl Default for ClientHello {
    fn default() -> Self {
        ClientHello { tls13: true, raw_public_key: true, alpn: b"unglue/1" }
    }
}

const SERVER_CERTIFICATE_TYPE: u16 = 20;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

impl ClientHello {
    /// The TLS record that carries it.
    pub(super) fn record(&self) -> Vec<u8> {
        let body = self.body();
        let length = (body.len() as u32).to_be_bytes();
        let message = [&[1], &length[1..], &body].concat();
        [b"\x16\x03\x01".as_slice(), &vector16(&message)].concat()
    }

    fn body(&self) -> Vec<u8> {
        let mut random = Prng::new(7);
        let suites: &[u8] = if self.tls13 { b"\x13\x01\x13\x02\x13\x03" } else { b"\xc0\x2b\xc0\x2f" };
        let mut body = b"\x03\x03".to_vec();
        body.extend(random.bytes(32));
        body.extend(vector8(&random.bytes(32)));
        body.extend(vector16(suites));
        body.extend(vector8(&[0]));
        body.extend(vector16(&self.extensions(&random.bytes(32))));
        body
    }

    fn extensions(&self, x25519: &[u8]) -> Vec<u8> {
        let mut all = extension(SUPPORTED_GROUPS, &vector16(b"\x00\x1d"));
        all.extend(extension(SIGNATURE_ALGORITHMS, &vector16(b"\x08\x07\x04\x03\x08\x04")));
        all.extend(extension(ALPN, &vector16(&vector8(self.alpn))));
        if self.tls13 {
            all.extend(extension(SUPPORTED_VERSIONS, &vector8(b"\x03\x04")));
            all.extend(extension(KEY_SHARE, &vector16(&[b"\x00\x1d".as_slice(), &vector16(x25519)].concat())));
        }
        if self.raw_public_key {
            all.extend(extension(SERVER_CERTIFICATE_TYPE, &vector8(&[2])));
        }
        all
    }
}

/// A handshake message that announces 16 MiB, and the first MiB of it.
pub(super) fn endless_message() -> Vec<u8> {
    const RECORD: usize = 16 * 1024;
    let mut records = Vec::new();
    for number in 0..64 {
        let mut payload = vec![0; RECORD];
        if number == 0 {
            payload[..4].copy_from_slice(b"\x01\xff\xff\xff");
        }
        records.extend_from_slice(b"\x16\x03\x01");
        records.extend(vector16(&payload));
    }
    records
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &vector16(data)].concat()
}

/// Bytes behind their length in one byte.
fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

/// Bytes behind their length in two bytes.
fn vector16(bytes: &[u8]) -> Vec<u8> {
    [(bytes.len() as u16).to_be_bytes().as_slice(), bytes].concat()
}
