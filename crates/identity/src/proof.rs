//! The proof that opens a link: a user's signature over this very TLS connection.
//!
//! Both ends export the same 32 bytes from their TLS session (RFC 8446 section 7.5), which no other session has.
//! The client signs the [`transcript`] that holds them; the server, which made its own transcript, checks it. A
//! proof is worth nothing on another connection, so it can't be replayed or passed on by a server in the middle.

use super::error::IdentityError;
use super::sshsig::{self, ProofError, Proven, Signer};
use super::wire::put_string;
use unglue_proto::PROTOCOL;

/// The label of the TLS exporter.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-unglue-auth-1";

/// The context of the TLS exporter: empty, since everything else is in the [`transcript`].
pub const EXPORTER_CONTEXT: &[u8] = b"";

/// How many bytes are exported.
pub const EXPORTER_LEN: usize = 32;

/// The role of the end that signs; a proof by a server could never pass for one by a client.
const ROLE: &[u8] = b"client";

/// What the client signs: four SSH strings (RFC 4251 section 5: a big-endian `uint32` length, then the bytes),
/// [`PROTOCOL`] (`unglue/1`), `client`, the user's name as it asks to be served, and the exporter's 32 bytes. Each part's
/// length stands before it, so no two different logins have the same transcript.
pub fn transcript(user: &[u8], exporter: &[u8; EXPORTER_LEN]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + user.len());
    for part in [PROTOCOL.as_bytes(), ROLE, user, exporter] {
        put_string(&mut bytes, part);
    }
    bytes
}

/// The client's half: the SSHSIG blob that proves, on the connection of `exporter`, who asks to be served as `user`.
///
/// # Errors
///
/// What [`Signer::sign`] gives. It may wait for a human: never call it on the driver's thread.
pub fn prove(signer: &dyn Signer, user: &[u8], exporter: &[u8; EXPORTER_LEN]) -> Result<Vec<u8>, IdentityError> {
    sshsig::sign(signer, &transcript(user, exporter))
}

/// The server's half: the key that made `proof` for this user on this connection.
///
/// # Errors
///
/// [`ProofError`]: nothing is proved. One about another connection gives [`ProofError::Wrong`].
pub fn check(proof: &[u8], user: &[u8], exporter: &[u8; EXPORTER_LEN]) -> Result<Proven, ProofError> {
    sshsig::verify(proof, &transcript(user, exporter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;

    #[test]
    fn the_transcript_is_as_documented() {
        let bytes = transcript(b"ada", &[9; 32]);
        let head = b"\0\0\0\x08unglue/1\0\0\0\x06client\0\0\0\x03ada\0\0\0\x20";
        assert_eq!(bytes, [&head[..], &[9; 32]].concat());
    }

    #[test]
    fn a_proof_holds_for_its_connection_and_user_only() {
        let key = PrivateKey::from_seed(&[3; 32]);
        let proof = prove(&key, b"ada", &[1; 32]).expect("signed");
        assert_eq!(check(&proof, b"ada", &[1; 32]), Ok(Proven { key: key.public_key(), presence: None }));
        assert_eq!(check(&proof, b"ada", &[2; 32]), Err(ProofError::Wrong));
        assert_eq!(check(&proof, b"bob", &[1; 32]), Err(ProofError::Wrong));
    }

    /// A released client's proof must verify for ever (P10).
    #[test]
    fn the_proof_of_version_1_is_what_it_was() {
        let key = PrivateKey::from_seed(&[3; 32]);
        let proof = prove(&key, b"ada", &[1; 32]).expect("signed");
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("proof-v1.hex").trim_end());
    }
}
