//! The end of a pipe that is read, by events or by the clock.
//!
//! A pipe in full flow leaves the event loop, and is looked at from time to time (see [`Flow`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::flow::Flow;
use super::pipe::widen;
use super::sys;

/// Bytes that are read at once: a pipe's usual capacity.
pub(super) const READ: usize = 64 * 1024;

/// The end of a pipe that is read.
#[derive(Debug)]
pub(super) struct Inlet {
    pipe: Pipe,
    /// The last read took everything.
    emptied: bool,
    flow: Flow,
    /// Whether it was made wider, once that was tried.
    wide: Option<bool>,
}

#[derive(Debug)]
enum Pipe {
    /// Its events wake the reader.
    Watched(pipe::Receiver),
    /// A timer does.
    Polled(OwnedFd, AsyncFd<OwnedFd>),
}

impl Inlet {
    pub(super) fn new(pipe: pipe::Receiver) -> Inlet {
        Inlet { pipe: Pipe::Watched(pipe), emptied: false, flow: Flow::new(Instant::now()), wide: None }
    }

    /// Waits until it is worth a look. Cancelled, it loses nothing.
    pub(super) async fn ready(&self) -> io::Result<()> {
        match &self.pipe {
            Pipe::Watched(pipe) => pipe.readable().await,
            Pipe::Polled(..) if !self.emptied => {
                tokio::task::consume_budget().await;
                Ok(())
            }
            Pipe::Polled(_, timer) => {
                // Ticks that passed before this wait count as one.
                let _ = timer.readable().await?.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?));
                Ok(())
            }
        }
    }

    /// Reads at most `max` of the bytes that it holds; none is the end.
    ///
    /// # Errors
    /// `WouldBlock`: it holds none now.
    pub(super) fn read(&mut self, max: usize) -> io::Result<Bytes> {
        let mut buffer = Vec::with_capacity(max.min(READ));
        let read = match &self.pipe {
            Pipe::Watched(pipe) => pipe.try_read_buf(&mut buffer),
            Pipe::Polled(pipe, _) => rustix::io::read(pipe, spare_capacity(&mut buffer)).map_err(io::Error::from),
        };
        self.emptied = !read.as_ref().is_ok_and(|read| *read == max.min(READ));
        self.count(*read.as_ref().unwrap_or(&0));
        read.map(|_| buffer.into())
    }

    /// Counts bytes, and goes by the clock or by events from now on.
    fn count(&mut self, len: usize) {
        self.flow.count(len, Instant::now());
        let flows = self.flow.is_full();
        // A pipe that can't be made wider would keep its writer waiting between two looks.
        let wide = (len == READ || flows) && self.widen();
        // What the system refuses stays as it is.
        let turned = match &self.pipe {
            Pipe::Watched(pipe) if self.emptied && flows && wide => by_clock(pipe),
            Pipe::Polled(pipe, _) if !flows => by_events(pipe),
            _ => return,
        };
        if let Ok(pipe) = turned {
            self.pipe = pipe;
        }
    }

    fn widen(&mut self) -> bool {
        *self.wide.get_or_insert_with(|| {
            widen(match &self.pipe {
                Pipe::Watched(pipe) => pipe.as_fd(),
                Pipe::Polled(pipe, _) => pipe.as_fd(),
            })
        })
    }
}

impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.pipe {
            Pipe::Watched(pipe) => pipe.as_fd(),
            Pipe::Polled(pipe, _) => pipe.as_fd(),
        }
    }
}

fn by_clock(pipe: &pipe::Receiver) -> io::Result<Pipe> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
    let tick = Timespec { tv_sec: 0, tv_nsec: Flow::TICK.subsec_nanos().into() };
    let ticks = Itimerspec { it_interval: tick, it_value: tick };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &ticks)?;
    Ok(Pipe::Polled(pipe.as_fd().try_clone_to_owned()?, sys::watched(timer)?))
}

fn by_events(pipe: &OwnedFd) -> io::Result<Pipe> {
    Ok(Pipe::Watched(pipe::Receiver::from_owned_fd(pipe.try_clone()?)?))
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write as _};
    use std::time::Duration;

    use super::*;
    use crate::process::flow::{FULL, PERIOD};

    impl Inlet {
        fn is_polled(&self) -> bool {
            matches!(self.pipe, Pipe::Polled(..))
        }

        async fn next(&mut self) -> Bytes {
            loop {
                self.ready().await.expect("a pipe");
                match self.read(READ) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read.expect("a pipe"),
                }
            }
        }

        /// What `bytes` bytes are, in however many pieces they come.
        async fn take(&mut self, bytes: usize) -> Vec<u8> {
            let mut taken = Vec::new();
            while taken.len() < bytes {
                taken.extend_from_slice(&self.next().await);
            }
            taken
        }
    }

    fn inlet() -> (PipeWriter, Inlet) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (writer, Inlet::new(pipe::Receiver::from_owned_fd(reader.into()).expect("a pipe")))
    }

    /// A flow that stays full, however slow this machine is: its period has not begun.
    fn full() -> Flow {
        let later = Instant::now() + Duration::from_secs(3600);
        let mut flow = Flow::new(later);
        flow.count(FULL as usize, later + PERIOD);
        flow
    }

    #[tokio::test]
    async fn full_flow_goes_by_the_clock_and_a_slow_one_by_events() {
        let (mut writer, mut inlet) = inlet();
        inlet.flow = full();
        writer.write_all(b"full flow").expect("a reader");
        assert_eq!(inlet.next().await, b"full flow"[..]);
        assert!(inlet.is_polled());
        let sent: Vec<u8> = (0..4_000_000u32).map(|number| (number / 3) as u8).collect();
        let writing = std::thread::spawn({
            let sent = sent.clone();
            move || sent.chunks(4096).try_for_each(|piece| writer.write_all(piece)).map(|()| writer)
        });
        assert!(inlet.take(sent.len()).await == sent);
        assert!(inlet.is_polled());
        let mut writer = writing.join().expect("a writer").expect("a reader");
        inlet.flow = Flow::new(Instant::now() - Duration::from_secs(1));
        for _ in 0..3 {
            writer.write_all(b"slow").expect("a reader");
            assert_eq!(inlet.next().await, b"slow"[..]);
            assert!(!inlet.is_polled());
        }
        drop(writer);
        assert!(inlet.next().await.is_empty(), "the end");
    }

    #[tokio::test]
    async fn the_end_of_a_full_flow_is_seen() {
        let (mut writer, mut inlet) = inlet();
        inlet.flow = full();
        writer.write_all(&[7; 1000]).expect("a reader");
        assert_eq!(inlet.take(1000).await, [7; 1000]);
        drop(writer);
        assert!(inlet.next().await.is_empty());
        assert!(inlet.next().await.is_empty(), "and again");
        assert!(inlet.is_polled());
    }

    #[tokio::test]
    async fn a_wait_that_is_cancelled_loses_nothing() {
        let (mut writer, mut inlet) = inlet();
        inlet.flow = full();
        for number in 0..100u8 {
            let _ = tokio::time::timeout(Duration::from_micros(100), inlet.ready()).await;
            writer.write_all(&[number]).expect("a reader");
            assert_eq!(inlet.next().await, [number][..]);
        }
    }

    #[tokio::test]
    async fn a_pipe_that_stays_narrow_goes_by_events() {
        let (mut writer, mut inlet) = inlet();
        (inlet.flow, inlet.wide) = (full(), Some(false));
        writer.write_all(b"full flow").expect("a reader");
        assert_eq!(inlet.next().await, b"full flow"[..]);
        assert!(!inlet.is_polled());
    }

    #[tokio::test]
    async fn single_lines_never_go_by_the_clock() {
        let (mut writer, mut inlet) = inlet();
        for _ in 0..2_000 {
            writer.write_all(b"a line\n").expect("a reader");
            assert_eq!(inlet.next().await, b"a line\n"[..]);
        }
        assert!(!inlet.is_polled());
    }
}
