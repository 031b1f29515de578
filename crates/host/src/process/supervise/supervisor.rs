//! A supervisor: runs one command at a time, and owns all that comes of it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::cgroup::Cgroup;
use super::children::ChildEvents;
use super::{lookup, tree};
use crate::process::command::{Descendants, Left};
use crate::process::socket;
use crate::process::sys::{self, Wait};
use crate::process::wire::{MESSAGE_MAX, Notice, Request, Spawn, Step};

/// How long a tree may take to die before the job ends as [`Left::Unkillable`]. Killed processes go within
/// milliseconds, unless they hang in the kernel.
const KILL_TIME: Duration = Duration::from_millis(1500);
/// How long to wait for a death before looking for processes that are new.
const KILL_ROUND: Duration = Duration::from_millis(20);
/// How long one round of reaping may take. A tree that forks and ends as fast as it can has always one more dead process.
const REAP_TIME: Duration = Duration::from_millis(5);
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
    control: OwnedFd,
    events: ChildEvents,
    /// The command's process, until it is reaped.
    command: Option<i32>,
    buffer: Vec<u8>,
    /// The tree is being killed: a command that ends now hasn't ended alone.
    killing: bool,
    /// The last round of reaping was cut short.
    more_dead: bool,
}

impl Supervisor {
    /// Serves until the socket ends; then kills what is left, and returns when nothing is.
    pub(super) fn run(control: OwnedFd) {
        if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_err() {
            return;
        }
        let Ok(events) = ChildEvents::new() else { return };
        let _ = rustix::thread::set_name(c"unglue-super");
        let buffer = vec![0; MESSAGE_MAX];
        let mut supervisor = Self { control, events, command: None, buffer, killing: false, more_dead: false };
        // If the server is gone already, the socket has ended, which the next step sees.
        let _ = supervisor.notify(Notice::Ready);
        while supervisor.step().is_ok() {}
        while supervisor.kill_tree().1 > 0 {
            std::thread::sleep(RETRY);
        }
    }

    fn step(&mut self) -> Result<(), Dismissed> {
        let time = match self.command {
            _ if self.more_dead => Some(Duration::ZERO),
            Some(_) => Some(LOST_EVENT),
            None => None,
        };
        let ready = self.events.wait(Some(self.control.as_fd()), time).map_err(|_| Dismissed)?;
        if ready.child || self.more_dead || !ready.socket {
            self.reap()?;
        }
        if ready.socket { self.receive() } else { Ok(()) }
    }

    fn receive(&mut self) -> Result<(), Dismissed> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let received = socket::receive(&self.control, &mut buffer).map_err(|_| Dismissed)?;
        let result = self.handle(&buffer[..received.length], received.fds);
        self.buffer = buffer;
        result
    }

    fn handle(&mut self, message: &[u8], fds: Vec<OwnedFd>) -> Result<(), Dismissed> {
        // No message, or none that this understands: the server is gone.
        match Request::decode(message).ok_or(Dismissed)? {
            // A second command while one runs: the server is confused, and the tree must not grow.
            Request::Spawn { .. } if self.command.is_some() => Err(Dismissed),
            Request::Spawn { stdin, memfd } => {
                let notice = self.spawn(message, fds, stdin, memfd);
                self.notify(notice)
            }
            Request::Signal(signal) => {
                if let Some(pid) = self.command {
                    // ESRCH: it ended, and isn't reaped yet.
                    let _ = sys::kill(-pid, signal);
                }
                Ok(())
            }
            Request::EndTree(Descendants::Kill) => self.end_by_killing(),
            Request::EndTree(Descendants::Leave) => self.end_by_leaving(),
        }
    }

    /// Sends a notice. The server waits for it without a deadline, so it is sent again as long as the kernel has no memory
    /// for it; if that lasts, the end of the socket reports it.
    fn notify(&self, notice: Notice) -> Result<(), Dismissed> {
        let deadline = Instant::now() + NOTICE_TIME;
        loop {
            match socket::send(&self.control, &notice.encode(), &[], true) {
                Ok(()) => return Ok(()),
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) if Instant::now() < deadline => {
                    std::thread::sleep(NOTICE_RETRY);
                }
                Err(_) => return Err(Dismissed),
            }
        }
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
        match start(&request, [stdin.as_ref().map(AsFd::as_fd), Some(stdout.as_fd()), Some(stderr.as_fd())]) {
            Ok(pid) => {
                self.command = Some(pid);
                Notice::Started { pid: pid as u32 }
            }
            Err((step, errno)) => Notice::Refused { step, errno },
        }
    }

    /// Reaps what ended, and reports the command's end; `false` when no child is left. It may leave some for the next time.
    fn reap(&mut self) -> Result<bool, Dismissed> {
        let mut exit = None;
        let started = Instant::now();
        self.more_dead = false;
        let any = loop {
            match sys::wait_any() {
                Wait::Ended { pid, wait_status, user, system } if self.command == Some(pid) => {
                    exit = Some((wait_status, user, system));
                }
                Wait::Ended { .. } | Wait::Stopped { .. } => {}
                Wait::Nothing => break true,
                Wait::Childless => break false,
            }
            if started.elapsed() >= REAP_TIME {
                self.more_dead = true;
                break true;
            }
        };
        if let Some((wait_status, user, system)) = exit {
            self.command = None;
            self.notify(Notice::Exited { wait_status, user, system, alone: !any && !self.killing })?;
        }
        Ok(any)
    }

    /// The same where the server no longer needs the notice, or sees the socket's end instead.
    fn reap_silently(&mut self) -> bool {
        self.reap().unwrap_or(true)
    }

    fn end_by_killing(&mut self) -> Result<(), Dismissed> {
        self.killing = true;
        // A hundred busy processes would leave this one a hundredth of the cores. Only root may; others do without.
        let _ = rustix::process::setpriority_process(None, -20);
        let (killed, survivors) = self.kill_tree();
        let _ = rustix::process::setpriority_process(None, 0);
        self.killing = false;
        self.notify(Notice::TreeEnded(match (killed, survivors) {
            (0, 0) => Left::None,
            (killed, 0) => Left::Killed(killed),
            (_, survivors) => Left::Unkillable(survivors),
        }))?;
        if survivors == 0 { Ok(()) } else { Err(Dismissed) }
    }

    /// Kills every descendant; returns how many it killed, without the command's own process, and how many live.
    fn kill_tree(&mut self) -> (u32, u32) {
        let deadline = Instant::now() + KILL_TIME;
        let command = self.command;
        let mut killed = HashSet::new();
        let mut group = None;
        while self.reap_silently() {
            let pass = tree::kill_pass(&HashSet::new(), || {
                self.reap_silently();
            });
            // Signals did not reach the whole tree: it runs away, or some of it is another user's.
            let forced = if pass.settled && pass.refused.is_empty() {
                Vec::new()
            } else {
                self.reap_silently();
                let group = group.get_or_insert_with(Cgroup::new).as_ref();
                group.map(|group| group.kill(|found| tree::each(found))).unwrap_or_default()
            };
            let hopeless = pass.killed.is_empty() && forced.is_empty() && !pass.refused.is_empty();
            if hopeless || Instant::now() > deadline {
                // There are children, even if none can be seen.
                let living = pass.killed.len() + pass.refused.len();
                return (killed.len() as u32, living.max(1) as u32);
            }
            killed.extend(pass.killed.into_iter().chain(forced).filter(|&pid| Some(pid) != command));
            // While the tree runs away, every moment counts.
            if pass.settled {
                let _ = self.events.wait(None, Some(KILL_ROUND));
            }
        }
        (killed.len() as u32, 0)
    }

    fn end_by_leaving(&mut self) -> Result<(), Dismissed> {
        if !self.reap()? {
            return self.notify(Notice::TreeEnded(Left::None));
        }
        let running = tree::descendants(&HashSet::new()).len().max(1) as u32;
        self.command = None;
        let _ = self.notify(Notice::TreeEnded(Left::Running(running)));
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        while self.reap_silently() {
            let _ = self.events.wait(None, None);
        }
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

/// Starts a command in its directory; this process enters it first, so that a refusal is distinguished from the program's.
fn start(request: &Spawn<'_>, stdio: [Option<BorrowedFd<'_>>; 3]) -> Result<i32, (Step, i32)> {
    rustix::process::chdir(request.cwd).map_err(|error| (Step::Cwd, error.raw_os_error()))?;
    let pid = lookup::first_runnable(request.argv[0], &request.env, |file| {
        sys::spawn(file, &request.argv, &request.env, stdio)
    });
    // Don't keep the directory's file system busy.
    let _ = rustix::process::chdir(c"/");
    // posix_spawn(3) gives fork's errors and those of execve by the same way; these are not about the program.
    let lacking = |errno| matches!(errno, libc::EAGAIN | libc::ENOMEM | libc::ENFILE | libc::EMFILE);
    pid.map_err(|errno| (if lacking(errno) { Step::Process } else { Step::Program }, errno))
}
