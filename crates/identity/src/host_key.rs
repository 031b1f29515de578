//! The server's own key: the host's SSH key where it may be read, or one of the server's own.

use super::certificate::Certificate;
use super::error::IdentityError;
use super::key_file::KeyFile;
use super::new_key::make_key_file;
use super::private_key::PrivateKey;
use std::path::{Path, PathBuf};

/// sshd's ed25519 host key (sshd_config(5), HostKey).
pub const SYSTEM_HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

/// sshd's ECDSA host key.
const SYSTEM_ECDSA_KEY: &str = "/etc/ssh/ssh_host_ecdsa_key";

/// The name of the server's own key in its state directory.
const OWN_HOST_KEY: &str = "host_key";

/// A host key that has been loaded.
#[derive(Debug)]
pub struct HostKey {
    /// The key.
    pub key: PrivateKey,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was made just now.
    pub made: bool,
}

/// The host keys of a server, of different kinds. A client chooses among them by what it knows.
#[derive(Debug)]
pub struct HostKeys {
    /// The one that the server announces.
    pub first: HostKey,
    /// The others.
    pub more: Vec<HostKey>,
}

impl HostKeys {
    /// Loads the files that are given; or else sshd's ed25519 and ECDSA keys, as far as this user may read them; or else
    /// `host_key` in the directory `state`, which is made at the first start. A second key of the same kind is not loaded.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if a file that was given, or any that is there, can't be used: a server must not come up under
    /// another key than its administrator expects.
    pub fn load(given: &[PathBuf], state: &Path) -> Result<Self, IdentityError> {
        Self::load_or_make(given, &[SYSTEM_HOST_KEY, SYSTEM_ECDSA_KEY].map(Path::new), state)
    }

    fn load_or_make(given: &[PathBuf], system: &[&Path], state: &Path) -> Result<Self, IdentityError> {
        let mut keys: Vec<HostKey> = Vec::new();
        let mut add = |key: HostKey| {
            let kind = key.key.public_key().key_kind();
            if keys.iter().all(|other| other.key.public_key().key_kind() != kind) {
                keys.push(key);
            }
        };
        for path in given {
            add(HostKey::open(path)?);
        }
        for path in system.iter().filter(|_| given.is_empty()) {
            match HostKey::open(path) {
                Err(error) if error.is_missing() || error.is_permission_denied() => {}
                opened => add(opened?),
            }
        }
        let mut keys = keys.into_iter();
        match keys.next() {
            Some(first) => Ok(Self { first, more: keys.collect() }),
            None => Ok(Self { first: HostKey::own(&state.join(OWN_HOST_KEY))?, more: Vec::new() }),
        }
    }

    /// All of them, the announced one first.
    pub fn iter(&self) -> impl Iterator<Item = &HostKey> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// The private keys, in this order.
    pub fn private_keys(&self) -> Vec<PrivateKey> {
        self.iter().map(|key| key.key.clone()).collect()
    }

    /// The certificates in the files `FILE-cert.pub`.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.iter().filter_map(|key| Certificate::beside(&key.path, &key.key.public_key())).collect()
    }
}

impl HostKey {
    fn own(path: &Path) -> Result<Self, IdentityError> {
        if path.symlink_metadata().is_ok() {
            return Self::open(path);
        }
        match make_key_file(path, "unglue host key", None) {
            Ok(key) => Ok(Self { key, path: path.to_owned(), made: true }),
            // Another server that started at the same time was faster.
            Err(IdentityError::Exists { .. }) => Self::open(path),
            Err(error) => Err(error),
        }
    }

    fn open(path: &Path) -> Result<Self, IdentityError> {
        let unlocked = KeyFile::open(path)?.unlock(&|_| None);
        let key = unlocked.map_err(|error| match error {
            IdentityError::Locked { path } => IdentityError::LockedHostKey { path },
            error => error,
        })?;
        Ok(Self { key, path: path.to_owned(), made: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_key_is_made_once_and_then_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state/deep");
        let absent = directory.path().join("absent");
        let first = HostKeys::load_or_make(&[], &[&absent], &state).expect("made");
        let again = HostKeys::load_or_make(&[], &[&absent], &state).expect("kept");
        let (first, again) = (first.first, again.first);
        assert!(first.made && !again.made);
        assert_eq!(first.key.public_key(), again.key.public_key());
        assert_eq!(again.path, state.join("host_key"));
    }

    #[test]
    fn the_system_key_comes_before_the_own_one_and_the_given_one_before_both() {
        let directory = tempfile::tempdir().expect("a directory");
        let (given, system) = (directory.path().join("given"), directory.path().join("system"));
        let given_key = make_key_file(&given, "", None).expect("made").public_key();
        let system_key = make_key_file(&system, "", None).expect("made").public_key();
        let load = |explicit: &[PathBuf]| {
            HostKeys::load_or_make(explicit, &[&system], directory.path()).expect("loaded").first.key.public_key()
        };
        assert_eq!(load(&[given]), given_key);
        assert_eq!(load(&[]), system_key);
        assert!(!directory.path().join("host_key").exists());
    }

    #[test]
    fn a_key_that_is_there_and_unusable_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let system = directory.path().join("system");
        std::fs::write(&system, "nonsense").expect("written");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&system, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        assert!(HostKeys::load_or_make(&[], &[&system], directory.path()).is_err());
        assert!(HostKeys::load_or_make(&[directory.path().join("absent")], &[&system], directory.path()).is_err());
        assert!(!directory.path().join("host_key").exists());
    }

    #[test]
    fn servers_that_start_at_once_end_with_one_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let absent = directory.path().join("absent");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                let keys = HostKeys::load_or_make(&[], &[&absent], directory.path()).expect("a key");
                keys.first.key.public_key()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
