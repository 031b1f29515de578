//! Private keys' files: loading and unlocking. OpenSSH's own format (PROTOCOL.key), and ed25519 keys in PKCS#8.

mod armor;
mod foreign;
mod openssh;
mod pkcs8;

use super::bounded;
use super::error::IdentityError;
use super::key::PublicKey;
use super::private_key::PrivateKey;
use armor::Block;
pub use foreign::NotAKey;
use openssh::{Container, Unusable};
use rustix::process::geteuid;
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

/// Asks a person for the passphrase of the key in this file; `None` gives up. Called again after a wrong one.
pub type AskPassphrase<'a> = dyn Fn(&Path) -> Option<Passphrase> + Send + Sync + 'a;

/// A private key's file that has been read, and perhaps not yet been unlocked.
///
/// The public half of a key is readable even where the private half is encrypted. So a server can be asked whether it
/// would admit the key before a person is asked for the passphrase.
///
/// A clone shares what was read, so that a secret is in memory once.
#[derive(Clone)]
pub struct KeyFile {
    path: PathBuf,
    contents: Arc<Contents>,
}

enum Contents {
    OpenSsh(Container),
    /// From a format that is read unencrypted only.
    Plain(PrivateKey),
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
        let text = bounded::read(&file, MAX_KEY_FILE).map_err(failed)?;
        match Self::parse(path, &text) {
            // It is for all to read; "make it yours alone" would mislead.
            Err(error @ IdentityError::NotAPrivateKey { found: NotAKey::PublicKey, .. }) => Err(error),
            parsed => refuse_if_open_to_others(path, &metadata).and(parsed),
        }
    }

    /// Reads the text of a private key's file. `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, IdentityError> {
        let contents = match Block::find(text) {
            Some(block) if block.label == openssh::LABEL => {
                decode(path, &block, Container::parse).map(Contents::OpenSsh)
            }
            Some(block) if block.label == pkcs8::LABEL => decode(path, &block, pkcs8::parse).map(Contents::Plain),
            block => Err(not_a_key(path, NotAKey::recognise(block.map(|block| block.label), text))),
        }?;
        Ok(Self { path: path.to_owned(), contents: Arc::new(contents) })
    }

    /// Where the key was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public half, known even while the file is locked.
    pub fn public_key(&self) -> PublicKey {
        match &*self.contents {
            Contents::OpenSsh(container) => container.public_key(),
            Contents::Plain(key) => key.public_key(),
        }
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        matches!(&*self.contents, Contents::OpenSsh(container) if container.is_encrypted())
    }

    /// The private key; `ask` is called up to three times, if the file is encrypted.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Locked`] if `ask` gives up, [`IdentityError::WrongPassphrase`] after three wrong ones.
    pub fn unlock(&self, ask: &AskPassphrase<'_>) -> Result<PrivateKey, IdentityError> {
        let container = match &*self.contents {
            Contents::Plain(key) => return Ok(key.clone()),
            Contents::OpenSsh(container) => container,
        };
        if !container.is_encrypted() {
            return container.open(&[]).map_err(|error| unusable(&self.path, error));
        }
        for _ in 0..MAX_PASSPHRASES {
            let passphrase = ask(&self.path).ok_or_else(|| IdentityError::Locked { path: self.path.clone() })?;
            match container.open(passphrase.as_bytes()) {
                Err(Unusable::Passphrase) => {}
                opened => return opened.map_err(|error| unusable(&self.path, error)),
            }
        }
        Err(IdentityError::WrongPassphrase { path: self.path.clone(), tries: MAX_PASSPHRASES })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({}, {})", self.path.display(), self.public_key())
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

fn decode<T>(
    path: &Path,
    block: &Block<'_>,
    parse: impl FnOnce(&[u8]) -> Result<T, Unusable>,
) -> Result<T, IdentityError> {
    let bytes = block.decode().map_err(|why| not_a_key(path, NotAKey::Damaged(why)))?;
    parse(&bytes).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: Unusable) -> IdentityError {
    match error {
        Unusable::Damaged(why) => not_a_key(path, NotAKey::Damaged(why)),
        Unusable::Key(error) => IdentityError::key(path, error),
        Unusable::Encryption(name) => not_a_key(path, NotAKey::Encryption(name)),
        Unusable::Passphrase => IdentityError::WrongPassphrase { path: path.to_owned(), tries: 1 },
    }
}

fn not_a_key(path: &Path, found: NotAKey) -> IdentityError {
    IdentityError::NotAPrivateKey { path: path.to_owned(), found }
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
        let bytes = key.to_ssh_key("comment").and_then(|key| key.to_bytes()).expect("written").to_vec();
        (key, bytes)
    }

    #[test]
    fn what_is_written_is_read() {
        let (key, bytes) = good();
        let file = KeyFile::parse(Path::new("id"), armored(&bytes).as_bytes()).expect("read");
        assert_eq!(file.unlock(&|_| None).expect("plain").public_key(), key.public_key());
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
            if let Ok(loaded) = file.and_then(|file| file.unlock(&|_| None)) {
                prop_assert_eq!(loaded.public_key(), key.public_key());
            }
        }
    }
}
