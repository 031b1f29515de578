//! Public keys and their fingerprints, in the forms that SSH and TLS give them.

mod kind;
mod material;

use super::wire::{Cursor, algorithm_name};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
pub(crate) use kind::Curve;
pub use kind::KeyKind;
pub(crate) use material::{Material, RSA_BITS};
use ssh_key::sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// The SubjectPublicKeyInfo of an ed25519 key up to the key's own 32 bytes (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key of a user or a host, of one of the kinds of [`KeyKind`]; other kinds are refused by name.
///
/// Two keys are equal if they are the same key, whatever comment stood beside them. A clone is cheap.
#[derive(Clone)]
pub struct PublicKey(Arc<Parts>);

struct Parts {
    material: Material,
    /// The wire form, with numbers in their shortest form.
    wire: Vec<u8>,
}

impl PublicKey {
    pub(crate) fn new(material: Material) -> Self {
        let wire = material.to_wire();
        Self(Arc::new(Parts { material, wire }))
    }

    /// The ed25519 key with these 32 bytes (RFC 8032 section 5.1.5).
    pub fn from_ed25519(bytes: [u8; 32]) -> Self {
        Self::new(Material::Ed25519(bytes))
    }

    pub(crate) fn material(&self) -> &Material {
        &self.0.material
    }

    /// The key's kind.
    pub fn key_kind(&self) -> KeyKind {
        self.0.material.kind()
    }

    /// The name of the key's kind, as `authorized_keys` spells it.
    pub fn kind(&self) -> &'static str {
        self.key_kind().name()
    }

    /// The key's size in bits, as `ssh-keygen -l` prints it.
    pub fn bits(&self) -> usize {
        match self.material() {
            Material::Ed25519(_) | Material::SkEd25519 { .. } | Material::SkEcdsa { .. } => 256,
            Material::Ecdsa { curve: Curve::P256, .. } => 256,
            Material::Ecdsa { curve: Curve::P384, .. } => 384,
            Material::Ecdsa { curve: Curve::P521, .. } => 521,
            Material::Rsa { modulus, .. } => {
                modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros()) as usize
            }
        }
    }

    /// Reads the SSH wire form: the kind's name, then the fields of its kind (RFC 8709 section 4, RFC 5656 section 3.1,
    /// RFC 4253 section 6.6, OpenSSH PROTOCOL.u2f).
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the kind isn't handled, or the bytes are no key or more than one.
    pub fn from_wire(blob: &[u8]) -> Result<Self, KeyError> {
        let mut cursor = Cursor::new(blob);
        let kind = cursor.string().ok_or(KeyError::Malformed("its kind is cut short"))?;
        let name = algorithm_name(kind).ok_or(KeyError::Malformed("its kind is not a name"))?;
        let kind = KeyKind::from_name(name).ok_or_else(|| KeyError::Unsupported { kind: name.to_owned() })?;
        let material = Material::read(kind, &mut cursor)?;
        match cursor.is_empty() {
            true => Ok(Self::new(material)),
            false => Err(KeyError::Malformed("something follows the key's end")),
        }
    }

    /// Writes the SSH wire form.
    pub fn to_wire(&self) -> Vec<u8> {
        self.0.wire.clone()
    }

    pub(crate) fn wire(&self) -> &[u8] {
        &self.0.wire
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
            PublicKeyText::Key(key) => Ok(key),
            PublicKeyText::Other(OtherKind { error, .. }) => Err(error),
        }
    }

    /// Writes OpenSSH's one-line form, without comment or line end.
    pub fn to_openssh(&self) -> String {
        format!("{} {}", self.kind(), STANDARD.encode(self.wire()))
    }

    /// Reads a SubjectPublicKeyInfo in DER, as TLS carries raw public keys (RFC 7250): ed25519 (RFC 8410 section 4) or
    /// ECDSA with an uncompressed point (RFC 5480 section 2).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] if it is neither.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Some(key) = der.strip_prefix(&SPKI_PREFIX) {
            let key = key.try_into().map_err(|_| KeyError::Malformed("an ed25519 key is 32 bytes"))?;
            return Ok(Self::from_ed25519(key));
        }
        let known = Curve::ALL.into_iter().find_map(|curve| Some((curve, der.strip_prefix(curve.spki_prefix())?)));
        match known {
            Some((curve, point)) if point.len() == 1 + 2 * curve.size() && point[0] == 4 => {
                Ok(Self::new(Material::Ecdsa { curve, point: point.to_vec() }))
            }
            _ => Err(KeyError::Malformed("it is not the SubjectPublicKeyInfo of an ed25519 or ECDSA key")),
        }
    }

    /// Writes the SubjectPublicKeyInfo in DER; `None` for the kinds that TLS doesn't carry here: RSA and FIDO keys.
    pub fn to_spki_der(&self) -> Option<Vec<u8>> {
        match self.material() {
            Material::Ed25519(key) => Some([&SPKI_PREFIX[..], key].concat()),
            Material::Ecdsa { curve, point } => Some([curve.spki_prefix(), point].concat()),
            Material::Rsa { .. } | Material::SkEd25519 { .. } | Material::SkEcdsa { .. } => None,
        }
    }

    /// The key's fingerprint, which people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.wire())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.wire() == other.wire()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.wire().cmp(other.wire())
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire().hash(state);
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

impl Fingerprint {
    pub(crate) fn of(wire: &[u8]) -> Self {
        Self(Sha256::digest(wire).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

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
    Key(PublicKey),
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
            Ok(key) => Ok(Self::Key(key)),
            Err(error @ (KeyError::Unsupported { .. } | KeyError::RsaSize { .. })) => {
                Ok(Self::Other(OtherKind { kind: kind.to_owned(), blob, error }))
            }
            Err(error) => Err(error),
        }
    }

    /// The name of the key's kind.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Key(key) => key.kind(),
            Self::Other(other) => &other.kind,
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Key(key) => key.fingerprint(),
            Self::Other(other) => Fingerprint::of(&other.blob),
        }
    }
}

/// A public key of a kind or size that this release doesn't handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherKind {
    pub(super) kind: String,
    /// The key in SSH's wire form; its kind comes first.
    blob: Vec<u8>,
    /// Why it isn't handled.
    pub(super) error: KeyError,
}

impl OtherKind {
    /// Whether OpenSSH would read this key: its kind is one of OpenSSH's, and its fields are all there.
    pub(super) fn is_readable_by_openssh(&self) -> bool {
        // The strings after the kind's name (RFC 4253 section 6.6, RFC 5656 section 3.1, PROTOCOL.u2f).
        let fields = match self.kind.as_str() {
            "ssh-rsa" => 2,
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
        "the key is of the kind {kind}, which is not handled; ed25519, ECDSA, RSA and their FIDO forms are. Make one with: ssh-keygen -t ed25519"
    )]
    Unsupported {
        /// The kind's SSH name, such as `ssh-rsa`.
        kind: String,
    },
    /// An RSA key that is too small to be safe, or larger than what is handled.
    #[error(
        "it is an RSA key of {bits} bits, and those of {} to {} bits are handled. Make another with: ssh-keygen -t ed25519",
        RSA_BITS.start(), RSA_BITS.end()
    )]
    RsaSize {
        /// Its size.
        bits: usize,
    },
    /// Not a key at all.
    #[error("the key is malformed: {0}. Copy it again, whole, from where it was made")]
    Malformed(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::put_string;
    use proptest::prelude::*;

    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn every_form_gives_the_same_key_back() {
        let key: PublicKey = format!("{LINE} user@example.com\n").parse().expect("a key");
        assert_eq!(key.to_openssh(), LINE);
        assert_eq!(PublicKey::from_wire(&key.to_wire()), Ok(key.clone()));
        assert_eq!(PublicKey::from_spki_der(&key.to_spki_der().expect("ed25519")), Ok(key.clone()));
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
        put_string(&mut blob, b"ssh-dss");
        put_string(&mut blob, b"\x01\x00\x01");
        let error = PublicKey::from_wire(&blob).expect_err("not handled");
        assert_eq!(error, KeyError::Unsupported { kind: "ssh-dss".into() });
        assert!(error.to_string().contains("ssh-dss"));
        let line = format!("ssh-dss {}", STANDARD.encode(&blob));
        assert_eq!(PublicKey::from_openssh(&line), Err(error));
    }

    #[test]
    fn trailing_missing_and_contradicting_bytes_are_refused() {
        let key = PublicKey::from_openssh(LINE).expect("a key");
        let mut longer = key.to_wire();
        longer.push(0);
        assert!(PublicKey::from_wire(&longer).is_err());
        assert!(PublicKey::from_wire(&longer[..50]).is_err());
        assert!(PublicKey::from_spki_der(&key.to_spki_der().expect("ed25519")[..43]).is_err());
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
            prop_assert_eq!(PublicKey::from_wire(&key.to_wire()), Ok(key.clone()));
            prop_assert_eq!(PublicKey::from_spki_der(&key.to_spki_der().expect("ed25519")), Ok(key.clone()));
            prop_assert_eq!(PublicKey::from_openssh(&key.to_openssh()), Ok(key));
        }
    }
}
