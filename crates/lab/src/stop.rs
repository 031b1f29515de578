//! How threads that wait for a socket are told to end: a pipe whose other end is closed.

use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::Socket;

/// Ends a server: whatever waits on its behalf wakes up.
#[derive(Debug, Clone)]
pub struct Stopper {
    writer: Arc<Mutex<Option<PipeWriter>>>,
    stopped: Arc<AtomicBool>,
}

impl Stopper {
    /// Shuts down: whatever waits wakes up and ends, and what is busy ends with its next call.
    pub fn shut_down(&self) {
        self.stopped.store(true, Ordering::Release);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What a thread looks at before it does something, and while it waits.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    reader: Arc<PipeReader>,
    stopped: Arc<AtomicBool>,
}

/// A pair.
pub(crate) fn pair() -> io::Result<(Stopper, Stop)> {
    let (reader, writer) = io::pipe()?;
    let stopped = Arc::new(AtomicBool::new(false));
    let stopper = Stopper { writer: Arc::new(Mutex::new(Some(writer))), stopped: stopped.clone() };
    Ok((stopper, Stop { reader: Arc::new(reader), stopped }))
}

/// The moment when so much time has passed; a year from now for what is longer.
pub(crate) fn deadline(within: Duration) -> Instant {
    Instant::now() + within.min(YEAR)
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// One of the descriptors is ready, or failed: a read or a write tells.
    Ready,
    /// The time is up.
    TimeUp,
    /// It is time to end.
    Stopped,
}

impl Stop {
    /// Whether it is time to end.
    pub(crate) fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits until one of the descriptors is ready for its events, but not beyond `until`.
    pub(crate) fn wait<'a>(stop: Option<&'a Stop>, wanted: &mut [PollFd<'a>], until: Instant) -> io::Result<Woken> {
        let mut fds: Vec<PollFd<'a>> = wanted.to_vec();
        fds.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match poll(&mut fds, Some(&timespec(left))) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(0) if left.is_zero() => return Ok(Woken::TimeUp),
                Ok(0) => continue,
                Ok(_) => break,
            }
        }
        if stop.is_some() && fds.pop().is_some_and(|stop| !stop.revents().is_empty()) {
            return Ok(Woken::Stopped);
        }
        wanted.clone_from_slice(&fds);
        Ok(Woken::Ready)
    }
}

impl Stop {
    /// Connects a socket within so much time. A stop ends it early. The socket blocks afterwards.
    pub(crate) fn connect(&self, socket: &Socket, target: SocketAddr, within: Duration) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        match socket.connect(&target.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                let mut wanted = [PollFd::new(socket, PollFlags::OUT)];
                match Stop::wait(Some(self), &mut wanted, deadline(within))? {
                    Woken::Ready => socket.take_error()?.map_or(Ok(()), Err)?,
                    Woken::Stopped => return Err(io::Error::new(ErrorKind::Interrupted, "it was stopped")),
                    Woken::TimeUp => {
                        let why = "a firewall may drop the packets, or the server's queue of connections is full";
                        let text = format!("no answer within {} s; {why}", within.as_secs_f64());
                        return Err(io::Error::new(ErrorKind::TimedOut, text));
                    }
                }
            }
            Err(error) => return Err(error),
        }
        socket.set_nonblocking(false)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

fn timespec(time: Duration) -> Timespec {
    // Rounded up, so that a wait doesn't end a moment early and spin.
    let time = time.saturating_add(Duration::from_micros(1)).min(Duration::from_secs(1 << 30));
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_wakes_what_waits() {
        let (stopper, stop) = pair().expect("a pipe");
        let waiting = std::thread::spawn(move || Stop::wait(Some(&stop), &mut [], Instant::now() + DAY));
        stopper.shut_down();
        assert_eq!(waiting.join().expect("no panic").expect("it polls"), Woken::Stopped);
    }

    #[test]
    fn the_time_is_kept() {
        let (_stopper, stop) = pair().expect("a pipe");
        let started = Instant::now();
        let woken = Stop::wait(Some(&stop), &mut [], started + Duration::from_millis(20)).expect("it polls");
        assert_eq!(woken, Woken::TimeUp);
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_target_that_does_not_answer_is_waited_for_within_bounds() {
        let (full, _queued) = full_listener();
        let socket = || Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let (stopper, stop) = pair().expect("a pipe");
        let error = stop.connect(&socket(), full, Duration::from_millis(50)).expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let waiting = std::thread::spawn(move || stop.connect(&socket(), full, DAY));
        stopper.shut_down();
        assert_eq!(waiting.join().expect("no panic").expect_err("stopped").kind(), ErrorKind::Interrupted);
    }

    /// A listener whose queue is full: the kernel drops what more clients send (listen(2)).
    fn full_listener() -> (SocketAddr, Vec<Socket>) {
        let listener = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().expect("it has one").as_socket().expect("of the internet");
        let mut queued = vec![listener];
        for _ in 0..8 {
            let client = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            let connected = client.connect_timeout(&address.into(), Duration::from_millis(500));
            queued.push(client);
            if connected.is_err() {
                break;
            }
        }
        (address, queued)
    }

    const DAY: Duration = Duration::from_secs(86_400);
}
