//! SSHSIG: signatures over anything by SSH keys (OpenSSH PROTOCOL.sshsig), as raw blobs without armor.
//!
//! A signature made here can't pass for one made elsewhere, nor the other way round: the signed bytes begin with
//! `SSHSIG`, which no SSH login does, and hold the [`NAMESPACE`].

use super::error::IdentityError;
use super::key::{KeyError, PublicKey};
use super::signature::{self, Presence};
use super::wire::{Cursor, put_string};
use ssh_key::sha2::{Digest as _, Sha512};

/// The namespace of the proofs that open a link.
pub const NAMESPACE: &str = "unglue-auth@1";

/// The longest blob that is looked at. An ed25519 signature takes 182 bytes, one of an RSA key of 8192 bits 2.2 KiB.
pub const MAX_BLOB: usize = 4096;

const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &str = "sha512";

/// Something that signs with a key: a private key at hand, or an agent that holds it.
pub trait Signer {
    /// The public half of the key that signs.
    fn public_key(&self) -> PublicKey;

    /// The signature over exactly `data`, as SSH writes it: the algorithm's name and the value (RFC 4253 section 6.6), and for
    /// keys in an authenticator its flags and counter (OpenSSH PROTOCOL.u2f).
    ///
    /// # Errors
    ///
    /// [`IdentityError::Agent`] if an agent refuses or doesn't answer in time.
    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, IdentityError>;
}

/// A key that was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proven {
    /// The key that signed.
    pub key: PublicKey,
    /// What its authenticator reports, for keys that live in one.
    pub presence: Option<Presence>,
}

/// Signs `message` under our namespace and gives the blob of PROTOCOL.sshsig section 2.
///
/// # Errors
///
/// What [`Signer::sign`] gives.
pub fn sign(signer: &dyn Signer, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let signature = signer.sign(&signed_data(message))?;
    let mut blob = Vec::with_capacity(192);
    blob.extend_from_slice(MAGIC);
    blob.extend_from_slice(&VERSION.to_be_bytes());
    put_string(&mut blob, &signer.public_key().to_wire());
    put_string(&mut blob, NAMESPACE.as_bytes());
    put_string(&mut blob, b"");
    put_string(&mut blob, HASH.as_bytes());
    put_string(&mut blob, &signature);
    Ok(blob)
}

/// Checks that `blob` is a signature over `message` under our namespace, and gives the key that made it. Whether
/// that key may do anything is for [`AuthorizedKeys`](super::AuthorizedKeys) to say.
///
/// # Errors
///
/// [`ProofError`], whatever the bytes: the peer sent something else.
pub fn verify(blob: &[u8], message: &[u8]) -> Result<Proven, ProofError> {
    if blob.len() > MAX_BLOB {
        return Err(ProofError::TooLong { got: blob.len() });
    }
    let parts = Parts::read(blob)?;
    let key = PublicKey::from_wire(parts.public_key)?;
    let presence = signature::verify(&key, &signed_data(message), parts.signature)?;
    Ok(Proven { key, presence })
}

/// The bytes that the key signs (PROTOCOL.sshsig section 3).
fn signed_data(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(128);
    data.extend_from_slice(MAGIC);
    put_string(&mut data, NAMESPACE.as_bytes());
    put_string(&mut data, b"");
    put_string(&mut data, HASH.as_bytes());
    put_string(&mut data, &Sha512::digest(message));
    data
}

/// The parts of a blob that vary; the rest has been checked.
struct Parts<'a> {
    public_key: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(blob: &'a [u8]) -> Result<Self, ProofError> {
        let mut cursor = Cursor::new(blob);
        if cursor.take(MAGIC.len()) != Some(MAGIC) {
            return Err(ProofError::Malformed("it doesn't begin with SSHSIG"));
        }
        match cursor.uint32() {
            Some(VERSION) => {}
            _ => return Err(ProofError::Malformed("its version is not 1")),
        }
        let public_key = next_string(&mut cursor)?;
        require("namespace", NAMESPACE, next_string(&mut cursor)?)?;
        require("reserved field", "", next_string(&mut cursor)?)?;
        require("hash", HASH, next_string(&mut cursor)?)?;
        let signature = next_string(&mut cursor)?;
        if !cursor.is_empty() {
            return Err(ProofError::Malformed("something follows its end"));
        }
        Ok(Self { public_key, signature })
    }
}

fn next_string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], ProofError> {
    cursor.string().ok_or(ProofError::Malformed("it is cut short"))
}

pub(super) fn require(field: &'static str, wanted: &'static str, got: &[u8]) -> Result<(), ProofError> {
    if got == wanted.as_bytes() {
        return Ok(());
    }
    let shown = &got[..got.len().min(64)];
    Err(ProofError::Other { field, wanted, got: String::from_utf8_lossy(shown).into_owned() })
}

/// Why a proof proves nothing. The peer erred, or lied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It is longer than any signature of a key that is handled.
    #[error(
        "the proof is {got} bytes long, and at most {MAX_BLOB} are looked at. The client must send one SSHSIG blob"
    )]
    TooLong {
        /// Bytes received.
        got: usize,
    },
    /// It is no SSHSIG blob.
    #[error("the proof is malformed: {0}. The client must send one SSHSIG blob (OpenSSH PROTOCOL.sshsig)")]
    Malformed(&'static str),
    /// It is made for another purpose, or in another manner.
    #[error(
        "the proof's {field} is {got:?} instead of {wanted:?}. The client must sign for this purpose and in this manner"
    )]
    Other {
        /// Which part of it.
        field: &'static str,
        /// What is wanted there.
        wanted: &'static str,
        /// What is there, at most 64 bytes of it.
        got: String,
    },
    /// Its key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is not the signature of that key over these bytes.
    #[error(
        "the proof's signature is wrong: it was made for another link, user or key. The client must sign this link's own exporter value"
    )]
    Wrong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;
    use proptest::prelude::*;

    fn key() -> PrivateKey {
        PrivateKey::from_seed(&[7; 32])
    }

    fn proven() -> Proven {
        Proven { key: key().public_key(), presence: None }
    }

    /// A blob with one field replaced, properly signed for that field.
    fn forged(namespace: &str, reserved: &str, hash: &str) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        for part in [namespace.as_bytes(), reserved.as_bytes(), hash.as_bytes(), &Sha512::digest(b"m")] {
            put_string(&mut data, part);
        }
        let mut blob = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        let signature = key().sign(&data).expect("signed");
        let wire = key().public_key().to_wire();
        for part in [&wire[..], namespace.as_bytes(), reserved.as_bytes(), hash.as_bytes(), &signature] {
            put_string(&mut blob, part);
        }
        blob
    }

    #[test]
    fn a_signature_verifies_for_its_message_only() {
        let blob = sign(&key(), b"message").expect("signed");
        assert_eq!(verify(&blob, b"message"), Ok(proven()));
        assert_eq!(verify(&blob, b"massage"), Err(ProofError::Wrong));
    }

    #[test]
    fn another_namespace_reserved_field_or_hash_is_refused_though_properly_signed() {
        assert_eq!(verify(&forged(NAMESPACE, "", HASH), b"m"), Ok(proven()));
        for (blob, wrong) in [
            (forged("file", "", HASH), "namespace"),
            (forged(NAMESPACE, "x", HASH), "reserved field"),
            (forged(NAMESPACE, "", "sha256"), "hash"),
        ] {
            match verify(&blob, b"m") {
                Err(ProofError::Other { field, .. }) => assert_eq!(field, wrong),
                other => panic!("{wrong}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_key_of_small_order_proves_nothing() {
        // The identity point as key, R = identity and s = 0 satisfy the cofactored equation for every message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let mut blob = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        put_string(&mut blob, &PublicKey::from_ed25519(identity).to_wire());
        for part in [NAMESPACE.as_bytes(), b"", HASH.as_bytes(), &signature::encode("ssh-ed25519", &signature)] {
            put_string(&mut blob, part);
        }
        assert_eq!(verify(&blob, b"anything"), Err(ProofError::Wrong));
    }

    #[test]
    fn every_cut_every_flipped_bit_and_every_addition_is_refused() {
        let blob = sign(&key(), b"m").expect("signed");
        for end in 0..blob.len() {
            assert!(verify(&blob[..end], b"m").is_err(), "cut at {end}");
        }
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&flipped, b"m").is_err(), "bit {bit}");
        }
        assert!(verify(&[&blob[..], b"\0"].concat(), b"m").is_err());
        assert_eq!(verify(&vec![0; MAX_BLOB + 1], b"m"), Err(ProofError::TooLong { got: MAX_BLOB + 1 }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(verify(&bytes, b"m").is_err());
            prop_assert!(verify(&[&b"SSHSIG\0\0\0\x01"[..], &bytes].concat(), b"m").is_err());
        }
    }
}
