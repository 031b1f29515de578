//! What `~/.ssh/config` and `/etc/ssh/ssh_config` say about a server (ssh_config(5)), as far as it concerns a login over TCP.
//!
//! The keywords that are read are those of [`Settings`]; all others, such as `Port` and `ProxyJump`, concern ssh alone.
//! `Host`, `Match` and `Include` are evaluated as ssh does.
//!
//! ```
//! use unglue_identity::ssh_config::{Asked, Files};
//!
//! # fn main() -> Result<(), unglue_identity::ssh_config::ConfigError> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("config");
//! std::fs::write(&path, "Host build\n HostName build.example.com\n User ci\n").unwrap();
//! let asked = Asked::from_env("build", None);
//! let settings = Files::only(&path).settings(&asked)?;
//! assert_eq!(settings.host_name.as_deref(), Some("build.example.com"));
//! assert_eq!(settings.user.as_deref(), Some("ci"));
//! # Ok(())
//! # }
//! ```

mod evaluate;
mod line;
mod tokens;
mod values;

use super::agent::Agent;
use super::bounded;
use super::env::home;
use super::known_hosts::KnownHostsFiles;
use super::own::IdentitySearch;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use values::{Checking, Values};

/// The server that is asked for, and who asks.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The host as it was typed.
    pub host: String,
    /// The user that was typed.
    pub user: Option<String>,
    /// This user's name.
    pub local_user: String,
    /// This user's home.
    pub home: Option<PathBuf>,
}

impl Asked {
    /// The local user and the home are those of this process.
    pub fn from_env(host: &str, user: Option<&str>) -> Asked {
        let local_user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
        Asked { host: host.to_owned(), user: user.map(str::to_owned), local_user, home: home() }
    }
}

/// The files that are read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The user's own. It must be safe from others.
    user: Option<PathBuf>,
    /// A file that the user names.
    named: Option<PathBuf>,
    /// The machine's.
    system: Option<PathBuf>,
}

impl Files {
    /// `~/.ssh/config`, then `/etc/ssh/ssh_config`. For each setting, the first value counts.
    pub fn of_home(home: Option<&Path>) -> Files {
        let user = home.map(|home| home.join(".ssh/config"));
        Files { user, named: None, system: Some("/etc/ssh/ssh_config".into()) }
    }

    /// This file alone, as `ssh -F`.
    pub fn only(path: &Path) -> Files {
        Files { named: Some(path.to_owned()), ..Files::default() }
    }

    /// The values for a server, as they are written.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: a file can't be read, or ssh would refuse it.
    pub fn values(&self, asked: &Asked) -> Result<Values, ConfigError> {
        evaluate::evaluate(self, asked)
    }

    /// The settings for a server, with `~`, tokens and variables replaced.
    ///
    /// # Errors
    ///
    /// As [`values`](Self::values); or a token is unknown, or a variable is not set.
    pub fn settings(&self, asked: &Asked) -> Result<Settings, ConfigError> {
        self.values(asked)?.settings(asked)
    }
}

/// Which agent is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentChoice {
    /// The one of `SSH_AUTH_SOCK`.
    #[default]
    Environment,
    /// None.
    Off,
    /// The one at this socket.
    At(PathBuf),
}

/// What the configuration says about a server. The default says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `HostName`: the name or address to connect to.
    pub host_name: Option<String>,
    /// `User`.
    pub user: Option<String>,
    /// `IdentityFile`.
    pub identity_files: Vec<PathBuf>,
    /// `IdentitiesOnly`.
    pub identities_only: bool,
    /// `IdentityAgent`.
    pub identity_agent: AgentChoice,
    /// `UserKnownHostsFile`.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `StrictHostKeyChecking`.
    pub checking: Checking,
    /// `SendEnv`: patterns for the names of variables.
    pub send_env: Vec<String>,
    /// `ConnectTimeout`.
    pub connect_timeout: Option<Duration>,
}

impl Settings {
    /// The search, with what the configuration says. A file that was named on the command line stays the only one.
    pub fn search(&self, mut search: IdentitySearch) -> IdentitySearch {
        search.files.clone_from(&self.identity_files);
        search.only_files = self.identities_only;
        match &self.identity_agent {
            AgentChoice::Environment => {}
            AgentChoice::Off => search.agent = None,
            AgentChoice::At(socket) => search.agent = Some(Agent::at(socket)),
        }
        search
    }

    /// The files of known hosts, with what the configuration says, unless they were `named` on the command line. A new host is
    /// added to the first.
    pub fn known_hosts(&self, named: bool, files: KnownHostsFiles) -> KnownHostsFiles {
        match &self.known_hosts {
            Some(listed) if !named && std::env::var_os("UNGLUE_KNOWN_HOSTS").is_none() => {
                let append = listed.first().cloned().unwrap_or_else(|| "/dev/null".into());
                let system = super::known_hosts::SYSTEM.map(PathBuf::from);
                KnownHostsFiles { read: listed.iter().cloned().chain(system).collect(), append }
            }
            _ => files,
        }
    }

    /// The variables of this process that are sent with commands.
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        matching_variables(&self.send_env)
    }
}

/// The variables of this process whose names match one of the patterns, which are written as for `SendEnv`.
pub fn matching_variables(patterns: &[String]) -> Vec<(OsString, OsString)> {
    use super::pattern::wildcard_matches;
    use std::os::unix::ffi::OsStrExt as _;
    if patterns.is_empty() {
        return Vec::new();
    }
    let sent = |name: &OsString| patterns.iter().any(|pattern| wildcard_matches(pattern.as_bytes(), name.as_bytes()));
    std::env::vars_os().filter(|(name, _)| sent(name)).collect()
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file can't be read.
    #[error("could not read {}: {source}. Check its permissions", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("{} is not read: it belongs to another user or can be written by others, and ssh refuses it too. Run: chmod go-w {}", .path.display(), .path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
    },
    /// A line is wrong.
    #[error("{}:{line}: {what}. Correct the line; `ssh -G HOST` checks the file", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A value can't be expanded.
    #[error(
        "the value {value:?} of {keyword} in the ssh configuration {what}. Correct it; see TOKENS in ssh_config(5)"
    )]
    Value {
        /// The keyword.
        keyword: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        what: String,
    },
}

/// The longest file that is read.
const MAX_FILE: usize = 1024 * 1024;

/// The text of a file; `None` if it isn't there.
fn read(path: &Path, must_be_safe: bool) -> Result<Option<String>, ConfigError> {
    use std::os::unix::fs::MetadataExt as _;
    let failed = |source| ConfigError::Io { path: path.to_owned(), source };
    let (file, metadata) = match bounded::open(path) {
        Ok(opened) => opened,
        Err(error) if bounded::is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let owner = metadata.uid();
    let own = owner == 0 || owner == rustix::process::getuid().as_raw();
    if must_be_safe && (!own || metadata.mode() & 0o022 != 0) {
        return Err(ConfigError::Unsafe { path: path.to_owned() });
    }
    let text = bounded::read(&file, MAX_FILE).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}
