//! `udp`: one datagram is a command, two are its answer: standard error, then standard output.
//!
//! Datagrams have boundaries, so nothing sticks together, and an empty one is a message too. But one above 65,507 bytes isn't sent,
//! and what is longer than the receiver's buffer is cut off for good.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::exchange::unwritable;
use super::{Asks, RECV, Reply};
use crate::LabError;
use crate::coding::Coding;
use crate::server::{Datagram, DatagramService, Event, Family, ReceivingUdpServer, Watch};
use crate::shell::Shell;
use crate::stop::{Stop, Woken, deadline};

/// The largest datagram over IPv4: 65,535 less the headers of IP (20) and UDP (8).
pub const LARGEST: usize = 65_507;

/// The server's half.
#[derive(Debug)]
pub struct Udp(pub Shell);

impl DatagramService for Udp {
    fn answer(&self, datagram: &Datagram, server: &ReceivingUdpServer, watch: &Watch<'_>) -> Result<(), LabError> {
        let peer = datagram.peer;
        let printed = self.0.answer(&datagram.bytes, server.settings().coding, server.stop(), None)?;
        for (name, output) in [("stderr", &printed.stderr), ("stdout", &printed.stdout)] {
            if let Err(error) = server.send_to(output, peer) {
                watch(peer, &Event::Dropped { why: &format!("{name} is not sent: {error}") });
                // The client waits for two datagrams: an empty one keeps its place.
                server.send_to(&[], peer)?;
            }
        }
        watch(peer, &Event::ran(&datagram.bytes, &printed));
        Ok(())
    }
}

/// The client's half.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    wait: Duration,
    coding: Coding,
}

impl Client {
    /// Makes a socket that sends to this address. Nothing is sent yet, so nobody need be there.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn connect(address: SocketAddr, wait: Duration, coding: Coding) -> Result<Client, LabError> {
        let any = match Family::of(address) {
            Family::V4 => "0.0.0.0:0",
            Family::V6 => "[::]:0",
        };
        let socket = UdpSocket::bind(any).map_err(LabError::io("make a UDP socket"))?;
        socket.connect(address).map_err(LabError::io(format!("send to {address}")))?;
        Ok(Client { socket, wait, coding })
    }

    fn send(&self, command: &[u8]) -> Result<(), LabError> {
        let what = format!("send a datagram of {} bytes", command.len());
        match self.socket.send(command) {
            // An answer to what was sent before: nobody was there. It is told once; this is a new datagram.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.socket.send(command).map(drop),
            sent => sent.map(drop),
        }
        .map_err(LabError::io(what))
    }

    /// One datagram, and how long it was; `None` if none comes.
    fn receive(&self, buffer: &mut [u8]) -> Result<Option<(usize, usize)>, LabError> {
        let mut wanted = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        let woken = Stop::wait(None, &mut wanted, deadline(self.wait));
        if woken.map_err(LabError::io("wait for a datagram"))? != Woken::Ready {
            return Ok(None);
        }
        match recv(&self.socket, buffer, RecvFlags::TRUNC) {
            Ok((held, length)) => Ok(Some((held, length))),
            Err(Errno::CONNREFUSED) => Err(LabError::Broken {
                what: format!("could not receive a datagram: {}", io::Error::from(Errno::CONNREFUSED)),
                advice: "no program listens there: check the address, and that the server runs and is one for UDP"
                    .into(),
            }),
            Err(error) => Err(LabError::io("receive a datagram")(error.into())),
        }
    }
}

impl Asks for Client {
    fn ask(&mut self, command: &[u8], reply: &mut dyn Write) -> Result<Reply, LabError> {
        match self.send(&self.coding.to_wire(command)) {
            Err(LabError::Io { source, .. }) if source.raw_os_error() == Some(libc::EMSGSIZE) => {
                return Ok(Reply::NotSent);
            }
            sent => sent?,
        }
        let mut lost = 0;
        for _ in ["stderr", "stdout"] {
            let mut buffer = [0; RECV];
            let Some((held, length)) = self.receive(&mut buffer)? else { return Ok(Reply::Silence(self.wait)) };
            reply.write_all(&self.coding.from_wire(&buffer[..held])).map_err(unwritable)?;
            lost += (length - held) as u64;
        }
        Ok(if lost == 0 { Reply::Came } else { Reply::Truncated { lost } })
    }

    fn leave(self: Box<Self>, _: &mut dyn Write) -> Result<(), LabError> {
        Ok(())
    }
}
