//! Public keys and their fingerprints, in the forms that SSH and TLS give them.

use super::wire::{Cursor, algorithm_name, put_string};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The name of the one kind of key that this release handles (RFC 8709).
pub(super) const ED25519: &str = "ssh-ed25519";

/// The SubjectPublicKeyInfo of an ed25519 key up to the key's own 32 bytes (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key of a user or a host. This release handles ed25519; other kinds are refused by name.
///
/// Two keys are equal if they are the same key, whatever comment stood beside them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Ed25519PublicKey);

impl PublicKey {
    /// The key with these 32 bytes (RFC 8032 section 5.1.5).
    pub fn from_ed25519(bytes: [u8; 32]) -> Self {
        Self(Ed25519PublicKey(bytes))
    }

    /// The key's own 32 bytes (RFC 8032 section 5.1.5).
    pub fn as_ed25519(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The name of the key's kind, as `authorized_keys` spells it.
    pub fn kind(&self) -> &'static str {
        ED25519
    }

    /// Reads the SSH wire form: the kind's name and the key, both as strings (RFC 8709 section 4).
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the kind isn't handled, or the bytes are no key or more than one.
    pub fn from_wire(blob: &[u8]) -> Result<Self, KeyError> {
        let mut cursor = Cursor::new(blob);
        let kind = cursor.string().ok_or(KeyError::Malformed("its kind is cut short"))?;
        let kind = algorithm_name(kind).ok_or(KeyError::Malformed("its kind is not a name"))?;
        if kind != ED25519 {
            return Err(KeyError::Unsupported { kind: kind.to_owned() });
        }
        let key = cursor.string().and_then(|key| key.try_into().ok());
        match key {
            Some(key) if cursor.is_empty() => Ok(Self::from_ed25519(key)),
            _ => Err(KeyError::Malformed("an ed25519 key is 32 bytes, and nothing follows it")),
        }
    }

    /// Writes the SSH wire form: 51 bytes.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(51);
        put_string(&mut blob, ED25519.as_bytes());
        put_string(&mut blob, self.as_ed25519());
        blob
    }

    /// Reads OpenSSH's one-line form, `ssh-ed25519 AAAA… comment`, as in a `.pub` file, and ignores the comment.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the kind isn't handled, or the line is no key.
    pub fn from_openssh(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else {
            return Err(KeyError::Malformed("a public key is written as: ssh-ed25519 AAAA…"));
        };
        match PublicKeyText::parse(kind.as_bytes(), base64.as_bytes())? {
            PublicKeyText::Ed25519(key) => Ok(key),
            PublicKeyText::Other(OtherKind { kind, .. }) => Err(KeyError::Unsupported { kind }),
        }
    }

    /// Writes OpenSSH's one-line form, without comment or line end.
    pub fn to_openssh(&self) -> String {
        format!("{ED25519} {}", STANDARD.encode(self.to_wire()))
    }

    /// Reads a SubjectPublicKeyInfo in DER (RFC 8410 section 4), as TLS carries raw public keys (RFC 7250).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] if it is not the 44 bytes of an ed25519 key.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        der.strip_prefix(&SPKI_PREFIX)
            .and_then(|key| key.try_into().ok())
            .map(Self::from_ed25519)
            .ok_or(KeyError::Malformed("it is not the 44 bytes of an ed25519 SubjectPublicKeyInfo"))
    }

    /// Writes the SubjectPublicKeyInfo in DER (RFC 8410 section 4): 44 bytes.
    pub fn to_spki_der(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI_PREFIX);
        der[12..].copy_from_slice(self.as_ed25519());
        der
    }

    /// The key's fingerprint, which people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.to_wire()).into())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_openssh())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        Self::from_openssh(line)
    }
}

/// The SHA-256 digest of a key's wire form. Its text is `SHA256:…`, as `ssh-keygen -lf` prints it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.strip_prefix("SHA256:")
            .and_then(|base64| STANDARD_NO_PAD.decode(base64).ok())
            .and_then(|digest| digest.try_into().ok())
            .map(Self)
            .ok_or(KeyError::Malformed("a fingerprint is written as SHA256: and 43 characters of base64"))
    }
}

/// A public key in a line of `authorized_keys` or `known_hosts`. Those files may hold kinds that this release doesn't
/// handle; such a line is not malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKeyText {
    /// A key that can be compared.
    Ed25519(PublicKey),
    /// A key of another kind.
    Other(OtherKind),
}

impl PublicKeyText {
    /// Reads the kind and the base64 that follows it; both must name the same kind.
    pub(super) fn parse(kind: &[u8], base64: &[u8]) -> Result<Self, KeyError> {
        let kind = algorithm_name(kind).ok_or(KeyError::Malformed("its kind is not a name"))?;
        let blob = STANDARD.decode(base64).map_err(|_| KeyError::Malformed("its base64 is damaged"))?;
        if Cursor::new(&blob).string() != Some(kind.as_bytes()) {
            return Err(KeyError::Malformed("the kind in front is not the kind inside"));
        }
        match PublicKey::from_wire(&blob) {
            Ok(key) => Ok(Self::Ed25519(key)),
            Err(KeyError::Unsupported { kind }) => Ok(Self::Other(OtherKind { kind, blob })),
            Err(error) => Err(error),
        }
    }

    /// The name of the key's kind.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Ed25519(key) => key.kind(),
            Self::Other(other) => &other.kind,
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Ed25519(key) => key.fingerprint(),
            Self::Other(other) => Fingerprint(Sha256::digest(&other.blob).into()),
        }
    }
}

/// A public key of a kind that this release doesn't handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherKind {
    pub(super) kind: String,
    /// The key in SSH's wire form; its kind comes first.
    blob: Vec<u8>,
}

impl OtherKind {
    /// Whether OpenSSH would read this key: its kind is one of OpenSSH's, and its fields are all there.
    pub(super) fn is_readable_by_openssh(&self) -> bool {
        // The strings after the kind's name (RFC 4253 section 6.6, RFC 5656 section 3.1, PROTOCOL.u2f).
        let fields = match self.kind.as_str() {
            "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => 2,
            "sk-ssh-ed25519@openssh.com" => 2,
            "sk-ecdsa-sha2-nistp256@openssh.com" => 3,
            "ssh-dss" => 4,
            // A certificate's fields differ from kind to kind, and no host proves itself with one here.
            kind => return kind.ends_with("-cert-v01@openssh.com"),
        };
        let mut cursor = Cursor::new(&self.blob);
        (0..=fields).all(|_| cursor.string().is_some_and(|field| !field.is_empty())) && cursor.is_empty()
    }
}

/// Why bytes or text are not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A well-formed key of a kind that this release doesn't handle.
    #[error(
        "the key is of the kind {kind}, and this release handles ssh-ed25519 only. Make one with: ssh-keygen -t ed25519"
    )]
    Unsupported {
        /// The kind's SSH name, such as `ssh-rsa`.
        kind: String,
    },
    /// Not a key at all.
    #[error("the key is malformed: {0}. Copy it again, whole, from where it was made")]
    Malformed(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn every_form_gives_the_same_key_back() {
        let key: PublicKey = format!("{LINE} user@example.com\n").parse().expect("a key");
        assert_eq!(key.to_openssh(), LINE);
        assert_eq!(PublicKey::from_wire(&key.to_wire()), Ok(key));
        assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()), Ok(key));
        assert_eq!(key.fingerprint().to_string().parse(), Ok(key.fingerprint()));
    }

    #[test]
    fn the_fingerprint_is_the_one_that_ssh_key_computes() {
        let ours = PublicKey::from_openssh(LINE).expect("a key").fingerprint().to_string();
        let theirs = ssh_key::PublicKey::from_openssh(LINE).expect("a key");
        assert_eq!(ours, theirs.fingerprint(ssh_key::HashAlg::Sha256).to_string());
    }

    #[test]
    fn another_kind_is_refused_by_its_name() {
        let mut blob = Vec::new();
        put_string(&mut blob, b"ssh-rsa");
        put_string(&mut blob, b"\x01\x00\x01");
        let error = PublicKey::from_wire(&blob).expect_err("not ed25519");
        assert_eq!(error, KeyError::Unsupported { kind: "ssh-rsa".into() });
        assert!(error.to_string().contains("ssh-rsa"));
        let line = format!("ssh-rsa {}", STANDARD.encode(&blob));
        assert_eq!(PublicKey::from_openssh(&line), Err(error));
    }

    #[test]
    fn trailing_missing_and_contradicting_bytes_are_refused() {
        let key = PublicKey::from_openssh(LINE).expect("a key");
        let mut longer = key.to_wire();
        longer.push(0);
        assert!(PublicKey::from_wire(&longer).is_err());
        assert!(PublicKey::from_wire(&longer[..50]).is_err());
        assert!(PublicKey::from_spki_der(&key.to_spki_der()[..43]).is_err());
        assert!(PublicKey::from_openssh(&LINE.replacen("ssh-ed25519", "ssh-rsa", 1)).is_err());
        assert!("SHA256:short".parse::<Fingerprint>().is_err());
        assert!("MD5:00".parse::<Fingerprint>().is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
            let _ = PublicKey::from_wire(&bytes);
            let _ = PublicKey::from_spki_der(&bytes);
            let _ = PublicKey::from_openssh(&text);
            let _ = text.parse::<Fingerprint>();
        }

        #[test]
        fn every_key_survives_every_form(bytes: [u8; 32]) {
            let key = PublicKey::from_ed25519(bytes);
            prop_assert_eq!(PublicKey::from_wire(&key.to_wire()), Ok(key));
            prop_assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()), Ok(key));
            prop_assert_eq!(PublicKey::from_openssh(&key.to_openssh()), Ok(key));
        }
    }
}
