//! Ed25519 keys in PKCS#8 (RFC 8410 section 7, RFC 5958), as `openssl genpkey` writes them. OpenSSH reads them from
//! release 9.6 on.

use super::openssh::Unusable;
use crate::key::KeyError;
use crate::private_key::PrivateKey;

/// The label of its block, where it is not encrypted.
pub(super) const LABEL: &[u8] = b"PRIVATE KEY";

/// The algorithm: a sequence of the identifier 1.3.101.112 alone.
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// The identifiers of the other kinds, and the names that people know them by.
const OTHER_KINDS: [(&[u8], &str); 4] = [
    (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], "RSA"),
    (&[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01], "ECDSA"),
    (&[0x06, 0x03, 0x2b, 0x65, 0x71], "Ed448"),
    (&[0x06, 0x03, 0x2b, 0x65, 0x6e], "X25519"),
];

/// The DER tags that are needed.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// Reads the key from its DER. Attributes and the public half, which may follow it, are passed over.
pub(super) fn parse(der: &[u8]) -> Result<PrivateKey, Unusable> {
    let damaged = Unusable::Damaged("its DER is damaged");
    let (whole, rest) = element(der, SEQUENCE).ok_or(damaged.clone())?;
    let (version, after_version) = element(whole, INTEGER).ok_or(damaged.clone())?;
    if !rest.is_empty() || !matches!(version, [0 | 1]) {
        return Err(damaged);
    }
    let (_, after_algorithm) = element(after_version, SEQUENCE).ok_or(damaged.clone())?;
    let algorithm = &after_version[..after_version.len() - after_algorithm.len()];
    if algorithm != ED25519 {
        let kind = OTHER_KINDS.iter().find(|(identifier, _)| algorithm[2..].starts_with(identifier));
        let kind = kind.map_or("unknown", |(_, name)| name).to_owned();
        return Err(Unusable::Key(KeyError::Unsupported { kind }));
    }
    let seed = element(after_algorithm, OCTETS).and_then(|(inner, _)| element(inner, OCTETS));
    let seed = seed.filter(|(_, rest)| rest.is_empty()).and_then(|(seed, _)| seed.try_into().ok());
    Ok(PrivateKey::from_seed(seed.ok_or(damaged)?))
}

/// The contents of the element with this tag at the start, and what follows it. Lengths of up to 64 KiB are read.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *der.strip_prefix(&[tag])? {
        [length @ 0..=0x7f, ref rest @ ..] => (usize::from(length), rest),
        [0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_and_damage_is_not() {
        let key = PrivateKey::from_seed(&[9; 32]);
        let first = key.to_pkcs8_der();
        assert_eq!(parse(&first).map(|read| read.public_key()), Ok(key.public_key()));
        // Version 2, with the public half behind the private one (RFC 5958).
        let mut second = [&first[..], &[0x81, 0x21, 0x00], key.public_key().as_ed25519()].concat();
        second[1] += 35;
        second[4] = 1;
        assert_eq!(parse(&second).map(|read| read.public_key()), Ok(key.public_key()));
        for length in 0..first.len() {
            assert!(parse(&first[..length]).is_err(), "{length}");
        }
        let mut other = first.clone();
        other[11] = 0x71;
        assert_eq!(parse(&other).err(), Some(Unusable::Key(KeyError::Unsupported { kind: "Ed448".into() })));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
