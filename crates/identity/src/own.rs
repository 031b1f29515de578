//! The client's own identities: which keys a user has, and in which order they are tried.

use super::agent::{Agent, AgentKey};
use super::certificate::Certificate;
use super::env::{home, path_from_env};
use super::error::IdentityError;
use super::key::KeyError;
use super::key::PublicKey;
use super::key_file::{AskPassphrase, KeyFile, NotAKey, public_key_in};
use super::proof::{self, EXPORTER_LEN};
use super::sshsig::Signer;
use std::path::{Path, PathBuf};
use unglue_proto::limits::AUTH_TRIES;

/// The key files that are tried without being named, beneath the home.
const DEFAULT_FILES: [&str; 6] = [
    ".ssh/id_ed25519",
    ".ssh/id_ecdsa",
    ".ssh/id_rsa",
    ".ssh/id_ed25519_sk",
    ".ssh/id_ecdsa_sk",
    ".config/unglue/id_ed25519",
];

/// The files without which a search tells where it looked.
const EXPECTED_FILES: [&str; 2] = [".ssh/id_ed25519", ".config/unglue/id_ed25519"];

/// A key that its user can prove to have.
#[derive(Debug, Clone)]
#[non_exhaustive]
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

    /// The certificate that it logs in with, if it does.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::File(file) => file.certificate(),
            Self::Agent(key) => key.certificate(),
        }
    }

    /// What a server is shown: the certificate, or else the public key, in OpenSSH's one-line form without a comment.
    pub fn credential(&self) -> String {
        match self.certificate() {
            Some(certificate) => certificate.to_openssh(),
            None => self.public_key().to_openssh(),
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
        let with = if self.certificate().is_some() { " with its certificate" } else { "" };
        match self {
            Self::File(file) => format!("{}{with}", file.path().display()),
            Self::Agent(key) => format!("{} in the ssh-agent{with}", key.comment()),
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
    /// The files to look at instead of the default ones, as `IdentityFile` lists them. A file that isn't there is passed
    /// over.
    pub files: Vec<PathBuf>,
    /// Whether the agent's keys are used only if one of the files is theirs (`IdentitiesOnly`).
    pub only_files: bool,
    /// The agent to ask.
    pub agent: Option<Agent>,
    /// The user's home, where the default files are.
    pub home: Option<PathBuf>,
}

/// A key that is not tried, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTried {
    /// Where it is.
    pub place: String,
    /// Why it is not tried, and what to do.
    pub why: String,
}

/// What a search found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The identities to try, in order.
    pub identities: Vec<Identity>,
    /// The keys that are there and not tried.
    pub not_tried: Vec<NotTried>,
}

impl IdentitySearch {
    /// Takes the file from `flag` (`--identity`) or else from `UNGLUE_IDENTITY`, the agent from `SSH_AUTH_SOCK`, and the
    /// home from `HOME` or else the user database.
    pub fn from_env(flag: Option<PathBuf>) -> Self {
        let file = flag.or_else(|| path_from_env("UNGLUE_IDENTITY"));
        Self { file, agent: Agent::from_env(), home: home(), ..Self::default() }
    }

    /// The identities to try, in order, at most [`AUTH_TRIES`]: the file that was named alone; or else the agent's keys, then
    /// the default files: `id_ed25519`, `id_ecdsa` and `id_rsa` in `~/.ssh`, then `~/.config/unglue/id_ed25519`. Where
    /// [`files`](Self::files) are listed, the agent's keys that are theirs come first. A key with a certificate is tried with
    /// it first, then without.
    ///
    /// A key that is both in the agent and in a file is used from the agent if the file is encrypted, which saves the
    /// passphrase. Default files that can't be used are skipped: a warning event says why, and so does the error.
    ///
    /// # Errors
    ///
    /// What is wrong with the file that was named; [`IdentityError::NoIdentity`] if there is nothing to try.
    pub fn find(&self) -> Result<Vec<Identity>, IdentityError> {
        let (found, search) = self.search()?;
        if found.identities.is_empty() {
            return Err(IdentityError::NoIdentity {
                looked: search.looked.join("; "),
                other_kinds: search.other_kinds,
            });
        }
        search.skipped.iter().for_each(|skipped| tracing::warn!("skipped a key: {}", skipped.why));
        Ok(found.identities)
    }

    /// What would be tried, and what wouldn't be, and why.
    ///
    /// # Errors
    ///
    /// What is wrong with the file that was named.
    pub fn survey(&self) -> Result<Found, IdentityError> {
        let (mut found, search) = self.search()?;
        found.not_tried.extend(search.skipped);
        found.not_tried.extend(search.unused);
        Ok(found)
    }

    fn search(&self) -> Result<(Found, Search), IdentityError> {
        let mut search = Search::default();
        if let Some(path) = &self.file {
            let named = self.named(path, &mut search)?;
            return Ok((Found { identities: with_certificates(named), not_tried: Vec::new() }, search));
        }
        let agent_keys = self.agent_keys(&mut search);
        let files = self.key_files(&agent_keys, &mut search);
        let ordered = self.in_order(agent_keys, files, &mut search);
        let mut identities = with_certificates(ordered);
        let late = identities.split_off(identities.len().min(AUTH_TRIES));
        let not_tried = late.iter().map(|identity| NotTried {
            place: identity.describe(),
            why: format!("{AUTH_TRIES} keys are tried at most; name this one with --identity"),
        });
        Ok((Found { not_tried: not_tried.collect(), identities }, search))
    }

    /// The key of this file, from the agent if the file is encrypted, can't be used without one, or is a public key.
    fn named(&self, path: &Path, search: &mut Search) -> Result<Vec<Identity>, IdentityError> {
        let (public_key, file) = match KeyFile::open(path) {
            Ok(file) => (file.public_key(), Ok(file)),
            Err(error @ IdentityError::NotAPrivateKey { found: NotAKey::PublicKey, .. }) => match public_key_in(path) {
                Some(key) => (key, Err(error)),
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let plain = file.as_ref().is_ok_and(|file| !file.is_encrypted() && !file.needs_agent());
        let held = if plain { Vec::new() } else { self.agent_keys(search) };
        let same: Vec<_> = held.into_iter().filter(|key| key.public_key() == public_key).map(Identity::Agent).collect();
        match (same.is_empty(), file) {
            (false, _) => Ok(same),
            (true, Ok(file)) if file.needs_agent() => {
                Err(file.unlock(&|_| None).err().unwrap_or(IdentityError::NoHome))
            }
            (true, file) => file.map(|file| vec![Identity::File(file)]),
        }
    }

    /// The agent's keys. Without an agent, or with one that fails, there are none.
    fn agent_keys(&self, search: &mut Search) -> Vec<AgentKey> {
        let Some(agent) = &self.agent else {
            search.looked.push("SSH_AUTH_SOCK names no ssh-agent".to_owned());
            return Vec::new();
        };
        match agent.keys() {
            Ok(keys) => {
                search.looked.push(format!("the ssh-agent holds {} keys that can be used", keys.usable.len()));
                for (kind, comment) in keys.other_kinds {
                    let why = format!("it is of the kind {kind}, which is not handled");
                    search.unused.push(NotTried { place: format!("{comment} in the ssh-agent"), why });
                    search.other_kinds.push(format!("the agent's {kind} key {comment:?}"));
                }
                keys.usable
            }
            Err(error) => {
                tracing::debug!("passed over the ssh-agent: {error}");
                search.unused.push(NotTried { place: "the ssh-agent".to_owned(), why: error.to_string() });
                search.looked.push(error.to_string());
                Vec::new()
            }
        }
    }

    /// The files that can be used, and the public keys of those that only the agent can use.
    fn key_files(&self, held: &[AgentKey], search: &mut Search) -> Vec<Candidate> {
        let listed = !self.files.is_empty();
        let default = || DEFAULT_FILES.iter().filter_map(|name| self.home.as_ref().map(|home| home.join(name)));
        let paths: Vec<PathBuf> = if listed { self.files.clone() } else { default().collect() };
        let expected = |path: &Path| listed || EXPECTED_FILES.iter().any(|name| path.ends_with(name));
        let in_agent = |key: &PublicKey| held.iter().any(|held| held.public_key() == *key);
        let mut candidates = Vec::new();
        for path in paths {
            match KeyFile::open(&path) {
                Ok(file) if file.needs_agent() && !in_agent(&file.public_key()) => {
                    let error = file.unlock(&|_| None).err().unwrap_or(IdentityError::NoHome);
                    search.skip(&path, error);
                }
                Ok(file) if file.needs_agent() => candidates.push(Candidate::Held(file.public_key())),
                Ok(file) => candidates.push(Candidate::File(file)),
                Err(error) => match public_key_in(&path).filter(in_agent) {
                    Some(key) => candidates.push(Candidate::Held(key)),
                    None if !error.is_missing() => search.skip(&path, error),
                    None if expected(&path) => search.looked.push(format!("there is no {}", path.display())),
                    None => {}
                },
            }
        }
        candidates
    }

    /// The agent's keys, then the files. Where they are too many, the agent's give way: the files are the user's own choice.
    fn in_order(
        &self,
        mut agent_keys: Vec<AgentKey>,
        mut candidates: Vec<Candidate>,
        search: &mut Search,
    ) -> Vec<Identity> {
        // A key that is in both is used once: from its file if that needs no passphrase, since that needs no agent either.
        let plain = |key: &AgentKey, candidates: &[Candidate]| {
            candidates.iter().any(|candidate| candidate.is_plain_file_of(&key.public_key()))
        };
        agent_keys.retain(|key| key.certificate().is_some() || !plain(key, &candidates));
        let listed: Vec<PublicKey> = candidates.iter().map(Candidate::public_key).collect();
        let place = |key: &PublicKey| listed.iter().position(|listed| listed == key);
        if self.only_files {
            let (kept, left): (Vec<_>, Vec<_>) =
                agent_keys.into_iter().partition(|key| place(&key.public_key()).is_some());
            agent_keys = kept;
            search.unused.extend(left.into_iter().map(|key| NotTried {
                place: Identity::Agent(key).describe(),
                why: "IdentitiesOnly is set in the configuration, and no IdentityFile is this key's".to_owned(),
            }));
        }
        if !self.files.is_empty() {
            agent_keys.sort_by_key(|key| place(&key.public_key()).unwrap_or(usize::MAX));
        }
        candidates.retain(|candidate| !agent_keys.iter().any(|key| key.public_key() == candidate.public_key()));
        let files: Vec<KeyFile> = candidates.into_iter().filter_map(Candidate::into_file).collect();
        let fit = AUTH_TRIES.saturating_sub(files.len()).max(1).min(agent_keys.len());
        search.unused.extend(agent_keys.split_off(fit).into_iter().map(|key| NotTried {
            place: Identity::Agent(key).describe(),
            why: format!("{AUTH_TRIES} keys are tried at most; name this one with --identity"),
        }));
        agent_keys.into_iter().map(Identity::Agent).chain(files.into_iter().map(Identity::File)).collect()
    }
}

/// A file that was looked at.
enum Candidate {
    File(KeyFile),
    /// The agent has its key, and the file alone is of no use.
    Held(PublicKey),
}

impl Candidate {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::File(file) => file.public_key(),
            Self::Held(key) => key.clone(),
        }
    }

    fn is_plain_file_of(&self, key: &PublicKey) -> bool {
        matches!(self, Self::File(file) if !file.is_encrypted() && file.public_key() == *key)
    }

    fn into_file(self) -> Option<KeyFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Held(_) => None,
        }
    }
}

/// Each file that has a certificate is tried with it, then without.
fn with_certificates(identities: Vec<Identity>) -> Vec<Identity> {
    let both = |identity| match &identity {
        Identity::File(file) => match file.with_certificate() {
            Some(certified) => vec![Identity::File(certified), identity],
            None => vec![identity],
        },
        Identity::Agent(_) => vec![identity],
    };
    identities.into_iter().flat_map(both).collect()
}

/// What a search met, for the user to read.
#[derive(Default)]
struct Search {
    /// Each place, and what was there.
    looked: Vec<String>,
    /// The files that can't be used.
    skipped: Vec<NotTried>,
    /// The keys that are not used, though nothing is wrong with where they are.
    unused: Vec<NotTried>,
    /// The keys of kinds that aren't handled.
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
        self.skipped.push(NotTried { place: path.display().to_string(), why: error.to_string() });
    }
}
