//! The UDP server's steps.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use socket2::{Protocol, Socket, Type};

use super::tcp::panicked;
use super::{Event, Settings, Watch};
use crate::LabError;
use crate::stop::{self, Stop, Stopper, Woken, deadline};

/// How many datagrams of one client wait for their turn; one more is dropped, as UDP may.
const QUEUED: usize = 16;

/// What is said to one datagram.
pub trait DatagramService: Send + Sync {
    /// Answers a datagram.
    ///
    /// # Errors
    /// The answer could not be made or sent. The server goes on.
    fn answer(&self, datagram: &Datagram, server: &ReceivingUdpServer, watch: &Watch<'_>) -> Result<(), LabError>;
}

/// A datagram: a whole message, with its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// What it holds, as far as the buffer reached.
    pub bytes: Vec<u8>,
    /// How long it was; more than `bytes` holds if the buffer was too small. The rest is lost.
    pub length: usize,
    /// Who sent it.
    pub peer: SocketAddr,
}

/// A UDP server that has a socket, and no address yet.
#[derive(Debug)]
pub struct UdpServer {
    socket: Socket,
    settings: Settings,
}

/// A UDP server that has an address.
#[derive(Debug)]
pub struct BoundUdpServer {
    socket: UdpSocket,
    settings: Settings,
    address: SocketAddr,
}

/// A UDP server that receives.
#[derive(Debug)]
pub struct ReceivingUdpServer {
    socket: UdpSocket,
    settings: Settings,
    address: SocketAddr,
    stopper: Stopper,
    stop: Stop,
}

impl UdpServer {
    /// Makes the socket.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn new(settings: Settings) -> Result<UdpServer, LabError> {
        let socket = Socket::new(settings.family.domain(), Type::DGRAM, Some(Protocol::UDP));
        Ok(UdpServer { socket: socket.map_err(LabError::io("make a UDP socket"))?, settings })
    }

    /// Sets `SO_REUSEADDR`, then gives it an address; port 0 picks a free one, which is never shared.
    ///
    /// # Errors
    /// [`LabError::Io`] if the address is taken or not this machine's; [`LabError::Misuse`] if it is of another family.
    pub fn bind(self, address: SocketAddr) -> Result<BoundUdpServer, LabError> {
        let UdpServer { socket, settings } = self;
        settings.check(address)?;
        // Where the system picks the port, two UDP sockets that may share one are given the same (socket(7)).
        let reuse = settings.reuse_address && address.port() != 0;
        socket.set_reuse_address(reuse).map_err(LabError::io("set SO_REUSEADDR"))?;
        let bound = socket.bind(&address.into()).and_then(|()| socket.local_addr());
        let bound = bound.map_err(LabError::io(format!("bind to {address}")))?;
        Ok(BoundUdpServer { socket: socket.into(), settings, address: bound.as_socket().unwrap_or(address) })
    }
}

impl BoundUdpServer {
    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gets ready to receive. UDP has no listening: this is for the step that TCP has here.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn activate(self) -> Result<ReceivingUdpServer, LabError> {
        let BoundUdpServer { socket, settings, address } = self;
        socket.set_nonblocking(true).map_err(LabError::io("set up a UDP socket"))?;
        let (stopper, stop) = stop::pair().map_err(LabError::io("make a pipe"))?;
        Ok(ReceivingUdpServer { socket, settings, address, stopper, stop })
    }
}

impl ReceivingUdpServer {
    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is set up with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What shuts the server down, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Waits for a datagram, of which it takes [`Settings::packet`] bytes; `None` once the server was shut down.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn receive(&self) -> Result<Option<Datagram>, LabError> {
        let mut buffer = vec![0; self.settings.packet];
        loop {
            if self.stop.is_set() {
                return Ok(None);
            }
            match rustix::net::recvfrom(&self.socket, &mut buffer[..], rustix::net::RecvFlags::TRUNC) {
                Ok((_, length, Some(peer))) => {
                    // As much as came, and not as much as might have.
                    let bytes = buffer[..length.min(buffer.len())].to_vec();
                    let peer = SocketAddr::try_from(peer).map_err(|e| LabError::io("read an address")(e.into()))?;
                    return Ok(Some(Datagram { bytes, length, peer }));
                }
                // What a datagram of ours met on its way comes back as an error of the next call; it is nobody's fault here.
                Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNREFUSED) => continue,
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(LabError::io("receive a datagram")(error.into())),
            }
            if self.wait(PollFlags::IN, Duration::from_secs(3600))? == Woken::Stopped {
                return Ok(None);
            }
        }
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// [`LabError::Io`], with `EMSGSIZE` for more than 65,507 bytes over IPv4.
    pub fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> Result<(), LabError> {
        loop {
            match self.socket.send_to(bytes, peer) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let patience = self.settings.patience;
                    match self.wait(PollFlags::OUT, patience)? {
                        Woken::Ready => {}
                        Woken::Stopped => return Err(LabError::Stopped),
                        Woken::TimeUp => {
                            return Err(LabError::Deadline { what: "room for a datagram".into(), after: patience });
                        }
                    }
                }
                Err(error) => return Err(LabError::io(format!("send a datagram of {} bytes", bytes.len()))(error)),
            }
        }
    }

    fn wait(&self, events: PollFlags, within: Duration) -> Result<Woken, LabError> {
        let mut wanted = [PollFd::from_borrowed_fd(self.socket.as_fd(), events)];
        Stop::wait(Some(&self.stop), &mut wanted, deadline(within)).map_err(LabError::io("wait for a socket"))
    }

    /// Answers one datagram, on this thread.
    ///
    /// # Errors
    /// What the service fails with.
    pub fn handle(
        &self,
        datagram: &Datagram,
        service: &dyn DatagramService,
        watch: &Watch<'_>,
    ) -> Result<(), LabError> {
        service.answer(datagram, self, watch)
    }

    /// Receives and answers until the server is shut down: a client's datagrams in their order, those of different clients
    /// at the same time.
    ///
    /// # Errors
    /// [`LabError::Io`] if the socket itself fails.
    pub fn run(&self, service: &dyn DatagramService, watch: &Watch<'_>) -> Result<(), LabError> {
        let queues = Queues::default();
        thread::scope(|scope| {
            while let Some(datagram) = self.receive().inspect_err(|_| self.stopper.shut_down())? {
                let peer = datagram.peer;
                match queues.add(datagram, self.settings.clients) {
                    Added::First => {
                        let queues = &queues;
                        let work = move || self.answer_all(queues, peer, service, watch);
                        if let Err(error) = thread::Builder::new().spawn_scoped(scope, work) {
                            queues.forget(peer);
                            watch(peer, &Event::Dropped { why: &format!("no thread for a client: {error}") });
                        }
                    }
                    Added::Behind => {}
                    Added::NoRoom => watch(peer, &Event::Dropped { why: "too many datagrams are waiting" }),
                }
            }
            Ok(())
        })
    }

    fn answer_all(&self, queues: &Queues, peer: SocketAddr, service: &dyn DatagramService, watch: &Watch<'_>) {
        while let Some(datagram) = queues.next(peer) {
            let answering = AssertUnwindSafe(|| self.handle(&datagram, service, watch));
            if let Err(error) = catch_unwind(answering).unwrap_or_else(|_| Err(panicked())) {
                watch(peer, &Event::Dropped { why: &error.to_string() });
            }
        }
    }

    /// Stops receiving.
    pub fn shut_down(self) {
        self.stopper.shut_down();
    }
}

/// What waits for its turn, for each client that has a thread.
#[derive(Debug, Default)]
struct Queues(Mutex<HashMap<SocketAddr, VecDeque<Datagram>>>);

enum Added {
    First,
    Behind,
    NoRoom,
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, VecDeque<Datagram>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, datagram: Datagram, clients: usize) -> Added {
        let mut queues = self.lock();
        let full = queues.len() >= clients;
        match queues.get_mut(&datagram.peer) {
            Some(queue) if queue.len() >= QUEUED => Added::NoRoom,
            Some(queue) => {
                queue.push_back(datagram);
                Added::Behind
            }
            None if full => Added::NoRoom,
            None => {
                queues.insert(datagram.peer, VecDeque::from([datagram]));
                Added::First
            }
        }
    }

    /// The client's next datagram; where there is none, its queue goes, in the same moment.
    fn next(&self, peer: SocketAddr) -> Option<Datagram> {
        let mut queues = self.lock();
        let next = queues.get_mut(&peer).and_then(VecDeque::pop_front);
        if next.is_none() {
            queues.remove(&peer);
        }
        next
    }

    fn forget(&self, peer: SocketAddr) {
        self.lock().remove(&peer);
    }
}
