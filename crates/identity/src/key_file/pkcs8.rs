//! Private keys in PKCS#8 (RFC 5958), as `openssl genpkey` and `ssh-keygen -m PKCS8` write them. OpenSSH reads ed25519 keys
//! of this format from release 9.6 on.

use super::openssh::Unusable;
use crate::der::{INTEGER, OCTETS, SEQUENCE, element};
use crate::key::KeyError;
use crate::private_key::PrivateKey;
use pkcs8::EncryptedPrivateKeyInfo;
use zeroize::Zeroizing;

/// The label of its block, where it is not encrypted.
pub(super) const LABEL: &[u8] = b"PRIVATE KEY";

/// The label of its block, where it is.
pub(super) const ENCRYPTED_LABEL: &[u8] = b"ENCRYPTED PRIVATE KEY";

/// The algorithm: a sequence of the identifier 1.3.101.112 alone.
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The identifiers of the other kinds, and the names that people know them by.
const OTHER_KINDS: [(&[u8], &str); 3] = [
    (&[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
    (&[0x06, 0x03, 0x2b, 0x65, 0x71], "Ed448"),
    (&[0x06, 0x03, 0x2b, 0x65, 0x6e], "X25519"),
];

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
    let (identifier, _) = element(algorithm, SEQUENCE).ok_or(damaged.clone())?;
    let identifier = &algorithm[algorithm.len() - identifier.len()..];
    let (inner, _) = element(after_algorithm, OCTETS).ok_or(damaged.clone())?;
    if algorithm == ED25519 {
        let seed = element(inner, OCTETS).filter(|(_, rest)| rest.is_empty());
        let seed = seed.and_then(|(seed, _)| seed.try_into().ok());
        return Ok(PrivateKey::from_seed(seed.ok_or(damaged)?));
    }
    if identifier.starts_with(RSA) {
        return PrivateKey::from_pkcs1(inner).map_err(Unusable::Key)?.ok_or(damaged);
    }
    if identifier.starts_with(EC) {
        return PrivateKey::from_ecdsa_pkcs8(der).ok_or(Unusable::Damaged("it is not an ECDSA key of a NIST curve"));
    }
    let kind = OTHER_KINDS.iter().find(|(known, _)| identifier.starts_with(known));
    Err(Unusable::Key(KeyError::Unsupported { kind: kind.map_or("unknown", |(_, name)| name).to_owned() }))
}

/// Decrypts a key that is encrypted in one of the ways of PKCS#5 version 2 (RFC 8018): PBKDF2 or scrypt, AES or triple DES.
pub(super) fn open(der: &[u8], passphrase: &[u8]) -> Result<PrivateKey, Unusable> {
    let info = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| encryption())?;
    let plain = info.decrypt(passphrase).map_err(|_| Unusable::Passphrase)?;
    let plain = Zeroizing::new(plain.as_bytes().to_vec());
    match parse(&plain) {
        // Another passphrase gives a key that nothing can be read from.
        Err(Unusable::Damaged(_)) => Err(Unusable::Passphrase),
        parsed => parsed,
    }
}

/// Fails unless the encryption is known.
pub(super) fn check(der: &[u8]) -> Result<(), Unusable> {
    EncryptedPrivateKeyInfo::try_from(der).map(|_| ()).map_err(|_| encryption())
}

fn encryption() -> Unusable {
    Unusable::Encryption("a scheme other than PBES2".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_and_damage_is_not() {
        let key = PrivateKey::from_seed(&[9; 32]);
        let first = key.to_pkcs8_der().expect("ed25519");
        let public = key.public_key().to_wire();
        assert_eq!(parse(&first).map(|read| read.public_key()), Ok(key.public_key()));
        // Version 2, with the public half behind the private one (RFC 5958).
        let mut second = [&first[..], &[0x81, 0x21, 0x00], &public[public.len() - 32..]].concat();
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
            let _ = open(&bytes, b"x");
        }
    }
}
