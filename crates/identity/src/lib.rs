//! Who you are: the user's own SSH keys, and the host's. No new keys to make or to hand out.
//!
//! - A **server** has a [`HostKey`] and shows it in TLS as a raw public key ([`PrivateKey::to_pkcs8_der`],
//!   [`PublicKey::to_spki_der`]). A client that sees it asks its [`KnownHosts`].
//! - A **client** finds its user's [`Identity`]s with an [`IdentitySearch`], from key files and from the ssh-agent, and
//!   [proves](proof) one of them by signing what no other connection has. The server checks the proof, and then
//!   asks [`AuthorizedKeys`] whether that key may log in.
//!
//! Everything here is plain blocking code that reads small files and, with the agent, may wait for a human: run it
//! on a thread of its own. Every parser takes bytes from peers or from files that people edit: none panics, and none allocates more than it was given.
//!
//! ```
//! use unglue_identity::{AuthorizedKeys, Identity, KeyFile, make_key_file, proof};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let home = directory.path();
//! # let uid = rustix::process::getuid().as_raw();
//! // Once: a key of one's own, and its line in the server's file.
//! let key = make_key_file(&home.join(".ssh/id_ed25519"), "ada@laptop", None)?;
//! std::fs::write(home.join(".ssh/authorized_keys"), format!("{} ada@laptop\n", key.public_key()))?;
//! # use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
//! # std::fs::set_permissions(home, Permissions::from_mode(0o700))?;
//! # std::fs::set_permissions(home.join(".ssh/authorized_keys"), Permissions::from_mode(0o600))?;
//!
//! // The client proves that it has the key, on this very connection.
//! let exporter = [7; proof::EXPORTER_LEN]; // both ends export it from their TLS session
//! let identity = Identity::File(KeyFile::open(&home.join(".ssh/id_ed25519"))?);
//! let proven = identity.prove(b"ada", &exporter, &|_| None)?;
//!
//! // The server checks the proof, and then whether that key is listed.
//! let public_key = proof::check(&proven, b"ada", &exporter)?;
//! let line = AuthorizedKeys::of_home(home, uid).check(&public_key)?;
//! assert_eq!(line.comment, "ada@laptop");
//! # Ok(())
//! # }
//! ```

mod agent;
pub mod authorized_keys;
mod bounded;
mod core_dumps;
mod env;
mod error;
mod host_key;
mod key;
mod key_file;
pub mod known_hosts;
mod new_key;
mod own;
mod principal;
mod private_key;
pub mod proof;
mod shell_word;
pub mod sshsig;
mod wire;

pub use agent::{Agent, AgentKey, AgentKeys};
pub use authorized_keys::{Authorised, AuthorizedKeys, Denied};
pub use core_dumps::forbid_core_dumps;
pub use error::IdentityError;
pub use host_key::{HostKey, SYSTEM_HOST_KEY};
pub use key::{Fingerprint, KeyError, PublicKey};
pub use key_file::{AskPassphrase, KeyFile, NotAKey, Passphrase};
pub use known_hosts::{KnownHosts, KnownHostsFiles, Verdict};
pub use new_key::make_key_file;
pub use own::{Identity, IdentitySearch};
pub use principal::{Denial, Forwarding, Policy, Principal};
pub use private_key::PrivateKey;
pub use proof::{EXPORTER_CONTEXT, EXPORTER_LABEL, EXPORTER_LEN};
pub use sshsig::{ProofError, Signer};
