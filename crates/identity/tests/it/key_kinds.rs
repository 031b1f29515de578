//! Every kind of key, in every format that ssh reads, with OpenSSH and OpenSSL as the oracle; and the attacks of SECURITY.md
//! for each of them.

use super::{chmod, has, keygen, tool};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use unglue_identity::sshsig::{self, NAMESPACE};
use unglue_identity::{
    IdentityError, KeyError, KeyFile, KeyKind, Passphrase, PrivateKey, ProofError, PublicKey, Signer,
};

/// What `ssh-keygen` calls each kind, with its size.
const KINDS: [(&str, &str, KeyKind); 6] = [
    ("ed25519", "256", KeyKind::Ed25519),
    ("ecdsa", "256", KeyKind::EcdsaP256),
    ("ecdsa", "384", KeyKind::EcdsaP384),
    ("ecdsa", "521", KeyKind::EcdsaP521),
    ("rsa", "2048", KeyKind::Rsa),
    ("rsa", "3072", KeyKind::Rsa),
];

fn make(directory: &Path, (kind, bits, _): (&str, &str, KeyKind), extra: &[&str]) -> PathBuf {
    let path = directory.join(format!("{kind}-{bits}{}", extra.join("").replace(['@', '.'], "")));
    let text = path.to_str().expect("UTF-8");
    keygen(["-q", "-t", kind, "-b", bits, "-C", "", "-f", text].iter().chain(extra));
    path
}

fn public_line(path: &Path) -> PublicKey {
    let text = std::fs::read_to_string(format!("{}.pub", path.display())).expect("the .pub file");
    text.parse().expect("a public key")
}

/// The private key, whose public half must be the one in the `.pub` file.
fn load(path: &Path, passphrase: &str) -> PrivateKey {
    let file = KeyFile::open(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.public_key(), public_line(path), "{}", path.display());
    assert_eq!(file.is_encrypted(), !passphrase.is_empty(), "{}", path.display());
    if file.is_encrypted() {
        let wrong = file.unlock(&|_| Some(Passphrase::new("wrong".into())));
        assert!(matches!(wrong, Err(IdentityError::WrongPassphrase { .. })), "{}: {wrong:?}", path.display());
    }
    let key = file.unlock(&|_| Some(Passphrase::new(passphrase.into()))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(key.public_key(), file.public_key());
    key
}

/// What ssh-keygen says about a blob over `message` by `signer`.
fn ssh_keygen_verifies(directory: &Path, blob: &[u8], message: &[u8], signer: &PublicKey) -> bool {
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    let armored = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(blob));
    std::fs::write(path("blob.sig"), armored).expect("written");
    std::fs::write(path("message"), message).expect("written");
    std::fs::write(path("allowed"), format!("ada {signer}\n")).expect("written");
    let (allowed, signature) = (path("allowed"), path("blob.sig"));
    let message = std::fs::File::open(path("message")).expect("the message");
    tool("ssh-keygen", ["-Y", "verify", "-f", &allowed, "-I", "ada", "-n", NAMESPACE, "-s", &signature])
        .stdin(message)
        .output()
        .expect("it runs")
        .status
        .success()
}

#[test]
fn every_kind_signs_what_ssh_keygen_verifies_and_the_other_way_round() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for kind in KINDS {
        let path = make(directory.path(), kind, &["-N", ""]);
        let key = load(&path, "");
        assert_eq!(key.public_key().key_kind(), kind.2);
        let listed = keygen(["-l", "-f", path.to_str().expect("UTF-8")]);
        let expected = format!("{} {} ", key.public_key().bits(), key.public_key().fingerprint());
        assert!(listed.starts_with(&expected), "{listed}");
        assert!(listed.trim_end().ends_with(&format!("({})", key.public_key().key_kind().short_name())), "{listed}");
        let blob = sshsig::sign(&key, b"message").expect("signed");
        assert!(ssh_keygen_verifies(directory.path(), &blob, b"message", &key.public_key()), "{kind:?}");
        assert!(!ssh_keygen_verifies(directory.path(), &blob, b"another", &key.public_key()), "{kind:?}");
        assert_eq!(sshsig::verify(&blob, b"message").map(|proven| proven.key), Ok(key.public_key()));
        let theirs = signed_by_ssh_keygen(&path, NAMESPACE, directory.path());
        assert_eq!(sshsig::verify(&theirs, b"theirs").map(|proven| proven.key), Ok(key.public_key()), "{kind:?}");
        // The same key, for another purpose.
        let other = signed_by_ssh_keygen(&path, "file", directory.path());
        assert!(matches!(sshsig::verify(&other, b"theirs"), Err(ProofError::Other { field: "namespace", .. })));
    }
}

fn signed_by_ssh_keygen(key: &Path, namespace: &str, directory: &Path) -> Vec<u8> {
    let message = directory.join("theirs");
    std::fs::write(&message, "theirs").expect("written");
    let _ = std::fs::remove_file(directory.join("theirs.sig"));
    keygen(["-q", "-Y", "sign", "-n", namespace, "-f", key.to_str().expect("UTF-8"), message.to_str().expect("UTF-8")]);
    let text = std::fs::read_to_string(directory.join("theirs.sig")).expect("signed");
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).expect("base64")
}

#[test]
fn every_format_and_encryption_that_ssh_keygen_writes_is_read() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for kind in KINDS {
        for (extra, passphrase) in [
            (&["-a", "1", "-N", "secret"][..], "secret"),
            (&["-a", "1", "-N", "secret", "-Z", "chacha20-poly1305@openssh.com"], "secret"),
            (&["-m", "PEM", "-N", ""], ""),
            (&["-m", "PEM", "-N", "secret"], "secret"),
            (&["-m", "PKCS8", "-N", ""], ""),
            (&["-m", "PKCS8", "-N", "secret"], "secret"),
        ] {
            // OpenSSH has one format for ed25519.
            if extra[0] == "-m" && kind.2 == KeyKind::Ed25519 {
                continue;
            }
            load(&make(directory.path(), kind, extra), passphrase);
        }
    }
}

fn openssl(arguments: &[&str], from: &Path, to: &Path) -> bool {
    let mut command = tool("openssl", arguments);
    command.arg("-in").arg(from).arg("-out").arg(to).args(["-passout", "pass:secret"]);
    let done = command.output().expect("it runs").status.success();
    if done {
        chmod(to, 0o600);
        std::fs::copy(format!("{}.pub", from.display()), format!("{}.pub", to.display())).expect("copied");
    }
    done
}

#[test]
fn every_encryption_that_openssl_writes_and_ssh_keygen_reads_is_read() {
    if !has("ssh-keygen") || !has("openssl") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut read = 0;
    for (kind, classic) in [(KINDS[1], "ec"), (KINDS[3], "ec"), (KINDS[4], "rsa")] {
        let plain = make(directory.path(), kind, &["-m", "PEM", "-N", ""]);
        let legacy = if classic == "rsa" { &["rsa", "-traditional"][..] } else { &["ec"] };
        let ways: [&[&str]; 11] = [
            &["legacy", "-aes128"],
            &["legacy", "-aes192"],
            &["legacy", "-aes256"],
            &["legacy", "-des3"],
            &["pkcs8", "-topk8", "-v2", "aes-128-cbc"],
            &["pkcs8", "-topk8", "-v2", "aes-192-cbc"],
            &["pkcs8", "-topk8", "-v2", "aes-256-cbc"],
            &["pkcs8", "-topk8", "-v2", "des3"],
            &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
            &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"],
            &["pkcs8", "-topk8", "-scrypt"],
        ];
        for (number, way) in ways.into_iter().enumerate() {
            let to = directory.path().join(format!("{classic}{}-{number}", kind.1));
            let arguments: Vec<&str> = match way {
                ["legacy", rest @ ..] => legacy.iter().chain(rest).copied().collect(),
                way => way.to_vec(),
            };
            assert!(openssl(&arguments, &plain, &to), "{arguments:?}");
            let theirs = tool("ssh-keygen", ["-y", "-P", "secret", "-f", to.to_str().expect("UTF-8")]).output();
            if theirs.expect("it runs").status.success() {
                load(&to, "secret");
                read += 1;
            }
        }
    }
    assert!(read >= 27, "ssh-keygen read {read} of 33");
}

#[test]
fn small_rsa_keys_are_refused_wherever_they_come_from() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for (bits, extra) in
        [("1024", &["-N", ""][..]), ("2047", &["-N", "", "-m", "PEM"]), ("1024", &["-N", "", "-m", "PKCS8"])]
    {
        let path = make(directory.path(), ("rsa", bits, KeyKind::Rsa), extra);
        match KeyFile::open(&path) {
            Err(IdentityError::Key { source: KeyError::RsaSize { bits: got }, .. }) => {
                assert_eq!(got.to_string(), bits)
            }
            other => panic!("{bits}: {other:?}"),
        }
        let line = std::fs::read_to_string(format!("{}.pub", path.display())).expect("the .pub file");
        assert!(matches!(PublicKey::from_openssh(&line), Err(KeyError::RsaSize { .. })));
    }
}

/// The parts of a blob, so that they can be put together anew.
fn with_signature(blob: &[u8], change: impl FnOnce(&str, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let string = |at: usize| {
        let length = u32::from_be_bytes(blob[at..at + 4].try_into().expect("four")) as usize;
        (at + 4, at + 4 + length)
    };
    let mut at = 10;
    for _ in 0..4 {
        at = string(at).1;
    }
    let (start, end) = string(at);
    let signature = &blob[start..end];
    let name = u32::from_be_bytes(signature[..4].try_into().expect("four")) as usize;
    let algorithm = std::str::from_utf8(&signature[4..4 + name]).expect("a name");
    let changed = change(algorithm, &signature[8 + name..]);
    [&blob[..at], &(changed.len() as u32).to_be_bytes(), &changed].concat()
}

fn encoded(algorithm: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in [algorithm.as_bytes(), value] {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[test]
fn every_cut_every_flipped_bit_and_every_addition_is_refused_for_every_kind() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for kind in KINDS {
        let key = load(&make(directory.path(), kind, &["-N", ""]), "");
        let blob = sshsig::sign(&key, b"m").expect("signed");
        for end in 0..blob.len() {
            assert!(sshsig::verify(&blob[..end], b"m").is_err(), "{kind:?} cut at {end}");
        }
        for byte in 0..blob.len() {
            let mut flipped = blob.clone();
            flipped[byte] ^= 1 << (byte % 8);
            // A flipped bit may give another key, which nobody has listed; never the same.
            let proven = sshsig::verify(&flipped, b"m").map(|proven| proven.key);
            assert_ne!(proven, Ok(key.public_key()), "{kind:?} byte {byte}");
        }
        assert!(sshsig::verify(&[&blob[..], b"\0"].concat(), b"m").is_err());
        let longer = with_signature(&blob, |algorithm, value| [&encoded(algorithm, value)[..], b"\0"].concat());
        assert!(sshsig::verify(&longer, b"m").is_err(), "{kind:?}");
        // Another kind's name in front of the value.
        for (name, ..) in [("ssh-ed25519",), ("ecdsa-sha2-nistp256",), ("rsa-sha2-512",), ("ssh-rsa",)] {
            let renamed = with_signature(&blob, |algorithm, value| match algorithm == name {
                true => encoded("sk-ssh-ed25519@openssh.com", value),
                false => encoded(name, value),
            });
            assert!(sshsig::verify(&renamed, b"m").is_err(), "{kind:?} as {name}");
        }
    }
}

#[test]
fn ecdsa_numbers_have_one_encoding() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for kind in &KINDS[1..4] {
        let key = load(&make(directory.path(), *kind, &["-N", ""]), "");
        let blob = sshsig::sign(&key, b"m").expect("signed");
        let padded = with_signature(&blob, |algorithm, value| {
            let length = u32::from_be_bytes(value[..4].try_into().expect("four")) + 1;
            encoded(algorithm, &[&length.to_be_bytes()[..], &[0], &value[4..]].concat())
        });
        assert!(matches!(sshsig::verify(&padded, b"m"), Err(ProofError::Malformed(_))), "{kind:?}");
        let zero = with_signature(&blob, |algorithm, _| encoded(algorithm, &[0; 8]));
        assert_eq!(sshsig::verify(&zero, b"m"), Err(ProofError::Wrong), "{kind:?}");
    }
}

#[test]
fn rsa_signatures_are_whole_and_by_sha_2() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let key = load(&make(directory.path(), KINDS[4], &["-N", ""]), "");
    let blob = sshsig::sign(&key, b"m").expect("signed");
    // SHA-256's name over a signature by SHA-512, and SHA-1's.
    for name in ["rsa-sha2-256", "ssh-rsa"] {
        let renamed = with_signature(&blob, |_, value| encoded(name, value));
        assert!(sshsig::verify(&renamed, b"m").is_err(), "{name}");
    }
    let longer = with_signature(&blob, |algorithm, value| encoded(algorithm, &[&[0], value].concat()));
    assert!(matches!(sshsig::verify(&longer, b"m"), Err(ProofError::Malformed(_))));
    // Signed by SHA-1 in truth, by OpenSSL.
    if !has("openssl") {
        return;
    }
    let pem = make(directory.path(), KINDS[4], &["-m", "PEM", "-N", ""]);
    let key = load(&pem, "");
    let data = Signing::default();
    sshsig::sign(&WithKey(&key, &data), b"m").expect("what is to be signed");
    let path = directory.path().join("data");
    std::fs::write(&path, data.0.lock().expect("signed").clone()).expect("written");
    for (digest, name, holds) in
        [("-sha1", "ssh-rsa", false), ("-sha256", "rsa-sha2-256", true), ("-sha512", "rsa-sha2-512", true)]
    {
        let output = tool("openssl", ["dgst", digest, "-sign"]).arg(&pem).arg(&path).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let blob = with_signature(&sshsig::sign(&key, b"m").expect("signed"), |_, _| encoded(name, &output.stdout));
        assert_eq!(sshsig::verify(&blob, b"m").is_ok(), holds, "{name}");
    }
}

/// Keeps what it is asked to sign.
#[derive(Default)]
struct Signing(std::sync::Mutex<Vec<u8>>);

struct WithKey<'a>(&'a PrivateKey, &'a Signing);

impl Signer for WithKey<'_> {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        *self.1.0.lock().expect("not poisoned") = data.to_vec();
        self.0.sign(data)
    }
}

#[test]
fn the_agent_signs_with_every_kind() {
    if !super::agent::installed() {
        return;
    }
    let agent = super::agent::RunningAgent::start();
    let directory = tempfile::tempdir().expect("a directory");
    for kind in KINDS {
        agent.add(&[], &make(directory.path(), kind, &["-N", ""]));
    }
    let keys = agent.client().keys().expect("listed").usable;
    assert_eq!(keys.len(), KINDS.len());
    for key in keys {
        let blob = sshsig::sign(&key, b"m").expect("signed");
        assert_eq!(sshsig::verify(&blob, b"m").map(|proven| proven.key), Ok(key.public_key()));
    }
}
