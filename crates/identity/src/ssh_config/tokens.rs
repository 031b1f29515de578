//! `~`, tokens such as `%h`, and variables such as `${HOME}` in values (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).

use super::{Asked, ConfigError};
use sha1::{Digest as _, Sha1};

/// What the tokens stand for.
pub(super) struct Tokens<'a> {
    pub(super) asked: &'a Asked,
    /// The name to connect to.
    pub(super) host: &'a str,
    /// The user to become.
    pub(super) user: &'a str,
    pub(super) port: u16,
    pub(super) alias: Option<&'a str>,
}

impl Tokens<'_> {
    fn of(&self, token: char) -> Option<String> {
        Some(match token {
            '%' => "%".to_owned(),
            'C' => {
                let parts = format!("{}{}{}{}", local_host(), self.host, self.port, self.user);
                Sha1::digest(parts).iter().map(|byte| format!("{byte:02x}")).collect()
            }
            'd' => self.asked.home.as_ref()?.display().to_string(),
            'h' => self.host.to_owned(),
            'i' => rustix::process::getuid().as_raw().to_string(),
            'k' => self.alias.unwrap_or(self.host).to_owned(),
            'L' => local_host().split('.').next().unwrap_or_default().to_owned(),
            'l' => local_host(),
            'n' => self.asked.host.clone(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => self.asked.local_user.clone(),
            _ => return None,
        })
    }

    /// Replaces the tokens; `variables` too, if they are allowed there.
    ///
    /// # Errors
    ///
    /// What is wrong, for the end of a sentence.
    pub(super) fn expand(&self, value: &str, variables: bool) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = value;
        while let Some(at) = rest.find(['%', '$']) {
            expanded.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(name) = rest.strip_prefix("${").filter(|_| variables) {
                let (name, after) = name.split_once('}').ok_or("has a ${ that is not closed")?;
                let set = std::env::var(name).map_err(|_| format!("names the variable {name}, which is not set"))?;
                expanded.push_str(&set);
                rest = after;
            } else if let Some(token) = rest.strip_prefix('%') {
                let token = token.chars().next().ok_or("ends in a %")?;
                expanded.push_str(&self.of(token).ok_or_else(|| format!("has the unknown token %{token}"))?);
                rest = &rest[1 + token.len_utf8()..];
            } else {
                expanded.push('$');
                rest = &rest[1..];
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// Replaces a `~` at the start, then tokens and variables.
    pub(super) fn path(&self, keyword: &'static str, value: &str) -> Result<std::path::PathBuf, ConfigError> {
        let wrong = |what| ConfigError::Value { keyword, value: value.to_owned(), what };
        let expanded = self.expand(&with_home(value, self.asked), true).map_err(wrong)?;
        Ok(expanded.into())
    }
}

/// The path with this user's home in place of `~`. The home of another user (`~ada`) is left as it is written.
pub(super) fn with_home(path: &str, asked: &Asked) -> String {
    match (path.strip_prefix('~'), &asked.home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home.display()),
        _ => path.to_owned(),
    }
}

fn local_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
