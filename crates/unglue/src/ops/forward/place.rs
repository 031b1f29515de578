//! What is forwarded to where, and how people write it: the syntax of ssh(1).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use unglue_proto::message::forward as message;
use unglue_proto::{Code, Fault, Side};

/// The end of a connection: a TCP port or a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A TCP port.
    Tcp {
        /// A name or an address, without brackets. To listen, `localhost` means the addresses of loopback, `*` all addresses.
        host: String,
        /// The port; 0 picks a free one to listen on.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Place {
    pub(super) fn to_message(&self) -> message::Place {
        match self {
            Place::Tcp { host, port } => message::Place::Tcp(message::Port { host: host.clone(), port: *port }),
            Place::Unix(path) => message::Place::Unix(path.as_os_str().into()),
        }
    }

    /// # Errors
    /// It is of a later version.
    pub(super) fn from_message(place: message::Place) -> Result<Place, Fault> {
        match place {
            message::Place::Tcp(message::Port { host, port }) => Ok(Place::Tcp { host, port }),
            message::Place::Unix(path) => Ok(Place::Unix(OsString::from(path).into())),
            message::Place::Unknown(unknown) => {
                let what =
                    format!("this version of unglue doesn't know how to reach a place of the kind {:?}", unknown.kind);
                Err(Fault::user(Code::Unsupported, what).advise("update the server"))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "{host}:{port}"),
            Place::Unix(path) => path.display().fmt(f),
        }
    }
}

/// One thing to forward.
///
/// ```
/// use unglue::{Forward, Place};
///
/// let web = Forward::local("8080:intranet:80".as_ref()).unwrap();
/// let at = Place::Tcp { host: "localhost".into(), port: 8080 };
/// assert_eq!(web, Forward::Local { at, to: Place::Tcp { host: "intranet".into(), port: 80 } });
/// assert!(Forward::local("8080".as_ref()).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forward {
    /// `-L`: the client listens, the server connects.
    Local {
        /// Where the client listens.
        at: Place,
        /// What the server connects to.
        to: Place,
    },
    /// `-R`: the server listens, the client connects.
    Remote {
        /// Where the server listens.
        at: Place,
        /// What the client connects to.
        to: Place,
    },
    /// `-D`: the client is a SOCKS proxy (versions 4, 4a and 5), the server connects.
    Dynamic {
        /// Where the client listens.
        at: Place,
    },
}

impl Forward {
    /// Reads `[BIND:]PORT:HOST:HOSTPORT`, `[BIND:]PORT:SOCKET`, `SOCKET:HOST:HOSTPORT` or `SOCKET:SOCKET`, as `ssh -L` takes
    /// it: an IPv6 address stands in brackets, and a part with a `/` is a unix socket's path.
    ///
    /// # Errors
    /// What is wrong, and how it is written.
    pub fn local(text: &OsStr) -> Result<Forward, Fault> {
        let (at, to) = both_ends(text).map_err(|why| wrong("-L", text, &why))?;
        Ok(Forward::Local { at, to })
    }

    /// Reads the same for `ssh -R`: the first place is on the server.
    ///
    /// # Errors
    /// As [`Forward::local`].
    pub fn remote(text: &OsStr) -> Result<Forward, Fault> {
        let (at, to) = both_ends(text).map_err(|why| wrong("-R", text, &why))?;
        Ok(Forward::Remote { at, to })
    }

    /// Reads `[BIND:]PORT` or `SOCKET`, as `ssh -D` takes it.
    ///
    /// # Errors
    /// What is wrong, and how it is written.
    pub fn dynamic(text: &OsStr) -> Result<Forward, Fault> {
        let fields = fields(text.as_bytes()).map_err(|why| wrong("-D", text, &why))?;
        let at = match fields.as_slice() {
            [at] | [_, at] if fields.len() == 2 || at.is_path() => place(&fields),
            [port] => port.port(true).map(|port| Place::Tcp { host: LOOPBACK.into(), port }),
            _ => Err("it has too many parts".into()),
        };
        at.map(|at| Forward::Dynamic { at }).map_err(|why| wrong("-D", text, &why))
    }
}

/// Where connections are accepted that name no address.
const LOOPBACK: &str = "localhost";

fn wrong(flag: &str, text: &OsStr, why: &str) -> Fault {
    let how = match flag {
        "-D" => "[BIND:]PORT",
        _ => "[BIND:]PORT:HOST:HOSTPORT, where a path with a / may stand for a port and a host",
    };
    Fault::user(Code::BadMessage, format!("{flag} {}: {why}", text.display())).advise(format!("write {flag} {how}"))
}

/// A part between colons.
#[derive(Debug)]
struct Field {
    text: Vec<u8>,
    bracketed: bool,
}

impl Field {
    fn is_path(&self) -> bool {
        !self.bracketed && self.text.contains(&b'/')
    }

    fn path(&self) -> Place {
        Place::Unix(OsString::from_vec(self.text.clone()).into())
    }

    fn host(&self) -> Result<String, String> {
        let host = String::from_utf8(self.text.clone()).map_err(|_| "a host's name is not text")?;
        Ok(host)
    }

    fn port(&self, to_listen: bool) -> Result<u16, String> {
        let text = String::from_utf8_lossy(&self.text);
        let port = if self.bracketed { None } else { text.parse().ok() };
        port.filter(|port| to_listen || *port != 0)
            .ok_or_else(|| format!("{text:?} is not a port, which is a number from 1 to 65535"))
    }
}

/// Splits at colons outside of brackets; a backslash takes the next byte as it is.
fn fields(text: &[u8]) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix(b"[") {
            Some(inner) => {
                let end = inner.iter().position(|&byte| byte == b']').ok_or("a bracket is not closed")?;
                (Field { text: inner[..end].to_vec(), bracketed: true }, &inner[end + 1..])
            }
            None => plain(rest),
        };
        fields.push(field);
        match after {
            [] => return Ok(fields),
            [b':', more @ ..] => rest = more,
            _ => return Err("something stands behind a bracket".into()),
        }
    }
}

fn plain(text: &[u8]) -> (Field, &[u8]) {
    let (mut field, mut at) = (Vec::new(), 0);
    while at < text.len() && text[at] != b':' {
        if text[at] == b'\\' && at + 1 < text.len() {
            at += 1;
        }
        field.push(text[at]);
        at += 1;
    }
    (Field { text: field, bracketed: false }, &text[at..])
}

/// The place where connections are accepted, of one or two parts.
fn place(fields: &[Field]) -> Result<Place, String> {
    match fields {
        [path] if path.is_path() => Ok(path.path()),
        [port] => Ok(Place::Tcp { host: LOOPBACK.into(), port: port.port(true)? }),
        [bind, port] => {
            let host = match bind.text.is_empty() {
                true => "*".into(),
                false => bind.host()?,
            };
            Ok(Place::Tcp { host, port: port.port(true)? })
        }
        _ => Err("it has too many parts".into()),
    }
}

fn both_ends(text: &OsStr) -> Result<(Place, Place), String> {
    let fields = fields(text.as_bytes())?;
    let (at, to) = match fields.split_last() {
        None | Some((_, [])) => return Err("it doesn't say where to".into()),
        Some((path, at)) if path.is_path() => (at, path.path()),
        Some((port, [at @ .., host])) if !host.text.is_empty() && !at.is_empty() => {
            (at, Place::Tcp { host: host.host()?, port: port.port(false)? })
        }
        _ => return Err("it doesn't say where to".into()),
    };
    if at.len() == 2 && at.iter().any(Field::is_path) {
        return Err("a path takes no address in front of it".into());
    }
    Ok((place(at)?, to))
}

/// A place where connections are accepted by now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listening {
    /// The machine that listens.
    pub side: Side,
    /// The places: `localhost` has two addresses.
    pub at: Vec<Place>,
    /// Where its connections go to; `None` for a SOCKS proxy.
    pub to: Option<Place>,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: Vec<String> = self.at.iter().map(Place::to_string).collect();
        let (here, there) = match self.side {
            Side::Client => ("", "from the server"),
            Side::Server => ("the server ", "from this machine"),
        };
        write!(f, "{here}listens on {}", at.join(" and "))?;
        match &self.to {
            Some(to) => write!(f, ", for {to} as reached {there}"),
            None => f.write_str(", a SOCKS proxy that connects from the server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    #[test]
    fn what_ssh_reads_is_read() {
        let unix = |path: &str| Place::Unix(path.into());
        for (text, at, to) in [
            ("8080:h:80", tcp("localhost", 8080), tcp("h", 80)),
            ("0:h:80", tcp("localhost", 0), tcp("h", 80)),
            ("127.0.0.1:8080:h:80", tcp("127.0.0.1", 8080), tcp("h", 80)),
            ("*:8080:h:80", tcp("*", 8080), tcp("h", 80)),
            (":8080:h:80", tcp("*", 8080), tcp("h", 80)),
            ("[::1]:8080:[fe80::1]:80", tcp("::1", 8080), tcp("fe80::1", 80)),
            ("8080:/run/db", tcp("localhost", 8080), unix("/run/db")),
            ("[::]:8080:./db", tcp("::", 8080), unix("./db")),
            ("/tmp/s:h:80", unix("/tmp/s"), tcp("h", 80)),
            ("/tmp/s:/run/db", unix("/tmp/s"), unix("/run/db")),
            ("/tmp/a\\:b:/run/db", unix("/tmp/a:b"), unix("/run/db")),
        ] {
            let read = Forward::local(text.as_ref()).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(read, Forward::Local { at: at.clone(), to: to.clone() }, "{text}");
            assert_eq!(Forward::remote(text.as_ref()).expect(text), Forward::Remote { at, to }, "{text}");
        }
        for (text, at) in [("1080", tcp("localhost", 1080)), ("*:1080", tcp("*", 1080)), ("/tmp/s", unix("/tmp/s"))] {
            assert_eq!(Forward::dynamic(text.as_ref()).expect(text), Forward::Dynamic { at }, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "80",
            "h:80",
            "80:h",
            "80:h:0",
            "80:h:x",
            "a:b:c:d",
            "80::80",
            "1:2:3:4:5",
            "[::1:80:h:80",
            "[::1]x:80:h:80",
            "70000:h:80",
            "a:/tmp/s:h:80",
            "[80]:h:80",
        ] {
            let fault = Forward::local(text.as_ref()).expect_err(text);
            assert!(fault.to_string().contains("write -L [BIND:]PORT:HOST:HOSTPORT"), "{fault}");
        }
        for text in ["", "x", "a:b:c", "h:0x1"] {
            assert!(Forward::dynamic(text.as_ref()).is_err(), "{text}");
        }
    }
}
