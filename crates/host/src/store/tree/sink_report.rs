//! What the receiver tells: answers to the sender, and what a user is shown.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use unglue_proto::Fault;
use unglue_proto::tree::Answer;

use super::dirs::Node;
use super::event::{Moving, TreeEvent};
use super::sink::TreeSink;
use crate::store::error::{Op, Problem, StoreError};

impl TreeSink {
    /// Tells the sender what is decided and what is stored.
    pub(super) fn answer(&mut self) {
        if self.options.unasked() {
            self.changed.clear();
        }
        // What is known of an old file comes before its file is wanted.
        let upto = self.olds.unread.front().map_or(self.last, |unread| unread - 1);
        if self.asked > self.answered && upto > self.answered {
            let (wanted, changed) = (take_upto(&mut self.wanted, upto), take_upto(&mut self.changed, upto));
            Answer::Upto { entry: upto, wanted, changed }.encode(&mut self.out);
            self.answered = upto;
        }
        self.answer_made();
        if self.reported != self.stored {
            self.reported = self.stored;
            let (files, bytes) = self.stored;
            Answer::Stored { files, bytes }.encode(&mut self.out);
        }
    }

    /// Reports something that was not done.
    pub(super) fn not_stored(&mut self, node: Node, name: &OsStr, op: Op, problem: impl Into<Problem>) {
        self.failed_contents += 1;
        let path = PathBuf::from(self.dirs.path(node, name));
        let path = if path.as_os_str().is_empty() { self.top.clone() } else { path };
        self.report(StoreError::new(op, &path, problem.into()).fault());
    }

    pub(super) fn report(&mut self, fault: Fault) {
        self.summary.problems += 1;
        if self.announce {
            let json = serde_json::to_vec(&fault).unwrap_or_default();
            Answer::Problem { fault: &json }.encode(&mut self.out);
        } else {
            self.events.push(TreeEvent::Problem(fault));
        }
    }

    pub(super) fn deleted(&mut self, path: OsString) {
        self.summary.deleted += 1;
        if !self.options.report {
            return;
        }
        if self.announce {
            Answer::Deleted { path: path.as_bytes() }.encode(&mut self.out);
        } else {
            self.events.push(TreeEvent::Deleted(path));
        }
    }

    pub(super) fn changed(&mut self, number: u64, node: Node, name: &OsStr, is_directory: bool) {
        if self.announce {
            self.changed.push(number);
        } else if self.options.report {
            let mut path = self.dirs.path(node, name);
            if is_directory {
                path.push("/");
            }
            self.events.push(TreeEvent::Changed(path));
        }
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> Vec<TreeEvent> {
        std::mem::take(&mut self.events)
    }

    /// How far it is.
    pub fn moving(&self) -> &Moving {
        &self.moving
    }

    /// Answers that wait to be sent.
    pub(super) fn answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Takes the numbers up to this one out of a rising list.
fn take_upto(numbers: &mut Vec<u64>, upto: u64) -> Vec<u64> {
    let later = numbers.split_off(numbers.partition_point(|&number| number <= upto));
    std::mem::replace(numbers, later)
}
