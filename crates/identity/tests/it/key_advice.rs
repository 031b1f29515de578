//! What the errors about keys tell people to do is done here, word for word, and works.

use super::{has, keygen, write};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use unglue_identity::{IdentityError, KeyFile, Passphrase, make_key_file};

/// The command behind the last `: ` of an error.
fn advised(error: &IdentityError) -> String {
    let text = error.to_string();
    text.rsplit_once(": ").expect("a command").1.to_owned()
}

/// Runs it in a shell without a terminal; whoever asks for a passphrase reads it from standard input.
fn follow(command: &str, typed: &str) {
    let mut shell = Command::new("timeout");
    shell.args(["20", "setsid", "sh", "-c", command]).stdin(Stdio::piped()).stderr(Stdio::piped());
    shell.env_remove("DISPLAY").env_remove("SSH_ASKPASS");
    let mut shell = shell.spawn().expect("sh runs");
    shell.stdin.take().expect("piped").write_all(typed.as_bytes()).expect("typed");
    let output = shell.wait_with_output().expect("ended");
    assert!(output.status.success(), "{command}: {output:?}");
}

fn openssl(arguments: &[&str], path: &Path) {
    let output = Command::new("openssl").args(arguments).arg("-out").arg(path).output().expect("openssl runs");
    assert!(output.status.success(), "{output:?}");
    super::chmod(path, 0o600);
}

#[test]
fn an_encrypted_pkcs8_key_is_read_after_the_advice() {
    if !has("openssl") || !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let encrypted = directory.path().join("it's a key");
    openssl(
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:secret"],
        &encrypted,
    );
    let error = KeyFile::open(&encrypted).expect_err("its public half is hidden");
    assert!(error.to_string().contains("hides its public half"), "{error}");
    // ssh-keygen asks at a terminal alone; -P is what a person would type there.
    follow(&advised(&error).replacen("ssh-keygen", "ssh-keygen -P secret", 1), "");
    let file = KeyFile::open(&encrypted).expect("read");
    let key = file.unlock(&|_| Some(Passphrase::new("secret".into()))).expect("unlocked");
    assert_eq!(key.public_key(), file.public_key());
}

#[test]
fn other_kinds_in_pkcs8_are_named() {
    if !has("openssl") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for (arguments, named) in [
        (&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..], "RSA key of 1024 bits"),
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "NIST curve"),
        (&["genpkey", "-algorithm", "ed448"], "the kind Ed448"),
    ] {
        let path = directory.path().join("key");
        openssl(arguments, &path);
        let text = KeyFile::open(&path).expect_err("another kind").to_string();
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn a_key_that_others_can_read_becomes_ones_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("-a key; rm -rf $HOME 'x'");
    make_key_file(&path, "", None).expect("made");
    super::chmod(&path, 0o644);
    let error = KeyFile::open(&path).expect_err("too open");
    follow(&advised(&error), "");
    KeyFile::open(&path).expect("read");
}

#[test]
fn the_passphrase_is_checked_as_advised() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id a");
    keygen(["-q", "-t", "ed25519", "-a", "1", "-N", "secret", "-f", path.to_str().expect("UTF-8")]);
    let file = KeyFile::open(&path).expect("read");
    let error = file.unlock(&|_| Some(Passphrase::new("wrong".into()))).expect_err("wrong");
    // ssh-keygen asks at a terminal alone; -P is what a person would type there.
    follow(&advised(&error).replacen("ssh-keygen", "ssh-keygen -P secret", 1), "");
}

#[test]
fn a_host_key_is_decrypted_as_advised() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("host key");
    keygen(["-q", "-t", "ed25519", "-a", "1", "-N", "secret", "-f", path.to_str().expect("UTF-8")]);
    let load = || unglue_identity::HostKeys::load(std::slice::from_ref(&path), directory.path());
    let error = load().expect_err("encrypted");
    assert!(matches!(error, IdentityError::LockedHostKey { .. }), "{error}");
    follow(&advised(&error).replacen("ssh-keygen", "ssh-keygen -P secret", 1), "");
    load().expect("loaded");
}

#[test]
fn a_key_is_handed_to_an_agent_as_advised() {
    let directory = tempfile::tempdir().expect("a directory");
    if !super::agent::installed() {
        return;
    }
    let agent = super::agent::RunningAgent::start();
    let path = directory.path().join("id a");
    let key = make_key_file(&path, "", None).expect("made");
    let locked = IdentityError::Locked { path };
    follow(&format!("SSH_AUTH_SOCK='{}' {}", agent.client().socket().display(), advised(&locked)), "");
    let held = agent.client().keys().expect("listed").usable;
    assert_eq!(unglue_identity::Signer::public_key(&held[0]), key.public_key());
}

#[test]
fn utf_16_is_converted_as_advised() {
    if !has("iconv") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    let key = make_key_file(&path, "", None).expect("made");
    let text = std::fs::read_to_string(&path).expect("read");
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let converted = directory.path().join("from windows");
    write(&converted, [&[0xff, 0xfe][..], &wide].concat(), 0o600);
    let error = KeyFile::open(&converted).expect_err("UTF-16");
    follow(&advised(&error), "");
    let read = KeyFile::open(&directory.path().join("from windows.utf8")).expect("read");
    assert_eq!(read.public_key(), key.public_key());
}

#[test]
fn a_putty_key_is_converted_as_advised() {
    if !has("puttygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    let key = make_key_file(&path, "", None).expect("made");
    let putty = directory.path().join("a key.ppk");
    let made = Command::new("puttygen").arg(&path).args(["-O", "private", "-o"]).arg(&putty).status();
    assert!(made.expect("puttygen runs").success());
    let error = KeyFile::open(&putty).expect_err("PuTTY's");
    follow(&advised(&error), "");
    let read = KeyFile::open(&directory.path().join("a key.ppk.openssh")).expect("read");
    assert_eq!(read.public_key(), key.public_key());
}

#[test]
fn a_public_key_leads_to_the_private_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    make_key_file(&path, "", None).expect("made");
    let error = KeyFile::open(&path.with_extension("pub"));
    // Public keys are for all to read; what it is comes first.
    let error = error.expect_err("public");
    assert!(error.to_string().contains("public key"), "{error}");
    KeyFile::open(Path::new(&advised(&error))).expect("the private one");
}
