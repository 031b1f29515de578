//! What a command prints, from its pipes to its spools.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use unglue_proto::life::Output;
use unglue_proto::message::exec::{StreamEnd, StreamReport};
use unglue_proto::{Code, Fault, Meter};

use crate::errno;
use crate::process::flow::Flow;
use crate::process::keep::SpoolLimit;
use crate::process::pipe::{is_hung_up, widen};

pub(super) const BOTH: [Output; 2] = [Output::Stdout, Output::Stderr];

/// A pipe's usual capacity. A read of so much means a busy pipe.
const BUSY: usize = 64 * 1024;
/// Bytes of a terminal that are put together.
const TOGETHER: usize = 64 * 1024;
/// A piece of a terminal that is smaller is mostly all there is.
const PART: usize = 1024;
/// How long to wait for room on the disk before writing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Both outputs of a command.
pub(super) struct Outputs {
    spools: [Spool; 2],
    limit: SpoolLimit,
    /// When to try again what the disk had no room for.
    retry: Option<Instant>,
    /// What the disk has no room for is not waited for.
    discard: bool,
    /// It is a terminal's: one output, which ends with an error.
    terminal: bool,
    /// How far the holder has room for what a terminal shows; `None` if it is not held.
    room: Option<u64>,
    /// So much of a terminal's output was dropped.
    trimmed: u64,
}

struct Spool {
    /// `None` once it is closed.
    pipe: Option<OwnedFd>,
    file: OwnedFd,
    /// What was written.
    meter: Meter,
    /// What was read, and could not be written yet.
    waiting: Vec<u8>,
    /// So much is still to be read, if the end is near.
    rest: Option<u64>,
    end: Option<StreamEnd>,
    /// Whether the pipe was made wider, once that was tried.
    wide: Option<bool>,
    flow: Flow,
    /// In full flow, and not to be looked at before.
    pauses: Option<Instant>,
}

/// What one step has brought.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Some bytes, or nothing.
    More,
    /// This output has ended.
    Ended,
    /// This output can't be moved any further.
    Failed(Fault),
    /// The command prints more than it may.
    LimitReached(u64),
}

impl Outputs {
    /// Of these pipes, which are non-blocking, into these empty files.
    pub(super) fn new(pipes: [OwnedFd; 2], files: [OwnedFd; 2], limit: SpoolLimit) -> Self {
        let spool = |pipe: OwnedFd, file| Spool {
            pipe: Some(pipe),
            file,
            meter: Meter::default(),
            waiting: Vec::new(),
            rest: None,
            end: None,
            wide: None,
            flow: Flow::new(Instant::now()),
            pauses: None,
        };
        let [out, err] = pipes;
        let [out_file, err_file] = files;
        let spools = [spool(out, out_file), spool(err, err_file)];
        Self { spools, limit, retry: None, discard: false, terminal: false, room: None, trimmed: 0 }
    }

    /// Of a terminal, by its non-blocking end. There is no second output.
    pub(super) fn of_terminal([master, unused]: [OwnedFd; 2], files: [OwnedFd; 2], limit: SpoolLimit) -> Self {
        let mut outputs = Self::new([master, unused], files, limit);
        let _ = outputs.spools[Output::Stderr as usize].end(StreamEnd::Eof);
        Self { terminal: true, ..outputs }
    }

    /// What the spool holds before this offset was dropped.
    pub(super) fn set_trimmed(&mut self, before: u64) {
        self.trimmed = before.min(self.stored());
    }

    /// How far the holder has room; `None` if no client shows what the terminal prints.
    pub(super) fn set_room(&mut self, upto: Option<u64>) {
        self.room = upto;
    }

    /// Whether the holder has no room for more: the terminal waits, as one does that a person has stopped.
    fn waits_for_holder(&self) -> bool {
        self.room.is_some_and(|upto| self.spools[Output::Stdout as usize].meter.bytes() >= upto)
    }

    /// Bytes in a spool.
    pub(super) fn written(&self, output: Output) -> u64 {
        self.spools[output as usize].meter.bytes()
    }

    /// Whether the command's output waits.
    pub(super) fn is_stalled(&self) -> bool {
        let waits = |spool: &Spool| {
            spool.end.is_none() && (!spool.waiting.is_empty() || (spool.rest.is_none() && self.is_at_stall()))
        };
        self.spools.iter().any(waits)
    }

    fn stored(&self) -> u64 {
        self.spools.iter().map(|spool| spool.meter.bytes() + spool.waiting.len() as u64).sum()
    }

    fn is_at_stall(&self) -> bool {
        matches!(self.limit, SpoolLimit::Stall(most) if self.stored() - self.trimmed >= most)
    }

    /// The limit from now on.
    pub(super) fn set_limit(&mut self, limit: SpoolLimit) {
        self.limit = limit;
    }

    /// The pipe that is to be read now.
    pub(super) fn watched(&self, output: Output, now: Instant) -> Option<BorrowedFd<'_>> {
        let spool = &self.spools[output as usize];
        let stops = || self.is_at_stall() || self.waits_for_holder();
        let pauses = spool.pauses.is_some_and(|until| now < until);
        let waits = pauses || spool.end.is_some() || !spool.waiting.is_empty() || (spool.rest.is_none() && stops());
        spool.pipe.as_ref().filter(|_| !waits).map(AsFd::as_fd)
    }

    /// When to call [`Outputs::retry`].
    pub(super) fn due(&self) -> Option<Instant> {
        self.retry.filter(|_| self.spools.iter().any(|spool| !spool.waiting.is_empty()))
    }

    /// When to look at a pipe in full flow that is left alone now.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        self.spools.iter().filter_map(|spool| spool.pauses).filter(|&until| now < until).min()
    }

    /// Reads some of a pipe that is readable, by this buffer.
    pub(super) fn step(&mut self, output: Output, buffer: &mut [u8], now: Instant) -> Step {
        let room = match (self.limit, self.spools[output as usize].rest) {
            // What the pipes hold at the end is bounded.
            (SpoolLimit::Stall(_), Some(_)) => u64::MAX,
            (SpoolLimit::Stall(most), _) => most.saturating_sub(self.stored() - self.trimmed),
            (SpoolLimit::End(most), _) => most.saturating_sub(self.stored()),
        };
        if room == 0 && matches!(self.limit, SpoolLimit::Stall(_)) {
            return Step::More;
        }
        let spool = &mut self.spools[output as usize];
        let (Some(pipe), None) = (&spool.pipe, &spool.end) else { return Step::More };
        spool.pauses = None;
        // Whether there is more than the limit allows is found out by one byte.
        let shown = self.room.map_or(u64::MAX, |upto| upto.saturating_sub(spool.meter.bytes()).max(1));
        let max = room.max(1).min(shown).min(spool.rest.unwrap_or(u64::MAX)).min(buffer.len() as u64) as usize;
        let read = match (read(pipe, &mut buffer[..max], self.terminal), self.limit) {
            (Ok(0), _) => return spool.end(StreamEnd::Eof),
            (Ok(_), SpoolLimit::End(most)) if room == 0 => return Step::LimitReached(most),
            (Ok(read), _) => read,
            (Err(Errno::AGAIN | Errno::INTR), _) => return Step::More,
            (Err(error), _) => return spool.fail(read_failed(output, error)),
        };
        spool.flow.count(read, now);
        let flows = spool.flow.is_full();
        // A pipe that can't be made wider would keep its writer waiting between two looks.
        let wide = !self.terminal && (read >= BUSY || flows) && *spool.wide.get_or_insert_with(|| widen(pipe));
        if flows && wide && read < max && spool.rest.is_none() {
            spool.pauses = Some(now + Flow::TICK);
        }
        spool.rest = spool.rest.map(|rest| rest - (read as u64).min(rest));
        let (written, result) = spool.write(&buffer[..read]);
        spool.waiting.extend_from_slice(&buffer[written..read]);
        self.wrote(output, result, now)
    }

    /// Writes what the disk had no room for. To be called for both outputs.
    pub(super) fn retry(&mut self, output: Output, now: Instant) -> Step {
        let spool = &mut self.spools[output as usize];
        if spool.waiting.is_empty() {
            return Step::More;
        }
        let waiting = std::mem::take(&mut spool.waiting);
        let (written, result) = spool.write(&waiting);
        spool.waiting = waiting[written..].to_vec();
        self.wrote(output, result, now)
    }

    fn wrote(&mut self, output: Output, result: Result<(), Errno>, now: Instant) -> Step {
        let may_wait = !self.discard && matches!(self.limit, SpoolLimit::Stall(_));
        let spool = &mut self.spools[output as usize];
        match result {
            Ok(()) if spool.rest == Some(0) => spool.end(StreamEnd::HeldOpen),
            Ok(()) => Step::More,
            Err(Errno::NOSPC | Errno::DQUOT) if may_wait => {
                self.retry = Some(now + RETRY);
                Step::More
            }
            Err(Errno::NOSPC | Errno::DQUOT) if self.discard => {
                spool.waiting = Vec::new();
                spool.end(StreamEnd::Cut)
            }
            Err(error) => spool.fail(write_failed(output, spool.meter.bytes(), error)),
        }
    }

    /// What a pipe holds now is the last of it.
    pub(super) fn last_call(&mut self, output: Output) -> Step {
        let spool = &mut self.spools[output as usize];
        let (Some(pipe), None) = (&spool.pipe, &spool.end) else { return Step::More };
        spool.pauses = None;
        // Where no writer is left, the rest can't grow: all of it is taken, to the end of file.
        let rest = match is_hung_up(pipe) {
            Ok(true) => Ok(u64::MAX),
            Ok(false) => rustix::io::ioctl_fionread(pipe),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        };
        match rest {
            Ok(0) if spool.waiting.is_empty() => spool.end(StreamEnd::HeldOpen),
            Ok(rest) => {
                spool.rest = Some(rest);
                spool.pauses = None;
                Step::More
            }
            Err(error) => spool.fail(read_failed(output, error)),
        }
    }

    /// From now on, what the disk has no room for is lost: the job is being ended. [`Outputs::retry`] sees it at once.
    pub(super) fn discard(&mut self, now: Instant) {
        self.discard = true;
        self.retry = self.retry.map(|_| now);
    }

    /// Nothing more is read of this output; `false` if it had ended.
    pub(super) fn abandon(&mut self, output: Output) -> bool {
        let spool = &mut self.spools[output as usize];
        let open = spool.end.is_none();
        if open {
            spool.waiting = Vec::new();
            let _ = spool.end(StreamEnd::Abandoned);
        }
        open
    }

    /// Makes the spools durable.
    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        self.spools.iter().try_for_each(|spool| rustix::fs::fdatasync(&spool.file))
    }

    /// What became of them.
    pub(super) fn streams(&self) -> [StreamReport; 2] {
        [0, 1].map(|output: usize| {
            let spool = &self.spools[output];
            StreamReport { tally: spool.meter.tally(), end: spool.end.clone().unwrap_or(StreamEnd::Abandoned) }
        })
    }
}

impl Spool {
    /// Writes as much as the system takes.
    fn write(&mut self, bytes: &[u8]) -> (usize, Result<(), Errno>) {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::pwrite(&self.file, &bytes[written..], self.meter.bytes()) {
                Ok(0) => return (written, Err(Errno::IO)),
                Ok(more) => {
                    self.meter.pass(&bytes[written..written + more]);
                    written += more;
                }
                Err(Errno::INTR) => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// A pipe that is held open stays open: its holders would die of SIGPIPE before it is decided what becomes of them.
    fn end(&mut self, end: StreamEnd) -> Step {
        if end != StreamEnd::HeldOpen {
            self.pipe = None;
        }
        self.end = Some(end);
        Step::Ended
    }

    fn fail(&mut self, fault: Fault) -> Step {
        self.waiting = Vec::new();
        let _ = self.end(StreamEnd::Cut);
        Step::Failed(fault)
    }
}

/// Reads what there is. A terminal gives some 4 KiB at once, and fails with EIO at its end, when all was read: several of its
/// pieces are put together.
fn read(pipe: &OwnedFd, buffer: &mut [u8], terminal: bool) -> Result<usize, Errno> {
    if !terminal {
        return rustix::io::read(pipe, buffer);
    }
    let most = buffer.len().min(TOGETHER);
    let mut filled = 0;
    loop {
        match rustix::io::read(pipe, &mut buffer[filled..most]) {
            Ok(0) | Err(Errno::IO) => return Ok(filled),
            Ok(read) if read >= PART && filled + read < most => filled += read,
            Ok(read) => return Ok(filled + read),
            // What ended it comes again.
            Err(_) if filled > 0 => return Ok(filled),
            Err(error) => return Err(error),
        }
    }
}

fn name(output: Output) -> &'static str {
    match output {
        Output::Stdout => "standard output",
        Output::Stderr => "standard error",
    }
}

fn read_failed(output: Output, error: Errno) -> Fault {
    let what = format!("the command's {} could not be read: {}", name(output), errno::describe(error));
    Fault::system(Code::System, what).errno(errno::name(error)).advise("the command was killed: the rest of it is lost")
}

fn write_failed(output: Output, at: u64, error: Errno) -> Fault {
    let what =
        format!("the command's {} could not be stored after {at} bytes: {}", name(output), errno::describe(error));
    Fault::system(Code::System, what).errno(errno::name(error)).advise("the command was killed: the rest of it is lost")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_pipe_in_full_flow_is_left_alone_for_a_moment() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let (unused, _writer) = std::io::pipe().expect("a pipe");
        let file = || OwnedFd::from(tempfile::tempfile().expect("a file"));
        let mut outputs = Outputs::new([reader.into(), unused.into()], [file(), file()], SpoolLimit::Stall(u64::MAX));
        let (began, mut buffer) = (Instant::now(), vec![0; BUSY]);
        writer.write_all(b"slow").expect("a reader");
        assert_eq!(outputs.step(Output::Stdout, &mut buffer, began), Step::More);
        assert_eq!(outputs.next_look(began), None);
        assert!(outputs.watched(Output::Stdout, began).is_some());

        // As if so much had been read in one period.
        let now = began + Duration::from_millis(2);
        outputs.spools[0].flow.count(1 << 20, now);
        writer.write_all(b"full flow").expect("a reader");
        assert_eq!(outputs.step(Output::Stdout, &mut buffer, now), Step::More);
        let look = outputs.next_look(now).expect("a pause");
        assert!(outputs.watched(Output::Stdout, now).is_none());
        assert!(outputs.watched(Output::Stdout, look).is_some());
        assert_eq!(outputs.next_look(look), None, "it is waited for like any other");
        assert_eq!(outputs.written(Output::Stdout), 13);
    }
}
