//! A TCP connection on which nothing hangs: every wait has a deadline, and a server's end wakes it.
//!
//! The calls are those of Python's sockets: [`Connection::recv`] gives what one `recv` gives, [`Connection::recv_exact`] asks
//! until all is there, [`Connection::send_all`] sends until all is gone.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::LabError;
use crate::kernel;
use crate::record::{Call, Datum, Recording};
use crate::stop::{Stop, Woken, deadline};

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// How many bytes came after the last that were asked for.
    pub late: u64,
    /// Whether the other end has closed, too.
    pub closed: bool,
}

/// A connection, of either end.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    patience: Duration,
    stop: Option<Stop>,
    recorder: Option<Recorder>,
}

/// Where a connection's calls are recorded, and under which name.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) who: &'static str,
    pub(crate) recording: Arc<Recording>,
}

impl Recorder {
    fn add(&self, call: &'static str, given: Datum, got: Datum) {
        self.recording.add(Call { who: self.who, call, given: vec![given], got, peer: None });
    }
}

impl Connection {
    /// Connects, within `patience`; every later wait ends after that time without progress.
    ///
    /// # Errors
    /// [`LabError::Broken`] if nobody listens or answers there.
    pub fn connect(address: SocketAddr, patience: Duration) -> Result<Connection, LabError> {
        let stream = TcpStream::connect_timeout(&address, patience);
        let stream = stream.map_err(|error| LabError::Broken {
            what: format!("could not connect to {address}: {error}"),
            advice: "check the address, and that a server of this dialect listens there".into(),
        })?;
        Connection::new(stream, address, patience, None).map_err(LabError::io("set up a connection"))
    }

    /// A connection that a server accepted.
    pub(crate) fn accepted(
        stream: TcpStream,
        peer: SocketAddr,
        patience: Duration,
        stop: Stop,
    ) -> io::Result<Connection> {
        Connection::new(stream, peer, patience, Some(stop))
    }

    fn new(stream: TcpStream, peer: SocketAddr, patience: Duration, stop: Option<Stop>) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, peer, patience, stop, recorder: None })
    }

    /// A second handle on the same connection, so that one thread may receive while another sends.
    pub(crate) fn second(&self) -> io::Result<Connection> {
        let (peer, patience, stop) = (self.peer, self.patience, self.stop.clone());
        Ok(Connection { stream: self.stream.try_clone()?, peer, patience, stop, recorder: None })
    }

    /// Waits no longer than this, and ends with that server.
    pub(crate) fn under(self, patience: Duration, stop: Stop) -> Connection {
        Connection { patience, stop: Some(stop), ..self }
    }

    /// Records what is sent and received from now on.
    pub(crate) fn recorded(self, recorder: Recorder) -> Connection {
        Connection { recorder: Some(recorder), ..self }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close_sending(&self) -> Result<(), LabError> {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => Err(LabError::io("close a connection")(error)),
            _ => Ok(()),
        }
    }

    /// The other end's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This end's address.
    ///
    /// # Errors
    /// The system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// How long a step may make no progress.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// One `recv`: waits for at most `within`, and gives what is there, up to the buffer's size; 0 at the connection's end.
    ///
    /// # Errors
    /// [`LabError::Deadline`] if nothing came; [`LabError::Stopped`]; [`LabError::Io`].
    pub fn recv(&mut self, buffer: &mut [u8], what: &str, within: Duration) -> Result<usize, LabError> {
        loop {
            self.unless_stopped()?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::IN, what, within)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    if let (Some(recorder), Ok(n)) = (&self.recorder, &read) {
                        recorder.add("recv", buffer.len().into(), buffer[..*n].to_vec().into());
                    }
                    return read.map_err(LabError::io(format!("receive {what}")));
                }
            }
        }
    }

    /// Fills the buffer, however many `recv` that takes.
    ///
    /// # Errors
    /// As [`Connection::recv`], and [`LabError::Cut`] if the end comes first.
    pub fn recv_exact(&mut self, buffer: &mut [u8], what: &str) -> Result<(), LabError> {
        let mut got = 0;
        while got < buffer.len() {
            match self.recv(&mut buffer[got..], what, self.patience)? {
                0 => return Err(LabError::Cut { what: what.into(), got: got as u64, wanted: buffer.len() as u64 }),
                n => got += n,
            }
        }
        Ok(())
    }

    /// A message of so many bytes, all of which must come within that time. The memory that it takes grows with what comes.
    ///
    /// # Errors
    /// As [`Connection::recv_exact`].
    pub fn recv_whole(&mut self, bytes: u32, what: &str, within: Duration) -> Result<Vec<u8>, LabError> {
        let (until, bytes) = (deadline(within), bytes as usize);
        let (mut message, mut buffer) = (Vec::new(), [0; 4096]);
        while message.len() < bytes {
            let room = buffer.len().min(bytes - message.len());
            let left = until.saturating_duration_since(Instant::now());
            let received = self.recv(&mut buffer[..room], what, left).map_err(|error| match error {
                LabError::Deadline { what, .. } => LabError::Deadline { what, after: within },
                error => error,
            })?;
            match received {
                0 => return Err(LabError::Cut { what: what.into(), got: message.len() as u64, wanted: bytes as u64 }),
                _ if left.is_zero() => return Err(LabError::Deadline { what: what.into(), after: within }),
                n => message.extend_from_slice(&buffer[..n]),
            }
        }
        Ok(message)
    }

    /// Hands `bytes` bytes to `take` as they come, a piece at a time: however many were announced, none are held.
    ///
    /// # Errors
    /// As [`Connection::recv_exact`], and whatever `take` fails with.
    pub fn recv_each(
        &mut self,
        bytes: u64,
        what: &str,
        piece: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        let mut buffer = vec![0; piece.clamp(1, 1 << 20)];
        let mut got = 0;
        while got < bytes {
            let room = usize::try_from(bytes - got).unwrap_or(usize::MAX).min(buffer.len());
            match self.recv(&mut buffer[..room], what, self.patience)? {
                0 => return Err(LabError::Cut { what: what.into(), got, wanted: bytes }),
                n => {
                    take(&buffer[..n])?;
                    got += n as u64;
                }
            }
        }
        Ok(())
    }

    /// Sends everything, however many `send` that takes.
    ///
    /// # Errors
    /// [`LabError::Deadline`] if the peer takes nothing; [`LabError::Stopped`]; [`LabError::Io`].
    pub fn send_all(&mut self, bytes: &[u8], what: &str) -> Result<(), LabError> {
        let mut sent = 0;
        while sent < bytes.len() {
            self.unless_stopped()?;
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => {
                    if let Some(recorder) = &self.recorder {
                        recorder.add("send", bytes[sent..].to_vec().into(), n.into());
                    }
                    sent += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let rest =
                        format!("the peer to take the rest of {what} ({sent} of {} bytes are sent)", bytes.len());
                    self.wait_for_room(&rest)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(LabError::io(format!("send {what}"))(error)),
            }
        }
        Ok(())
    }

    /// How many bytes have arrived that nobody has received yet.
    ///
    /// # Errors
    /// The system's.
    pub fn queued(&self) -> Result<u64, LabError> {
        rustix::io::ioctl_fionread(&self.stream).map_err(|e| LabError::io("ask for the receive queue")(e.into()))
    }

    /// Says that nothing more will be sent, and waits for the other end to close too, but not longer than this.
    ///
    /// # Errors
    /// [`LabError::Io`] if the connection breaks.
    pub fn finish(mut self, within: Duration) -> Result<Finish, LabError> {
        self.close_sending()?;
        let until = deadline(within);
        let (mut buffer, mut late) = (vec![0; 1 << 16], 0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.recv(&mut buffer, "the other end's close", left) {
                Ok(0) => return Ok(Finish { late, closed: true }),
                Ok(n) if !left.is_zero() => late += n as u64,
                Ok(_) | Err(LabError::Deadline { .. }) => return Ok(Finish { late, closed: false }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Breaks the connection off, for both directions and all who share it.
    pub(crate) fn break_off(&self) {
        // One that is broken already is what was wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn unless_stopped(&self) -> Result<(), LabError> {
        match &self.stop {
            Some(stop) if stop.is_set() => Err(LabError::Stopped),
            _ => Ok(()),
        }
    }

    /// Waits until there is room to send. The kernel tells of room only when a third of its buffer is free, so a peer that takes
    /// little at a time is known by what it has acknowledged.
    fn wait_for_room(&self, what: &str) -> Result<(), LabError> {
        let waiting = || kernel::unacknowledged(&self.stream).map_err(LabError::io("ask for the send queue"));
        let mut before = waiting()?;
        loop {
            match self.wait(PollFlags::OUT, what, self.patience) {
                Err(LabError::Deadline { .. }) if waiting()? < before => before = waiting()?,
                waited => return waited,
            }
        }
    }

    fn wait(&self, events: PollFlags, what: &str, within: Duration) -> Result<(), LabError> {
        let mut wanted = [PollFd::from_borrowed_fd(self.stream.as_fd(), events)];
        let woken = Stop::wait(self.stop.as_ref(), &mut wanted, deadline(within));
        match woken.map_err(LabError::io("wait for a socket"))? {
            Woken::Ready => Ok(()),
            Woken::TimeUp => Err(LabError::Deadline { what: what.into(), after: within }),
            Woken::Stopped => Err(LabError::Stopped),
        }
    }
}

/// As one `recv`: what is there, within the connection's patience; 0 at its end.
impl io::Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.recv(buffer, "bytes", self.patience).map_err(LabError::into_io)
    }
}

/// Sends all that it is given, within the connection's patience for each step.
impl io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_all(bytes, "bytes").map_err(LabError::into_io)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
