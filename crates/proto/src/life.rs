//! A job's life as a pure state machine: what has happened to a command goes in, what to do about it comes out.
//!
//! The caller reports each fact once by a `handle_*` method, in whatever order the facts come, and then carries out every
//! [`Action`] that [`Life::poll_action`] gives. [`Life::poll_timeout`] gives the time to call [`Life::handle_timeout`]. The last
//! action is [`Action::Conclude`]; nothing that is reported after it has an effect.
//!
//! ```text
//!            exited ─▶ the outputs are drained for DRAIN ─▶ the tree is ended ─▶ concluded
//! running ─┤
//!            timed out, cancelled, failed ─▶ the tree is killed ─────────────────▶ concluded
//! ```
//!
//! ```
//! use std::time::Instant;
//! use unglue_proto::life::{Action, Life, Output, Terms, Tree};
//! use unglue_proto::message::exec::{Exit, Outcome};
//!
//! let mut life = Life::new(Terms::default(), Instant::now());
//! life.handle_output_end(Output::Stdout);
//! life.handle_output_end(Output::Stderr);
//! life.handle_tree_end(Tree::Empty);
//! life.handle_exit(Exit::Exited(0), Instant::now());
//! assert_eq!(life.poll_action(), Some(Action::AnnounceExit(Exit::Exited(0))));
//! assert!(matches!(life.poll_action(), Some(Action::Conclude(end)) if end.outcome == Outcome::exited(0)));
//! assert_eq!(life.poll_action(), None);
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits::{DRAIN, TREE_END};
use crate::message::exec::{Descendants, Exit, Left, Outcome, OutputLimit, TimedOut};
use crate::{Code, Fault};

/// What a command was started with, as far as its end depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// What becomes of the processes that outlive its own.
    pub descendants: Descendants,
}

/// One of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout = 0,
    /// Standard error.
    Stderr = 1,
}

/// How a tree of processes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// Nothing was left of it.
    Empty,
    /// So many processes were killed, and are gone.
    Killed(u32),
    /// So many processes run on, as asked.
    Left(u32),
    /// So many processes could not be killed.
    Unkillable(u32),
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Tell the holder that the command's own process has ended.
    AnnounceExit(Exit),
    /// Stop waiting for more output: what the pipes hold now is the last of it. This comes before an [`Action::EndTree`],
    /// so that an output which a descendant holds open is seen as such before the descendant is killed.
    LastOutput,
    /// End the tree of processes, and report that by [`Life::handle_tree_end`].
    EndTree(Descendants),
    /// Nothing more will happen.
    Conclude(End),
}

/// What a job has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// How the command ended.
    pub outcome: Outcome,
    /// What became of its descendants; `None` where that isn't known.
    pub descendants: Option<Left>,
}

/// Why a command is killed.
#[derive(Debug, Clone)]
enum Cause {
    TimedOut(Duration),
    Cancelled(Fault),
    Failed(Fault),
    OutputLimit(u64),
}

/// How far the end of the tree has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TreeState {
    Alive,
    /// It was asked to end, and has until then.
    Ending(Instant),
    Ended(Tree),
    /// No more events of it will come.
    Lost,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Life {
    terms: Terms,
    now: Instant,
    timeout: Option<Instant>,
    drain: Option<Instant>,
    exit: Option<Exit>,
    cause: Option<Cause>,
    tree: TreeState,
    /// Which outputs have ended.
    outputs: [bool; 2],
    last_output: bool,
    concluded: bool,
    actions: VecDeque<Action>,
}

impl Life {
    /// A command that has just started.
    pub fn new(terms: Terms, now: Instant) -> Life {
        Life {
            terms,
            now,
            // A deadline beyond what the clock can hold is none.
            timeout: terms.timeout.and_then(|limit| now.checked_add(limit)),
            drain: None,
            exit: None,
            cause: None,
            tree: TreeState::Alive,
            outputs: [false; 2],
            last_output: false,
            concluded: false,
            actions: VecDeque::new(),
        }
    }

    /// The command's own process has ended.
    pub fn handle_exit(&mut self, exit: Exit, now: Instant) {
        self.now = now;
        if self.concluded || self.exit.is_some() {
            return;
        }
        self.exit = Some(exit.clone());
        self.timeout = None;
        self.drain = Some(now + DRAIN);
        self.actions.push_back(Action::AnnounceExit(exit));
        self.advance();
    }

    /// An output has ended: everything of it was read, or its reader wants no more.
    pub fn handle_output_end(&mut self, output: Output) {
        self.outputs[output as usize] = true;
        self.advance();
    }

    /// An output could not be read to its end. What was read must not pass for the whole.
    pub fn handle_output_failure(&mut self, output: Output, fault: Fault) {
        self.outputs[output as usize] = true;
        self.kill(Cause::Failed(fault));
        self.advance();
    }

    /// The command prints more than it may, in bytes of both outputs. What is read no further has to be reported as ended.
    pub fn handle_output_limit(&mut self, limit: u64, now: Instant) {
        self.now = now;
        self.kill(Cause::OutputLimit(limit));
        self.advance();
    }

    /// The tree has ended, whether it was asked to or nothing was left of it.
    pub fn handle_tree_end(&mut self, tree: Tree) {
        if !matches!(self.tree, TreeState::Ended(_) | TreeState::Lost) {
            self.tree = TreeState::Ended(tree);
            if matches!(tree, Tree::Unkillable(_)) {
                // Its processes hold the outputs open for as long as they like.
                self.take_last_output();
            }
        }
        self.advance();
    }

    /// No more reports of the command's processes will come: their supervisor is gone, or doesn't answer.
    pub fn handle_loss(&mut self, fault: Fault) {
        self.cause.get_or_insert(Cause::Failed(fault));
        if !matches!(self.tree, TreeState::Ended(_)) {
            self.tree = TreeState::Lost;
        }
        self.take_last_output();
        self.advance();
    }

    /// The client takes the command back: its input broke off, or the holder of a `kill` lease has gone. A command that
    /// has ended by then has ended.
    pub fn handle_cancel(&mut self, fault: Fault, now: Instant) {
        self.now = now;
        if self.exit.is_none() {
            self.kill(Cause::Cancelled(fault));
        }
        self.advance();
    }

    /// The holder has gone, and nobody else is interested: whatever the command does, all of it ends.
    pub fn handle_abandon(&mut self, fault: Fault, now: Instant) {
        self.now = now;
        self.kill(Cause::Cancelled(fault));
        self.take_last_output();
        self.advance();
    }

    /// When to call [`Life::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tree = match self.tree {
            TreeState::Ending(due) => Some(due),
            _ => None,
        };
        [self.timeout, self.drain, tree].into_iter().flatten().min().filter(|_| !self.concluded)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.timeout) {
            self.timeout = None;
            self.kill(Cause::TimedOut(self.terms.timeout.unwrap_or_default()));
        }
        if due(self.drain) {
            self.drain = None;
            self.end_drain();
        }
        if matches!(self.tree, TreeState::Ending(at) if at <= now) {
            let seconds = TREE_END.as_secs();
            let what = format!("what is left of the command did not end within {seconds} s");
            self.handle_loss(Fault::system(Code::TimedOut, what));
        }
        self.advance();
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether it has come to its end.
    pub fn is_concluded(&self) -> bool {
        self.concluded
    }

    /// The command's own process has ended, and a descendant holds an output: it had its time.
    fn end_drain(&mut self) {
        if self.outputs != [true; 2] {
            self.take_last_output();
            if self.terms.descendants == Descendants::Kill {
                self.end_tree(Descendants::Kill);
            }
        }
    }

    fn kill(&mut self, cause: Cause) {
        self.cause.get_or_insert(cause);
        self.timeout = None;
        self.end_tree(Descendants::Kill);
    }

    fn end_tree(&mut self, descendants: Descendants) {
        if self.tree == TreeState::Alive && !self.concluded {
            self.tree = TreeState::Ending(self.now + TREE_END);
            self.actions.push_back(Action::EndTree(descendants));
        }
    }

    fn take_last_output(&mut self) {
        if !self.last_output && self.outputs != [true; 2] && !self.concluded {
            self.last_output = true;
            self.actions.push_back(Action::LastOutput);
        }
    }

    /// Whether no more reports of the command's own process will come.
    fn is_over(&self) -> bool {
        self.exit.is_some() || matches!(self.tree, TreeState::Lost | TreeState::Ended(Tree::Unkillable(_)))
    }

    fn advance(&mut self) {
        if self.concluded || !self.is_over() || self.outputs != [true; 2] {
            return;
        }
        match self.tree {
            TreeState::Alive => self.end_tree(self.wanted()),
            TreeState::Ending(_) => {}
            TreeState::Ended(_) | TreeState::Lost => {
                self.concluded = true;
                self.actions.push_back(Action::Conclude(self.end()));
            }
        }
    }

    fn wanted(&self) -> Descendants {
        match self.cause {
            None => self.terms.descendants,
            Some(_) => Descendants::Kill,
        }
    }

    fn end(&self) -> End {
        let descendants = match self.tree {
            TreeState::Ended(Tree::Empty) => Some(Left::None),
            TreeState::Ended(Tree::Killed(_)) => Some(Left::Killed),
            TreeState::Ended(Tree::Left(_)) => Some(Left::Left),
            TreeState::Ended(Tree::Unkillable(_)) => Some(Left::Unkillable),
            TreeState::Alive | TreeState::Ending(_) | TreeState::Lost => None,
        };
        End { outcome: self.outcome(), descendants }
    }

    fn outcome(&self) -> Outcome {
        let stays = match self.tree {
            TreeState::Ended(Tree::Unkillable(count)) if self.exit.is_none() => Some(count),
            _ => None,
        };
        match (&self.cause, stays, &self.exit) {
            (Some(Cause::Failed(fault)), ..) => Outcome::Failed(fault.clone()),
            (_, Some(count), _) => Outcome::Unkillable(unkillable(count)),
            (Some(Cause::Cancelled(fault)), ..) => Outcome::Cancelled(fault.clone()),
            (Some(Cause::TimedOut(limit)), ..) => {
                Outcome::TimedOut(TimedOut { after_ms: limit.as_millis().try_into().unwrap_or(u64::MAX) })
            }
            (Some(Cause::OutputLimit(bytes)), ..) => Outcome::OutputLimit(OutputLimit { bytes: *bytes }),
            (None, None, Some(exit)) => Outcome::Ended(exit.clone()),
            (None, None, None) => Outcome::Failed(Fault::us("a command ended without an exit")),
        }
    }
}

fn unkillable(count: u32) -> Fault {
    let what = format!("the command was to be killed, and {count} of its processes could not be");
    Fault::system(Code::Unkillable, what).advise(
        "they changed their user, or hang in the kernel: look for them on the server; its supervisor goes on trying",
    )
}

#[cfg(test)]
mod tests;
