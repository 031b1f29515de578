//! The options of a line (sshd(8), AUTHORIZED_KEYS FILE FORMAT), and those of a certificate (ssh-keygen(1), CERTIFICATES).

use crate::addresses;
use crate::certificate::{Certificate, CertificateError};
use crate::local_time;
use crate::policy::{Forwarding, Permit, Policy};
use crate::wire::Cursor;

/// The most hosts and ports that one line lists, as in sshd.
const MAX_PERMITS: usize = 4096;

/// What the options of a line say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) authority: bool,
    pub(super) principals: Option<Vec<u8>>,
    pub(super) from: Option<Vec<u8>>,
    pub(super) expires: Option<u64>,
    pub(super) command: Option<Vec<u8>>,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    pty: bool,
    forwarding: bool,
    open: Option<Vec<Permit>>,
    listen: Option<Vec<Permit>>,
    /// Whether a signature without a touch will do.
    pub(super) no_touch: bool,
    pub(super) verify: bool,
    /// The networks of a certificate.
    pub(super) networks: Option<Vec<u8>>,
}

/// An option that admits nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadOption {
    pub(super) name: String,
    pub(super) why: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authority: false,
            principals: None,
            from: None,
            expires: None,
            command: None,
            environment: Vec::new(),
            pty: true,
            forwarding: true,
            open: None,
            listen: None,
            no_touch: false,
            verify: false,
            networks: None,
        }
    }
}

impl Options {
    /// Reads the text in front of a key, without the blank behind it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, BadOption> {
        let mut options = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| matches!(byte, b'=' | b',')).unwrap_or(rest.len());
            let name = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
            let bad = |why| BadOption { name: name.clone(), why };
            rest = match rest[end..].strip_prefix(b"=") {
                Some(value) => {
                    let (value, after) = unquoted(value).ok_or_else(|| bad("its value is not in quotation marks"))?;
                    options.set(&name, value).map_err(bad)?;
                    after
                }
                None => {
                    options.flag(&name).ok_or_else(|| bad("it is not known"))?;
                    &rest[end..]
                }
            };
            if rest.is_empty() {
                break;
            }
            rest = match rest.strip_prefix(b",") {
                Some(next) => next,
                None => return Err(bad("something other than a comma follows its value")),
            };
        }
        Ok(options)
    }

    /// An option without a value. Agents, X11 and `~/.ssh/rc` are ssh's alone: there is nothing to permit or to forbid.
    fn flag(&mut self, name: &str) -> Option<()> {
        match name {
            // As in sshd: nothing between two commas is nothing.
            "" => {}
            "restrict" => (self.pty, self.forwarding) = (false, false),
            "cert-authority" => self.authority = true,
            "pty" => self.pty = true,
            "no-pty" => self.pty = false,
            "port-forwarding" => self.forwarding = true,
            "no-port-forwarding" => self.forwarding = false,
            "touch-required" => self.no_touch = false,
            "no-touch-required" => self.no_touch = true,
            "verify-required" => self.verify = true,
            "no-verify-required" => self.verify = false,
            "agent-forwarding"
            | "no-agent-forwarding"
            | "x11-forwarding"
            | "no-x11-forwarding"
            | "user-rc"
            | "no-user-rc" => {}
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), &'static str> {
        match name {
            "command" => once(&mut self.command, value),
            "principals" => once(&mut self.principals, value),
            "from" => once(&mut self.from, value),
            "expiry-time" => {
                let time = local_time::parse(&value).ok_or("its value is not a time as YYYYMMDD or YYYYMMDDHHMM")?;
                self.expires = Some(self.expires.map_or(time, |earlier| earlier.min(time)));
                Ok(())
            }
            "environment" => self.variable(&value).ok_or("its value is not a variable as NAME=VALUE"),
            "permitopen" => add(&mut self.open, Permit::parse(&value, false)),
            "permitlisten" => add(&mut self.listen, Permit::parse(&value, true)),
            "tunnel" if is_tunnel(&value) => Ok(()),
            "tunnel" => Err("its value is not the number of a device"),
            _ => Err("it is not known"),
        }
    }

    /// The first value of a variable counts, as in sshd.
    fn variable(&mut self, text: &[u8]) -> Option<()> {
        let at = text.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&text[..at], &text[at + 1..]);
        let valid = !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid {
            return None;
        }
        if !self.environment.iter().any(|(known, _)| known == name) {
            self.environment.push((name.to_vec(), value.to_vec()));
        }
        Some(())
    }

    /// The options of a certificate for a user.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] for one that is not known or damaged.
    pub(super) fn of_certificate(certificate: &Certificate) -> Result<Self, CertificateError> {
        let mut options = Self { pty: false, forwarding: false, ..Self::default() };
        for (name, value) in certificate.critical_options() {
            let unknown = || CertificateError::CriticalOption { name: name.escape_ascii().to_string() };
            match name.as_slice() {
                b"force-command" => {
                    once(&mut options.command, inner(value).ok_or_else(unknown)?).map_err(|_| unknown())?
                }
                b"source-address" => {
                    let list = inner(value).ok_or_else(unknown)?;
                    addresses::networks_hold(&list, None).ok_or_else(unknown)?;
                    once(&mut options.networks, list).map_err(|_| unknown())?;
                }
                b"verify-required" if value.is_empty() => options.verify = true,
                _ => return Err(unknown()),
            }
        }
        for (name, _) in certificate.extensions() {
            match name.as_slice() {
                b"permit-pty" => options.pty = true,
                b"permit-port-forwarding" => options.forwarding = true,
                b"no-touch-required" => options.no_touch = true,
                // Unknown ones give nothing.
                _ => {}
            }
        }
        Ok(options)
    }

    /// What a line and the certificate that it admits allow together; `None` if both force a command, and not the same.
    pub(super) fn and(self, certificate: Self) -> Option<Self> {
        let command = match (self.command, certificate.command) {
            (Some(ours), Some(theirs)) if ours != theirs => return None,
            (ours, theirs) => ours.or(theirs),
        };
        Some(Self {
            command,
            pty: self.pty && certificate.pty,
            forwarding: self.forwarding && certificate.forwarding,
            no_touch: self.no_touch && certificate.no_touch,
            verify: self.verify || certificate.verify,
            networks: certificate.networks,
            ..self
        })
    }

    /// What they allow, of everything that there is.
    pub(super) fn policy(&self, until: Option<u64>) -> Policy {
        let mut forward = Forwarding::default();
        if self.forwarding {
            forward = Forwarding::all();
            if let Some(open) = &self.open {
                forward = forward.only_open(open.iter().cloned());
            }
            if let Some(listen) = &self.listen {
                forward = forward.only_listen(listen.iter().cloned());
            }
        }
        let mut policy = Policy::default().allow_exec().allow_forward(forward);
        // A command that replaces all others leaves no way to a file.
        policy.files = self.command.is_none();
        policy.pty = self.pty;
        policy.command.clone_from(&self.command);
        policy.environment.clone_from(&self.environment);
        policy.expires = [self.expires, until].into_iter().flatten().min();
        policy
    }
}

fn once(place: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<(), &'static str> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("it is there twice"),
    }
}

fn add(list: &mut Option<Vec<Permit>>, permit: Option<Permit>) -> Result<(), &'static str> {
    let list = list.get_or_insert_default();
    list.push(permit.ok_or("its value is not HOST:PORT")?);
    if list.len() > MAX_PERMITS { Err("it is there more than 4096 times") } else { Ok(()) }
}

/// The text in quotation marks at the start, in which `\"` is one, and what follows it.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut value = Vec::new();
    loop {
        rest = match *rest {
            [b'\\', b'"', ref after @ ..] => {
                value.push(b'"');
                after
            }
            [b'"', ref after @ ..] => return Some((value, after)),
            [byte, ref after @ ..] => {
                value.push(byte);
                after
            }
            [] => return None,
        };
    }
}

/// `any`, or the number of a tun(4) device.
fn is_tunnel(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.eq_ignore_ascii_case("any") || text.parse::<u32>().is_ok_and(|number| number < 0x7fff_fffe)
}

/// A certificate's option holds a string of its own.
fn inner(value: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let string = cursor.string()?;
    cursor.is_empty().then(|| string.to_vec())
}
