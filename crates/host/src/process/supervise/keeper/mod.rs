//! A keeper: carries one command to its end, whatever becomes of the server. What it does is decided by
//! [`unglue_proto::life`]; it decides nothing itself.
//!
//! It waits for everything at once: its processes, both outputs, the input, the server and the clock. It never waits for the server, and
//! for the disk only when the job has ended.

mod connection;
mod input;
mod lease;
mod outputs;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use unglue_proto::life::{Action, End, Life, Output, Tree};
use unglue_proto::message::exec::{self, Exit, Left, Report, TerminalSize};
use unglue_proto::{Code, Fault};

use self::connection::{Connection, Incoming};
use self::input::Input;
use self::lease::LeaseClock;
use self::outputs::{BOTH, Outputs, Step as Moved};
use super::processes::Processes;
use super::supervisor;
use super::terminal::Terminal;
use crate::process::command::Status;
use crate::process::error::SpawnError;
use crate::process::keep::{Claimed, JobDirectory, KeepRequest, Progress, Resized, Sizes, ToKeeper};
use crate::process::sys::{self, Streams};
use crate::process::wire::{Spawn, Step};

/// How often to look for a command's end that was not announced: the announcement is a write, which can fail.
const LOST_EVENT: Duration = Duration::from_secs(30);
/// Bytes that are read at once: enough for the digest's widest way. Only what is read is touched, so it costs an idle job nothing.
const READ: usize = 256 * 1024;
/// How often messages are taken from a server that another one replaces: more than its queue holds.
const DRAIN: usize = 32;
/// How long the processes of a terminal that was hung up may take to end by themselves.
const HANG_UP: Duration = Duration::from_millis(500);
/// How long to wait before an outcome is written again.
const OUTCOME_RETRY: Duration = Duration::from_secs(1);

/// A job that has started.
pub(super) struct Keeper {
    life: Life,
    started: Instant,
    pid: u32,
    exit: Option<Exit>,
    outputs: Outputs,
    input: Input,
    lease: LeaseClock,
    terminal: Option<(Terminal, Sizes)>,
    listener: OwnedFd,
    place: Place,
}

/// Where the outcome goes.
struct Place {
    directory: JobDirectory,
    room: OwnedFd,
    durable: bool,
    /// The last to go: when it is released, there is an outcome.
    claimed: Claimed,
}

/// Our ends of a command's pipes, or of its terminal.
struct Pipes {
    stdin: Option<OwnedFd>,
    outputs: [OwnedFd; 2],
    terminal: Option<Terminal>,
}

/// Claims the job, and starts its command.
///
/// # Errors
/// Nothing runs. If the job was claimed, its outcome says so.
pub(super) fn start(
    processes: &mut Processes,
    terms: &KeepRequest,
    stdin: bool,
    command: &Spawn<'_>,
) -> Result<Keeper, (Step, i32)> {
    let in_directory = |error: Errno| (Step::Directory, error.raw_os_error());
    let directory = JobDirectory::open(&terms.directory()).map_err(in_directory)?;
    // All that needs room on the disk comes first, as long as nothing is decided.
    let room = directory.reserve_outcome().map_err(in_directory)?;
    let stdout = directory.create_spool(Output::Stdout).map_err(in_directory)?;
    let files = [stdout, directory.create_spool(Output::Stderr).map_err(in_directory)?];
    let sizes = match terms.terminal {
        Some(size) => {
            let file = directory.create_sizes().map_err(in_directory)?;
            Some(Sizes::begin(file, size).map_err(in_directory)?)
        }
        None => None,
    };
    let claimed = directory.claim().map_err(in_directory)?;
    // Where a server is removing it, another claim may have been here, which said that the command never starts.
    if !directory.is_at(&terms.directory()) {
        return Err(in_directory(Errno::NOENT));
    }
    let place = Place { directory, room, durable: terms.durable, claimed };
    match place.start(command, terms, stdin) {
        Ok((listener, pipes, pid)) => {
            processes.started(pid);
            let now = Instant::now();
            let mut life = Life::new(terms.terms(), now);
            let (outputs, input) = match pipes.terminal {
                None => (Outputs::new(pipes.outputs, files, terms.spool), Input::new(pipes.stdin)),
                Some(_) => {
                    life.handle_output_end(Output::Stderr);
                    let outputs = Outputs::of_terminal(pipes.outputs, files, terms.spool);
                    (outputs, Input::of_terminal(pipes.stdin))
                }
            };
            let lease = match terms.keep {
                Some(Duration::ZERO) if pipes.terminal.is_some() => LeaseClock::of_holder(now),
                keep => LeaseClock::new(keep, now),
            };
            let (terminal, pid) = (pipes.terminal.zip(sizes), pid as u32);
            Ok(Keeper { life, started: now, pid, exit: None, outputs, input, lease, terminal, listener, place })
        }
        Err((step, errno)) => {
            let program = || OsStr::from_bytes(command.argv[0].to_bytes()).to_owned();
            let cwd = || OsStr::from_bytes(command.cwd.to_bytes()).into();
            place.put(&Report::of(SpawnError::refused(step, errno, program, cwd).outcome()), |_| ());
            place.directory.remove_socket();
            Err((step, errno))
        }
    }
}

impl Place {
    fn start(
        &self,
        command: &Spawn<'_>,
        terms: &KeepRequest,
        stdin: bool,
    ) -> Result<(OwnedFd, Pipes, i32), (Step, i32)> {
        let in_directory = |error: Errno| (Step::Directory, error.raw_os_error());
        let listener = self.directory.listen().map_err(in_directory)?;
        let lacking = |error: Errno| (Step::Process, error.raw_os_error());
        let (pipes, theirs) = match terms.terminal {
            Some(size) => (
                Pipes::of_terminal(Terminal::open(size).map_err(lacking)?, stdin).map_err(lacking)?,
                [const { None }; 3],
            ),
            None => Pipes::new(stdin).map_err(lacking)?,
        };
        let path = pipes.terminal.as_ref().map(Terminal::path).transpose().map_err(lacking)?;
        self.claimed.starting().map_err(in_directory)?;
        if self.durable {
            self.directory.sync_claim(&self.claimed).map_err(in_directory)?;
        }
        let streams = match &path {
            Some(path) => Streams::Terminal(path),
            None => Streams::Given(theirs.each_ref().map(|end| end.as_ref().map(AsFd::as_fd))),
        };
        let pid = supervisor::start(command, &streams, terms.login)?;
        Ok((listener, pipes, pid))
    }

    /// Puts the outcome in its place. It is tried until it succeeds, unless the directory is gone; `failed` is called when it fails
    /// for the first time.
    fn put(&self, report: &Report, failed: impl FnOnce(&Report)) {
        let mut failed = Some(failed);
        let text = serde_json::to_vec(report).unwrap_or_default();
        while let Err(error) = self.directory.put_outcome(self.room.as_fd(), &text, self.durable) {
            if let Some(failed) = failed.take() {
                failed(report);
            }
            if matches!(error, Errno::NOENT | Errno::STALE) {
                return;
            }
            std::thread::sleep(OUTCOME_RETRY);
        }
    }
}

impl Pipes {
    /// Our ends, which are non-blocking, and the command's.
    fn new(stdin: bool) -> rustix::io::Result<(Self, [Option<OwnedFd>; 3])> {
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let input = if stdin { Some(pipe()?) } else { None };
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        let (their_stdin, stdin) = input.unzip();
        for ours in [Some(&stdout), Some(&stderr), stdin.as_ref()].into_iter().flatten() {
            rustix::io::ioctl_fionbio(ours, true)?;
        }
        let theirs = [their_stdin, Some(their_stdout), Some(their_stderr)];
        Ok((Self { stdin, outputs: [stdout, stderr], terminal: None }, theirs))
    }

    /// The ends of a terminal. It has one output; the place of the other is taken by a descriptor that is not read.
    fn of_terminal(terminal: Terminal, stdin: bool) -> rustix::io::Result<Self> {
        let stdin = if stdin { Some(terminal.master()?) } else { None };
        let outputs = [terminal.master()?, terminal.master()?];
        Ok(Self { stdin, outputs, terminal: Some(terminal) })
    }
}

impl Keeper {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Carries the job to its end, and puts its outcome in its place. `control` is the connection of the server that started it.
    ///
    /// Returns when what is left is to be killed, if anything is.
    pub(super) fn run(self, processes: &mut Processes, control: OwnedFd) {
        let Keeper { life, started, pid, exit, outputs, input, lease, terminal, listener, place } = self;
        let has_stderr = terminal.is_none();
        let connection = Connection::new(listener, control, Progress { pid, ..Progress::default() });
        let connection = if has_stderr { connection } else { connection.of_terminal() };
        let _ = rustix::thread::set_name(c"unglue-keeper");
        let buffer = vec![0; READ];
        let hang_up = None;
        let mut running =
            Running { life, pid, exit, outputs, input, lease, terminal, hang_up, connection, buffer, processes };
        let end = running.until_concluded();
        let left = end.descendants.clone();
        let Running { outputs, input, terminal, connection, .. } = running;
        if place.durable {
            // Its error comes again with the outcome's own.
            let _ = outputs.sync();
        }
        let [stdout, stderr] = outputs.streams();
        let wall_us = started.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
        let report = Report {
            stdout: Some(stdout),
            stderr: has_stderr.then_some(stderr),
            stdin: input.stream(),
            descendants: end.descendants,
            wall_us,
            ..Report::of(end.outcome)
        };
        place.put(&report, |report| {
            if !place.durable {
                connection.end(report);
            }
        });
        place.directory.remove_socket();
        // What was left running learns that its terminal is gone.
        drop((outputs, input, terminal));
        drop(place);
        // The server now looks for the outcome.
        drop(connection);
        if left == Some(Left::Left) {
            processes.reap_all();
        }
    }
}

/// A job under way.
struct Running<'a> {
    life: Life,
    pid: u32,
    exit: Option<Exit>,
    outputs: Outputs,
    input: Input,
    lease: LeaseClock,
    terminal: Option<(Terminal, Sizes)>,
    /// The terminal was hung up for this reason; at this time what is left is killed.
    hang_up: Option<(Fault, Instant)>,
    connection: Connection,
    buffer: Vec<u8>,
    processes: &'a mut Processes,
}

/// What can become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Children,
    Listener,
    Server,
    Input,
    Output(Output),
}

impl Running<'_> {
    fn until_concluded(&mut self) -> End {
        loop {
            if let Some(end) = self.act() {
                return end;
            }
            let progress = self.progress();
            self.connection.report(progress, Instant::now());
            let ready = self.wait();
            self.on_time(Instant::now());
            if ready.is_empty() || self.processes.has_more_dead() {
                self.on_children();
            }
            for (source, how) in ready {
                self.on_ready(source, how, Instant::now());
            }
        }
    }

    /// Does what there is to do; `Some` once there will be nothing more.
    fn act(&mut self) -> Option<End> {
        while let Some(action) = self.life.poll_action() {
            match action {
                Action::AnnounceExit(exit) => self.exit = Some(exit),
                Action::LastOutput => {
                    for output in BOTH {
                        let moved = self.outputs.last_call(output);
                        self.on_moved(output, moved);
                    }
                }
                Action::EndTree(descendants) => self.end_tree(descendants),
                Action::Conclude(end) => return Some(end),
            }
        }
        None
    }

    fn end_tree(&mut self, descendants: exec::Descendants) {
        let tree = match descendants {
            exec::Descendants::Kill => {
                if self.exit.is_none() {
                    self.outputs.discard(Instant::now());
                }
                Tree::from(self.processes.end_by_killing())
            }
            exec::Descendants::Leave if !self.processes.reap() => Tree::Empty,
            exec::Descendants::Leave => Tree::Left(self.processes.count()),
        };
        self.life.handle_tree_end(tree);
        self.on_command_end();
    }

    fn progress(&self) -> Progress {
        Progress {
            pid: self.pid,
            stdout: self.outputs.written(Output::Stdout),
            stderr: self.outputs.written(Output::Stderr),
            stdin: self.input.taken(),
            received: self.input.received(),
            stdin_end: self.input.end().cloned(),
            exit: self.exit.clone(),
            stalled: self.outputs.is_stalled(),
        }
    }

    /// Waits until something is ready, or it is time for something.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let mut watched: Vec<(Source, BorrowedFd<'_>, PollFlags)> = vec![
            (Source::Children, self.processes.events.fd(), PollFlags::IN),
            (Source::Listener, self.connection.listener(), PollFlags::IN),
        ];
        watched.extend(self.connection.server().map(|fd| (Source::Server, fd, PollFlags::IN)));
        watched.extend(
            self.input
                .watched()
                .map(|(fd, more)| (Source::Input, fd, if more { PollFlags::OUT } else { PollFlags::empty() })),
        );
        let now = Instant::now();
        let outputs =
            BOTH.iter().filter_map(|&output| Some((Source::Output(output), self.outputs.watched(output, now)?)));
        watched.extend(outputs.map(|(source, fd)| (source, fd, PollFlags::IN)));
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|&(_, fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let time = self.time(now);
        let time = time.map(|time| Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() });
        match poll(&mut fds, time.as_ref()) {
            Ok(_) => {}
            // A handler ran: a child ended.
            Err(Errno::INTR) => return vec![(Source::Children, PollFlags::IN)],
            // Out of memory: a moment later there may be some.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        let ready = fds.iter().zip(&watched).map(|(fd, &(source, ..))| (source, fd.revents()));
        ready.filter(|(_, how)| !how.is_empty()).collect()
    }

    /// How long to wait at most.
    fn time(&self, now: Instant) -> Option<Duration> {
        if self.processes.has_more_dead() {
            return Some(Duration::ZERO);
        }
        let hang_up = self.hang_up.as_ref().map(|(_, due)| *due);
        let outputs = [self.outputs.due(), self.outputs.next_look(now)].into_iter().flatten().min();
        let due = [self.life.poll_timeout(), self.lease.due(), outputs, self.connection.due(), hang_up];
        let due = due.into_iter().flatten().map(|due| due.saturating_duration_since(now));
        due.chain(self.processes.command().map(|_| LOST_EVENT)).min()
    }

    fn on_time(&mut self, now: Instant) {
        if self.life.poll_timeout().is_some_and(|due| due <= now) {
            self.life.handle_timeout(now);
        }
        if let Some(time) = self.lease.ended(now) {
            // Once is enough.
            self.lease = LeaseClock::new(None, now);
            self.cancel(nobody_held_it(time), now);
        }
        if let Some((why, _)) = self.hang_up.take_if(|(_, due)| *due <= now) {
            self.kill(why, now);
        }
        if self.outputs.due().is_some_and(|due| due <= now) {
            for output in BOTH {
                let moved = self.outputs.retry(output, now);
                self.on_moved(output, moved);
            }
        }
    }

    fn on_ready(&mut self, source: Source, how: PollFlags, now: Instant) {
        match source {
            Source::Children => {
                self.processes.events.take();
                self.on_children();
            }
            Source::Listener => {
                // What the server before has sent counts, though it may be gone.
                (0..DRAIN).for_each(|_| self.on_server(now));
                let progress = self.progress();
                if self.connection.accept(progress, now) {
                    self.hold(false, now);
                }
            }
            Source::Server => self.on_server(now),
            // The pipe's reader has gone, or the terminal's last one.
            Source::Input if how.intersects(PollFlags::ERR | PollFlags::HUP) => self.input.abandon(),
            Source::Input => self.input.write(),
            Source::Output(output) => {
                let moved = self.outputs.step(output, &mut self.buffer, now);
                self.on_moved(output, moved);
            }
        }
    }

    fn on_children(&mut self) {
        if !self.processes.reap() {
            self.life.handle_tree_end(Tree::Empty);
        }
        self.on_command_end();
    }

    fn on_command_end(&mut self) {
        if let Some(end) = self.processes.take_end() {
            if let Some((terminal, _)) = &mut self.terminal {
                terminal.let_go();
                // What the terminal still holds is bounded, and is read.
                self.outputs.set_room(None);
            }
            if let Some((why, _)) = self.hang_up.take() {
                self.kill(why, Instant::now());
            }
            self.life.handle_exit(Status::of_wait(end.wait_status).into(), Instant::now());
        }
    }

    fn on_moved(&mut self, output: Output, moved: Moved) {
        match moved {
            Moved::More => {}
            Moved::Ended => self.life.handle_output_end(output),
            Moved::Failed(fault) => self.life.handle_output_failure(output, fault),
            Moved::LimitReached(limit) => {
                self.life.handle_output_limit(limit, Instant::now());
                for output in BOTH {
                    if self.outputs.abandon(output) {
                        self.life.handle_output_end(output);
                    }
                }
            }
        }
    }

    fn on_server(&mut self, now: Instant) {
        let mut requests = Vec::new();
        let (input, mut gone) = (&mut self.input, false);
        self.connection.receive(&mut self.buffer, |incoming| match incoming {
            Incoming::Feed { offset, data } => input.feed(offset, data),
            Incoming::Gone => gone = true,
            Incoming::Request(ToKeeper::FinishStdin { at }) => input.finish(at),
            Incoming::Request(request) => requests.push(request),
        });
        for request in requests {
            match request {
                ToKeeper::Signal { number } => self.signal(number),
                ToKeeper::Hold { held } => self.hold(held, now),
                ToKeeper::Resize(size) => self.resize(size),
                ToKeeper::Trimmed { before } => self.outputs.set_trimmed(before),
                ToKeeper::Room { upto } if self.exit.is_none() => self.outputs.set_room(Some(upto)),
                ToKeeper::Cancel(why) => self.cancel(*why, now),
                ToKeeper::Limit(limit) => self.outputs.set_limit(limit),
                ToKeeper::Room { .. } | ToKeeper::Seen { .. } | ToKeeper::FinishStdin { .. } => {}
            }
        }
        if gone {
            self.hold(false, now);
        }
    }

    /// Whether a client holds the job from now on.
    fn hold(&mut self, held: bool, now: Instant) {
        self.lease.hold(held, now);
        // Until the next holder says how much it has room for.
        self.outputs.set_room(None);
    }

    fn resize(&mut self, size: TerminalSize) {
        let at = self.outputs.written(Output::Stdout);
        if let Some((terminal, sizes)) = &mut self.terminal {
            // What was printed before is laid out for the size before.
            sizes.note(Resized { at, size });
            // It fails for a terminal whose processes are gone, and does not matter then.
            let _ = terminal.resize(size);
        }
    }

    /// Sends a signal to the command's process group, or to the foreground process group of its terminal.
    fn signal(&self, number: i32) {
        match self.terminal.as_ref().and_then(|(terminal, _)| terminal.foreground()) {
            // ESRCH: it ended just now.
            Some(group) => drop(sys::kill(-group, number)),
            None => self.processes.signal(number),
        }
    }

    /// Ends the job. A terminal is hung up first, as when a person switches it off.
    fn cancel(&mut self, why: Fault, now: Instant) {
        if self.terminal.is_none() || self.exit.is_some() {
            return self.kill(why, now);
        }
        if self.hang_up.is_none() {
            self.hang_up = Some((why, now + HANG_UP));
            self.signal(libc::SIGHUP);
            self.processes.signal(libc::SIGHUP);
            // A stopped process would not see it.
            self.signal(libc::SIGCONT);
            self.outputs.set_room(None);
        }
    }

    fn kill(&mut self, why: Fault, now: Instant) {
        self.life.handle_cancel(why, now);
        self.outputs.discard(now);
    }
}

fn nobody_held_it(time: Duration) -> Fault {
    if time.is_zero() {
        return Fault::user(Code::Cancelled, "the client has gone")
            .advise("a command that is to outlive its client needs the lease keep or detach");
    }
    let what = format!("nobody held the command for {} s, the time that it was started with", time.as_secs_f64());
    Fault::user(Code::Cancelled, what).advise("start it with a longer `keep`, or with `detach`")
}
