//! The client's own identities: which keys a user has, and in which order they are tried.

use super::agent::{Agent, AgentKey};
use super::env::{home, path_from_env};
use super::error::IdentityError;
use super::key::KeyError;
use super::key::PublicKey;
use super::key_file::{AskPassphrase, KeyFile, NotAKey};
use super::proof::{self, EXPORTER_LEN};
use super::sshsig::Signer;
use std::path::{Path, PathBuf};
use unglue_proto::limits::AUTH_TRIES;

/// The key files that are tried without being named, beneath the home.
const DEFAULT_FILES: [&str; 2] = [".ssh/id_ed25519", ".config/unglue/id_ed25519"];

/// What ssh tries besides, and what kind of key it is. None of them is read: they are named if nothing else is found.
const OTHER_DEFAULT_FILES: [(&str, &str); 4] = [
    (".ssh/id_rsa", "RSA"),
    (".ssh/id_ecdsa", "ECDSA"),
    (".ssh/id_ecdsa_sk", "ECDSA-SK"),
    (".ssh/id_ed25519_sk", "ED25519-SK"),
];

/// A key that its user can prove to have.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A private key's file.
    File(KeyFile),
    /// A key that an agent holds.
    Agent(AgentKey),
}

impl Identity {
    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        match self {
            Self::File(file) => file.public_key(),
            Self::Agent(key) => key.public_key(),
        }
    }

    /// Whether [`prove`](Self::prove) may cost a human something: a passphrase, or a touch or a confirmation, which an
    /// agent doesn't foretell. The public key of such an identity is offered first.
    pub fn may_ask(&self) -> bool {
        match self {
            Self::File(file) => file.is_encrypted(),
            Self::Agent(_) => true,
        }
    }

    /// Where the key is, for people: a path, or the agent and its comment.
    pub fn describe(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
            Self::Agent(key) => format!("{} in the ssh-agent", key.comment()),
        }
    }

    /// Proves, on the connection of `exporter`, to have this key and to ask to be served as `user`:
    /// [`proof::prove`]. May take as long as a human does.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if the key can't be unlocked, or the agent doesn't sign.
    pub fn prove(
        &self,
        user: &[u8],
        exporter: &[u8; EXPORTER_LEN],
        ask: &AskPassphrase<'_>,
    ) -> Result<Vec<u8>, IdentityError> {
        match self {
            Self::File(file) => proof::prove(&file.unlock(ask)?, user, exporter),
            Self::Agent(key) => proof::prove(key, user, exporter),
        }
    }
}

/// Where to look for identities.
#[derive(Debug, Clone, Default)]
pub struct IdentitySearch {
    /// The one file to use, if the user named one; nothing else is tried then.
    pub file: Option<PathBuf>,
    /// The agent to ask.
    pub agent: Option<Agent>,
    /// The user's home, where the default files are.
    pub home: Option<PathBuf>,
}

impl IdentitySearch {
    /// Takes the file from `flag` (`--identity`) or else from `UNGLUE_IDENTITY`, the agent from `SSH_AUTH_SOCK`, and the
    /// home from `HOME` or else the user database.
    pub fn from_env(flag: Option<PathBuf>) -> Self {
        let file = flag.or_else(|| path_from_env("UNGLUE_IDENTITY"));
        Self { file, agent: Agent::from_env(), home: home() }
    }

    /// The identities to try, in order, at most [`AUTH_TRIES`]: the file that was named alone; or else the agent's keys,
    /// then `~/.ssh/id_ed25519`, then `~/.config/unglue/id_ed25519`.
    ///
    /// A key that is both in the agent and in a file is used from the agent if the file is encrypted, which saves the
    /// passphrase. Default files that can't be used are skipped: a warning event says why, and so does the error.
    ///
    /// # Errors
    ///
    /// What is wrong with the file that was named; [`IdentityError::NoIdentity`] if there is nothing to try.
    pub fn find(&self) -> Result<Vec<Identity>, IdentityError> {
        if let Some(path) = &self.file {
            return Ok(vec![self.named(path)?]);
        }
        let mut search = Search::default();
        let agent_keys = self.agent_keys(&mut search);
        let files = self.default_files(&mut search);
        if agent_keys.is_empty() && files.is_empty() {
            search.other_files(self.home.as_deref());
            return Err(IdentityError::NoIdentity {
                looked: search.looked.join("; "),
                other_kinds: search.other_kinds,
            });
        }
        search.skipped.iter().for_each(|why| tracing::warn!("skipped a key: {why}"));
        Ok(in_order(agent_keys, files))
    }

    fn named(&self, path: &Path) -> Result<Identity, IdentityError> {
        let file = KeyFile::open(path)?;
        let held = if file.is_encrypted() { self.agent_keys(&mut Search::default()) } else { Vec::new() };
        let same = held.into_iter().find(|key| key.public_key() == file.public_key());
        Ok(same.map_or_else(|| Identity::File(file), Identity::Agent))
    }

    /// The agent's keys. Without an agent, or with one that fails, there are none.
    fn agent_keys(&self, search: &mut Search) -> Vec<AgentKey> {
        let Some(agent) = &self.agent else {
            search.looked.push("SSH_AUTH_SOCK names no ssh-agent".to_owned());
            return Vec::new();
        };
        match agent.keys() {
            Ok(keys) => {
                search.looked.push(format!("the ssh-agent holds {} ed25519 keys", keys.usable.len()));
                let others = keys.other_kinds.iter();
                search.other_kinds.extend(others.map(|(kind, comment)| format!("the agent's {kind} key {comment:?}")));
                keys.usable
            }
            Err(error) => {
                tracing::debug!("passed over the ssh-agent: {error}");
                search.looked.push(error.to_string());
                Vec::new()
            }
        }
    }

    /// The default files that can be used.
    fn default_files(&self, search: &mut Search) -> Vec<KeyFile> {
        let mut files = Vec::new();
        for name in DEFAULT_FILES {
            let Some(path) = self.home.as_ref().map(|home| home.join(name)) else { continue };
            match KeyFile::open(&path) {
                Ok(file) => files.push(file),
                Err(error) if error.is_missing() => search.looked.push(format!("there is no {}", path.display())),
                Err(error) => search.skip(&path, error),
            }
        }
        files
    }
}

/// What a search met, for the user to read.
#[derive(Default)]
struct Search {
    /// Each place, and what was there.
    looked: Vec<String>,
    /// The files that can't be used, and why.
    skipped: Vec<String>,
    /// The keys of kinds that this release doesn't handle.
    other_kinds: Vec<String>,
}

impl Search {
    fn skip(&mut self, path: &Path, error: IdentityError) {
        let kind = match &error {
            IdentityError::Key { source: KeyError::Unsupported { kind }, .. } => Some(kind.as_str()),
            IdentityError::NotAPrivateKey { found: NotAKey::OldPem(kind), .. } => Some(*kind),
            _ => None,
        };
        self.other_kinds.extend(kind.map(|kind| format!("the {kind} key {}", path.display())));
        self.looked.push(error.to_string());
        self.skipped.push(error.to_string());
    }

    fn other_files(&mut self, home: Option<&Path>) {
        for (name, kind) in OTHER_DEFAULT_FILES {
            let path = home.map(|home| home.join(name)).filter(|path| path.is_file());
            self.other_kinds.extend(path.map(|path| format!("the {kind} key {}", path.display())));
        }
    }
}

/// The agent's keys, then the files. Where they are too many, the agent's give way: the files are the user's own choice.
fn in_order(mut agent_keys: Vec<AgentKey>, mut files: Vec<KeyFile>) -> Vec<Identity> {
    // A key that is in both is used once: from its file if that needs no passphrase, since that needs no agent either.
    let plain = |key: &AgentKey, files: &[KeyFile]| {
        files.iter().any(|file| file.public_key() == key.public_key() && !file.is_encrypted())
    };
    agent_keys.retain(|key| !plain(key, &files));
    files.retain(|file| !agent_keys.iter().any(|key| key.public_key() == file.public_key()));
    agent_keys.truncate(AUTH_TRIES - files.len());
    agent_keys.into_iter().map(Identity::Agent).chain(files.into_iter().map(Identity::File)).collect()
}
