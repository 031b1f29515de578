//! What a public key consists of, and its wire form.

use super::KeyError;
use super::kind::{Curve, KeyKind};
use crate::wire::{Cursor, put_mpint, put_string};

/// The smallest and the largest RSA keys, in bits.
pub(crate) const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The parts of a key, as its kind has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Material {
    /// The 32 bytes of RFC 8032 section 5.1.5.
    Ed25519([u8; 32]),
    /// An uncompressed point (SEC 1 section 2.3.3).
    Ecdsa { curve: Curve, point: Vec<u8> },
    /// Two numbers, big-endian, without leading zeros.
    Rsa { exponent: Vec<u8>, modulus: Vec<u8> },
    /// As ed25519, with the application that the authenticator signs for, such as `ssh:`.
    SkEd25519 { key: [u8; 32], application: Vec<u8> },
    /// A point on P-256, with the application.
    SkEcdsa { point: Vec<u8>, application: Vec<u8> },
}

impl Material {
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::Ecdsa { curve, .. } => curve.kind(),
            Self::Rsa { .. } => KeyKind::Rsa,
            Self::SkEd25519 { .. } => KeyKind::SkEd25519,
            Self::SkEcdsa { .. } => KeyKind::SkEcdsaP256,
        }
    }

    /// Reads the fields behind the kind's name. A certificate has the same fields behind its nonce.
    pub(crate) fn read(kind: KeyKind, cursor: &mut Cursor<'_>) -> Result<Self, KeyError> {
        match kind {
            KeyKind::Ed25519 => ed25519(cursor).map(Self::Ed25519),
            KeyKind::EcdsaP256 => point(Curve::P256, cursor).map(|point| Self::Ecdsa { curve: Curve::P256, point }),
            KeyKind::EcdsaP384 => point(Curve::P384, cursor).map(|point| Self::Ecdsa { curve: Curve::P384, point }),
            KeyKind::EcdsaP521 => point(Curve::P521, cursor).map(|point| Self::Ecdsa { curve: Curve::P521, point }),
            KeyKind::Rsa => rsa(cursor),
            KeyKind::SkEd25519 => {
                let key = ed25519(cursor)?;
                Ok(Self::SkEd25519 { key, application: application(cursor)? })
            }
            KeyKind::SkEcdsaP256 => {
                let point = point(Curve::P256, cursor)?;
                Ok(Self::SkEcdsa { point, application: application(cursor)? })
            }
        }
    }

    /// Writes the wire form: the kind's name and the fields.
    pub(crate) fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(64);
        put_string(&mut wire, self.kind().name().as_bytes());
        self.put_fields(&mut wire);
        wire
    }

    fn put_fields(&self, wire: &mut Vec<u8>) {
        match self {
            Self::Ed25519(key) => put_string(wire, key),
            Self::Ecdsa { curve, point } => {
                put_string(wire, curve.name().as_bytes());
                put_string(wire, point);
            }
            Self::Rsa { exponent, modulus } => {
                put_mpint(wire, exponent);
                put_mpint(wire, modulus);
            }
            Self::SkEd25519 { key, application } => {
                put_string(wire, key);
                put_string(wire, application);
            }
            Self::SkEcdsa { point, application } => {
                put_string(wire, Curve::P256.name().as_bytes());
                put_string(wire, point);
                put_string(wire, application);
            }
        }
    }
}

fn ed25519(cursor: &mut Cursor<'_>) -> Result<[u8; 32], KeyError> {
    let key = cursor.string().and_then(|key| key.try_into().ok());
    key.ok_or(KeyError::Malformed("an ed25519 key is 32 bytes"))
}

fn point(curve: Curve, cursor: &mut Cursor<'_>) -> Result<Vec<u8>, KeyError> {
    let name = cursor.string().ok_or(KeyError::Malformed("its curve is cut short"))?;
    if name != curve.name().as_bytes() {
        return Err(KeyError::Malformed("its curve is not the one of its kind"));
    }
    match cursor.string() {
        Some(point) if point.len() == 1 + 2 * curve.size() && point[0] == 4 => Ok(point.to_vec()),
        _ => Err(KeyError::Malformed("an ECDSA key is an uncompressed point of its curve")),
    }
}

fn rsa(cursor: &mut Cursor<'_>) -> Result<Material, KeyError> {
    let mut number = || cursor.mpint().filter(|number| !number.is_empty());
    let cut_short = KeyError::Malformed("an RSA key is two positive numbers");
    let (exponent, modulus) = (number().ok_or(cut_short.clone())?, number().ok_or(cut_short)?);
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError::RsaSize { bits });
    }
    Ok(Material::Rsa { exponent: exponent.to_vec(), modulus: modulus.to_vec() })
}

fn application(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, KeyError> {
    let application = cursor.string().ok_or(KeyError::Malformed("its application is cut short"))?;
    Ok(application.to_vec())
}
