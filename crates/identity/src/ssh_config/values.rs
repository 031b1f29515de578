//! The values of the keywords, as they are written, and what they mean.

use super::tokens::Tokens;
use super::{AgentChoice, Asked, ConfigError, Settings};
use crate::pattern::wildcard_matches;
use std::path::PathBuf;
use std::time::Duration;

/// What to do about a server that no file knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checking {
    /// A person is asked.
    #[default]
    Ask,
    /// It is refused.
    Strict,
    /// It is added.
    AcceptNew,
}

/// The values for a server, as they are written. For each, the first in the files counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Values {
    /// `HostName`.
    pub host_name: Option<String>,
    /// `User`.
    pub user: Option<String>,
    /// `Port`, which only the token `%p` needs.
    pub port: Option<u16>,
    /// `IdentityFile`, all of them.
    pub identity_files: Vec<String>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<bool>,
    /// `IdentityAgent`.
    pub identity_agent: Option<String>,
    /// `UserKnownHostsFile`.
    pub known_hosts: Vec<String>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `StrictHostKeyChecking`: `yes`, `no`, `ask` or `accept-new`.
    pub checking: Option<&'static str>,
    /// `SendEnv`, all of them.
    pub send_env: Vec<String>,
    /// `ConnectTimeout` in seconds; `None` inside for `none`.
    pub connect_timeout: Option<Option<u32>>,
}

/// How often `IdentityFile` and `SendEnv` may stand there, as in ssh.
const MAX_FILES: usize = 100;
const MAX_SEND_ENV: usize = 256;

impl Values {
    /// Takes a line into account. If it is not `active`, it is only checked.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn apply(&mut self, keyword: &str, arguments: Vec<String>, active: bool) -> Result<(), String> {
        match keyword {
            "hostname" => first(&mut self.host_name, one(arguments)?, active),
            "user" => first(&mut self.user, one(arguments)?, active),
            "hostkeyalias" => first(&mut self.host_key_alias, one(arguments)?, active),
            "identityagent" => first(&mut self.identity_agent, one(arguments)?, active),
            "port" => {
                let port = one(arguments)?;
                let port = port.parse().ok().filter(|port| *port != 0).ok_or(format!("{port:?} is not a port"))?;
                first(&mut self.port, port, active);
            }
            "identitiesonly" => {
                let yes = match one(arguments)?.to_ascii_lowercase().as_str() {
                    "yes" | "true" => true,
                    "no" | "false" => false,
                    other => return Err(format!("{other:?} is neither yes nor no")),
                };
                first(&mut self.identities_only, yes, active);
            }
            "stricthostkeychecking" => first(&mut self.checking, checking(&one(arguments)?)?, active),
            "connecttimeout" => {
                let value = one(arguments)?;
                let limit = if value == "none" { None } else { Some(seconds(&value)?) };
                first(&mut self.connect_timeout, limit, active);
            }
            "identityfile" => {
                let file = one(arguments)?;
                if active && !self.identity_files.contains(&file) {
                    self.identity_files.push(file);
                }
                if self.identity_files.len() > MAX_FILES {
                    return Err(format!("there are more than {MAX_FILES} identity files"));
                }
            }
            "userknownhostsfile" => {
                if arguments.is_empty() || arguments.iter().any(String::is_empty) {
                    return Err("it has an empty argument".to_owned());
                }
                if active && self.known_hosts.is_empty() {
                    self.known_hosts = arguments;
                }
            }
            "sendenv" => self.send(arguments, active)?,
            // ssh's alone.
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, patterns: Vec<String>, active: bool) -> Result<(), String> {
        for pattern in patterns {
            if pattern.is_empty() || pattern.contains('=') {
                return Err(format!("{pattern:?} is not the name of a variable"));
            }
            if !active {
                continue;
            }
            match pattern.strip_prefix('-') {
                Some(removed) => {
                    self.send_env.retain(|name| !wildcard_matches(removed.as_bytes(), name.as_bytes()));
                }
                None => self.send_env.push(pattern),
            }
            if self.send_env.len() > MAX_SEND_ENV {
                return Err(format!("there are more than {MAX_SEND_ENV} variables to send"));
            }
        }
        Ok(())
    }

    /// The name to connect to: `HostName`, in which `%h` is the host that was typed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`].
    pub(super) fn host(&self, asked: &Asked) -> Result<String, ConfigError> {
        let Some(value) = &self.host_name else { return Ok(asked.host.clone()) };
        let wrong = |what: String| ConfigError::Value { keyword: "HostName", value: value.clone(), what };
        let mut host = String::new();
        let mut rest = value.chars();
        while let Some(c) = rest.next() {
            match c {
                '%' => match rest.next() {
                    Some('h') => host.push_str(&asked.host),
                    Some('%') => host.push('%'),
                    other => return Err(wrong(format!("has the unknown token %{}", other.unwrap_or(' ')))),
                },
                c => host.push(c),
            }
        }
        Ok(host)
    }

    /// What the values mean.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`].
    pub(super) fn settings(&self, asked: &Asked) -> Result<Settings, ConfigError> {
        // As in ssh, both names are in lower case from here on.
        let host = self.host(asked)?.to_ascii_lowercase();
        let alias = self.host_key_alias.as_ref().map(|alias| alias.to_ascii_lowercase());
        let user = asked.user.as_ref().or(self.user.as_ref()).unwrap_or(&asked.local_user);
        let port = self.port.unwrap_or(22);
        let tokens = Tokens { asked, host: &host, user, port, alias: alias.as_deref() };
        let files = |keyword, values: &[String]| -> Result<Vec<PathBuf>, ConfigError> {
            let named = values.iter().filter(|value| !value.eq_ignore_ascii_case("none"));
            named.map(|value| tokens.path(keyword, value)).collect()
        };
        let known_hosts = files("UserKnownHostsFile", &self.known_hosts)?;
        Ok(Settings {
            host_name: self.host_name.as_ref().map(|_| host.clone()),
            user: self.user.clone(),
            identity_files: files("IdentityFile", &self.identity_files)?,
            identities_only: self.identities_only.unwrap_or(false),
            identity_agent: match self.identity_agent.as_deref() {
                None | Some("SSH_AUTH_SOCK") => AgentChoice::Environment,
                Some("none") => AgentChoice::Off,
                Some(variable) if variable.starts_with('$') && !variable.starts_with("${") => {
                    match std::env::var_os(&variable[1..]) {
                        Some(socket) => AgentChoice::At(socket.into()),
                        None => AgentChoice::Off,
                    }
                }
                Some(path) => AgentChoice::At(tokens.path("IdentityAgent", path)?),
            },
            known_hosts: (!self.known_hosts.is_empty()).then_some(known_hosts),
            host_key_alias: alias.clone(),
            checking: match self.checking {
                Some("yes") => Checking::Strict,
                // `no` accepts even a changed key in ssh. Nothing does here.
                Some("accept-new" | "no") => Checking::AcceptNew,
                _ => Checking::Ask,
            },
            send_env: self.send_env.clone(),
            connect_timeout: self
                .connect_timeout
                .flatten()
                .filter(|&limit| limit > 0)
                .map(|limit| Duration::from_secs(limit.into())),
        })
    }
}

/// Sets a value that is not set.
fn first<T>(place: &mut Option<T>, value: T, active: bool) {
    if active && place.is_none() {
        *place = Some(value);
    }
}

/// The only argument.
fn one(arguments: Vec<String>) -> Result<String, String> {
    let mut arguments = arguments.into_iter();
    match (arguments.next(), arguments.next()) {
        (Some(argument), None) if !argument.is_empty() => Ok(argument),
        (Some(_), Some(more)) => Err(format!("it has one argument too many, {more:?}")),
        _ => Err("it has no argument".to_owned()),
    }
}

fn checking(value: &str) -> Result<&'static str, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok("yes"),
        "no" | "off" | "false" => Ok("no"),
        "ask" => Ok("ask"),
        "accept-new" => Ok("accept-new"),
        other => Err(format!("{other:?} is neither yes, no, ask nor accept-new")),
    }
}

/// A time as sshd_config(5), TIME FORMATS, has it: `90`, `1m30s`.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a time, as 90 or 1m30s");
    let mut total = 0u32;
    let mut rest = text;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u32 = rest[..end].parse().map_err(|_| wrong())?;
        let (unit, after) = match rest[end..].chars().next().map(|unit| unit.to_ascii_lowercase()) {
            None => (1, ""),
            Some('s') => (1, &rest[end + 1..]),
            Some('m') => (60, &rest[end + 1..]),
            Some('h') => (60 * 60, &rest[end + 1..]),
            Some('d') => (24 * 60 * 60, &rest[end + 1..]),
            Some('w') => (7 * 24 * 60 * 60, &rest[end + 1..]),
            Some(_) => return Err(wrong()),
        };
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}
