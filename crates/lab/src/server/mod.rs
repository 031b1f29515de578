//! A TCP and a UDP server in steps: make, bind, activate, accept, handle, shut down; or all of them by `run`.
//!
//! They are what `socketserver` and the tutorials' `MYTCPServer` and `MYUDPServer` are in Python. Each step consumes what the
//! step before gave, so that none can be forgotten. What is said on a connection is a [`Service`]: one of
//! [`dialects`](crate::dialects), or your own.
//!
//! ```
//! use std::io::Write as _;
//! use unglue_lab::server::{ServedConnection, Settings, TcpServer};
//! use unglue_lab::LabError;
//!
//! /// Sends everything back.
//! fn echo(session: &mut ServedConnection<'_>) -> Result<(), LabError> {
//!     let mut buffer = vec![0; session.settings().packet];
//!     loop {
//!         match session.recv_command(&mut buffer)? {
//!             0 => return Ok(()),
//!             n => session.connection.send_all(&buffer[..n], "an echo")?,
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TcpServer::new(Settings::default())?.bind("127.0.0.1:0".parse()?)?.activate()?;
//! let mut client = std::net::TcpStream::connect(server.address())?;
//! client.write_all(b"hello")?;
//! client.shutdown(std::net::Shutdown::Write)?;
//! if let Some(request) = server.accept()? {
//!     server.handle(request, &echo, &|_, _| {})?;
//! }
//! assert_eq!(std::io::read_to_string(client)?, "hello");
//! # Ok(())
//! # }
//! ```

mod tcp;
mod udp;

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use socket2::Domain;

use crate::LabError;
use crate::coding::Coding;
use crate::connection::Connection;
use crate::shell::{Printed, Shell};
use crate::stop::Stop;
pub use tcp::{BoundTcpServer, ListeningTcpServer, Request, TcpServer};
pub use udp::{BoundUdpServer, Datagram, DatagramService, ReceivingUdpServer, UdpServer};

/// The kind of addresses that a socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// `AF_INET`.
    #[default]
    V4,
    /// `AF_INET6`.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: SocketAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn domain(self) -> Domain {
        match self {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        }
    }
}

/// What a server is set up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The addresses' family.
    pub family: Family,
    /// `SO_REUSEADDR`, set before the bind: a server that was just ended can be started again.
    pub reuse_address: bool,
    /// How many connections the kernel keeps that were not accepted yet.
    pub backlog: i32,
    /// The largest piece that one `recv` takes, in bytes. The dialects that run commands take 1,024, as the tutorial's do.
    pub packet: usize,
    /// How text is spelt on the wire.
    pub coding: Coding,
    /// Where uploads land.
    pub directory: PathBuf,
    /// How long a peer may make no progress in the middle of something.
    pub patience: Duration,
    /// How long it may stay silent between commands.
    pub idle: Duration,
    /// How many clients are served at once; one more is refused.
    pub clients: usize,
}

impl Default for Settings {
    /// As the tutorial has them: IPv4, backlog 5, packets of 8,192 bytes, UTF-8, `file_upload`. Beyond it: the address is
    /// reused, 10 s of patience, 10 min between commands, 256 clients.
    fn default() -> Settings {
        Settings {
            family: Family::V4,
            reuse_address: true,
            backlog: 5,
            packet: 8192,
            coding: Coding::Utf8,
            directory: PathBuf::from("file_upload"),
            patience: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            clients: 256,
        }
    }
}

impl Settings {
    fn check(&self, address: SocketAddr) -> Result<(), LabError> {
        if self.packet == 0 {
            return Err(LabError::misuse("packets of no bytes", "set Settings::packet to 1 or more"));
        }
        match Family::of(address) == self.family {
            true => Ok(()),
            false => Err(LabError::misuse(
                format!("{address} is not an address of the family {:?}", self.family),
                "set Settings::family to Family::of(address)",
            )),
        }
    }
}

/// Something that a server did, for its log and for tests that wait for facts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client connected.
    Connected,
    /// One more client than may be served at once was refused.
    Refused {
        /// How many are served.
        clients: usize,
    },
    /// A command has run, and its reply is in the kernel's hands.
    Ran {
        /// The command as it came.
        command: &'a [u8],
        /// How many bytes it printed on standard error.
        stderr: u64,
        /// How many on standard output.
        stdout: u64,
    },
    /// A file is stored, whole, under its name.
    Stored {
        /// The name, without a directory.
        name: &'a str,
        /// How long it is.
        bytes: u64,
    },
    /// An answer was not sent, or a datagram not taken; the server goes on.
    Dropped {
        /// Why.
        why: &'a str,
    },
    /// A connection has ended.
    Ended {
        /// Why, unless the client closed it between two commands.
        error: Option<&'a LabError>,
    },
}

/// As a line of a log: `ran `ls`: 0 bytes of stderr, 5 of stdout`.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Connected => f.write_str("connected"),
            Event::Refused { clients } => write!(f, "refused: {clients} clients are served already"),
            Event::Ran { command, stderr, stdout } => {
                write!(f, "ran {}: {stderr} bytes of stderr, {stdout} of stdout", beginning(command))
            }
            Event::Stored { name, bytes } => write!(f, "stored {name}: {bytes} bytes"),
            Event::Dropped { why } => write!(f, "dropped: {why}"),
            Event::Ended { error: None } => f.write_str("left"),
            Event::Ended { error: Some(error) } => write!(f, "closed: {error}"),
        }
    }
}

/// A command, short enough for a line.
fn beginning(command: &[u8]) -> String {
    let text = String::from_utf8_lossy(command);
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

impl<'a> Event<'a> {
    /// A command has run.
    pub(crate) fn ran(command: &'a [u8], printed: &Printed) -> Event<'a> {
        Event::Ran { command, stderr: printed.stderr.len() as u64, stdout: printed.stdout.len() as u64 }
    }
}

/// Is told of events, with the client's address.
pub type Watch<'w> = dyn Fn(SocketAddr, &Event<'_>) + Sync + 'w;
/// The same without it: what a service sees, which knows its peer.
type Told<'a> = &'a (dyn Fn(&Event<'_>) + Sync);

/// What is said on one connection.
pub trait Service: Send + Sync {
    /// Serves a client until it closes the connection.
    ///
    /// # Errors
    /// The client broke the dialect's rules, or its connection broke. The connection is closed; the server goes on.
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError>;
}

impl<F: Fn(&mut ServedConnection<'_>) -> Result<(), LabError> + Send + Sync> Service for F {
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
        self(session)
    }
}

/// One client's connection, while it is served.
pub struct ServedConnection<'a> {
    /// The connection.
    pub connection: Connection,
    settings: &'a Settings,
    stop: &'a Stop,
    tell: Told<'a>,
}

impl fmt::Debug for ServedConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedConnection").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl ServedConnection<'_> {
    /// What the server is set up with.
    pub fn settings(&self) -> &Settings {
        self.settings
    }

    /// One `recv` between commands, where a client may take its time; 0 when it has closed.
    ///
    /// # Errors
    /// As [`Connection::recv`].
    pub fn recv_command(&mut self, buffer: &mut [u8]) -> Result<usize, LabError> {
        self.connection.recv(buffer, "the next command", self.settings.idle)
    }

    /// Tells whoever watches the server.
    pub fn tell(&self, event: &Event<'_>) {
        (self.tell)(event);
    }

    /// A second handle on the connection.
    pub(crate) fn second(&self) -> Result<Connection, LabError> {
        self.connection.second().map_err(LabError::io("share a socket"))
    }

    /// Runs a command that came over the wire, and spells its outputs as the wire wants them. It ends with the server, and with
    /// a connection that is reset.
    ///
    /// # Errors
    /// [`LabError::Stopped`]; [`LabError::Broken`]; [`LabError::Io`].
    pub fn run(&self, shell: &Shell, command: &[u8]) -> Result<Printed, LabError> {
        shell.answer(command, self.settings.coding, self.stop, Some(self.connection.as_fd()))
    }

    /// Whether the server is being shut down.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// What ends the session with the server.
    pub(crate) fn stop(&self) -> &Stop {
        self.stop
    }
}
