//! SSHSIG blobs, checked against `ssh-keygen -Y` both ways.

use super::{has, key, keygen, printed, tool, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::path::Path;
use std::process::Output;
use unglue_identity::proof::{self, transcript};
use unglue_identity::sshsig::{self, NAMESPACE};
use unglue_identity::{KeyFile, ProofError, PublicKey, make_key_file};

fn armor(blob: &[u8]) -> String {
    let base64 = STANDARD.encode(blob);
    let lines: Vec<&str> = (0..base64.len()).step_by(70).map(|at| &base64[at..base64.len().min(at + 70)]).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

fn unarmor(text: &str) -> Vec<u8> {
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).expect("base64")
}

/// Has ssh-keygen verify `blob` over `message` as a signature of `signer`.
fn ssh_keygen_verifies(directory: &Path, blob: &[u8], message: &[u8], signer: &PublicKey) -> Output {
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    write(&directory.join("blob.sig"), armor(blob), 0o600);
    write(&directory.join("message"), message, 0o600);
    write(&directory.join("allowed"), format!("ada namespaces=\"{NAMESPACE}\" {signer}\n"), 0o600);
    let (allowed, signature) = (path("allowed"), path("blob.sig"));
    let arguments = ["-Y", "verify", "-f", &allowed, "-I", "ada", "-n", NAMESPACE, "-s", &signature];
    let message = File::open(directory.join("message")).expect("the message");
    tool("ssh-keygen", arguments).stdin(message).output().expect("timeout(1) runs")
}

#[test]
fn ssh_keygen_verifies_our_signatures() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for message in [&b""[..], b"message", &[0xff; 100_000]] {
        let blob = sshsig::sign(&key(1), message).expect("signed");
        let output = ssh_keygen_verifies(directory.path(), &blob, message, &key(1).public_key());
        assert!(output.status.success(), "{output:?}");
        assert!(printed(&output).contains(&key(1).public_key().fingerprint().to_string()));
        let output = ssh_keygen_verifies(directory.path(), &blob, b"another", &key(1).public_key());
        assert!(!output.status.success());
        let output = ssh_keygen_verifies(directory.path(), &blob, message, &key(2).public_key());
        assert!(!output.status.success());
    }
}

#[test]
fn ssh_keygen_verifies_the_golden_proof() {
    if !has("ssh-keygen") {
        return;
    }
    let hex = include_str!("../../src/proof-v1.hex").trim_end().as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    let blob: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let signer = proof::check(&blob, b"ada", &[1; 32]).expect("a proof");
    let directory = tempfile::tempdir().expect("a directory");
    let output = ssh_keygen_verifies(directory.path(), &blob, &transcript(b"ada", &[1; 32]), &signer.key);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn we_verify_what_ssh_keygen_signs_for_our_purpose_only() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    let public = make_key_file(&path, "", None).expect("made").public_key();
    let message = directory.path().join("message");
    write(&message, transcript(b"ada", &[9; 32]), 0o600);
    let sign = |extra: &[&str]| {
        let _ = std::fs::remove_file(message.with_extension("sig"));
        let named = ["-q", "-Y", "sign", "-f", path.to_str().expect("UTF-8")];
        let last = [message.to_str().expect("UTF-8")];
        keygen(named.iter().chain(extra).chain(&last));
        unarmor(&std::fs::read_to_string(message.with_extension("sig")).expect("a signature"))
    };
    assert_eq!(proof::check(&sign(&["-n", NAMESPACE]), b"ada", &[9; 32]).map(|proven| proven.key), Ok(public));
    assert_eq!(proof::check(&sign(&["-n", NAMESPACE]), b"ada", &[8; 32]), Err(ProofError::Wrong));
    for other in [&["-n", "file"][..], &["-n", NAMESPACE, "-O", "hashalg=sha256"]] {
        let refused = proof::check(&sign(other), b"ada", &[9; 32]);
        assert!(matches!(refused, Err(ProofError::Other { .. })), "{refused:?}");
    }
    // The same key, through our own file loader, signs the same bytes: ed25519 is deterministic.
    let ours = KeyFile::open(&path).and_then(|file| file.unlock(&|_| None)).expect("loaded");
    assert_eq!(proof::prove(&ours, b"ada", &[9; 32]).expect("signed"), sign(&["-n", NAMESPACE]));
}

#[test]
fn a_small_rsa_key_is_refused_though_its_signature_is_right() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (path, message) = (directory.path().join("id"), directory.path().join("message"));
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    keygen(["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", &text(&path)]);
    write(&message, "m", 0o600);
    keygen(["-q", "-Y", "sign", "-n", NAMESPACE, "-f", &text(&path), &text(&message)]);
    let blob = unarmor(&std::fs::read_to_string(message.with_extension("sig")).expect("a signature"));
    let error = sshsig::verify(&blob, b"m").expect_err("too small").to_string();
    assert!(error.contains("RSA key of 1024 bits"), "{error}");
}
