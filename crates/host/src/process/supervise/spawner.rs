//! The spawner: forks supervisors, and kills what falls to it from a dead one.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::children::ChildEvents;
use super::supervisor::Supervisor;
use super::tree;
use crate::process::socket;
use crate::process::sys::{self, Fork, Wait};
use crate::process::wire::{Notice, Step};

/// Serves until the server closes the socket and the last supervisor has ended.
pub(super) fn run(control: OwnedFd) {
    // Without these two nothing is owned: better no supervisors at all, which the server reports.
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_err() {
        return;
    }
    let Ok(events) = ChildEvents::new() else { return };
    let _ = rustix::thread::set_name(c"unglue-spawner");
    Spawner { control: Some(control), events, supervisors: HashSet::new() }.serve();
}

struct Spawner {
    /// `None` once the server is gone.
    control: Option<OwnedFd>,
    events: ChildEvents,
    supervisors: HashSet<i32>,
}

impl Spawner {
    fn serve(&mut self) {
        loop {
            let Ok(ready) = self.events.wait(self.control.as_ref().map(AsFd::as_fd), None) else { return };
            if ready.child && !self.reap() && self.control.is_none() {
                return;
            }
            if ready.socket && !self.receive() {
                self.control = None;
                if !self.reap() {
                    return;
                }
            }
        }
    }

    /// Takes one request: one byte, and the socket of the supervisor to be. `false`: the server is gone.
    fn receive(&mut self) -> bool {
        let Some(control) = &self.control else { return false };
        match socket::receive(control, &mut [0; 1]) {
            Ok(received) if received.length == 0 => false,
            Ok(received) => {
                for fd in received.fds {
                    self.fork_supervisor(fd);
                }
                true
            }
            // Out of descriptors: this supervisor's socket is lost, so the server sees its end.
            Err(Errno::MSGSIZE | Errno::NOMEM | Errno::NOBUFS) => true,
            Err(_) => false,
        }
    }

    fn fork_supervisor(&mut self, socket: OwnedFd) {
        match sys::fork() {
            Ok(Fork::Parent(pid)) => {
                self.supervisors.insert(pid);
            }
            Ok(Fork::Child) => {
                self.control = None;
                let ended = std::panic::catch_unwind(|| Supervisor::run(socket));
                sys::exit_now(if ended.is_ok() { 0 } else { 70 })
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                let notice = Notice::Refused { step: Step::Supervisor, errno };
                let _ = socket::send(&socket, &notice.encode(), &[], false);
            }
        }
    }

    /// Reaps what ended; `false` when no child is left.
    fn reap(&mut self) -> bool {
        let mut orphaned = false;
        let any = loop {
            match sys::wait_any() {
                Wait::Ended { pid, wait_status, .. } => {
                    let supervisor = self.supervisors.remove(&pid);
                    orphaned |= !supervisor || wait_status != 0;
                }
                // A command stopped its supervisor, which then could not end the tree.
                Wait::Stopped { pid } if self.supervisors.contains(&pid) => {
                    let _ = sys::kill(pid, libc::SIGCONT);
                }
                Wait::Stopped { .. } => {}
                Wait::Nothing => break true,
                Wait::Childless => break false,
            }
        };
        if orphaned && any {
            // Each death announces itself, and has this called again until none but supervisors is left.
            tree::kill_pass(&self.supervisors, || ());
        }
        any
    }
}
