//! Private keys in OpenSSH's file format (PROTOCOL.key): loading, unlocking, making.

use super::bounded;
use super::error::IdentityError;
use super::key::{KeyError, PublicKey};
use super::private_key::PrivateKey;
use rustix::process::geteuid;
use ssh_key::private::KeypairData;
use ssh_key::public::KeyData;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key file is a few hundred bytes; this also holds long comments and other kinds of keys.
const MAX_KEY_FILE: usize = 64 * 1024;

/// How often a passphrase is asked for, as ssh does.
const MAX_PASSPHRASES: u32 = 3;

/// A passphrase: wiped when dropped, never shown.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the passphrase over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Asks for the passphrase of the key in this file; `None` gives up. Called again after a wrong one.
pub type AskPassphrase<'a> = dyn FnMut(&Path) -> Option<Passphrase> + 'a;

/// A private key's file that has been read, and perhaps not yet been unlocked.
///
/// Even an encrypted file tells its public key, so a server can be asked whether it would admit the key before a
/// human is asked for the passphrase.
///
/// A clone shares what was read, so that a secret is in memory once.
#[derive(Clone)]
pub struct KeyFile {
    path: PathBuf,
    public_key: PublicKey,
    contents: Arc<ssh_key::PrivateKey>,
}

impl KeyFile {
    /// Reads a private key's file.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Io`] if it can't be read, [`IdentityError::TooOpen`] if it is ours and others can read
    /// it, [`IdentityError::NotAPrivateKey`] or [`IdentityError::Key`] if it holds something else or another kind.
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::io("read the private key", path, source);
        let (file, metadata) = bounded::open(path).map_err(failed)?;
        refuse_if_open_to_others(path, &metadata)?;
        let text = bounded::read(&file, MAX_KEY_FILE).map_err(failed)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, IdentityError> {
        refuse_other_formats(path, text)?;
        let contents = ssh_key::PrivateKey::from_openssh(text).map_err(|error| damaged(path, &error))?;
        let public_key = ed25519_half(&contents).map_err(|error| IdentityError::key(path, error))?;
        Ok(Self { path: path.to_owned(), public_key, contents: Arc::new(contents) })
    }

    /// Where the key was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public half, known even while the file is locked.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        self.contents.is_encrypted()
    }

    /// The private key; `ask` is called up to three times, if the file is encrypted.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Locked`] if `ask` gives up, [`IdentityError::WrongPassphrase`] after three wrong ones.
    pub fn unlock(&self, ask: &mut AskPassphrase<'_>) -> Result<PrivateKey, IdentityError> {
        if !self.is_encrypted() {
            return self.private_half(&self.contents);
        }
        for _ in 0..MAX_PASSPHRASES {
            let passphrase = ask(&self.path).ok_or_else(|| IdentityError::Locked { path: self.path.clone() })?;
            match self.contents.decrypt(passphrase.as_bytes()) {
                Ok(decrypted) => return self.private_half(&decrypted),
                // The check value after decryption is wrong: so was the passphrase.
                Err(ssh_key::Error::Crypto) => {}
                Err(error) => return Err(damaged(&self.path, &error)),
            }
        }
        Err(IdentityError::WrongPassphrase { path: self.path.clone(), tries: MAX_PASSPHRASES })
    }

    fn private_half(&self, contents: &ssh_key::PrivateKey) -> Result<PrivateKey, IdentityError> {
        let key = match contents.key_data() {
            KeypairData::Ed25519(pair) => PrivateKey::from_keypair(pair),
            _ => None,
        };
        key.filter(|key| key.public_key() == self.public_key).ok_or_else(|| {
            IdentityError::key(&self.path, KeyError::Malformed("its private and public halves don't belong together"))
        })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({}, {})", self.path.display(), self.public_key)
    }
}

/// As ssh: only the owner's own negligence is refused; what another owner allows is that owner's affair.
fn refuse_if_open_to_others(path: &Path, metadata: &Metadata) -> Result<(), IdentityError> {
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() == geteuid().as_raw() && mode & 0o077 != 0 {
        return Err(IdentityError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(())
}

/// The formats that people hand us by mistake, told apart by how they begin.
const OTHER_FORMATS: [(&str, &str, &str); 6] = [
    ("-----BEGIN RSA PRIVATE KEY", "an RSA key in the old PEM format", MAKE_ED25519),
    ("-----BEGIN EC PRIVATE KEY", "an ECDSA key in the old PEM format", MAKE_ED25519),
    ("-----BEGIN DSA PRIVATE KEY", "a DSA key in the old PEM format", MAKE_ED25519),
    ("PuTTY-User-Key-File", "a PuTTY key", "Export it as an OpenSSH key in PuTTYgen"),
    ("ssh-", "a public key", "Name the private key, which lies beside it without .pub"),
    ("ecdsa-", "a public key", "Name the private key, which lies beside it without .pub"),
];
const MAKE_ED25519: &str = "This release handles ssh-ed25519 only; make such a key with: ssh-keygen -t ed25519";

fn refuse_other_formats(path: &Path, text: &[u8]) -> Result<(), IdentityError> {
    let text = text.trim_ascii_start();
    if text.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----") {
        return Ok(());
    }
    let known = OTHER_FORMATS.iter().find(|(start, ..)| text.starts_with(start.as_bytes()));
    let (found, advice) = known
        .map_or(("something else", "Convert it with: ssh-keygen -p -f FILE"), |(_, found, advice)| (found, advice));
    Err(IdentityError::NotAPrivateKey { path: path.to_owned(), found: found.to_owned(), advice })
}

fn damaged(path: &Path, error: &ssh_key::Error) -> IdentityError {
    let found = format!("it is damaged ({error})");
    let advice = "Restore it from a copy, or make another with: ssh-keygen -t ed25519";
    IdentityError::NotAPrivateKey { path: path.to_owned(), found, advice }
}

fn ed25519_half(contents: &ssh_key::PrivateKey) -> Result<PublicKey, KeyError> {
    match contents.public_key().key_data() {
        KeyData::Ed25519(key) => Ok(PublicKey::from_ed25519(key.0)),
        other => Err(KeyError::Unsupported { kind: other.algorithm().as_str().to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    /// The file that holds these bytes between its first and last lines.
    fn armored(bytes: &[u8]) -> String {
        let base64 = STANDARD.encode(bytes);
        let lines: Vec<&str> = (0..base64.len()).step_by(70).map(|at| &base64[at..base64.len().min(at + 70)]).collect();
        let body = lines.join("\n");
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
    }

    fn good() -> (PrivateKey, Vec<u8>) {
        let key = PrivateKey::from_seed(&[8; 32]);
        let bytes = key.to_ssh_key("comment").and_then(|key| key.to_bytes()).expect("written");
        (key, bytes.to_vec())
    }

    #[test]
    fn what_is_written_is_read() {
        let (key, bytes) = good();
        let file = KeyFile::parse(Path::new("id"), armored(&bytes).as_bytes()).expect("read");
        assert_eq!(file.unlock(&mut |_| None).expect("plain").public_key(), key.public_key());
    }

    proptest! {
        #[test]
        fn arbitrary_and_damaged_files_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            at in 0usize..200,
            replaced: u8,
        ) {
            let _ = KeyFile::parse(Path::new("id"), &bytes);
            let _ = KeyFile::parse(Path::new("id"), armored(&[b"openssh-key-v1\0", &bytes[..]].concat()).as_bytes());
            let (key, mut damaged) = good();
            damaged[at] = replaced;
            // Whatever was changed: what still loads is a key whose halves belong together.
            let file = KeyFile::parse(Path::new("id"), armored(&damaged).as_bytes());
            if let Ok(loaded) = file.and_then(|file| file.unlock(&mut |_| None)) {
                prop_assert_eq!(loaded.public_key(), key.public_key());
            }
        }
    }
}
