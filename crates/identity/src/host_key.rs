//! The server's own key: the host's SSH key where it may be read, or one of the server's own.

use super::error::IdentityError;
use super::key_file::KeyFile;
use super::new_key::make_key_file;
use super::private_key::PrivateKey;
use std::path::{Path, PathBuf};

/// sshd's ed25519 host key (sshd_config(5), HostKey).
pub const SYSTEM_HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

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

impl HostKey {
    /// Loads the key of `--host-key FILE` if one is given; or else sshd's, [`SYSTEM_HOST_KEY`], if this user may read
    /// it; or else `host_key` in the directory `state`, which is made at the first start.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if the file that was given, or any that is there, can't be used: a server must not come up
    /// under another key than its administrator expects.
    pub fn load(explicit: Option<&Path>, state: &Path) -> Result<Self, IdentityError> {
        Self::load_or_make(explicit, Path::new(SYSTEM_HOST_KEY), state)
    }

    fn load_or_make(explicit: Option<&Path>, system: &Path, state: &Path) -> Result<Self, IdentityError> {
        if let Some(path) = explicit {
            return Self::open(path);
        }
        match Self::open(system) {
            Err(error) if error.is_missing() || error.is_permission_denied() => Self::own(&state.join(OWN_HOST_KEY)),
            other => other,
        }
    }

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
        let first = HostKey::load_or_make(None, &absent, &state).expect("made");
        let again = HostKey::load_or_make(None, &absent, &state).expect("kept");
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
        let load =
            |explicit| HostKey::load_or_make(explicit, &system, directory.path()).expect("loaded").key.public_key();
        assert_eq!(load(Some(given.as_path())), given_key);
        assert_eq!(load(None), system_key);
        assert!(!directory.path().join("host_key").exists());
    }

    #[test]
    fn a_key_that_is_there_and_unusable_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let system = directory.path().join("system");
        std::fs::write(&system, "nonsense").expect("written");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&system, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        assert!(HostKey::load_or_make(None, &system, directory.path()).is_err());
        assert!(HostKey::load_or_make(Some(&directory.path().join("absent")), &system, directory.path()).is_err());
        assert!(!directory.path().join("host_key").exists());
    }

    #[test]
    fn servers_that_start_at_once_end_with_one_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let absent = directory.path().join("absent");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let start = || HostKey::load_or_make(None, &absent, directory.path()).expect("a key").key.public_key();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
