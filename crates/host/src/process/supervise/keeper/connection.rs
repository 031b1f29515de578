//! A keeper's connection with the server of the moment. Servers come one after the other; a new one replaces the one before.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use unglue_proto::message::exec::Report;

use crate::process::keep::{FEED_TAG, FromKeeper, Progress, ToKeeper};
use crate::process::socket;

/// Messages that are taken at once, before the outputs have their turn.
const TURN: usize = 32;
/// How long to wait before a progress is sent again that the system had no memory for.
const RETRY: Duration = Duration::from_millis(100);
/// How long after one progress the next follows that has nothing new but bytes: each one wakes two processes, which a command
/// that prints as fast as it can would otherwise do for every read.
const PACE: Duration = Duration::from_millis(1);
/// How long to wait where the system lacks something.
const LACKING: Duration = Duration::from_millis(20);

/// Where servers connect, and the one that is connected.
pub(super) struct Connection {
    listener: OwnedFd,
    server: Option<OwnedFd>,
    /// What the server knows, or will know.
    sent: Progress,
    /// The server has not said that it has seen `sent`.
    unseen: bool,
    /// When it was sent.
    at: Option<Instant>,
    /// The system had no memory for a progress: it is tried again at this time.
    blocked: Option<Instant>,
    /// When there is something to report.
    due: Option<Instant>,
}

/// What a server has sent.
pub(super) enum Incoming<'a> {
    Request(ToKeeper),
    Feed {
        offset: u64,
        data: &'a [u8],
    },
    /// Its connection has ended.
    Gone,
}

impl Connection {
    /// Begins with the server that started the job, which knows `sent`.
    pub(super) fn new(listener: OwnedFd, server: OwnedFd, sent: Progress) -> Self {
        let server = rustix::io::ioctl_fionbio(&server, true).is_ok().then_some(server);
        Self { listener, server, sent, unseen: false, at: None, blocked: None, due: None }
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    pub(super) fn server(&self) -> Option<BorrowedFd<'_>> {
        self.server.as_ref().map(AsFd::as_fd)
    }

    /// When to call [`Connection::report`] again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes the next server, in place of the one before; `false` if there is none.
    pub(super) fn accept(&mut self, progress: Progress, now: Instant) -> bool {
        let server = match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(server) => server,
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => return false,
            Err(_) => {
                // The system lacks memory or descriptors, and the next attempt would follow at once.
                std::thread::sleep(LACKING);
                return false;
            }
        };
        self.server = Some(server);
        // This one knows nothing yet, even if what follows has to be tried again.
        (self.sent, self.unseen) = (Progress::default(), false);
        self.send(progress, now);
        true
    }

    /// Sends how far the job has come, unless the server knows, or is still busy with what it was sent before, or was sent
    /// something just now.
    pub(super) fn report(&mut self, progress: Progress, now: Instant) {
        self.due = None;
        if self.server.is_none() || self.unseen || progress == self.sent {
            return;
        }
        let paced = self.at.filter(|_| self.is_only_bytes(&progress)).map(|at| at + PACE);
        match paced.max(self.blocked).filter(|&due| due > now) {
            None => self.send(progress, now),
            due => self.due = due,
        }
    }

    fn is_only_bytes(&self, progress: &Progress) -> bool {
        let Progress { stdin_end, exit, stalled, .. } = &self.sent;
        (stdin_end, exit, stalled) == (&progress.stdin_end, &progress.exit, &progress.stalled)
    }

    /// Sends the report of a job whose outcome can't be written just now.
    pub(super) fn end(&self, report: &Report) {
        if let Some(server) = &self.server {
            let message = FromKeeper::Ended(Box::new(report.clone()));
            // The server sees the end of the connection in time.
            let _ = socket::send(server, &message.encode(), &[], false);
        }
    }

    fn send(&mut self, progress: Progress, now: Instant) {
        let Some(server) = &self.server else { return };
        let message = FromKeeper::Progress(progress.clone());
        let sent = socket::send(server, &message.encode(), &[], false);
        self.blocked = None;
        match sent {
            Ok(()) => (self.sent, self.unseen, self.at) = (progress, true, Some(now)),
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                self.blocked = Some(now + RETRY);
                self.due = self.blocked;
            }
            // Receiving sees the same.
            Err(_) => {}
        }
    }

    /// Takes what the server has sent, by this buffer.
    pub(super) fn receive(&mut self, buffer: &mut [u8], mut handle: impl FnMut(Incoming<'_>)) {
        for _ in 0..TURN {
            let Some(server) = &self.server else { return };
            let message = match socket::receive(server, buffer) {
                Ok(received) => &buffer[..received.length],
                Err(Errno::AGAIN) => return,
                // A later version may send larger ones.
                Err(Errno::MSGSIZE) => continue,
                Err(_) => &[],
            };
            match message {
                [] => {
                    self.server = None;
                    handle(Incoming::Gone);
                }
                [FEED_TAG, rest @ ..] => {
                    if let Some((offset, data)) = rest.split_first_chunk() {
                        handle(Incoming::Feed { offset: u64::from_le_bytes(*offset), data });
                    }
                }
                message => match ToKeeper::decode(message) {
                    Some(ToKeeper::Seen {}) => self.unseen = false,
                    Some(request) => handle(Incoming::Request(request)),
                    None => {}
                },
            }
        }
    }
}
