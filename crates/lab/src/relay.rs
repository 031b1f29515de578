//! A TCP relay with a delay: what a long line does to a protocol, on one machine.
//!
//! Every piece that it receives goes on `delay` later, in either direction, or as soon after that as the other end takes it. The ends' kernels acknowledge to the relay at once, so it shows what a protocol's own waits cost, not what TCP does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::connection::Connection;
use crate::server::{ServedConnection, Service, Settings, TcpServer};
use crate::stop::{Stop, Stopper, Woken, deadline};

/// How many pieces may be under way in one direction; then the relay reads no more.
const UNDER_WAY: usize = 256;

/// A relay on loopback. It ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stopper: Stopper,
    trips: Arc<Trips>,
    runs: Option<JoinHandle<()>>,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Client,
    Server,
}

/// Counts how often the client had something to say after it had listened.
#[derive(Debug)]
struct Trips(Mutex<(Towards, u64)>);

impl Trips {
    fn carried(&self, towards: Towards) {
        let mut trips = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trips.1 += u64::from(towards == Towards::Server && trips.0 == Towards::Client);
        trips.0 = towards;
    }
}

impl Relay {
    /// Starts a relay to `target`, with this delay in each direction.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn start(target: SocketAddr, delay: Duration) -> Result<Relay, LabError> {
        let server = TcpServer::new(Settings::default())?.bind((Ipv4Addr::LOCALHOST, 0).into())?.activate()?;
        let (address, stopper) = (server.address(), server.stopper());
        let trips = Arc::new(Trips(Mutex::new((Towards::Client, 0))));
        let counted = Arc::clone(&trips);
        // A connection that breaks is closed at both ends, which is all that they see of any network.
        let serve = move || drop(server.run(&Forward { target, delay, trips: counted }, &|_, _| {}));
        let runs = thread::Builder::new().spawn(serve).map_err(LabError::io("start a thread"))?;
        Ok(Relay { address, stopper, trips, runs: Some(runs) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many round trips it has seen: each begins with a client that says something after it has listened, or at first.
    pub fn round_trips(&self) -> u64 {
        self.trips.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopper.shut_down();
        self.runs.take().map(JoinHandle::join);
    }
}

struct Forward {
    target: SocketAddr,
    delay: Duration,
    trips: Arc<Trips>,
}

impl Service for Forward {
    fn serve(&self, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
        let patience = session.settings().idle;
        let there = Connection::connect(self.target, session.settings().patience)?;
        let there = there.under(patience, session.stop().clone());
        let here = session.second()?.under(patience, session.stop().clone());
        let back = (second(&there)?, second(&here)?);
        thread::scope(|scope| {
            let stop = session.stop();
            let there = scope.spawn(|| self.carry(Towards::Server, here, there, stop));
            self.carry(Towards::Client, back.0, back.1, stop)?;
            there.join().unwrap_or(Ok(()))
        })
    }
}

fn second(connection: &Connection) -> Result<Connection, LabError> {
    connection.second().map_err(LabError::io("share a socket"))
}

impl Forward {
    /// Carries one direction to its end, and passes the end on.
    fn carry(&self, towards: Towards, mut from: Connection, mut to: Connection, stop: &Stop) -> Result<(), LabError> {
        let (pieces, due) = sync_channel(UNDER_WAY);
        thread::scope(|scope| {
            let to = &mut to;
            let delivered = scope.spawn(move || deliver(&due, to, stop));
            let taken = self.take(towards, &mut from, &pieces);
            drop(pieces);
            delivered.join().unwrap_or(Ok(())).and(taken)
        })
        // A break of one end is a break for the other, in both directions.
        .inspect_err(|_| [&from, &to].into_iter().for_each(Connection::break_off))
    }

    fn take(
        &self,
        towards: Towards,
        from: &mut Connection,
        pieces: &SyncSender<(Instant, Vec<u8>)>,
    ) -> Result<(), LabError> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = from.recv(&mut buffer, "bytes to carry", from.patience())?;
            if n > 0 {
                self.trips.carried(towards);
            }
            let piece = (deadline(self.delay), buffer[..n].to_vec());
            if pieces.send(piece).is_err() || n == 0 {
                return Ok(());
            }
        }
    }
}

fn deliver(due: &Receiver<(Instant, Vec<u8>)>, to: &mut Connection, stop: &Stop) -> Result<(), LabError> {
    for (due, piece) in due {
        if let Ok(Woken::Stopped) = Stop::wait(Some(stop), &mut [], due) {
            return Err(LabError::Stopped);
        }
        match piece.is_empty() {
            true => return to.close_sending(),
            false => to.send_all(&piece, "bytes that are carried")?,
        }
    }
    // The other side broke off.
    Err(LabError::Stopped)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn bytes_and_the_end_arrive_later() {
        let delay = Duration::from_millis(30);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Relay::start(listener.local_addr().expect("an address"), delay).expect("it starts");
        let mut client = TcpStream::connect(relay.address()).expect("it connects");
        let (mut server, _) = listener.accept().expect("the relay connects");
        let started = Instant::now();
        client.write_all(b"hello").expect("it sends");
        let mut hello = [0; 5];
        server.read_exact(&mut hello).expect("it arrives");
        server.write_all(&hello).expect("it sends");
        client.read_exact(&mut hello).expect("it arrives");
        assert_eq!(&hello, b"hello");
        assert_eq!(relay.round_trips(), 1);
        assert!(started.elapsed() >= 2 * delay, "{:?}", started.elapsed());
        drop(client);
        assert_eq!(server.read(&mut hello).expect("the end arrives"), 0);
    }

    #[test]
    fn it_ends_with_clients_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Relay::start(listener.local_addr().expect("an address"), Duration::ZERO).expect("it starts");
        let mut client = TcpStream::connect(relay.address()).expect("it connects");
        let _server = listener.accept().expect("the relay connects");
        drop(relay);
        assert_eq!(client.read(&mut [0; 1]).expect("an end, and no silence"), 0);
    }

    #[test]
    fn a_break_of_one_end_is_a_break_for_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Relay::start(listener.local_addr().expect("an address"), Duration::ZERO).expect("it starts");
        for server_breaks in [true, false] {
            let client = TcpStream::connect(relay.address()).expect("it connects");
            let (server, _) = listener.accept().expect("the relay connects");
            let (breaks, mut hears) = if server_breaks { (server, client) } else { (client, server) };
            hears.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
            socket2::SockRef::from(&breaks).set_linger(Some(Duration::ZERO)).expect("it is set");
            drop(breaks);
            let heard = hears.read(&mut [0; 1]);
            assert!(
                heard.as_ref().is_ok_and(|n| *n == 0)
                    || heard.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
            );
        }
    }
}
