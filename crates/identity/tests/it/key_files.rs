//! Key files that ssh-keygen makes are loaded, and those that we make please ssh-keygen.

use super::{chmod, has, keygen, tool, write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use unglue_identity::{IdentityError, KeyFile, Passphrase, PublicKey, make_key_file};

/// Answers with these passphrases, one after the other, then gives up.
fn answers<'a>(texts: &'a [&'a str]) -> impl Fn(&Path) -> Option<Passphrase> + 'a {
    let asked = AtomicUsize::new(0);
    move |_| texts.get(asked.fetch_add(1, Ordering::Relaxed)).map(|text| Passphrase::new((*text).to_owned()))
}

fn public_line(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("pub")).expect("the .pub file")
}

#[test]
fn ssh_keygens_plain_key_is_loaded() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    keygen(["-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", path.to_str().expect("UTF-8")]);
    let file = KeyFile::open(&path).expect("loaded");
    assert!(!file.is_encrypted());
    let public: PublicKey = public_line(&path).parse().expect("a public key");
    assert_eq!(file.public_key(), public);
    assert_eq!(file.unlock(&|_| panic!("nothing to ask")).expect("a key").public_key(), public);
    let listed = keygen(["-l", "-f", path.to_str().expect("UTF-8")]);
    assert!(listed.contains(&format!(" {} ", public.fingerprint())), "{listed}");
}

#[test]
fn encrypted_keys_of_every_cipher_open_with_their_passphrase() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for cipher in ["aes256-ctr", "aes128-cbc", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let path = directory.path().join(cipher.replace(['@', '.'], "-"));
        // Two rounds: the tests are not about bcrypt's patience.
        let rounds = ["-q", "-t", "ed25519", "-a", "2", "-Z", cipher, "-N", "pass w\u{f6}rd", "-f"];
        keygen(rounds.iter().copied().chain([path.to_str().expect("UTF-8")]));
        let file = KeyFile::open(&path).expect("loaded");
        assert!(file.is_encrypted(), "{cipher}");
        // The public half is known before anybody is asked.
        assert_eq!(file.public_key(), public_line(&path).parse().expect("a public key"), "{cipher}");
        let key = file.unlock(&answers(&["wrong", "", "pass w\u{f6}rd"])).expect("unlocked at the third try");
        assert_eq!(key.public_key(), file.public_key());
        match file.unlock(&answers(&["1", "2", "3", "pass w\u{f6}rd"])) {
            Err(IdentityError::WrongPassphrase { tries: 3, .. }) => {}
            other => panic!("{cipher}: {other:?}"),
        }
        assert!(matches!(file.unlock(&|_| None), Err(IdentityError::Locked { .. })));
    }
}

#[test]
fn our_keys_are_accepted_by_ssh_keygen() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for (name, passphrase) in [("plain", ""), ("locked", "secret")] {
        let path = directory.path().join("deep/er").join(name);
        let given = (!passphrase.is_empty()).then(|| Passphrase::new(passphrase.to_owned()));
        let key = make_key_file(&path, "ada@laptop\nssh-rsa injected", given.as_ref()).expect("made");
        let path_text = path.to_str().expect("UTF-8");
        let derived = keygen(["-y", "-P", passphrase, "-f", path_text]);
        assert_eq!(derived.trim_end(), format!("{} ada@laptop ssh-rsa injected", key.public_key()));
        assert_eq!(derived, public_line(&path));
        assert!(keygen(["-l", "-f", path_text]).contains(&key.public_key().fingerprint().to_string()));
        let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a directory")), 0o700);
        let file = KeyFile::open(&path).expect("loaded");
        assert_eq!(file.unlock(&answers(&[passphrase])).expect("unlocked").public_key(), key.public_key());
    }
    let left: Vec<_> = std::fs::read_dir(directory.path().join("deep/er")).expect("listed").collect();
    assert_eq!(left.len(), 4, "two pairs and no temporary file: {left:?}");
}

#[test]
fn nothing_is_ever_overwritten() {
    let directory = tempfile::tempdir().expect("a directory");
    for taken in ["one", "two.pub"] {
        let taken = directory.path().join(taken);
        std::fs::write(&taken, "precious").expect("written");
        match make_key_file(&taken.with_extension(""), "", None) {
            Err(IdentityError::Exists { path }) => assert_eq!(path, taken),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(&taken).expect("read"), "precious");
    }
    // A dangling link counts too: the key would land where it points.
    let link = directory.path().join("three");
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &link).expect("linked");
    assert!(matches!(make_key_file(&link, "", None), Err(IdentityError::Exists { .. })));
    assert!(!directory.path().join("elsewhere").exists());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    make_key_file(&path, "", None).expect("made");
    for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
        chmod(&path, mode);
        let error = KeyFile::open(&path).expect_err("too open");
        assert!(matches!(error, IdentityError::TooOpen { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{mode:04o}")), "{text}");
        assert!(text.ends_with(&format!("chmod 600 {}", path.display())), "{text}");
    }
    chmod(&path, 0o400);
    KeyFile::open(&path).expect("read-only is fine");
}

#[test]
fn other_kinds_and_other_files_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    let public = super::key(1).public_key();
    for (contents, named) in [
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n".to_owned(), "RSA"),
        ("-----BEGIN DSA PRIVATE KEY-----\nMIIE\n".to_owned(), "DSA"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(), "PuTTY"),
        (format!("{public} me\n"), "public key"),
        ("nonsense".to_owned(), "not a key"),
        (String::new(), "is empty"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n".to_owned(), "END"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n".to_owned(), "damaged"),
    ] {
        write(&path, contents, 0o600);
        let text = KeyFile::open(&path).expect_err("no private key").to_string();
        assert!(text.contains(named) && text.contains(path.to_str().expect("UTF-8")), "{text}");
    }
}

#[test]
fn a_fifo_a_directory_and_an_endless_file_are_refused_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let fifo = directory.path().join("fifo");
    assert!(tool("mkfifo", [&fifo]).status().expect("mkfifo(1) runs").success());
    for path in [fifo.as_path(), directory.path(), Path::new("/dev/zero")] {
        assert!(matches!(KeyFile::open(path), Err(IdentityError::Io { .. })), "{}", path.display());
    }
    let endless = directory.path().join("endless");
    write(&endless, "", 0o600);
    std::fs::File::options().write(true).open(&endless).and_then(|file| file.set_len(1 << 40)).expect("sparse");
    let text = KeyFile::open(&endless).expect_err("too long").to_string();
    assert!(text.contains("65536 bytes"), "{text}");
}
