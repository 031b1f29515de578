//! A supervisor: runs one command at a time, and owns all that comes of it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::children::ChildEvents;
use super::processes::{CommandEnd, Processes};
use super::{keeper, lookup};
use crate::process::command::{Descendants, Left};
use crate::process::socket;
use crate::process::sys::{self, Streams};
use crate::process::wire::{MESSAGE_MAX, Notice, Request, Spawn, Step, decode_keep};

/// How long sending a notice is tried while the kernel has no memory for it.
const NOTICE_TIME: Duration = Duration::from_secs(5);
/// How long to wait before it is tried again.
const NOTICE_RETRY: Duration = Duration::from_millis(10);
/// How often the unkillable are tried again once nobody waits for it.
const RETRY: Duration = Duration::from_secs(1);

/// How often to look for a command's end that was not announced: the announcement is a write, which can fail.
const LOST_EVENT: Duration = Duration::from_secs(5);

/// The server is gone, or has let this supervisor go.
struct Dismissed;

pub(super) struct Supervisor {
    /// `None` once it is the keeper's.
    control: Option<OwnedFd>,
    processes: Processes,
    buffer: Vec<u8>,
}

impl Supervisor {
    /// Serves until the socket ends; then kills what is left, and returns when nothing is.
    pub(super) fn run(control: OwnedFd) {
        if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_err() {
            return;
        }
        let Ok(events) = ChildEvents::new() else { return };
        let _ = rustix::thread::set_name(c"unglue-super");
        let mut supervisor =
            Self { control: Some(control), processes: Processes::new(events), buffer: vec![0; MESSAGE_MAX] };
        // If the server is gone already, the socket has ended, which the next step sees.
        let _ = supervisor.notify(Notice::Ready);
        while supervisor.step().is_ok() {}
        while supervisor.processes.kill_tree().1 > 0 {
            std::thread::sleep(RETRY);
        }
    }

    fn step(&mut self) -> Result<(), Dismissed> {
        let more_dead = self.processes.has_more_dead();
        let time = match self.processes.command() {
            _ if more_dead => Some(Duration::ZERO),
            Some(_) => Some(LOST_EVENT),
            None => None,
        };
        let ready = self.processes.events.wait(Some(self.control()?.as_fd()), time).map_err(|_| Dismissed)?;
        if ready.child || more_dead || !ready.socket {
            self.reap()?;
        }
        if ready.socket { self.receive() } else { Ok(()) }
    }

    fn control(&self) -> Result<&OwnedFd, Dismissed> {
        self.control.as_ref().ok_or(Dismissed)
    }

    fn receive(&mut self) -> Result<(), Dismissed> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let received = socket::receive(self.control()?, &mut buffer).map_err(|_| Dismissed)?;
        let result = self.handle(&buffer[..received.length], received.fds);
        self.buffer = buffer;
        result
    }

    fn handle(&mut self, message: &[u8], fds: Vec<OwnedFd>) -> Result<(), Dismissed> {
        // No message, or none that this understands: the server is gone.
        match Request::decode(message).ok_or(Dismissed)? {
            // A second command while one runs: the server is confused, and the tree must not grow.
            Request::Spawn { .. } | Request::Keep { .. } if self.processes.command().is_some() => Err(Dismissed),
            Request::Spawn { stdin, memfd } => {
                let notice = self.spawn(message, fds, stdin, memfd);
                self.notify(notice)
            }
            Request::Keep { memfd } => self.keep(message, fds, memfd),
            Request::Signal(signal) => {
                self.processes.signal(signal);
                Ok(())
            }
            Request::EndTree(Descendants::Kill) => self.end_by_killing(),
            Request::EndTree(Descendants::Leave) => self.end_by_leaving(),
        }
    }

    fn notify(&self, notice: Notice) -> Result<(), Dismissed> {
        notify(self.control()?, notice)
    }

    /// Becomes the keeper of a command. Returns when the job has ended.
    fn keep(&mut self, message: &[u8], fds: Vec<OwnedFd>, memfd: bool) -> Result<(), Dismissed> {
        let body = if memfd { fds.into_iter().next().and_then(|fd| read_from_start(fd).ok()) } else { None };
        let Some((terms, stdin, command)) = decode_keep(body.as_deref().unwrap_or(message)) else {
            return self.notify(Notice::Refused { step: Step::Request, errno: libc::EMFILE });
        };
        match keeper::start(&mut self.processes, &terms, stdin, &command) {
            Ok(started) => {
                drop(body);
                // The server may be gone: it will find the job by its directory.
                let _ = self.notify(Notice::Started { pid: started.pid() });
                started.run(&mut self.processes, self.control.take().ok_or(Dismissed)?);
            }
            Err((step, errno)) => self.notify(Notice::Refused { step, errno })?,
        }
        Err(Dismissed)
    }

    /// Starts the command that a request describes.
    fn spawn(&mut self, message: &[u8], fds: Vec<OwnedFd>, stdin: bool, memfd: bool) -> Notice {
        let mut fds = fds.into_iter();
        let body = if memfd { fds.next().and_then(|fd| read_from_start(fd).ok()) } else { None };
        let stdin = if stdin { fds.next() } else { None };
        let request = Spawn::decode(body.as_deref().unwrap_or(message));
        let (Some(request), Some(stdout), Some(stderr)) = (request, fds.next(), fds.next()) else {
            return Notice::Refused { step: Step::Request, errno: libc::EMFILE };
        };
        let given = [stdin.as_ref().map(AsFd::as_fd), Some(stdout.as_fd()), Some(stderr.as_fd())];
        match start(&request, &Streams::Given(given), false) {
            Ok(pid) => {
                self.processes.started(pid);
                Notice::Started { pid: pid as u32 }
            }
            Err((step, errno)) => Notice::Refused { step, errno },
        }
    }

    /// Reaps what ended, and reports the command's end; `false` when no child is left. It may leave some for the next time.
    fn reap(&mut self) -> Result<bool, Dismissed> {
        let any = self.processes.reap();
        self.report_end()?;
        Ok(any)
    }

    fn report_end(&mut self) -> Result<(), Dismissed> {
        match self.processes.take_end() {
            Some(CommandEnd { wait_status, user, system, alone }) => {
                self.notify(Notice::Exited { wait_status, user, system, alone })
            }
            None => Ok(()),
        }
    }

    fn end_by_killing(&mut self) -> Result<(), Dismissed> {
        let left = self.processes.end_by_killing();
        self.report_end()?;
        self.notify(Notice::TreeEnded(left))?;
        if matches!(left, Left::Unkillable(_)) { Err(Dismissed) } else { Ok(()) }
    }

    fn end_by_leaving(&mut self) -> Result<(), Dismissed> {
        if !self.reap()? {
            return self.notify(Notice::TreeEnded(Left::None));
        }
        let running = self.processes.count();
        self.processes.let_go();
        let _ = self.notify(Notice::TreeEnded(Left::Running(running)));
        self.control = None;
        self.processes.reap_all();
        sys::exit_now(0)
    }
}

fn read_from_start(fd: OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut file = File::from(fd);
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Sends a notice. The server waits for it without a deadline, so it is sent again as long as the kernel has no memory
/// for it; if that lasts, the end of the socket reports it.
fn notify(control: &OwnedFd, notice: Notice) -> Result<(), Dismissed> {
    let deadline = Instant::now() + NOTICE_TIME;
    loop {
        match socket::send(control, &notice.encode(), &[], true) {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) if Instant::now() < deadline => {
                std::thread::sleep(NOTICE_RETRY);
            }
            Err(_) => return Err(Dismissed),
        }
    }
}

/// Starts a command in its directory; this process enters it first, so that a refusal is distinguished from the program's.
///
/// With `login`, the program sees its file's name with `-` before it.
pub(super) fn start(request: &Spawn<'_>, streams: &Streams<'_>, login: bool) -> Result<i32, (Step, i32)> {
    let name = login.then(|| login_name(request.argv[0]));
    let mut argv = request.argv.clone();
    if let (Some(name), Some(first)) = (&name, argv.first_mut()) {
        *first = name;
    }
    rustix::process::chdir(request.cwd).map_err(|error| (Step::Cwd, error.raw_os_error()))?;
    let pid =
        lookup::first_runnable(request.argv[0], &request.env, |file| sys::spawn(file, &argv, &request.env, streams));
    // Don't keep the directory's file system busy.
    let _ = rustix::process::chdir(c"/");
    // posix_spawn(3) gives fork's errors and those of execve by the same way; these are not about the program.
    let lacking = |errno| matches!(errno, libc::EAGAIN | libc::ENOMEM | libc::ENFILE | libc::EMFILE);
    pid.map_err(|errno| (if lacking(errno) { Step::Process } else { Step::Program }, errno))
}

fn login_name(program: &CStr) -> CString {
    let file = program.to_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    // It is a part of a C string, so there is no NUL to find.
    CString::new([b"-", file].concat()).unwrap_or_default()
}
