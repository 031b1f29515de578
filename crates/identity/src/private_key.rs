//! Private keys: what proves a host in TLS, and a user under SSHSIG.

use super::error::IdentityError;
use super::key::PublicKey;
use super::sshsig::Signer;
use ed25519_dalek::{Signer as _, SigningKey};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::rand_core::{OsRng, RngCore as _};
use std::fmt;
use zeroize::Zeroizing;

/// A PKCS#8 version 1 ed25519 key up to its 32 secret bytes (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An ed25519 private key. Its memory is wiped when it is dropped, and its `Debug` form shows the public half only.
#[derive(Clone)]
pub struct PrivateKey {
    secret: SigningKey,
}

impl PrivateKey {
    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Randomness`] if the system has none to give.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *seed).map_err(|error| IdentityError::Randomness(error.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The key with this secret seed (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { secret: SigningKey::from_bytes(seed) }
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_ed25519(self.secret.verifying_key().to_bytes())
    }

    /// Writes PKCS#8 version 1 in DER (RFC 8410 section 7): 48 bytes, the form that TLS libraries load.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let mut der = Zeroizing::new(Vec::with_capacity(48));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(self.secret.as_bytes());
        der
    }

    /// Signs `data` with plain ed25519 (RFC 8032 section 5.1.6).
    pub fn sign_ed25519(&self, data: &[u8]) -> [u8; 64] {
        self.secret.sign(data).to_bytes()
    }

    /// The form that `ssh-key` writes to files.
    pub(super) fn to_ssh_key(&self, comment: &str) -> ssh_key::Result<ssh_key::PrivateKey> {
        ssh_key::PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from(&self.secret)), comment)
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> PublicKey {
        self.public_key()
    }

    fn sign(&self, data: &[u8]) -> Result<[u8; 64], IdentityError> {
        Ok(self.sign_ed25519(data))
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
    use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
    use rustls::pki_types::PrivatePkcs8KeyDer;

    #[test]
    fn tls_loads_both_forms_of_the_same_key() {
        let key = PrivateKey::generate().expect("randomness");
        let der = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().to_vec());
        let tls = any_eddsa_type(&der).expect("a PKCS#8 key");
        let spki = tls.public_key().expect("a public half");
        assert_eq!(spki.as_ref(), key.public_key().to_spki_der());
    }

    #[test]
    fn the_secret_is_not_shown() {
        let key = PrivateKey::from_seed(&[0x5a; 32]);
        assert!(!format!("{key:?}").contains("90, 90"));
        assert!(format!("{key:?}").contains("ssh-ed25519"));
    }
}
