//! What carries a link's bytes, in order and both ways: TCP with TLS, a unix socket, the input and output of a process, or
//! memory. All of them share the driver; only how they are opened and who authenticates differs.

mod process;
mod room;
mod stdio;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod wire;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};

pub use process::ChildProcess;
pub use stdio::{Descriptors, stdio};

/// A connection, whatever it is made of. Calling it through a pointer costs nothing beside the system call behind it.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection of any kind.
pub type BoxedIo = Box<dyn Io>;

/// Where a connection comes from, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// An address of the network.
    Address(SocketAddr),
    /// A unix socket: the user at its other end (unix(7), SO_PEERCRED).
    Unix {
        /// Its user id.
        uid: u32,
    },
    /// The standard input and output of this process.
    Stdio,
}

impl Peer {
    /// Its address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Address(address) => Some(address.ip()),
            Peer::Unix { .. } | Peer::Stdio => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Unix { uid } => write!(f, "unix:uid={uid}"),
            Peer::Stdio => f.write_str("stdio"),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Address(address)
    }
}
