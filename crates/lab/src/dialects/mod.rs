//! The tutorial's five wire formats, each with the server's and the client's half in one file.
//!
//! | dialect | request | reply | what is wrong with it |
//! |---|---|---|---|
//! | [`raw`] | a line's text, with no end mark | stderr's bytes, then stdout's | nobody can tell where a reply ends, nor where a command does |
//! | [`udp`] | one datagram | two: stderr, then stdout | above 65,507 bytes nothing is sent; above the receiver's buffer the rest is lost |
//! | [`ack`] | as in `raw` | the length in decimal; after `recv_ready`, the reply | a round trip more; nobody can tell where the length ends |
//! | [`len32`] | as in `raw` | `struct.pack('i', n)`, then n bytes | the byte order is the machine's; two gigabytes at most |
//! | [`header`] | a length, a JSON header, a file's bytes | none | nobody tells the sender whether it arrived |
//!
//! The replies are what the rules give, wrong ones included. What no rule asks for is right: both outputs of a command are read
//! together, nothing takes one `recv` for all, no length is trusted, every wait ends.

pub mod ack;
mod exchange;
pub mod header;
pub mod len32;
pub mod measured;
pub mod raw;
pub mod udp;

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::LabError;
use crate::coding::Coding;
use crate::server::{
    DatagramService, Family, ListeningTcpServer, ReceivingUdpServer, Service, Settings, TcpServer, UdpServer, Watch,
};
use crate::shell::Shell;
use crate::stop::Stopper;

/// What one `recv` of the tutorial's programs takes, in bytes.
pub const RECV: usize = 1024;

/// One of the wire formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// [`raw`].
    Raw,
    /// [`udp`].
    Udp,
    /// [`ack`].
    Ack,
    /// [`len32`].
    Len32,
    /// [`header`].
    Header,
}

impl Dialect {
    /// All of them, in the tutorial's order.
    pub const ALL: [Dialect; 5] = [Dialect::Raw, Dialect::Udp, Dialect::Ack, Dialect::Len32, Dialect::Header];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Raw => "raw",
            Dialect::Udp => "udp",
            Dialect::Ack => "ack",
            Dialect::Len32 => "len32",
            Dialect::Header => "header",
        }
    }

    /// A server of this dialect, ready for clients. `shell` is where commands run; [`Settings::directory`] is where uploads land.
    ///
    /// # Errors
    /// The address can't be had.
    pub fn serve(self, address: SocketAddr, settings: Settings, shell: Shell) -> Result<Serving, LabError> {
        let settings = Settings { family: Family::of(address), ..settings };
        let tcp = |service: Box<dyn Service>| {
            let server = TcpServer::new(settings.clone())?.bind(address)?.activate()?;
            Ok(Serving::Tcp(server, service))
        };
        match self {
            Dialect::Raw => tcp(Box::new(raw::Raw(shell))),
            Dialect::Ack => tcp(Box::new(ack::Ack(shell))),
            Dialect::Len32 => tcp(Box::new(len32::Len32(shell))),
            Dialect::Header => {
                let serving = tcp(Box::<header::Header>::default())?;
                header::sweep(&settings.directory);
                Ok(serving)
            }
            Dialect::Udp => {
                let settings = Settings { packet: RECV, ..settings };
                let server = UdpServer::new(settings)?.bind(address)?.activate()?;
                Ok(Serving::Udp(server, Box::new(udp::Udp(shell))))
            }
        }
    }

    /// A client that asks commands, in that coding on the wire; `None` for [`header`], which has none: see [`header::Uploader`].
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(
        self,
        address: SocketAddr,
        wait: Duration,
        coding: Coding,
    ) -> Result<Option<Box<dyn Asks>>, LabError> {
        Ok(match self {
            Dialect::Raw => Some(Box::new(raw::Client::connect(address, wait, coding)?)),
            Dialect::Ack => Some(Box::new(ack::Client::connect(address, wait, coding)?)),
            Dialect::Len32 => Some(Box::new(len32::Client::connect(address, wait, coding)?)),
            Dialect::Udp => Some(Box::new(udp::Client::connect(address, wait, coding)?)),
            Dialect::Header => None,
        })
    }

    /// Whether a client sends a command that holds nothing. Over TCP nobody would see it.
    pub fn sends_nothing(self) -> bool {
        self == Dialect::Udp
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Dialect, LabError> {
        let all = Dialect::ALL;
        let known = || all.map(Dialect::name).join(", ");
        let found = all.into_iter().find(|dialect| dialect.name() == name);
        found.ok_or_else(|| LabError::misuse(format!("`{name}` is not a dialect"), format!("the lab has {}", known())))
    }
}

/// A server of a dialect.
pub enum Serving {
    /// Over TCP.
    Tcp(ListeningTcpServer, Box<dyn Service>),
    /// Over UDP.
    Udp(ReceivingUdpServer, Box<dyn DatagramService>),
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            Serving::Tcp(server, _) => server.address(),
            Serving::Udp(server, _) => server.address(),
        }
    }

    /// What shuts it down.
    pub fn stopper(&self) -> Stopper {
        match self {
            Serving::Tcp(server, _) => server.stopper(),
            Serving::Udp(server, _) => server.stopper(),
        }
    }

    /// Serves until it is shut down.
    ///
    /// # Errors
    /// Its socket failed.
    pub fn run(&self, watch: &Watch<'_>) -> Result<(), LabError> {
        match self {
            Serving::Tcp(server, service) => server.run(service.as_ref(), watch),
            Serving::Udp(server, service) => server.run(service.as_ref(), watch),
        }
    }
}

/// A client that asks commands.
pub trait Asks: Send {
    /// Sends a command, and writes to `reply` what the dialect's rules take for its reply. Both are in this machine's coding.
    ///
    /// # Errors
    /// The peer broke the rules, or the connection. Nothing can be asked any more.
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError>;

    /// Closes in order, and writes what a coding may still keep.
    ///
    /// # Errors
    /// The server sent bytes that belong to no reply.
    fn leave(self: Box<Self>, reply: &mut dyn Write) -> Result<(), LabError>;
}

/// How a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// As the rules say.
    Came,
    /// Not at all. Perhaps the command prints nothing: this dialect can't say so.
    Silence(Duration),
    /// The command was not sent: it is longer than a datagram can be.
    NotSent,
    /// As a datagram that was larger than the buffer.
    Truncated {
        /// How many bytes are lost.
        lost: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.name().parse::<Dialect>().expect("a dialect"), dialect);
        }
        assert!("tcp".parse::<Dialect>().expect_err("none").to_string().contains("raw, udp, ack, len32, header"));
    }
}
