//! The processes beneath this one: a command, and all that comes of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::cgroup::Cgroup;
use super::children::ChildEvents;
use super::tree;
use crate::process::command::Left;
use crate::process::sys::{self, Wait};

/// After how long without progress the job ends as [`Left::Unkillable`]: no process has died, and none was found that had not been
/// killed before. Killed processes go within milliseconds, unless they hang in the kernel or the machine is very busy.
const HANG_TIME: Duration = Duration::from_millis(1500);
/// How long to try, whatever the progress: new ones may come as fast as others die.
const KILL_TIME: Duration = Duration::from_secs(10);
/// How long to wait for a death before looking for processes that are new.
const KILL_ROUND: Duration = Duration::from_millis(20);
/// How long one round of reaping may take. A tree that forks and ends as fast as it can has always one more dead process.
const REAP_TIME: Duration = Duration::from_millis(5);

/// What this process has started, and what fell to it as a subreaper.
pub(super) struct Processes {
    pub(super) events: ChildEvents,
    /// The command's process, until it is reaped.
    command: Option<i32>,
    /// The command's end, until it is taken.
    ended: Option<CommandEnd>,
    /// The tree is being killed: a command that ends now hasn't ended alone.
    killing: bool,
    /// The last round of reaping was cut short.
    more_dead: bool,
    /// How many ended processes were reaped.
    reaped: u64,
}

/// How the command's own process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandEnd {
    pub(super) wait_status: i32,
    pub(super) user: Duration,
    pub(super) system: Duration,
    /// It left no descendant, and was not killed with its tree.
    pub(super) alone: bool,
}

impl Processes {
    pub(super) fn new(events: ChildEvents) -> Self {
        Self { events, command: None, ended: None, killing: false, more_dead: false, reaped: 0 }
    }

    pub(super) fn command(&self) -> Option<i32> {
        self.command
    }

    /// There is a command now.
    pub(super) fn started(&mut self, pid: i32) {
        self.command = Some(pid);
    }

    /// Nobody is interested in the command's end any more.
    pub(super) fn let_go(&mut self) {
        self.command = None;
    }

    /// Sends a signal to the command's process group, as long as its process has not been reaped.
    pub(super) fn signal(&self, signal: i32) {
        if let Some(pid) = self.command {
            // ESRCH: it ended, and isn't reaped yet.
            let _ = sys::kill(-pid, signal);
        }
    }

    /// The command's end, once.
    pub(super) fn take_end(&mut self) -> Option<CommandEnd> {
        self.ended.take()
    }

    /// The last round of reaping was cut short.
    pub(super) fn has_more_dead(&self) -> bool {
        self.more_dead
    }

    /// Reaps what ended; `false` when no child is left. It may leave some for the next time.
    pub(super) fn reap(&mut self) -> bool {
        let mut ended = None;
        let started = Instant::now();
        self.more_dead = false;
        let any = loop {
            let waited = sys::wait_any();
            self.reaped += u64::from(matches!(waited, Wait::Ended { .. }));
            match waited {
                Wait::Ended { pid, wait_status, user, system } if self.command == Some(pid) => {
                    ended = Some((wait_status, user, system));
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
        if let Some((wait_status, user, system)) = ended {
            self.command = None;
            self.ended = Some(CommandEnd { wait_status, user, system, alone: !any && !self.killing });
        }
        any
    }

    /// Kills every descendant.
    pub(super) fn end_by_killing(&mut self) -> Left {
        self.killing = true;
        // A hundred busy processes would leave this one a hundredth of the cores. Only root may; others do without.
        let _ = rustix::process::setpriority_process(None, -20);
        let (killed, survivors) = self.kill_tree();
        let _ = rustix::process::setpriority_process(None, 0);
        self.killing = false;
        match (killed, survivors) {
            (0, 0) => Left::None,
            (killed, 0) => Left::Killed(killed),
            (_, survivors) => Left::Unkillable(survivors),
        }
    }

    /// Kills every descendant; returns how many it killed, without the command's own process, and how many live.
    pub(super) fn kill_tree(&mut self) -> (u32, u32) {
        let mut patience = Patience::new(Instant::now());
        let command = self.command;
        let mut killed = HashSet::new();
        let mut group = None;
        while self.reap() {
            let pass = tree::kill_pass(&HashSet::new(), || {
                self.reap();
            });
            // Signals did not reach the whole tree: it runs away, or some of it is another user's.
            let forced = if pass.settled && pass.refused.is_empty() {
                Vec::new()
            } else {
                self.reap();
                let group = group.get_or_insert_with(Cgroup::new).as_ref();
                group.map(|group| group.kill(|found| tree::each(found))).unwrap_or_default()
            };
            let hopeless = pass.killed.is_empty() && forced.is_empty() && !pass.refused.is_empty();
            // There are children, even if none can be seen.
            let living = (pass.killed.len() + pass.refused.len()).max(1) as u32;
            killed.extend(pass.killed.into_iter().chain(forced).filter(|&pid| Some(pid) != command));
            if hopeless || patience.is_over(Instant::now(), self.reaped + killed.len() as u64) {
                return (killed.len() as u32, living);
            }
            // While the tree runs away, every moment counts.
            if pass.settled {
                let _ = self.events.wait(None, Some(KILL_ROUND));
            }
        }
        (killed.len() as u32, 0)
    }

    /// How many descendants live; at least one, as the caller knows that there are some.
    pub(super) fn count(&self) -> u32 {
        tree::descendants(&HashSet::new()).len().max(1) as u32
    }

    /// Reaps until the last descendant has ended by itself.
    pub(super) fn reap_all(&mut self) {
        while self.reap() {
            let _ = self.events.wait(None, None);
        }
    }
}

/// How long to go on killing a tree.
struct Patience {
    began: Instant,
    /// When there was progress, and how far it had come.
    progressed: Instant,
    progress: u64,
}

impl Patience {
    fn new(now: Instant) -> Patience {
        Patience { began: now, progressed: now, progress: 0 }
    }

    fn is_over(&mut self, now: Instant, progress: u64) -> bool {
        if progress != self.progress {
            (self.progressed, self.progress) = (now, progress);
        }
        now - self.progressed > HANG_TIME || now - self.began > KILL_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_time_as_long_as_some_of_it_die() {
        let began = Instant::now();
        let mut patience = Patience::new(began);
        let mut is_over = |seconds: u64, progress| patience.is_over(began + Duration::from_secs(seconds), progress);
        assert!(!is_over(3, 8), "a busy machine: the first signals were sent after three seconds");
        assert!(!is_over(4, 8));
        assert!(is_over(5, 8), "no more died");
        assert!(!is_over(6, 9));
        assert!(is_over(11, 300), "they die, and others come");
    }
}
