//! Who takes part: sockets whose calls are recorded.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use rustix::net::{RecvFlags, recvfrom};
use socket2::SockRef;

use super::stage::{PATIENCE, until};
use crate::LabError;
use crate::record::{Call, Datum, Failure, Recording};

/// One end of a TCP connection.
#[derive(Debug)]
pub(super) struct Tcp<'r> {
    pub(super) who: &'static str,
    pub(super) stream: TcpStream,
    recording: &'r Recording,
}

/// A client and a server, connected over loopback. `prepare` sets options of each socket before they connect.
pub(super) fn tcp_pair<'r>(
    recording: &'r Recording,
    prepare: impl Fn(&socket2::Socket) -> io::Result<()>,
) -> Result<(Tcp<'r>, Tcp<'r>), LabError> {
    let (client, server) = connected(prepare).map_err(LabError::io("connect over loopback"))?;
    Ok((Tcp::new("client", client, recording)?, Tcp::new("server", server, recording)?))
}

fn connected(prepare: impl Fn(&socket2::Socket) -> io::Result<()>) -> io::Result<(TcpStream, TcpStream)> {
    use socket2::{Domain, Socket, Type};
    let (server, client) =
        (Socket::new(Domain::IPV4, Type::STREAM, None)?, Socket::new(Domain::IPV4, Type::STREAM, None)?);
    prepare(&server)?;
    prepare(&client)?;
    server.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    server.listen(5)?;
    // The client connects first: the kernel queues it, so accepting can't wait for ever.
    client.connect_timeout(&server.local_addr()?, PATIENCE)?;
    let client = TcpStream::from(client);
    Ok((accept_own(&server.into(), client.local_addr()?)?, client)).map(|(server, client)| (client, server))
}

/// Accepts the one connection that is ours: anybody on this machine may knock at a loopback port.
fn accept_own(listener: &TcpListener, ours: SocketAddr) -> io::Result<TcpStream> {
    loop {
        let (connection, peer) = listener.accept()?;
        if peer == ours {
            return Ok(connection);
        }
    }
}

impl<'r> Tcp<'r> {
    /// An end that is recorded under this name.
    pub(super) fn new(who: &'static str, stream: TcpStream, recording: &'r Recording) -> Result<Tcp<'r>, LabError> {
        let patient = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        patient.map_err(LabError::io("set a socket's deadlines"))?;
        Ok(Tcp { who, stream, recording })
    }

    /// Records a call of this end's.
    pub(super) fn record(&self, call: &'static str, given: impl IntoIterator<Item = Datum>, got: Datum) {
        self.recording.add(Call { who: self.who, call, given: given.into_iter().collect(), got, peer: None });
    }

    /// `send(bytes)`: how many of them were taken. A failure is recorded, too.
    pub(super) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let sent = (&self.stream).write(bytes);
        self.record("send", [bytes.to_vec().into()], Datum::of(&sent));
        sent
    }

    /// `send(bytes)`, of which all are taken.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), LabError> {
        match self.try_send(bytes).map_err(LabError::io("send"))? {
            n if n == bytes.len() => Ok(()),
            n => Err(LabError::Cut { what: "a send".into(), got: n as u64, wanted: bytes.len() as u64 }),
        }
    }

    /// `recv(size)`.
    pub(super) fn recv(&self, size: usize) -> Result<Vec<u8>, LabError> {
        let mut buffer = vec![0; size];
        let received = (&self.stream).read(&mut buffer).map(|n| buffer[..n].to_vec());
        self.record("recv", [size.into()], Datum::of(&received));
        received.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => LabError::Deadline { what: "bytes".into(), after: PATIENCE },
            _ => LabError::io("receive")(error),
        })
    }

    /// `recv(size)` when nothing comes before the socket's timeout: `TimeoutError`, as Python names it.
    pub(super) fn times_out(&self, size: usize) -> Result<bool, LabError> {
        match (&self.stream).read(&mut vec![0; size]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let says = "nothing came in time";
                self.record("recv", [size.into()], Datum::Failed(Failure { error: "TimeoutError", says }));
                Ok(true)
            }
            Err(error) => Err(LabError::io("receive")(error)),
            Ok(_) => Ok(false),
        }
    }

    /// `close()`: the other end will see the end.
    pub(super) fn close(&self) -> Result<(), LabError> {
        let closed = self.stream.shutdown(Shutdown::Both);
        self.record("close", [], Datum::Nothing);
        closed.map_err(LabError::io("close"))
    }

    /// How many bytes wait in the receive queue.
    pub(super) fn queued(&self) -> Result<u64, LabError> {
        rustix::io::ioctl_fionread(&self.stream).map_err(|e| LabError::io("ask for the receive queue")(e.into()))
    }

    /// Waits until so many bytes have arrived.
    pub(super) fn until_queued(&self, bytes: u64) -> Result<(), LabError> {
        until("bytes to arrive", || Ok(self.queued()? >= bytes))
    }
}

/// A UDP socket.
#[derive(Debug)]
pub(super) struct Udp<'r> {
    pub(super) who: &'static str,
    socket: UdpSocket,
    address: SocketAddr,
    recording: &'r Recording,
}

/// What `recvfrom` gave.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    /// How long the datagram was before the buffer cut it.
    pub(super) length: usize,
    pub(super) peer: &'static str,
}

impl<'r> Udp<'r> {
    /// A socket on loopback.
    pub(super) fn new(who: &'static str, recording: &'r Recording) -> Result<Udp<'r>, LabError> {
        let made = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| {
            // A machine may have set the default low.
            SockRef::from(&socket).set_recv_buffer_size(1 << 20)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok((socket.local_addr()?, socket))
        });
        let (address, socket) = made.map_err(LabError::io("make a UDP socket on loopback"))?;
        Ok(Udp { who, socket, address, recording })
    }

    fn record(&self, call: &'static str, given: Datum, got: Datum, peer: Option<&'static str>) {
        self.recording.add(Call { who: self.who, call, given: vec![given], got, peer });
    }

    /// `sendto(bytes, address)`. A failure is recorded, too.
    pub(super) fn try_send_to(&self, bytes: &[u8], to: &Udp<'_>) -> io::Result<usize> {
        let sent = self.socket.send_to(bytes, to.address);
        self.record("sendto", bytes.to_vec().into(), Datum::of(&sent), Some(to.who));
        sent
    }

    /// `sendto(bytes, address)`.
    pub(super) fn send_to(&self, bytes: &[u8], to: &Udp<'_>) -> Result<(), LabError> {
        self.try_send_to(bytes, to).map(drop).map_err(LabError::io("send a datagram"))
    }

    /// `recvfrom(size)`, from one of `known`. A datagram of a stranger's is passed over: anybody on this machine may send one.
    pub(super) fn recv_from(&self, size: usize, known: &[&Udp<'_>]) -> Result<Received, LabError> {
        loop {
            let mut buffer = vec![0; size];
            let received = recvfrom(&self.socket, &mut buffer[..], RecvFlags::TRUNC);
            let (_, length, peer) = received.map_err(|error| match error {
                rustix::io::Errno::AGAIN => LabError::Deadline { what: "a datagram".into(), after: PATIENCE },
                error => LabError::io("receive a datagram")(error.into()),
            })?;
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            let Some(known) = known.iter().find(|known| Some(known.address) == peer) else { continue };
            buffer.truncate(length);
            self.record("recvfrom", size.into(), buffer.clone().into(), Some(known.who));
            return Ok(Received { bytes: buffer, length, peer: known.who });
        }
    }

    /// Whether the next datagram of this sender's is the one that it sends now: then there was nothing in between.
    pub(super) fn hears_next(&self, sender: &Udp<'_>, marker: &[u8]) -> Result<bool, LabError> {
        sender.send_to(marker, self)?;
        Ok(self.recv_from(marker.len() + 1, &[sender])?.bytes == marker)
    }
}
