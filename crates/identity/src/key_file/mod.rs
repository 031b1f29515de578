//! Private keys' files: loading and unlocking. OpenSSH's own format (PROTOCOL.key), PKCS#8, and the PEM formats of RSA
//! (PKCS#1) and ECDSA (SEC 1) keys, with their encryptions.

mod armor;
mod foreign;
mod legacy;
mod numbers;
mod openssh;
mod pkcs8;

use super::bounded;
use super::certificate::Certificate;
use super::error::IdentityError;
use super::key::PublicKey;
use super::private_key::PrivateKey;
use armor::Block;
pub use foreign::NotAKey;
use legacy::Encryption;
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
    certificate: Option<Certificate>,
}

enum Contents {
    OpenSsh(Container),
    Plain(PrivateKey),
    /// Encrypted in a format that hides the public half, which the `.pub` file shows.
    Sealed {
        format: Sealed,
        bytes: Zeroizing<Vec<u8>>,
        public_key: PublicKey,
    },
}

/// The formats that hide the public half.
enum Sealed {
    Pkcs8,
    Pkcs1(Encryption),
    Sec1(Encryption),
}

/// The labels of the blocks of RSA and of ECDSA keys.
const PKCS1: &[u8] = b"RSA PRIVATE KEY";
const SEC1: &[u8] = b"EC PRIVATE KEY";

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
        match Self::read(path, &text, || public_half(path)) {
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
        Self::read(path, text, || None)
    }

    fn read(path: &Path, text: &[u8], public_half: impl FnOnce() -> Option<PublicKey>) -> Result<Self, IdentityError> {
        let Some(block) = Block::find(text) else { return Err(not_a_key(path, NotAKey::recognise(None, text))) };
        let contents = match (block.label, block.header("DEK-Info")) {
            (openssh::LABEL, _) => decode(path, &block, Container::parse).map(Contents::OpenSsh),
            (pkcs8::LABEL, _) => decode(path, &block, pkcs8::parse).map(Contents::Plain),
            (PKCS1, None) => decode(path, &block, pkcs1).map(Contents::Plain),
            (SEC1, None) => decode(path, &block, sec1).map(Contents::Plain),
            (pkcs8::ENCRYPTED_LABEL, _) => {
                let check = |bytes: &[u8]| pkcs8::check(bytes).map(|()| Sealed::Pkcs8);
                sealed(path, &block, check, public_half)
            }
            (PKCS1, Some(value)) => sealed(path, &block, |_| Encryption::parse(value).map(Sealed::Pkcs1), public_half),
            (SEC1, Some(value)) => sealed(path, &block, |_| Encryption::parse(value).map(Sealed::Sec1), public_half),
            (label, _) => Err(not_a_key(path, NotAKey::recognise(Some(label), text))),
        }?;
        Ok(Self { path: path.to_owned(), contents: Arc::new(contents), certificate: None })
    }

    /// The same key with the certificate of the file `FILE-cert.pub`; `None` if there is none for this key.
    pub fn with_certificate(&self) -> Option<Self> {
        let certificate = Certificate::beside(&self.path, &self.public_key())?;
        Some(Self { certificate: Some(certificate), ..self.clone() })
    }

    /// The certificate that the key is used with, if it is.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
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
            Contents::Sealed { public_key, .. } => public_key.clone(),
        }
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        match &*self.contents {
            Contents::OpenSsh(container) => container.is_encrypted(),
            Contents::Plain(_) => false,
            Contents::Sealed { .. } => true,
        }
    }

    /// Whether the key itself is in a FIDO authenticator, so that only an agent can use it.
    pub fn needs_agent(&self) -> bool {
        self.public_key().key_kind().is_security_key()
    }

    /// The private key; `ask` is called up to three times, if the file is encrypted.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Locked`] if `ask` gives up, [`IdentityError::WrongPassphrase`] after three wrong ones,
    /// [`IdentityError::NotAPrivateKey`] if the key is in an authenticator.
    pub fn unlock(&self, ask: &AskPassphrase<'_>) -> Result<PrivateKey, IdentityError> {
        if self.needs_agent() {
            return Err(not_a_key(&self.path, NotAKey::SecurityKey));
        }
        if !self.is_encrypted() {
            return self.open_with(&[]).map_err(|error| unusable(&self.path, error));
        }
        for _ in 0..MAX_PASSPHRASES {
            let passphrase = ask(&self.path).ok_or_else(|| IdentityError::Locked { path: self.path.clone() })?;
            match self.open_with(passphrase.as_bytes()) {
                Err(Unusable::Passphrase) => {}
                opened => return opened.map_err(|error| unusable(&self.path, error)),
            }
        }
        Err(IdentityError::WrongPassphrase { path: self.path.clone(), tries: MAX_PASSPHRASES })
    }

    fn open_with(&self, passphrase: &[u8]) -> Result<PrivateKey, Unusable> {
        let (format, bytes, public_key) = match &*self.contents {
            Contents::OpenSsh(container) => return container.open(passphrase),
            Contents::Plain(key) => return Ok(key.clone()),
            Contents::Sealed { format, bytes, public_key } => (format, bytes, public_key),
        };
        // A wrong passphrase that leaves a valid padding by chance gives something that isn't a key.
        let not_opened = |error| match error {
            Unusable::Damaged(_) => Unusable::Passphrase,
            error => error,
        };
        let key = match format {
            Sealed::Pkcs8 => pkcs8::open(bytes, passphrase)?,
            Sealed::Pkcs1(encryption) => pkcs1(&encryption.open(bytes, passphrase)?).map_err(not_opened)?,
            Sealed::Sec1(encryption) => sec1(&encryption.open(bytes, passphrase)?).map_err(not_opened)?,
        };
        match key.public_key() == *public_key {
            true => Ok(key),
            false => Err(Unusable::Damaged("the .pub file beside it has another key's public half")),
        }
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({}, {})", self.path.display(), self.public_key())
    }
}

fn pkcs1(der: &[u8]) -> Result<PrivateKey, Unusable> {
    PrivateKey::from_pkcs1(der)
        .map_err(Unusable::Key)?
        .ok_or(Unusable::Damaged("its numbers are not those of an RSA key"))
}

fn sec1(der: &[u8]) -> Result<PrivateKey, Unusable> {
    PrivateKey::from_sec1(der).ok_or(Unusable::Damaged("it is not an ECDSA key of a NIST curve"))
}

fn sealed(
    path: &Path,
    block: &Block<'_>,
    format: impl FnOnce(&[u8]) -> Result<Sealed, Unusable>,
    public_half: impl FnOnce() -> Option<PublicKey>,
) -> Result<Contents, IdentityError> {
    let bytes = block.decode().map_err(|why| not_a_key(path, NotAKey::Damaged(why)))?;
    let format = format(&bytes).map_err(|error| unusable(path, error))?;
    let public_key = public_half().ok_or_else(|| not_a_key(path, NotAKey::NoPublicHalf))?;
    Ok(Contents::Sealed { format, bytes, public_key })
}

/// The key in the `.pub` file beside a private key's.
fn public_half(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    public_key_in(Path::new(&name))
}

/// The key in a file that has one in its first line.
pub(super) fn public_key_in(path: &Path) -> Option<PublicKey> {
    let (file, _) = bounded::open(path).ok()?;
    let text = bounded::read(&file, MAX_KEY_FILE).ok()?;
    PublicKey::from_openssh(std::str::from_utf8(&text).ok()?.lines().next()?).ok()
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
        Unusable::Authenticator => not_a_key(path, NotAKey::SecurityKey),
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
