//! A tap: a proxy that tells what each of its reads gave, and which messages that were.
//!
//! Bytes are passed on before anything is told of them. Where the watcher is slower than the bytes, [`Settings::complete`] says
//! what happens: reads are left out and counted, or the bytes wait.
//!
//! ```no_run
//! use unglue_lab::tap::{Settings, tap};
//!
//! # fn main() -> Result<(), unglue_lab::LabError> {
//! let settings = Settings::new(([127, 0, 0, 1], 8001).into(), ([127, 0, 0, 1], 8000).into());
//! let (_stopper, tap) = tap(settings)?;
//! tap.run(&mut |event| eprintln!("{event:?}"))
//! # }
//! ```

mod lane;
mod pcap;
mod segments;

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Protocol, Socket, Type};
use unglue_frame::Framing;

pub use crate::torture::Towards;
pub use pcap::{Packets, Pcap};

use crate::LabError;
use crate::stop::{self, Stop, Stopper, Woken, deadline};
use lane::Lane;
use segments::{Flow, Segments, canonical};

/// How many events may wait for the watcher.
const WAITING: usize = 1024;
/// How long the target may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections there may be at once.
const CONNECTIONS: usize = 256;
const LONG: Duration = Duration::from_secs(3600);

/// Where a tap listens, and what it tells.
#[non_exhaustive]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it connects to.
    pub target: SocketAddr,
    /// What the client sends, where that is known.
    pub framing: Option<Framing>,
    /// What the server sends, where that is known.
    pub reply_framing: Option<Framing>,
    /// Where a capture is written.
    pub capture: Option<Box<dyn Write + Send + Sync>>,
    /// Nothing is left out: all bytes, all messages, all reads. Then a slow watcher slows the connections.
    pub complete: bool,
    /// Segments are told of, if the system allows it.
    pub segments: bool,
    /// It ends when so many connections have.
    pub connections: Option<u64>,
}

impl Settings {
    /// A tap that leaves out what can't be shown in time.
    pub fn new(listen: SocketAddr, target: SocketAddr) -> Settings {
        Settings {
            listen,
            target,
            framing: None,
            reply_framing: None,
            capture: None,
            complete: false,
            segments: true,
            connections: None,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("listen", &self.listen).field("target", &self.target).finish_non_exhaustive()
    }
}

/// Something that happened on a connection.
#[derive(Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Which connection, from 1.
    pub connection: u64,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happened {
    /// A client connected, and the tap to the target.
    Opened {
        /// The client's address.
        client: SocketAddr,
        /// The target's.
        server: SocketAddr,
        /// The tap's own, towards the client and towards the target.
        local: [SocketAddr; 2],
    },
    /// A client connected, and was let go.
    Refused {
        /// The client's address.
        client: SocketAddr,
        /// Why.
        why: String,
    },
    /// A read gave bytes.
    Read {
        /// Who receives them.
        towards: Towards,
        /// How many came before them in this direction.
        offset: u64,
        /// How many they are.
        bytes: u64,
        /// The first of them, or all.
        start: Vec<u8>,
        /// The segments that they came in, where that is known.
        segments: Option<Vec<u32>>,
        /// The messages that ended in this read: the first of them, or all.
        messages: Vec<Message>,
        /// How many did.
        message_count: u64,
        /// How many bytes belong to a message that goes on.
        unfinished: u64,
        /// The notation can't read what comes from here on.
        error: Option<String>,
        /// What was left out before this read.
        skipped: Skipped,
    },
    /// One end sends no more.
    Ended {
        /// Who received.
        towards: Towards,
        /// It was broken off; how.
        broken: Option<String>,
        /// What was left out before.
        skipped: Skipped,
    },
    /// Both ends have ended.
    Closed {
        /// What the client sent.
        to_server: Totals,
        /// What the server sent.
        to_client: Totals,
    },
}

/// A message, found by the notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place in its direction.
    pub offset: u64,
    /// Its length on the wire.
    pub bytes: u64,
    /// Its fields.
    pub fields: Vec<(String, u64)>,
    /// The length of its data.
    pub data_bytes: u64,
    /// Its data, or the beginning of it.
    pub data: Vec<u8>,
    /// It began in an earlier read.
    pub cut: bool,
    /// Its last read also gave bytes of another message.
    pub merged: bool,
}

/// What was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Reads.
    pub reads: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their messages.
    pub messages: u64,
}

/// What a direction came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Reads.
    pub reads: u64,
    /// Bytes.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
    /// Messages that were cut by a read.
    pub cut: u64,
    /// Messages that shared a read.
    pub merged: u64,
}

/// A tap that listens.
#[derive(Debug)]
pub struct Tap {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
    stop: Stop,
    stopper: Stopper,
    segments: Option<Segments>,
}

/// What all threads of a tap share.
struct Shared<'a> {
    events: SyncSender<Event>,
    complete: bool,
    began: (Instant, SystemTime),
    capture: Option<Mutex<Capture>>,
    sockets: Mutex<HashMap<u64, [TcpStream; 2]>>,
    open: AtomicUsize,
    tap: &'a Tap,
}

struct Capture {
    pcap: Pcap<Box<dyn Write + Send + Sync>>,
    packets: HashMap<u64, Packets>,
    failed: bool,
}

/// Listens.
///
/// # Errors
/// [`LabError::Io`] if the address can't be had, or the capture can't be written.
pub fn tap(settings: Settings) -> Result<(Stopper, Tap), LabError> {
    let listening = TcpListener::bind(settings.listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = listening.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => LabError::Unavailable {
            what: format!("could not listen on {}: another program does", settings.listen),
            advice: "end that program, or listen on another port; port 0 picks a free one".into(),
        },
        _ => LabError::io(format!("listen on {}", settings.listen))(error),
    })?;
    let (stopper, stop) = stop::pair().map_err(LabError::io("make a pipe"))?;
    // Before the first client connects. Without root there are none.
    let segments = settings.segments.then(|| Segments::listen(address.port(), settings.target.port()).ok()).flatten();
    Ok((stopper.clone(), Tap { settings, listener, address, stop, stopper, segments }))
}

impl Tap {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it sees segments.
    pub fn sees_segments(&self) -> bool {
        self.segments.is_some()
    }

    /// Taps until it is stopped, or so many connections have ended as were asked for.
    ///
    /// # Errors
    /// [`LabError::Io`] if the listener or the capture fails.
    pub fn run(mut self, watch: &mut dyn FnMut(&Event)) -> Result<(), LabError> {
        let capture =
            self.settings.capture.take().map(|out| {
                Pcap::new(out).map(|pcap| Mutex::new(Capture { pcap, packets: HashMap::new(), failed: false }))
            });
        let capture = capture.transpose().map_err(LabError::io("write the capture"))?;
        let (events, told) = sync_channel(WAITING);
        let shared = Shared {
            events,
            complete: self.settings.complete,
            began: (Instant::now(), SystemTime::now()),
            capture,
            sockets: Mutex::default(),
            open: AtomicUsize::new(0),
            tap: &self,
        };
        thread::scope(|scope| {
            if let Some(segments) = &self.segments {
                scope.spawn(|| segments.run(&self.stop));
            }
            let accepting = scope.spawn(move || shared.accept());
            self.watch(&told, watch);
            accepting.join().unwrap_or(Ok(()))
        })
    }

    fn watch(&self, told: &Receiver<Event>, watch: &mut dyn FnMut(&Event)) {
        let mut flows: HashMap<u64, [Flow; 2]> = HashMap::new();
        let mut closed = 0;
        for mut event in told {
            match (&mut event.what, &self.segments) {
                (Happened::Opened { client, server, local }, Some(_)) => {
                    let flow = [(canonical(*client), canonical(local[0])), (canonical(*server), canonical(local[1]))];
                    flows.insert(event.connection, flow);
                }
                (Happened::Read { towards, offset, bytes, segments, .. }, Some(seen)) => {
                    let flow = flows.get(&event.connection).map(|flows| flows[*towards as usize]);
                    *segments = flow.and_then(|flow| seen.of(flow, *offset, *offset + *bytes));
                }
                _ => {}
            }
            watch(&event);
            if let Happened::Closed { .. } | Happened::Refused { .. } = event.what {
                closed += 1;
                for flow in flows.remove(&event.connection).into_iter().flatten() {
                    if let Some(segments) = &self.segments {
                        segments.forget(flow);
                    }
                }
                if self.settings.connections.is_some_and(|most| closed >= most) {
                    self.stopper.shut_down();
                }
            }
        }
    }
}

impl Shared<'_> {
    fn accept(&self) -> Result<(), LabError> {
        thread::scope(|scope| {
            let mut connection = 0;
            let accepted = loop {
                let mut wanted = [PollFd::from_borrowed_fd(self.tap.listener.as_fd(), PollFlags::IN)];
                match Stop::wait(Some(&self.tap.stop), &mut wanted, deadline(LONG)) {
                    Ok(Woken::Stopped) => break Ok(()),
                    Ok(Woken::TimeUp) => continue,
                    Ok(Woken::Ready) => {}
                    Err(error) => break Err(LabError::io("wait for a connection")(error)),
                }
                // One that failed was gone before it was accepted, or there is no descriptor for it.
                let Ok((client, from)) = self.tap.listener.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                connection += 1;
                if self.open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                    self.refuse(connection, from, format!("there are {CONNECTIONS} connections already"));
                    continue;
                }
                let serve = move || {
                    self.serve(connection, client, from);
                    self.open.fetch_sub(1, Ordering::Relaxed);
                };
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, serve) {
                    self.refuse(connection, from, format!("the system gives no thread: {error}"));
                }
            };
            for sockets in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).values() {
                sockets.iter().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
            }
            accepted
        })?;
        match &self.capture {
            Some(capture) => {
                let mut capture = capture.lock().unwrap_or_else(PoisonError::into_inner);
                let flushed = capture.pcap.flush();
                let failed = capture.failed.then(|| std::io::Error::other("an earlier write failed"));
                flushed.and(failed.map_or(Ok(()), Err)).map_err(LabError::io("write the capture"))
            }
            None => Ok(()),
        }
    }

    fn serve(&self, connection: u64, client: TcpStream, from: SocketAddr) {
        let target = self.tap.settings.target;
        let connected = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))
            .and_then(|socket| self.tap.stop.connect(&socket, target, PATIENCE).map(|()| TcpStream::from(socket)));
        let server = match connected {
            Ok(server) => server,
            Err(error) => {
                self.refuse(connection, from, format!("could not connect to {target}: {error}"));
                return;
            }
        };
        let prepared = [&client, &server].into_iter().try_for_each(|socket| {
            socket.set_nonblocking(false)?;
            socket.set_nodelay(true)
        });
        let kept = prepared.and_then(|()| Ok([client.try_clone()?, server.try_clone()?]));
        let local = client.local_addr().and_then(|client| Ok([client, server.local_addr()?]));
        let (Ok(kept), Ok(local)) = (kept, local) else {
            self.refuse(connection, from, "the system gives no descriptor".into());
            return;
        };
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).insert(connection, kept);
        if self.tap.stop.is_set() {
            // The others were shut down before this one could be.
            self.sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(&connection);
            return;
        }
        let at = Instant::now();
        if let Some(capture) = &self.capture {
            let mut capture = capture.lock().unwrap_or_else(PoisonError::into_inner);
            capture.packets.insert(connection, Packets::between(from, target));
        }
        self.capture(connection, at, Pcap::open);
        self.must_send(Event { at, connection, what: Happened::Opened { client: from, server: target, local } });
        let settings = &self.tap.settings;
        let (to_server, to_client) = thread::scope(|scope| {
            let back = Lane::new(self, connection, Towards::Client, settings.reply_framing.as_ref());
            let there = Lane::new(self, connection, Towards::Server, settings.framing.as_ref());
            let back = scope.spawn(|| back.run(&server, &client));
            let to_server = there.run(&client, &server);
            (to_server, back.join().unwrap_or_default())
        });
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(&connection);
        if let Some(capture) = &self.capture {
            let mut capture = capture.lock().unwrap_or_else(PoisonError::into_inner);
            capture.packets.remove(&connection);
            capture.failed |= capture.pcap.flush().is_err();
        }
        let what = Happened::Closed { to_server, to_client };
        self.must_send(Event { at: Instant::now(), connection, what });
    }

    fn refuse(&self, connection: u64, client: SocketAddr, why: String) {
        self.must_send(Event { at: Instant::now(), connection, what: Happened::Refused { client, why } });
    }

    /// Hands an event over; `false` if it was left out, because others wait already.
    fn send(&self, event: Event) -> bool {
        match self.complete {
            true => self.events.send(event).is_ok(),
            false => !matches!(self.events.try_send(event), Err(TrySendError::Full(_))),
        }
    }

    /// Hands over an event that is never left out.
    fn must_send(&self, event: Event) {
        // Nobody watches any more.
        let _ = self.events.send(event);
    }

    fn capture(
        &self,
        connection: u64,
        at: Instant,
        write: impl FnOnce(&mut Pcap<Box<dyn Write + Send + Sync>>, &mut Packets, Duration) -> std::io::Result<()>,
    ) {
        let Some(capture) = &self.capture else { return };
        let Capture { pcap, packets, failed } = &mut *capture.lock().unwrap_or_else(PoisonError::into_inner);
        let began = self.began.1.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = began + at.saturating_duration_since(self.began.0);
        if let Some(packets) = packets.get_mut(&connection) {
            *failed |= write(pcap, packets, at).is_err();
        }
    }
}
