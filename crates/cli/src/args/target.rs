//! `[user@]HOST[:PORT]` or `[user@]unix:PATH`, as commands that need a server take it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use unglue::{Address, Target};

/// A server, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostArg {
    /// The user before the `@`.
    pub(crate) user: Option<String>,
    /// A name or an address, without brackets; or `unix:PATH`, which is neither.
    pub(crate) host: String,
    /// The port behind the last colon.
    pub(crate) port: Option<u16>,
}

impl HostArg {
    /// The address, with the port that was typed or the one of `-P`.
    ///
    /// # Errors
    /// Both were given, and they differ.
    pub(crate) fn address(&self, flag: Option<u16>) -> Result<Address, String> {
        if let (Some(_), Some(port)) = (self.socket(), flag) {
            return Err(format!("{self} has no port, and -P names port {port}; leave it out"));
        }
        let port = match (self.port, flag) {
            (Some(typed), Some(flag)) if typed != flag => {
                return Err(format!("{self} names port {typed}, and -P names port {flag}; leave one of them out"));
            }
            (typed, flag) => typed.or(flag).unwrap_or(unglue::client::DEFAULT_PORT),
        };
        let target = Target { host: self.host.clone(), port };
        Ok(Address { user: self.user.clone(), target })
    }
}

impl HostArg {
    /// The path of the unix socket, if it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix(UNIX).map(Path::new)
    }

    /// The server that listens on the unix socket `path`.
    pub(super) fn of_socket(user: Option<&str>, path: &str) -> Result<HostArg, String> {
        match (user, path) {
            (Some(""), _) => Err("there is no user before the @".into()),
            (_, "") => {
                Err("unix: needs the path of a socket behind it; a host with this name is written [unix]".into())
            }
            _ => Ok(HostArg { user: user.map(str::to_owned), host: format!("{UNIX}{path}"), port: None }),
        }
    }
}

/// What a server's unix socket starts with. A host that is called `unix` is written in brackets.
pub(super) const UNIX: &str = "unix:";

impl fmt::Display for HostArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match (self.port, self.host.contains(':')) {
            (None, _) => f.write_str(&self.host),
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl FromStr for HostArg {
    type Err = String;

    /// Reads `[user@]HOST[:PORT]`. An IPv6 address that has a port needs brackets; without one it may go bare (`::1`).
    fn from_str(text: &str) -> Result<HostArg, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return HostArg::of_socket(None, path);
        }
        if let Some((user, path)) = text.split_once("@unix:") {
            return HostArg::of_socket(Some(user), path);
        }
        let (address, port) = Address::parse(text).map_err(|fault| fault.to_string())?;
        Ok(HostArg { user: address.user, host: check_host(&address.target.host)?, port })
    }
}

/// A host that a resolver could take, and that can't be mistaken for an option or a path.
pub(crate) fn check_host(host: &str) -> Result<String, String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '[' || c == ']';
    match host {
        "" => Err("there is no host".into()),
        _ if host.starts_with('-') => Err("a host can't start with a dash".into()),
        _ if host.contains(odd) => Err(format!("{host:?} is not a host's name")),
        _ => Ok(host.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, String, Option<u16>) {
        let host: HostArg = text.parse().expect(text);
        (host.user, host.host, host.port)
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(parsed("h"), (None, "h".into(), None));
        assert_eq!(parsed("h:22"), (None, "h".into(), Some(22)));
        assert_eq!(parsed("ada@h:22"), (Some("ada".into()), "h".into(), Some(22)));
        assert_eq!(parsed("ada@example.org@h"), (Some("ada@example.org".into()), "h".into(), None));
        assert_eq!(parsed("::1"), (None, "::1".into(), None));
        assert_eq!(parsed("[::1]"), (None, "::1".into(), None));
        assert_eq!(parsed("ada@[::1]:7227"), (Some("ada".into()), "::1".into(), Some(7227)));
        assert_eq!(parsed("fe80::1%eth0"), (None, "fe80::1%eth0".into(), None));
    }

    #[test]
    fn a_unix_socket_is_a_path() {
        let socket = |text: &str| {
            let host: HostArg = text.parse().expect(text);
            assert_eq!(host.to_string(), text);
            (host.user.clone(), host.socket().map(|path| path.to_string_lossy().into_owned()))
        };
        assert_eq!(socket("unix:/run/u"), (None, Some("/run/u".into())));
        assert_eq!(socket("unix:u@v:7"), (None, Some("u@v:7".into())));
        assert_eq!(socket("ada@unix:/run/u"), (Some("ada".into()), Some("/run/u".into())));
        assert_eq!(parsed("[unix]:22"), (None, "unix".into(), Some(22)));
        assert_eq!(parsed("unix"), (None, "unix".into(), None));
        for text in ["unix:", "@unix:/run/u"] {
            assert!(text.parse::<HostArg>().is_err(), "{text:?}");
        }
        let host: HostArg = "unix:/run/u".parse().expect("a socket");
        assert!(host.address(Some(1)).expect_err("a conflict").contains("has no port"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "@h", "h:", "h:0", "h:65536", "h:http", "[::1", "[::1]22", "-oProxyCommand=x", "a b", "ada@"] {
            assert!(text.parse::<HostArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn two_ports_must_agree() {
        let host: HostArg = "h:1".parse().expect("a host");
        assert_eq!(host.address(None).expect("one").target.port, 1);
        assert_eq!(host.address(Some(1)).expect("the same").target.port, 1);
        assert!(host.address(Some(2)).expect_err("a conflict").contains("-P names port 2"));
        let host: HostArg = "h".parse().expect("a host");
        assert_eq!(host.address(None).expect("the default").target.port, 7227);
    }
}
