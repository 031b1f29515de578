//! The TCP server's steps.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use socket2::{Protocol, Socket, Type};

use super::{Event, ServedConnection, Service, Settings, Watch};
use crate::LabError;
use crate::connection::Connection;
use crate::stop::{self, Stop, Stopper, Woken, deadline};

/// How long a wait without a deadline of its own is: it begins anew.
const LONG: Duration = Duration::from_secs(3600);
/// How long to wait for descriptors where the system has none left.
const BREATH: Duration = Duration::from_millis(50);

/// A TCP server that has a socket, and no address yet.
#[derive(Debug)]
pub struct TcpServer {
    socket: Socket,
    settings: Settings,
}

/// A TCP server that has an address, and doesn't listen yet.
#[derive(Debug)]
pub struct BoundTcpServer {
    socket: Socket,
    settings: Settings,
    address: SocketAddr,
}

/// A TCP server that listens.
#[derive(Debug)]
pub struct ListeningTcpServer {
    listener: TcpListener,
    settings: Settings,
    address: SocketAddr,
    stopper: Stopper,
    stop: Stop,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Request {
    stream: TcpStream,
    /// The client's address.
    pub peer: SocketAddr,
}

impl Request {
    /// The connection itself, which blocks: for a server that does with it what [`ListeningTcpServer::handle`] doesn't.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl TcpServer {
    /// Makes the socket and sets its options.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn new(settings: Settings) -> Result<TcpServer, LabError> {
        let socket = Socket::new(settings.family.domain(), Type::STREAM, Some(Protocol::TCP));
        let socket = socket.map_err(LabError::io("make a TCP socket"))?;
        socket.set_reuse_address(settings.reuse_address).map_err(LabError::io("set SO_REUSEADDR"))?;
        Ok(TcpServer { socket, settings })
    }

    /// Gives it an address; port 0 picks a free one.
    ///
    /// # Errors
    /// [`LabError::Io`] if the address is taken or not this machine's; [`LabError::Misuse`] if it is of another family.
    pub fn bind(self, address: SocketAddr) -> Result<BoundTcpServer, LabError> {
        let TcpServer { socket, settings } = self;
        settings.check(address)?;
        let bound = socket.bind(&address.into()).and_then(|()| socket.local_addr());
        let bound = bound.map_err(LabError::io(format!("bind to {address}")))?;
        Ok(BoundTcpServer { socket, settings, address: bound.as_socket().unwrap_or(address) })
    }
}

impl BoundTcpServer {
    /// Where it will listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens: from now on the kernel accepts connections, as many as the backlog holds.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn activate(self) -> Result<ListeningTcpServer, LabError> {
        let BoundTcpServer { socket, settings, address } = self;
        let listening = socket.listen(settings.backlog).and_then(|()| socket.set_nonblocking(true));
        listening.map_err(LabError::io(format!("listen on {address}")))?;
        let (stopper, stop) = stop::pair().map_err(LabError::io("make a pipe"))?;
        Ok(ListeningTcpServer { listener: socket.into(), settings, address, stopper, stop })
    }
}

impl ListeningTcpServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What shuts the server down, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for a client; `None` once the server was shut down.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn accept(&self) -> Result<Option<Request>, LabError> {
        loop {
            if self.stop.is_set() {
                return Ok(None);
            }
            match self.listener.accept() {
                Ok((stream, peer)) => return Ok(Some(Request { stream, peer })),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(LabError::io("accept a connection")(error)),
            }
            let mut wanted = [PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
            let woken = Stop::wait(Some(&self.stop), &mut wanted, deadline(LONG));
            if woken.map_err(LabError::io("wait for a connection"))? == Woken::Stopped {
                return Ok(None);
            }
        }
    }

    /// Serves one client to its end, on this thread. Whatever happens is told to `watch`; the connection is closed then.
    ///
    /// # Errors
    /// What the service fails with.
    pub fn handle(&self, request: Request, service: &dyn Service, watch: &Watch<'_>) -> Result<(), LabError> {
        let peer = request.peer;
        let served = self.serve(request, service, watch);
        watch(peer, &Event::Ended { error: served.as_ref().err() });
        served
    }

    fn serve(&self, request: Request, service: &dyn Service, watch: &Watch<'_>) -> Result<(), LabError> {
        let Request { stream, peer } = request;
        let tell = |event: &Event<'_>| watch(peer, event);
        let connection = Connection::accepted(stream, peer, self.settings.patience, self.stop.clone());
        let connection = connection.map_err(LabError::io("set up a connection"))?;
        tell(&Event::Connected);
        service.serve(&mut ServedConnection { connection, settings: &self.settings, stop: &self.stop, tell: &tell })
    }

    /// Accepts and handles clients, each on a thread of its own, until the server is shut down. A client's failure ends its
    /// own connection only, and so does a panic of the service.
    ///
    /// # Errors
    /// [`LabError::Io`] if the listener itself fails.
    pub fn run(&self, service: &dyn Service, watch: &Watch<'_>) -> Result<(), LabError> {
        let seats = Mutex::new(0);
        thread::scope(|scope| {
            while let Some(request) = self.accept_patiently().inspect_err(|_| self.stopper.shut_down())? {
                let peer = request.peer;
                let Some(seat) = Seat::take(&seats, self.settings.clients) else {
                    watch(peer, &Event::Refused { clients: self.settings.clients });
                    continue;
                };
                let handled = move || {
                    let serving = AssertUnwindSafe(|| self.serve(request, service, watch));
                    let served = catch_unwind(serving).unwrap_or_else(|_| Err(panicked()));
                    // Whoever hears of the end may rely on the room.
                    drop(seat);
                    watch(peer, &Event::Ended { error: served.as_ref().err() });
                };
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, handled) {
                    watch(peer, &Event::Dropped { why: &format!("no thread for a client: {error}") });
                }
            }
            Ok(())
        })
    }

    /// Accepts; where the system has no descriptors left, waits until a client has gone.
    fn accept_patiently(&self) -> Result<Option<Request>, LabError> {
        loop {
            match self.accept() {
                Err(LabError::Io { source, .. }) if is_shortage(&source) => {
                    if let Ok(Woken::Stopped) = Stop::wait(Some(&self.stop), &mut [], deadline(BREATH)) {
                        return Ok(None);
                    }
                }
                accepted => return accepted,
            }
        }
    }

    /// Stops listening. Clients that [`ListeningTcpServer::run`] serves are let go, and their commands ended.
    pub fn shut_down(self) {
        self.stopper.shut_down();
    }
}

pub(super) fn panicked() -> LabError {
    LabError::misuse("the service panicked", "its message is on standard error")
}

/// One of the places for clients. It is free again when this is dropped, however its thread ends.
struct Seat<'a>(&'a Mutex<usize>);

impl<'a> Seat<'a> {
    fn take(seats: &'a Mutex<usize>, most: usize) -> Option<Seat<'a>> {
        let mut taken = seats.lock().unwrap_or_else(PoisonError::into_inner);
        let room = *taken < most;
        *taken += usize::from(room);
        room.then(|| Seat(seats))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// Nothing is there, or a client was gone before it was accepted; accept(2) lists what its network may say of that.
fn is_passing(error: &std::io::Error) -> bool {
    let gone = [
        libc::ENETDOWN,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EHOSTUNREACH,
        libc::EOPNOTSUPP,
        libc::ENETUNREACH,
        libc::EPERM,
    ];
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
        || error.raw_os_error().is_some_and(|errno| gone.contains(&errno))
}

/// accept(2): the process or the system has no descriptors or memory left.
fn is_shortage(error: &std::io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| shortages.contains(&errno))
}
