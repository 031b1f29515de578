//! FIDO keys, which sign through an agent. The agent here is a software authenticator: it makes the signatures that
//! OpenSSH's PROTOCOL.u2f describes, with flags of the test's choice. ssh-keygen is the oracle for their form.

use super::{has, tool};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;
use ssh_key::sha2::Sha256;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use unglue_identity::authorized_keys::{Lookup, Refused, lookup};
use unglue_identity::sshsig::{self, NAMESPACE};
use unglue_identity::{Agent, Identity, Login, Presence, PrivateKey, Proven, PublicKey, Signer as _};

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|part| put(&mut out, part));
    out
}

/// What holds the secret.
enum Secret {
    Ed25519(PrivateKey),
    Ecdsa(EcdsaKeyPair),
}

/// An authenticator with one key.
struct Authenticator {
    secret: Secret,
    flags: u8,
}

impl Authenticator {
    fn public_key(&self) -> Vec<u8> {
        match &self.secret {
            Secret::Ed25519(key) => {
                let wire = key.public_key().to_wire();
                strings(&[b"sk-ssh-ed25519@openssh.com", &wire[wire.len() - 32..], b"ssh:"])
            }
            Secret::Ecdsa(pair) => {
                strings(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", pair.public_key().as_ref(), b"ssh:"])
            }
        }
    }

    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let mut signed = Sha256::digest(b"ssh:").to_vec();
        signed.push(self.flags);
        signed.extend_from_slice(&7u32.to_be_bytes());
        signed.extend_from_slice(&Sha256::digest(data));
        let mut signature = match &self.secret {
            Secret::Ed25519(key) => {
                let string = key.sign(&signed).expect("signed");
                strings(&[b"sk-ssh-ed25519@openssh.com", &string[string.len() - 64..]])
            }
            Secret::Ecdsa(pair) => {
                let fixed = pair.sign(&SystemRandom::new(), &signed).expect("signed");
                let number = |bytes: &[u8]| {
                    let digits: Vec<u8> = bytes.iter().copied().skip_while(|&byte| byte == 0).collect();
                    if digits[0] & 0x80 != 0 { [&[0][..], &digits].concat() } else { digits }
                };
                let (r, s) = fixed.as_ref().split_at(32);
                strings(&[b"sk-ecdsa-sha2-nistp256@openssh.com", &strings(&[&number(r), &number(s)])])
            }
        };
        signature.push(self.flags);
        signature.extend_from_slice(&7u32.to_be_bytes());
        signature
    }

    /// Answers an agent's requests on a socket, until its clients are gone for 20 s.
    fn serve(self, socket: &Path) -> Agent {
        let listener = UnixListener::bind(socket).expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(8) {
                let _ = self.answer(stream);
            }
        });
        Agent::at(socket)
    }

    fn answer(&self, mut stream: UnixStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let mut reply = Vec::new();
        match request[0] {
            11 => {
                reply.extend_from_slice(&[12, 0, 0, 0, 1]);
                reply.extend_from_slice(&strings(&[&self.public_key(), b"a software authenticator"]));
            }
            _ => {
                let key = u32::from_be_bytes(request[1..5].try_into().expect("four")) as usize;
                let data = &request[5 + key + 4..request.len() - 4];
                reply.push(14);
                put(&mut reply, &self.sign(data));
            }
        }
        stream.write_all(&strings(&[&reply]))
    }
}

fn authenticators(flags: u8) -> [Authenticator; 2] {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    [Secret::Ed25519(super::key(5)), Secret::Ecdsa(pair)].map(|secret| Authenticator { secret, flags })
}

/// A login with a signature by the authenticator.
fn proved(authenticator: Authenticator) -> (Vec<u8>, Proven) {
    let directory = tempfile::tempdir().expect("a directory");
    let public = PublicKey::from_wire(&authenticator.public_key()).expect("a key");
    let agent = authenticator.serve(&directory.path().join("socket"));
    let keys = agent.keys().expect("listed").usable;
    let identity = Identity::Agent(keys[0].clone());
    assert!(identity.may_ask(), "a touch costs somebody something");
    let blob = sshsig::sign(&keys[0], b"m").expect("signed");
    let proven = sshsig::verify(&blob, b"m").expect("it holds");
    assert_eq!(proven.key, public);
    (blob, proven)
}

#[test]
fn signatures_of_both_kinds_hold_and_report_what_the_authenticator_did() {
    for flags in [0, 1, 4, 5] {
        for authenticator in authenticators(flags) {
            let (blob, proven) = proved(authenticator);
            assert_eq!(proven.presence, Some(Presence { touched: flags & 1 != 0, verified: flags & 4 != 0 }));
            // Neither the flags nor the counter can be changed.
            for byte in blob.len() - 5..blob.len() {
                let mut changed = blob.clone();
                changed[byte] ^= 1;
                assert!(sshsig::verify(&changed, b"m").is_err(), "byte {byte}");
            }
            assert!(sshsig::verify(&blob, b"another").is_err());
        }
    }
}

#[test]
fn ssh_keygen_verifies_them_too() {
    if !has("ssh-keygen") {
        return;
    }
    for authenticator in authenticators(5) {
        let (blob, proven) = proved(authenticator);
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
        let armored =
            format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(&blob));
        std::fs::write(path("m.sig"), armored).expect("written");
        std::fs::write(path("m"), "m").expect("written");
        std::fs::write(path("allowed"), format!("ada {}\n", proven.key)).expect("written");
        let message = std::fs::File::open(path("m")).expect("the message");
        let arguments = ["-Y", "verify", "-f", &path("allowed"), "-I", "ada", "-n", NAMESPACE, "-s", &path("m.sig")];
        let output = tool("ssh-keygen", arguments).stdin(message).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
    }
}

/// sshd(8), `no-touch-required` and `verify-required`.
#[test]
fn a_touch_is_required_unless_the_line_says_otherwise_and_verification_if_it_does() {
    for (options, flags, admitted) in [
        ("", 1, true),
        ("", 0, false),
        ("", 4, false),
        ("no-touch-required ", 0, true),
        ("verify-required ", 1, false),
        ("verify-required ", 5, true),
        ("no-touch-required,verify-required ", 4, true),
        ("no-touch-required,touch-required ", 0, false),
    ] {
        for authenticator in authenticators(flags) {
            let (_, proven) = proved(authenticator);
            let line = format!("{options}{}\n", proven.key);
            let offered = Login::offer(proven.key.clone());
            assert!(matches!(lookup(line.as_bytes(), &offered, "ada", 0), Lookup::Authorised { .. }), "{options}");
            let found = lookup(line.as_bytes(), &offered.proved(proven.presence), "ada", 0);
            match found {
                Lookup::Authorised { .. } => assert!(admitted, "{options}{flags}"),
                Lookup::Refused { why: Refused::Touch | Refused::Verify, .. } => assert!(!admitted, "{options}{flags}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
