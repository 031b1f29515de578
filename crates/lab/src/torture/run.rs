//! One run: the programs, and the proxy between them, in one loop.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::lane::{Clock, Lane};
use super::plan::{Plan, Towards};
use super::program::{Client, Exit, Server, effort, last_line, readable};
use super::queue::Queues;
use super::transcript::{Conversation, Transcript};
use crate::LabError;
use crate::stop::{Stop, Woken};

/// The receive buffer and the largest segment of a socket that gives its peer little room, in bytes.
const LITTLE_ROOM: usize = 2048;
const SMALL_SEGMENT: u32 = 536;
/// How long the outputs are read on, and bytes delivered, after the client's end.
const DRAIN: Duration = Duration::from_millis(200);
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether anything happens.
const LOOK: Duration = Duration::from_millis(50);

/// How long a run may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Nothing happens, and nothing is held back, for so long: the run hangs.
    pub(super) idle: Duration,
    /// The whole run.
    pub(super) whole: Duration,
    /// How long bytes are held for others that should arrive with them.
    pub(super) hold: Duration,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) exit: Exit,
    pub(super) stdout: Vec<u8>,
    /// The last line of the client's standard error.
    pub(super) stderr: String,
    /// The server ended before the client did, though it is not its way; and the last that it printed.
    pub(super) server: Option<(Exit, String)>,
}

#[derive(Debug)]
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) transcript: Transcript,
    /// In which order the plan's cuts took effect.
    pub(super) applied: Vec<Option<u64>>,
    /// The longest time in which nothing happened.
    pub(super) gap: Duration,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    lanes: [Lane; 2],
}

impl Connection {
    fn new(
        plan: &Plan,
        number: usize,
        client: TcpStream,
        server: TcpStream,
        now: Instant,
    ) -> std::io::Result<Connection> {
        for socket in [&client, &server] {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
        }
        Ok(Connection { client, server, lanes: Towards::BOTH.map(|towards| Lane::new(plan, number, towards, now)) })
    }

    /// A lane's sender and receiver.
    fn ends(&self, lane: usize) -> (&TcpStream, &TcpStream) {
        if lane == 0 { (&self.client, &self.server) } else { (&self.server, &self.client) }
    }

    fn pump(&mut self, queues: &Queues, clock: &mut Clock) {
        let Connection { client, server, lanes: [to_server, to_client] } = self;
        to_server.pump(client, server, queues, clock);
        to_client.pump(server, client, queues, clock);
    }

    fn is_done(&self) -> bool {
        self.lanes.iter().all(Lane::is_done)
    }
}

/// A run in progress.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    limits: Limits,
    stop: &'a Stop,
    target: SocketAddr,
    listener: TcpListener,
    connections: Vec<Connection>,
    queues: Queues,
    clock: Clock,
    began: Instant,
    gap: Duration,
    /// The programs' processor time in a silence, and when that began.
    looked: Option<(Instant, u64)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plan: &'a Plan, target: SocketAddr, limits: Limits, stop: &'a Stop) -> Result<Run<'a>, LabError> {
        let listener = listen(plan.is_narrow(Towards::Server)).map_err(LabError::io("listen on a free port"))?;
        let now = Instant::now();
        let clock = Clock { now, order: 0, active: now, hold: limits.hold, applied: vec![None; plan.cuts.len()] };
        Ok(Run {
            plan,
            limits,
            stop,
            target,
            listener,
            connections: Vec::new(),
            queues: Queues::open(),
            clock,
            began: now,
            gap: Duration::ZERO,
            looked: None,
        })
    }

    /// Where the client should connect to.
    pub(super) fn port(&self) -> Result<u16, LabError> {
        Ok(self.listener.local_addr().map_err(LabError::io("listen on a free port"))?.port())
    }

    /// Runs until the client ends or hangs.
    pub(super) fn finish(mut self, mut client: Client, mut server: Option<&mut Server>) -> Result<Ran, LabError> {
        let mut ended: Option<Instant> = None;
        let mut server_ended = None;
        let exit = loop {
            self.clock.now = Instant::now();
            self.accept(&mut server)?;
            for connection in &mut self.connections {
                connection.pump(&self.queues, &mut self.clock);
            }
            if client.stdout.take() | client.stderr.take() {
                self.clock.active = self.clock.now;
            }
            if ended.is_none() && client.exit().is_some() {
                ended = Some(self.clock.now);
                server_ended = self.server_end(server.as_deref_mut())?;
            }
            if let Some(since) = ended {
                let read = client.stdout.pipe.is_none() && client.stderr.pipe.is_none();
                let carried = self.connections.iter().all(Connection::is_done);
                let late = self.clock.now >= since + DRAIN;
                if read && carried || late {
                    break client.exit().unwrap_or(Exit::Hung);
                }
            } else if self.hangs(&client, server.as_deref()) {
                server_ended = self.server_end(server.as_deref_mut())?;
                break Exit::Hung;
            }
            self.wait(&client, ended.is_some())?;
        };
        for connection in &self.connections {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Both);
        }
        let (stdout, stderr) = (std::mem::take(&mut client.stdout.bytes), last_line(&client.stderr.bytes));
        drop(client);
        let conversations = self.connections.into_iter().map(|connection| {
            let [to_server, to_client] = connection.lanes.map(|lane| lane.stream);
            Conversation { to_server, to_client }
        });
        Ok(Ran {
            outcome: Outcome { exit, stdout, stderr, server: server_ended },
            transcript: Transcript { conversations: conversations.collect() },
            applied: self.clock.applied,
            gap: self.gap,
        })
    }

    /// How the server ended, if it ended before the client; and the last that it printed. A server that has closed a connection
    /// may be about to end.
    fn server_end(&self, server: Option<&mut Server>) -> Result<Option<(Exit, String)>, LabError> {
        let Some(server) = server else { return Ok(None) };
        let closed = self.connections.iter().any(|Connection { lanes: [to_server, to_client], .. }| {
            to_client.stream.ended.is_some() || to_server.is_done() && to_server.stream.ended.is_none()
        });
        let exit = if closed { server.settle(self.stop)? } else { server.exit() };
        Ok(exit.map(|exit| (exit, server.said())))
    }

    fn accept(&mut self, server: &mut Option<&mut Server>) -> Result<(), LabError> {
        while let Ok((client, _)) = self.listener.accept() {
            self.clock.active = self.clock.now;
            let number = self.connections.len() + 1;
            match connect(self.target, self.plan.is_narrow(Towards::Client), self.stop) {
                Ok(server) => {
                    let connection = Connection::new(self.plan, number, client, server, self.clock.now);
                    self.connections.push(connection.map_err(LabError::io("set up a connection"))?);
                }
                Err(_) if self.stop.is_set() => return Err(LabError::Stopped),
                // Perhaps it is the cuts that ended it: its client will see.
                Err(_) if server.is_some() && !self.plan.cuts.is_empty() => {}
                Err(error) => {
                    return Err(LabError::Broken {
                        what: format!("could not connect to {}: {error}", self.target),
                        advice: "check that the server listens there, and takes this many connections".into(),
                    });
                }
            }
            self.clock.now = Instant::now();
        }
        Ok(())
    }

    fn hangs(&mut self, client: &Client, server: Option<&Server>) -> bool {
        let now = self.clock.now;
        if now >= self.began + self.limits.whole {
            return true;
        }
        if self.connections.is_empty() || self.connections.iter().any(|c| c.lanes.iter().any(Lane::is_holding)) {
            // Programs take their time to start; what is held back on purpose is no silence.
            if !self.connections.is_empty() {
                self.clock.active = now;
            }
            return false;
        }
        let silent = now.saturating_duration_since(self.clock.active);
        self.gap = self.gap.max(silent);
        if silent < self.limits.idle / 2 {
            return false;
        }
        // A program that computes, or waits for a processor, isn't hanging: it is looked at twice.
        let pids = [Some(client.pid()), server.map(Server::pid)];
        let (ticks, busy) = effort(pids.into_iter().flatten());
        match self.looked {
            Some((since, before)) if since == self.clock.active => {
                if busy || ticks > before {
                    self.clock.active = now;
                }
                !busy && ticks == before && silent >= self.limits.idle
            }
            _ => {
                self.looked = Some((self.clock.active, ticks));
                false
            }
        }
    }

    fn wait(&self, client: &Client, ended: bool) -> Result<(), LabError> {
        let mut until = self.clock.now + LOOK;
        let mut fds: Vec<(BorrowedFd<'_>, PollFlags)> = vec![(self.listener.as_fd(), PollFlags::IN)];
        if !ended {
            fds.push((client.ends.as_fd(), PollFlags::IN));
        }
        fds.extend([&client.stdout, &client.stderr].into_iter().filter_map(readable).map(|fd| (fd, PollFlags::IN)));
        for connection in &self.connections {
            for (index, lane) in connection.lanes.iter().enumerate() {
                let (from, to) = connection.ends(index);
                let wants = lane.wants(&self.clock);
                if wants.read {
                    fds.push((from.as_fd(), PollFlags::IN));
                }
                if wants.write {
                    fds.push((to.as_fd(), PollFlags::OUT));
                }
                until = wants.wake.into_iter().chain([until]).min().unwrap_or(until);
            }
        }
        let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        match Stop::wait(Some(self.stop), &mut fds, until).map_err(LabError::io("wait for sockets"))? {
            Woken::Stopped => Err(LabError::Stopped),
            Woken::Ready | Woken::TimeUp => Ok(()),
        }
    }
}

fn listen(narrow: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if narrow {
        little_room(&socket)?;
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn connect(target: SocketAddr, narrow: bool, stop: &Stop) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    if narrow {
        little_room(&socket)?;
    }
    stop.connect(&socket, target, PATIENCE)?;
    Ok(socket.into())
}

/// Before the connection is made: both ends agree on sizes then.
fn little_room(socket: &Socket) -> std::io::Result<()> {
    socket.set_recv_buffer_size(LITTLE_ROOM)?;
    socket.set_tcp_mss(SMALL_SEGMENT)
}

/// The moment after which a run is ended whatever happens.
pub(super) fn whole(plan: &Plan, timeout: Duration) -> Duration {
    timeout + Duration::from_millis(plan.pauses())
}
