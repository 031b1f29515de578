//! Private keys: what proves a host in TLS, and a user under SSHSIG.

use super::der;
use super::error::IdentityError;
use super::key::{Curve, KeyError, Material, PublicKey, RSA_BITS};
use super::signature::{self, RSA_SHA512};
use super::sshsig::Signer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA512, RsaKeyPair};
use ed25519_dalek::{Signer as _, SigningKey};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::rand_core::{OsRng, RngCore as _};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A PKCS#8 version 1 ed25519 key up to its 32 secret bytes (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A private key: ed25519, ECDSA or RSA. Its memory is wiped when it is dropped, and its `Debug` form shows the public half
/// only.
#[derive(Clone)]
pub struct PrivateKey(Secret);

#[derive(Clone)]
enum Secret {
    Ed25519(Box<SigningKey>),
    Ecdsa(Arc<Ecdsa>),
    Rsa(Arc<Rsa>),
}

struct Ecdsa {
    curve: Curve,
    pair: EcdsaKeyPair,
    public_key: PublicKey,
}

struct Rsa {
    pair: RsaKeyPair,
    public_key: PublicKey,
}

impl PrivateKey {
    /// Makes a new ed25519 key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Randomness`] if the system has none to give.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *seed).map_err(|error| IdentityError::Randomness(error.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The ed25519 key with this secret seed (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Secret::Ed25519(Box::new(SigningKey::from_bytes(seed))))
    }

    /// The ECDSA key with this secret number, if it belongs to this point.
    pub(super) fn from_ecdsa(curve: Curve, secret: &[u8], point: &[u8]) -> Option<Self> {
        let missing = curve.size().checked_sub(secret.len())?;
        let mut padded = Zeroizing::new(vec![0; missing]);
        padded.reserve_exact(secret.len());
        padded.extend_from_slice(secret);
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &padded, point).ok()?;
        Some(Self::from_ecdsa_pair(curve, pair))
    }

    /// The ECDSA key in this `ECPrivateKey` (RFC 5915), whose curve it or `curve` names.
    pub(super) fn from_sec1(der: &[u8]) -> Option<Self> {
        Curve::ALL.into_iter().find_map(|curve| {
            let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok()?;
            Some(Self::from_ecdsa_pair(curve, pair))
        })
    }

    /// The ECDSA key in this PKCS#8 structure (RFC 5958).
    pub(super) fn from_ecdsa_pkcs8(der: &[u8]) -> Option<Self> {
        Curve::ALL.into_iter().find_map(|curve| {
            let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), der).ok()?;
            Some(Self::from_ecdsa_pair(curve, pair))
        })
    }

    fn from_ecdsa_pair(curve: Curve, pair: EcdsaKeyPair) -> Self {
        let point = pair.public_key().as_ref().to_vec();
        let public_key = PublicKey::new(Material::Ecdsa { curve, point });
        Self(Secret::Ecdsa(Arc::new(Ecdsa { curve, pair, public_key })))
    }

    /// The RSA key in this `RSAPrivateKey` (RFC 8017 appendix A.1.2); `Ok(None)` if it isn't one.
    ///
    /// # Errors
    ///
    /// [`KeyError::RsaSize`].
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Option<Self>, KeyError> {
        let numbers = der::element(der, der::SEQUENCE).and_then(|(inside, _)| {
            let (_version, rest) = der::element(inside, der::INTEGER)?;
            let (modulus, rest) = der::element(rest, der::INTEGER)?;
            Some((modulus, der::element(rest, der::INTEGER)?.0))
        });
        let Some((modulus, exponent)) = numbers else { return Ok(None) };
        let trimmed = |number: &[u8]| number.iter().copied().skip_while(|&byte| byte == 0).collect::<Vec<u8>>();
        let start = modulus.iter().position(|&byte| byte != 0).unwrap_or(modulus.len());
        let bits = (modulus.len() - start) * 8 - modulus.get(start).map_or(0, |byte| byte.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize { bits });
        }
        let Ok(pair) = RsaKeyPair::from_der(der) else { return Ok(None) };
        let public_key = PublicKey::new(Material::Rsa { exponent: trimmed(exponent), modulus: trimmed(modulus) });
        Ok(Some(Self(Secret::Rsa(Arc::new(Rsa { pair, public_key })))))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        match &self.0 {
            Secret::Ed25519(secret) => PublicKey::from_ed25519(secret.verifying_key().to_bytes()),
            Secret::Ecdsa(key) => key.public_key.clone(),
            Secret::Rsa(key) => key.public_key.clone(),
        }
    }

    /// Writes PKCS#8 version 1 in DER (RFC 8410 section 7, RFC 5958), the form that TLS libraries load; `None` for RSA keys,
    /// which prove no host here.
    pub fn to_pkcs8_der(&self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.0 {
            Secret::Ed25519(secret) => {
                let mut der = Zeroizing::new(Vec::with_capacity(48));
                der.extend_from_slice(&PKCS8_PREFIX);
                der.extend_from_slice(secret.as_bytes());
                Some(der)
            }
            Secret::Ecdsa(key) => key.pair.to_pkcs8v1().ok().map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Secret::Rsa(_) => None,
        }
    }

    /// The form that `ssh-key` writes to files; ed25519 alone is written.
    pub(super) fn to_ssh_key(&self, comment: &str) -> ssh_key::Result<ssh_key::PrivateKey> {
        match &self.0 {
            Secret::Ed25519(secret) => {
                ssh_key::PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from(&**secret)), comment)
            }
            Secret::Ecdsa(_) | Secret::Rsa(_) => Err(ssh_key::Error::AlgorithmUnknown),
        }
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> PublicKey {
        self.public_key()
    }

    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let failed = |_| IdentityError::Randomness("signing failed".to_owned());
        match &self.0 {
            Secret::Ed25519(secret) => {
                Ok(signature::encode(super::key::KeyKind::Ed25519.name(), &secret.sign(data).to_bytes()))
            }
            Secret::Ecdsa(key) => {
                let signed = key.pair.sign(&SystemRandom::new(), data).map_err(failed)?;
                Ok(signature::encode_ecdsa(key.curve, signed.as_ref()))
            }
            Secret::Rsa(key) => {
                let mut value = vec![0; key.pair.public_modulus_len()];
                key.pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), data, &mut value).map_err(failed)?;
                Ok(signature::encode(RSA_SHA512, &value))
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::aws_lc_rs::sign::any_supported_type;
    use rustls::pki_types::PrivatePkcs8KeyDer;

    #[test]
    fn tls_loads_both_forms_of_the_same_key() {
        let ecdsa = Curve::ALL.map(|curve| {
            let pair = EcdsaKeyPair::generate(curve.signing()).expect("a key");
            PrivateKey::from_ecdsa_pair(curve, pair)
        });
        for key in [PrivateKey::generate().expect("randomness")].into_iter().chain(ecdsa) {
            let der = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().expect("a host's kind").to_vec());
            let tls = any_supported_type(&der.into()).expect("a PKCS#8 key");
            let spki = tls.public_key().expect("a public half");
            assert_eq!(Some(spki.as_ref().to_vec()), key.public_key().to_spki_der());
            assert_eq!(PublicKey::from_spki_der(&spki), Ok(key.public_key()));
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let key = PrivateKey::from_seed(&[0x5a; 32]);
        assert!(!format!("{key:?}").contains("90, 90"));
        assert!(format!("{key:?}").contains("ssh-ed25519"));
    }
}
