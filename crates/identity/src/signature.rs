//! SSH signatures: the algorithm's name and its value (RFC 8709 section 6, RFC 5656 section 3.1.2, RFC 8332 section 3,
//! OpenSSH PROTOCOL.u2f). Each algorithm's value is read in exactly one encoding.

use super::key::{Curve, KeyKind, Material, PublicKey};
use super::sshsig::ProofError;
use super::wire::{Cursor, put_mpint, put_string};
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ed25519_dalek::{Signature, VerifyingKey};
use ssh_key::sha2::{Digest as _, Sha256};

/// The algorithm of our own RSA signatures.
pub(super) const RSA_SHA512: &str = "rsa-sha2-512";
const RSA_SHA256: &str = "rsa-sha2-256";

/// What an authenticator reports about a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Somebody touched it.
    pub touched: bool,
    /// It checked who: by a PIN or a fingerprint.
    pub verified: bool,
}

impl Presence {
    /// The two bits of the flags (CTAP2, authenticator data).
    fn from_flags(flags: u8) -> Self {
        Self { touched: flags & 1 != 0, verified: flags & 4 != 0 }
    }
}

/// Checks that `signature` is by `key` over exactly `data`. For keys in an authenticator, what that reports.
pub(super) fn verify(key: &PublicKey, data: &[u8], signature: &[u8]) -> Result<Option<Presence>, ProofError> {
    let mut cursor = Cursor::new(signature);
    let algorithm = string(&mut cursor)?;
    let value = string(&mut cursor)?;
    let wanted = match key.key_kind() {
        // SHA-1, which `ssh-rsa` means, proves nothing any more.
        KeyKind::Rsa if algorithm == RSA_SHA256.as_bytes() => RSA_SHA256,
        KeyKind::Rsa => RSA_SHA512,
        kind => kind.name(),
    };
    super::sshsig::require("signature's kind", wanted, algorithm)?;
    let presence = match key.key_kind().is_security_key() {
        true => Some((cursor.take(1).ok_or(CUT_SHORT)?[0], cursor.uint32().ok_or(CUT_SHORT)?)),
        false => None,
    };
    if !cursor.is_empty() {
        return Err(ProofError::Malformed("something follows the signature's value"));
    }
    match (key.material(), presence) {
        (Material::Ed25519(key), _) => ed25519(key, data, value)?,
        (Material::Ecdsa { curve, point }, _) => ecdsa(*curve, point, data, value)?,
        (Material::Rsa { exponent, modulus }, _) => rsa(wanted, exponent, modulus, data, value)?,
        (Material::SkEd25519 { key, application }, Some(report)) => {
            ed25519(key, &authenticated(application, report, data), value)?;
        }
        (Material::SkEcdsa { point, application }, Some(report)) => {
            ecdsa(Curve::P256, point, &authenticated(application, report, data), value)?;
        }
        (Material::SkEd25519 { .. } | Material::SkEcdsa { .. }, None) => return Err(CUT_SHORT),
    }
    Ok(presence.map(|(flags, _)| Presence::from_flags(flags)))
}

const CUT_SHORT: ProofError = ProofError::Malformed("it is cut short");

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], ProofError> {
    cursor.string().ok_or(CUT_SHORT)
}

fn ed25519(key: &[u8; 32], data: &[u8], value: &[u8]) -> Result<(), ProofError> {
    let value = value.try_into().map_err(|_| ProofError::Malformed("an ed25519 signature is 64 bytes"))?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| ProofError::Wrong)?;
    // Strict: a key of small order, whose signatures fit many messages, proves nothing.
    key.verify_strict(data, &Signature::from_bytes(value)).map_err(|_| ProofError::Wrong)
}

fn ecdsa(curve: Curve, point: &[u8], data: &[u8], value: &[u8]) -> Result<(), ProofError> {
    let fixed = fixed_ecdsa(curve, value)?;
    UnparsedPublicKey::new(curve.verification(), point).verify(data, &fixed).map_err(|_| ProofError::Wrong)
}

/// The two numbers of an ECDSA signature, each as long as the curve's. Only the shortest encoding of each is read.
fn fixed_ecdsa(curve: Curve, value: &[u8]) -> Result<Vec<u8>, ProofError> {
    let malformed = ProofError::Malformed("an ECDSA signature is two numbers of its curve, in their shortest form");
    let mut cursor = Cursor::new(value);
    let mut fixed = Vec::with_capacity(2 * curve.size());
    let mut again = Vec::with_capacity(value.len());
    for _ in 0..2 {
        let number = cursor.mpint().filter(|number| number.len() <= curve.size()).ok_or(malformed.clone())?;
        put_mpint(&mut again, number);
        fixed.resize(fixed.len() + curve.size() - number.len(), 0);
        fixed.extend_from_slice(number);
    }
    if again == value { Ok(fixed) } else { Err(malformed) }
}

fn rsa(algorithm: &str, exponent: &[u8], modulus: &[u8], data: &[u8], value: &[u8]) -> Result<(), ProofError> {
    if value.len() != modulus.len() {
        return Err(ProofError::Malformed("an RSA signature is as long as the key's modulus"));
    }
    let parameters = if algorithm == RSA_SHA256 { &RSA_PKCS1_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA512 };
    let key = RsaPublicKeyComponents { n: modulus, e: exponent };
    key.verify(parameters, data, value).map_err(|_| ProofError::Wrong)
}

/// What an authenticator signs (PROTOCOL.u2f, SSH U2F signatures).
fn authenticated(application: &[u8], (flags, counter): (u8, u32), data: &[u8]) -> Vec<u8> {
    let mut signed = Sha256::digest(application).to_vec();
    signed.push(flags);
    signed.extend_from_slice(&counter.to_be_bytes());
    signed.extend_from_slice(&Sha256::digest(data));
    signed
}

/// A signature string: the algorithm and the value.
pub(super) fn encode(algorithm: &str, value: &[u8]) -> Vec<u8> {
    let mut string = Vec::with_capacity(8 + algorithm.len() + value.len());
    put_string(&mut string, algorithm.as_bytes());
    put_string(&mut string, value);
    string
}

/// The string of an ECDSA signature, from its two numbers in the curve's length.
pub(super) fn encode_ecdsa(curve: Curve, fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let mut value = Vec::with_capacity(fixed.len() + 10);
    put_mpint(&mut value, r);
    put_mpint(&mut value, s);
    encode(curve.kind().name(), &value)
}
