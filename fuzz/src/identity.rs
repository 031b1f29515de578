//! What the fuzzers of keys, `authorized_keys`, `known_hosts` and ssh's wire formats check.

use std::path::Path;

use unglue_identity::authorized_keys::{Lookup, lookup};
use unglue_identity::{
    Agent, AgentKeys, Certificate, KeyFile, KeyKind, KnownHosts, Login, Policy, PrivateKey, PublicKey, Verdict, proof,
    sshsig,
};

/// The key that the corpus has in many of its lines.
fn ours() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

fn base64_of(key: &PublicKey) -> String {
    key.to_openssh().replace("ssh-ed25519 ", "")
}

fn line(text: &[u8], number: usize) -> String {
    let line = text.split(|&byte| byte == b'\n').nth(number - 1).expect("a line of the text");
    String::from_utf8_lossy(line).into_owned()
}

/// An input is the text of an `authorized_keys` file.
pub fn authorized_keys(text: &[u8]) {
    let key = ours().public_key();
    let login = Login::offer(key.clone()).from("10.0.0.1".parse().ok());
    let lookup = |text: &[u8]| lookup(text, &login, "ada", 1_800_000_000);
    match lookup(text) {
        Lookup::Authorised { line: number, policy, .. } => {
            let admitting = line(text, number);
            assert!(admitting.contains(&base64_of(&key)), "{admitting:?}");
            // Nothing stands before the kind, or something that is known.
            let plain = admitting.trim_start().starts_with("ssh-ed25519 ");
            assert!(!plain || *policy == Policy::everything(), "{admitting:?}: {policy:?}");
            // The first line that admits decides.
            let first = text.split(|&byte| byte == b'\n').take(number - 1).collect::<Vec<_>>().join(&b'\n');
            assert!(!matches!(lookup(&first), Lookup::Authorised { .. }));
        }
        Lookup::Refused { line: number, .. } => assert!(line(text, number).contains(&base64_of(&key))),
        Lookup::Absent { .. } => {
            // Whatever stands before it, a plain line on its own admits.
            let longer = [text, b"\n", key.to_openssh().as_bytes()].concat();
            assert!(matches!(lookup(&longer), Lookup::Authorised { .. }));
        }
    }
}

/// An input is the text of a `known_hosts` file.
pub fn known_hosts(text: &[u8]) {
    let key = ours().public_key();
    let judge = |text: &[u8]| KnownHosts::parse(Path::new("known_hosts"), text).lookup("Host.example", 7227, &key);
    match judge(text) {
        Verdict::Trusted { at } => {
            let line = line(text, at.line);
            assert!(line.contains(&base64_of(&key)) && !line.trim_start().starts_with(['@', '#']), "{line:?}");
        }
        Verdict::Revoked { at } => assert!(line(text, at.line).contains("@revoked")),
        Verdict::Changed { at, known } => {
            assert_ne!(known, key.fingerprint());
            assert!(!line(text, at.line).contains(&base64_of(&key)));
        }
        Verdict::Unknown { .. } => {}
    }
    let with = |line: String| judge(&[text, b"\n", line.as_bytes()].concat());
    let trusted = with(format!("[host.example]:7227 {key}"));
    assert!(matches!(trusted, Verdict::Trusted { .. } | Verdict::Revoked { .. }), "{trusted:?}");
    assert!(matches!(with(format!("@revoked * {key}")), Verdict::Revoked { .. }));
}

/// An input is the text of a private key's file.
pub fn key_file(text: &[u8]) {
    match KeyFile::parse(Path::new("id"), text) {
        // What is encrypted asks for as much work as its file says.
        Ok(file) if !file.is_encrypted() => {
            if let Ok(key) = file.unlock(&|_| panic!("nothing to ask")) {
                assert_eq!(key.public_key(), file.public_key());
            }
        }
        Ok(_) => {}
        Err(error) => assert!(error.to_string().len() < 500, "{error}"),
    }
}

/// An input is a public key, a signature, and an agent's answer, in SSH's wire form.
pub fn ssh_wire(bytes: &[u8]) {
    if let Ok(key) = PublicKey::from_wire(bytes) {
        // The numbers of an RSA key may have had more zeros than they need.
        assert!(key.to_wire() == bytes || key.key_kind() == KeyKind::Rsa);
        assert_eq!(PublicKey::from_wire(&key.to_wire()), Ok(key));
    }
    if let Ok(certificate) = Certificate::from_wire(bytes) {
        assert_eq!(certificate.to_wire(), bytes);
    }
    if let Ok(key) = PublicKey::from_spki_der(bytes) {
        assert_eq!(key.to_spki_der().as_deref(), Some(bytes));
    }
    let exporter = [1; proof::EXPORTER_LEN];
    // ed25519 signs the same bytes in one way only, and nobody else has this key.
    if proof::check(bytes, b"ada", &exporter).is_ok_and(|proven| proven.key == ours().public_key()) {
        assert_eq!(proof::prove(&ours(), b"ada", &exporter).expect("signed"), bytes);
    }
    let _ = sshsig::verify(bytes, bytes);
    if let Some(keys) = AgentKeys::from_answer(&Agent::at("/agent"), bytes) {
        // A key takes four bytes of length at least, and so does its comment.
        assert!((keys.usable.len() + keys.other_kinds.len()) * 8 <= bytes.len());
    }
}
