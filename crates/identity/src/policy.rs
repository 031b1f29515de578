//! What a principal may do.

/// The operations that a principal may use, and how. The default allows none.
///
/// Who serves an operation asks before it begins: [`exec`](Self::exec) and [`command`](Self::command) before a command,
/// [`files`](Self::files) before a transfer, [`pty`](Self::pty) before a terminal, [`forward`](Self::forward) before a port.
///
/// ```
/// use unglue_identity::Policy;
///
/// let server = Policy::everything();
/// let key = Policy::default().allow_exec();
/// assert!(server.limited_to(&key).exec && !server.limited_to(&key).files);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Whether commands may be run.
    pub exec: bool,
    /// Whether files may be read and written.
    pub files: bool,
    /// Whether a command may have a terminal.
    pub pty: bool,
    /// Which ports may be forwarded.
    pub forward: Forwarding,
    /// The only command that may be run, as text for the user's shell: it replaces the one that the client asks for.
    pub command: Option<Vec<u8>>,
    /// Variables of the command, from the key's `environment=` options.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// When this ends, in seconds since 1970.
    pub expires: Option<u64>,
}

impl Policy {
    /// Everything that this version knows.
    pub fn everything() -> Policy {
        Policy { exec: true, files: true, pty: true, forward: Forwarding::all(), ..Policy::default() }
    }

    /// Commands too.
    pub fn allow_exec(self) -> Policy {
        Policy { exec: true, ..self }
    }

    /// Files too.
    pub fn allow_files(self) -> Policy {
        Policy { files: true, ..self }
    }

    /// Terminals too.
    pub fn allow_pty(self) -> Policy {
        Policy { pty: true, ..self }
    }

    /// These ports too.
    pub fn allow_forward(self, forward: Forwarding) -> Policy {
        Policy { forward, ..self }
    }

    /// What both allow. The command, the variables and the time of `other` come first, and `other`'s lists of ports.
    pub fn limited_to(&self, other: &Policy) -> Policy {
        let expires = [self.expires, other.expires].into_iter().flatten().min();
        Policy {
            exec: self.exec && other.exec,
            files: self.files && other.files,
            pty: self.pty && other.pty,
            forward: self.forward.limited_to(&other.forward),
            command: other.command.clone().or_else(|| self.command.clone()),
            environment: if other.environment.is_empty() {
                self.environment.clone()
            } else {
                other.environment.clone()
            },
            expires,
        }
    }
}

/// Which ports may be forwarded. The default is none.
///
/// ```
/// use unglue_identity::{Forwarding, Permit};
///
/// let web = Forwarding::all().only_open([Permit::parse(b"localhost:80", false).unwrap()]);
/// assert!(web.may_open("localhost", 80) && !web.may_open("localhost", 22) && !web.may_open_socket());
/// assert!(web.may_listen("localhost", 8080));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarding {
    allowed: bool,
    open: Option<Vec<Permit>>,
    listen: Option<Vec<Permit>>,
}

impl Forwarding {
    /// Every port and every unix socket.
    pub fn all() -> Forwarding {
        Forwarding { allowed: true, open: None, listen: None }
    }

    /// Connections are made to these alone (`permitopen=`).
    pub fn only_open(self, open: impl IntoIterator<Item = Permit>) -> Forwarding {
        Forwarding { open: Some(open.into_iter().collect()), ..self }
    }

    /// Connections are accepted at these alone (`permitlisten=`).
    pub fn only_listen(self, listen: impl IntoIterator<Item = Permit>) -> Forwarding {
        Forwarding { listen: Some(listen.into_iter().collect()), ..self }
    }

    /// Whether it names hosts and ports (`permitopen=`, `permitlisten=`).
    pub fn is_listed(&self) -> bool {
        self.open.is_some() || self.listen.is_some()
    }

    /// Whether anything may be forwarded.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether the server may connect to this host and port for the client. Names are compared as they are written: nothing
    /// is resolved, as in sshd.
    pub fn may_open(&self, host: &str, port: u16) -> bool {
        self.allowed && permits(self.open.as_deref(), host, port)
    }

    /// Whether the server may accept connections at this address and port for the client.
    pub fn may_listen(&self, host: &str, port: u16) -> bool {
        self.allowed && permits(self.listen.as_deref(), host, port)
    }

    /// Whether the server may connect to unix sockets for the client: a list names hosts and ports only.
    pub fn may_open_socket(&self) -> bool {
        self.allowed && self.open.is_none()
    }

    /// Whether the server may accept connections at unix sockets for the client.
    pub fn may_listen_socket(&self) -> bool {
        self.allowed && self.listen.is_none()
    }

    fn limited_to(&self, other: &Forwarding) -> Forwarding {
        Forwarding {
            allowed: self.allowed && other.allowed,
            open: other.open.clone().or_else(|| self.open.clone()),
            listen: other.listen.clone().or_else(|| self.listen.clone()),
        }
    }
}

fn permits(list: Option<&[Permit]>, host: &str, port: u16) -> bool {
    list.is_none_or(|list| list.iter().any(|permit| permit.covers(host, port)))
}

/// A host and a port that may be forwarded; `*` stands for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    host: Vec<u8>,
    port: Option<u16>,
}

/// The longest host name, as in sshd (NI_MAXHOST).
const MAX_HOST: usize = 1024;

impl Permit {
    /// Reads `HOST:PORT`, `[ADDRESS]:PORT` or, if `bare_port`, `PORT`.
    pub fn parse(text: &[u8], bare_port: bool) -> Option<Permit> {
        let (host, port) = match split_host(text) {
            Some(parts) => parts,
            None if bare_port && !text.contains(&b':') => (&b"*"[..], text),
            None => return None,
        };
        let port = match port {
            b"*" => None,
            digits => Some(std::str::from_utf8(digits).ok()?.parse().ok().filter(|port| *port != 0)?),
        };
        (host.len() < MAX_HOST).then(|| Permit { host: host.to_vec(), port })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let host_fits = self.host == b"*" || self.host == host.as_bytes();
        host_fits && self.port.is_none_or(|own| own == port)
    }
}

/// The host in front of the first colon, or in brackets, and the port behind it.
fn split_host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(rest) = text.strip_prefix(b"[") {
        let end = rest.iter().position(|&byte| byte == b']')?;
        return Some((&rest[..end], rest[end + 1..].strip_prefix(b":")?));
    }
    let colon = text.iter().position(|&byte| byte == b':')?;
    Some((&text[..colon], &text[colon + 1..]))
}
