//! The kinds of keys, and what differs between them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm,
};

/// A kind of key that logs in or proves a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519 (RFC 8709).
    Ed25519,
    /// ECDSA on NIST P-256 (RFC 5656).
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// RSA of 2048 to 8192 bits, with SHA-2 only (RFC 8332).
    Rsa,
    /// Ed25519 in a FIDO authenticator (OpenSSH PROTOCOL.u2f).
    SkEd25519,
    /// ECDSA on NIST P-256 in a FIDO authenticator.
    SkEcdsaP256,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [KeyKind; 7] = [
        KeyKind::Ed25519,
        KeyKind::EcdsaP256,
        KeyKind::EcdsaP384,
        KeyKind::EcdsaP521,
        KeyKind::Rsa,
        KeyKind::SkEd25519,
        KeyKind::SkEcdsaP256,
    ];

    /// The kind's SSH name, as `authorized_keys` spells it.
    pub fn name(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ssh-ed25519",
            KeyKind::EcdsaP256 => "ecdsa-sha2-nistp256",
            KeyKind::EcdsaP384 => "ecdsa-sha2-nistp384",
            KeyKind::EcdsaP521 => "ecdsa-sha2-nistp521",
            KeyKind::Rsa => "ssh-rsa",
            KeyKind::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            KeyKind::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The kind of this SSH name.
    pub fn from_name(name: &str) -> Option<KeyKind> {
        KeyKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name of certificates for keys of this kind (OpenSSH PROTOCOL.certkeys).
    pub fn certificate_name(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            KeyKind::EcdsaP256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            KeyKind::EcdsaP384 => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            KeyKind::EcdsaP521 => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            KeyKind::Rsa => "ssh-rsa-cert-v01@openssh.com",
            KeyKind::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            KeyKind::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    /// The short name that people say: `ED25519`, `ECDSA`, `RSA`, with `-SK` for FIDO keys.
    pub fn short_name(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ED25519",
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => "ECDSA",
            KeyKind::Rsa => "RSA",
            KeyKind::SkEd25519 => "ED25519-SK",
            KeyKind::SkEcdsaP256 => "ECDSA-SK",
        }
    }

    /// Whether keys of this kind live in a FIDO authenticator.
    pub fn is_security_key(self) -> bool {
        matches!(self, KeyKind::SkEd25519 | KeyKind::SkEcdsaP256)
    }
}

/// A NIST curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

/// What precedes the point in a SubjectPublicKeyInfo of the curve (RFC 5480), from the outer sequence on.
const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P384_SPKI: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const P521_SPKI: &[u8] =
    b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00";

impl Curve {
    pub(crate) const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    /// Its name in SSH's wire form (RFC 5656 section 10.1).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Curve::P256 => "nistp256",
            Curve::P384 => "nistp384",
            Curve::P521 => "nistp521",
        }
    }

    pub(crate) fn kind(self) -> KeyKind {
        match self {
            Curve::P256 => KeyKind::EcdsaP256,
            Curve::P384 => KeyKind::EcdsaP384,
            Curve::P521 => KeyKind::EcdsaP521,
        }
    }

    /// The bytes of a coordinate, a scalar, or half a signature.
    pub(crate) fn size(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    pub(crate) fn spki_prefix(self) -> &'static [u8] {
        match self {
            Curve::P256 => P256_SPKI,
            Curve::P384 => P384_SPKI,
            Curve::P521 => P521_SPKI,
        }
    }

    pub(crate) fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED,
            Curve::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }

    pub(crate) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }
}
