//! What a command reads, by offsets: a server that connects again may send some of it twice.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use unglue_proto::Meter;
use unglue_proto::message::exec::{StreamEnd, StreamReport};

use super::super::terminal::end_of_file;
use crate::process::keep::STDIN_WINDOW;

/// A command's input, from the server's messages to its pipe.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// `None` where the command has none, or once it has ended.
    pipe: Option<OwnedFd>,
    /// What was received, in order.
    meter: Meter,
    /// What was received, and isn't in the pipe yet.
    waiting: VecDeque<u8>,
    /// Where it ends, once that is known.
    finish: Option<u64>,
    end: Option<StreamEnd>,
    exists: bool,
    /// It is typed on a terminal.
    typed: bool,
    /// How many of the waiting bytes are the end-of-file character: they are not the client's.
    added: u64,
}

impl Input {
    /// Takes the writing end of the command's pipe, if the command has one.
    pub(super) fn new(pipe: Option<OwnedFd>) -> Self {
        Self { exists: pipe.is_some(), pipe, ..Self::default() }
    }

    /// Takes the end of a terminal that is typed on, if it is to be typed on.
    pub(super) fn of_terminal(master: Option<OwnedFd>) -> Self {
        Self { typed: true, ..Self::new(master) }
    }

    /// Bytes that the pipe has taken.
    pub(super) fn taken(&self) -> u64 {
        self.meter.bytes() - (self.waiting.len() as u64).saturating_sub(self.added)
    }

    /// Bytes that came, in order.
    pub(super) fn received(&self) -> u64 {
        self.meter.bytes()
    }

    /// How it ended.
    pub(super) fn end(&self) -> Option<&StreamEnd> {
        self.end.as_ref()
    }

    /// The pipe, and whether there is something to write into it. Its error condition says that the command reads no more; that of
    /// a terminal is for its output to see.
    pub(super) fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        let more = !self.waiting.is_empty();
        self.pipe.as_ref().filter(|_| more || !self.typed).map(|pipe| (pipe.as_fd(), more))
    }

    /// Takes input whose first byte is at this offset: as much of it as follows what there is, and fits the window.
    pub(super) fn feed(&mut self, offset: u64, data: &[u8]) {
        if self.pipe.is_none() {
            return;
        }
        let received = self.meter.bytes();
        let last = self.finish.unwrap_or(u64::MAX).min(self.taken() + STDIN_WINDOW);
        let Some(known) = received.checked_sub(offset).and_then(|known| usize::try_from(known).ok()) else { return };
        let room = usize::try_from(last.saturating_sub(received)).unwrap_or(usize::MAX);
        let new = data.get(known..).unwrap_or_default();
        let new = &new[..new.len().min(room)];
        self.meter.pass(new);
        self.waiting.extend(new);
        self.write();
    }

    /// It ends at this offset.
    pub(super) fn finish(&mut self, at: u64) {
        self.finish.get_or_insert(at.max(self.meter.bytes()));
        self.write();
    }

    /// Writes what the pipe takes just now.
    pub(super) fn write(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        while !self.waiting.is_empty() {
            match rustix::io::write(pipe, self.waiting.as_slices().0) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The command reads no more.
                Err(_) => return self.close(StreamEnd::Abandoned),
            }
        }
        // An idle job needs no room for it.
        self.waiting = VecDeque::new();
        if self.finish == Some(self.meter.bytes()) {
            match self.typed && self.added == 0 {
                // Once it was typed, nothing more is.
                true => {
                    self.waiting.push_back(end_of_file(pipe.as_fd()));
                    self.added = 1;
                    self.write();
                }
                false => self.close(StreamEnd::Eof),
            }
        }
    }

    /// The command reads no more.
    pub(super) fn abandon(&mut self) {
        self.close(StreamEnd::Abandoned);
    }

    fn close(&mut self, end: StreamEnd) {
        if self.pipe.take().is_some() {
            self.end = Some(end);
        }
    }

    /// What became of it, if there was one.
    pub(super) fn stream(&self) -> Option<StreamReport> {
        let end = || self.end.clone().unwrap_or(StreamEnd::Abandoned);
        self.exists.then(|| StreamReport { tally: self.meter.tally(), end: end() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::PipeFlags;

    fn input() -> (Input, OwnedFd) {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("a pipe");
        (Input::new(Some(write)), read)
    }

    fn read(pipe: &OwnedFd, max: usize) -> Vec<u8> {
        let mut bytes = vec![0; max];
        let length = rustix::io::read(pipe, &mut bytes).unwrap_or(0);
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn what_is_sent_twice_arrives_once_and_a_gap_is_refused() {
        let (mut input, pipe) = input();
        input.feed(0, b"abc");
        input.feed(0, b"ab");
        input.feed(1, b"bcdef");
        input.feed(9, b"x");
        input.feed(6, b"");
        assert_eq!(read(&pipe, 100), b"abcdef");
        assert_eq!(input.taken(), 6);
        input.finish(8);
        assert_eq!(input.end(), None, "two bytes are still to come");
        input.feed(6, b"ghij");
        assert_eq!(input.end(), Some(&StreamEnd::Eof));
        assert_eq!(read(&pipe, 100), b"gh");
        let stream = input.stream().expect("there was one");
        assert_eq!((stream.tally.bytes, stream.end), (8, StreamEnd::Eof));
    }

    #[test]
    fn it_takes_no_more_than_its_window() {
        let (mut input, pipe) = input();
        let piece = vec![7; 100_000];
        let window = STDIN_WINDOW as usize;
        input.feed(0, &piece);
        assert_eq!(input.taken(), STDIN_WINDOW, "a pipe has room for that");
        input.feed(STDIN_WINDOW, &piece);
        assert_eq!(input.taken(), STDIN_WINDOW);
        assert_eq!(read(&pipe, window), &piece[..window]);
        input.write();
        assert_eq!(input.taken(), 2 * STDIN_WINDOW, "a window was waiting, and no more");
        assert_eq!(read(&pipe, 2 * window).len(), window);
        input.write();
        assert_eq!(read(&pipe, window), [0; 0]);
    }

    #[test]
    fn a_command_that_reads_no_more_abandons_it() {
        let (mut input, pipe) = input();
        drop(pipe);
        // Rust's test processes ignore SIGPIPE, as keepers do.
        input.feed(0, b"abc");
        assert_eq!(input.end(), Some(&StreamEnd::Abandoned));
        input.finish(3);
        assert_eq!(input.stream().expect("there was one").end, StreamEnd::Abandoned);
        assert!(Input::new(None).stream().is_none());
    }
}
