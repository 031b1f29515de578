//! A keeper's connection with the server of the moment. Servers come one after the other; a new one replaces the one before.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use unglue_proto::message::exec::Report;

use crate::process::keep::{FEED_TAG, FromKeeper, Progress, STDIN_WINDOW, ToKeeper, UNSEEN};
use crate::process::socket;

/// Messages that are taken at once, before the outputs have their turn.
const TURN: usize = 32;
/// How long to wait before a progress is sent again that the system had no memory for.
const RETRY: Duration = Duration::from_millis(100);
/// How long after one progress the next follows that has nothing new but bytes: each one wakes two processes, which a command
/// that prints as fast as it can would otherwise do for every read.
const PACE: Duration = Duration::from_millis(1);
/// So many follow each other without a pause where a person waits for them: an echo must not wait for the one before it.
const BURST: u32 = 8;
/// How long a progress waits that says only that a terminal was typed on: mostly the echo follows, and one message says both.
const TYPED: Duration = Duration::from_millis(10);
/// So much that was typed is reported at once: the server must not run out of room for more.
const TYPED_MOST: u64 = STDIN_WINDOW / 4;
/// How long to wait where the system lacks something.
const LACKING: Duration = Duration::from_millis(20);

/// Where servers connect, and the one that is connected.
pub(super) struct Connection {
    listener: OwnedFd,
    server: Option<OwnedFd>,
    /// What the server knows, or will know.
    sent: Progress,
    /// So many of those that were sent the server has not seen.
    unseen: u32,
    /// When the next is due that has nothing new but bytes, if each one followed [`PACE`] after the one before.
    paced: Option<Instant>,
    /// So many may follow each other without a pause.
    burst: u32,
    /// Since when there is nothing to report but what was typed.
    typed: Option<Instant>,
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
        Self { listener, server, sent, unseen: 0, paced: None, burst: 1, typed: None, blocked: None, due: None }
    }

    /// A person types and waits for the echo.
    pub(super) fn of_terminal(self) -> Self {
        Self { burst: BURST, ..self }
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
        (self.sent, self.unseen) = (Progress::default(), 0);
        self.send(progress, now);
        true
    }

    /// Sends how far the job has come, unless the server knows, or is still busy with what it was sent before, or was sent
    /// something just now.
    pub(super) fn report(&mut self, progress: Progress, now: Instant) {
        self.due = None;
        if self.server.is_none() || self.unseen >= UNSEEN || progress == self.sent {
            return;
        }
        let waits = self.is_only_bytes(&progress).then(|| self.paced(now).max(self.typed(&progress, now))).flatten();
        match waits.max(self.blocked).filter(|&due| due > now) {
            None => self.send(progress, now),
            due => self.due = due,
        }
    }

    /// Until when a progress waits that has nothing new but bytes.
    fn paced(&self, now: Instant) -> Option<Instant> {
        let ahead = PACE * (self.burst - 1);
        self.paced.filter(|&paced| paced > now + ahead).map(|paced| paced - ahead)
    }

    /// Until when a progress waits for the echo of what was typed.
    fn typed(&mut self, progress: &Progress, now: Instant) -> Option<Instant> {
        let typed = progress.stdin.saturating_sub(self.sent.stdin);
        let printed = (progress.stdout, progress.stderr) != (self.sent.stdout, self.sent.stderr);
        if self.burst == 1 || printed || typed >= TYPED_MOST {
            self.typed = None;
            return None;
        }
        Some(*self.typed.get_or_insert(now) + TYPED)
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
            Ok(()) => {
                (self.sent, self.unseen, self.typed) = (progress, self.unseen + 1, None);
                self.paced = Some(self.paced.map_or(now, |paced| paced.max(now)) + PACE);
            }
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
                    Some(ToKeeper::Seen { more }) => self.unseen = self.unseen.saturating_sub(more.saturating_add(1)),
                    Some(request) => handle(Incoming::Request(request)),
                    None => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::keep::JobDirectory;

    const MS: Duration = Duration::from_millis(1);

    /// A keeper's connection, the server's end of it, and the directory with its socket.
    fn connection() -> (Connection, OwnedFd, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = JobDirectory::open(directory.path()).and_then(|place| place.listen()).expect("a socket");
        let (ours, theirs) = socket::pair().expect("two sockets");
        (Connection::new(listener, ours, Progress::default()), theirs, directory)
    }

    /// What the server was sent, as bytes of input and output.
    fn sent(server: &OwnedFd) -> Vec<(u64, u64)> {
        rustix::io::ioctl_fionbio(server, true).expect("a socket");
        let mut buffer = [0; 4096];
        let messages = std::iter::from_fn(|| {
            let received = socket::receive(server, &mut buffer).ok()?;
            FromKeeper::decode(&buffer[..received.length])
        });
        let progress = |message| match message {
            FromKeeper::Progress(progress) => (progress.stdin, progress.stdout),
            FromKeeper::Ended(_) => (u64::MAX, u64::MAX),
        };
        messages.map(progress).collect()
    }

    fn at(stdin: u64, stdout: u64) -> Progress {
        Progress { stdin, stdout, ..Progress::default() }
    }

    #[test]
    fn an_echo_is_reported_at_once_and_with_its_key() {
        let (connection, server, _directory) = connection();
        let (mut connection, start) = (connection.of_terminal(), Instant::now());
        for key in 1..=u64::from(UNSEEN) {
            connection.report(at(key, key - 1), start);
            assert_eq!((sent(&server), connection.due()), (vec![], Some(start + TYPED)), "the echo is waited for");
            connection.report(at(key, key), start);
            assert_eq!(sent(&server), [(key, key)]);
        }
        connection.report(at(9, 9), start + MS);
        assert_eq!(sent(&server), [], "the server has not said that it has seen so many");
        let seen = ToKeeper::Seen { more: 1 };
        socket::send(&server, &seen.encode(), &[], false).expect("sent");
        connection.receive(&mut [0; 4096], |_| ());
        connection.report(at(9, 9), start + MS);
        assert_eq!(sent(&server), [(9, 9)]);
    }

    #[test]
    fn keys_without_an_echo_are_reported_a_little_later() {
        let (connection, server, _directory) = connection();
        let (mut connection, start) = (connection.of_terminal(), Instant::now());
        connection.report(at(1, 0), start);
        connection.report(at(2, 0), start + TYPED - MS);
        assert_eq!((sent(&server), connection.due()), (vec![], Some(start + TYPED)));
        connection.report(at(2, 0), start + TYPED);
        assert_eq!(sent(&server), [(2, 0)]);
        connection.report(at(2 + TYPED_MOST, 0), start + TYPED);
        assert_eq!(sent(&server), [(2 + TYPED_MOST, 0)], "there must be room for more");
    }

    #[test]
    fn a_flood_is_reported_at_a_pace() {
        for (terminal, burst) in [(true, u64::from(BURST)), (false, 1)] {
            let (connection, server, _directory) = connection();
            let mut connection = if terminal { connection.of_terminal() } else { connection };
            let (start, mut reports) = (Instant::now(), 0);
            for step in 0..1000u32 {
                connection.report(at(0, u64::from(step) + 1), start + MS * step / 100);
                reports += sent(&server).len() as u64;
                connection.unseen = 0;
            }
            assert!((10..=10 + burst).contains(&reports), "{reports} in 10 ms");
        }
    }
}
