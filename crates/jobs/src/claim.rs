//! The right to use an id, once.

use std::sync::Arc;

use unglue_proto::message::exec::{Outcome, Report};
use unglue_proto::{Code, Fault};

use crate::job::Job;
use crate::journal::Record;
use crate::registry::{Key, Registry};
use crate::{clock, spools};

/// The right to start a command once, and the duty to say what became of it.
pub struct Claim {
    pub(crate) registry: Registry,
    pub(crate) key: Key,
    pub(crate) job: Arc<Job>,
    /// What became of it has not been said.
    pub(crate) open: bool,
    /// The command may have started.
    pub(crate) starting: bool,
}

impl Claim {
    /// The job, as everybody sees it.
    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// From now on the command may start.
    pub(crate) fn starting(&mut self) {
        self.starting = true;
    }

    /// The command runs.
    pub fn started(&self, pid: u32) {
        let Key { user, id } = self.key.clone();
        let record = Record::Started { user, id, pid, time: clock::now() };
        self.registry.note(&mut self.registry.lock(), &record);
        self.job.update(|snapshot| snapshot.pid = Some(pid));
    }

    /// The command has ended so, or will not start.
    pub fn conclude(mut self, report: Report) {
        self.close(report);
    }

    fn close(&mut self, report: Report) {
        self.open = false;
        let Key { user, id } = self.key.clone();
        let record = Record::Ended { user, id, time: clock::now(), report: Box::new(report.clone()) };
        {
            let mut state = self.registry.lock();
            self.registry.note(&mut state, &record);
            state.live.remove(&self.key);
        }
        self.job.update(|snapshot| snapshot.report = Some(Arc::new(report)));
    }

    /// It is certain that the command did not start: the id is free again.
    pub fn never_started(mut self) {
        self.free();
    }

    fn free(&mut self) {
        self.open = false;
        let Key { user, id } = self.key.clone();
        {
            let mut state = self.registry.lock();
            self.registry.note(&mut state, &Record::NeverStarted { user, id });
            state.live.remove(&self.key);
        }
        self.job.directory().into_iter().for_each(|directory| spools::remove(directory.to_owned()));
        let fault = Fault::system(Code::GoingAway, "the command did not start").advise("nothing ran: ask for it again");
        self.job.update(|snapshot| {
            snapshot.never_started = true;
            snapshot.report = Some(Arc::new(Report::of(Outcome::Refused(fault))));
        });
    }
}

impl Drop for Claim {
    /// The client went before the command was to start; or while it was being started: if that had happened already, it was
    /// killed. A command with a keeper needs nobody here: a later server finds it.
    fn drop(&mut self) {
        if self.open && !self.starting {
            self.free();
        }
        if self.open && self.job.directory().is_none() {
            let what = "the client went while the command was being started: if it started, it was killed";
            self.close(Report::of(Outcome::Cancelled(Fault::user(Code::Cancelled, what))));
        }
    }
}

/// A transfer's id in use; free again once this is dropped.
pub struct Transfer {
    pub(crate) registry: Registry,
    pub(crate) key: Key,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.registry.lock().transfers.remove(&self.key);
    }
}
