//! Which command of a list runs when: at most so many at once, and each after those that it needs.

use std::collections::{HashMap, VecDeque};
use std::future::ready;

use tokio::task::JoinSet;
use unglue::{Client, Code, Fault, Outcome};

use super::line::Job;
use super::one::{self, Done};
use super::source::{Source, bad_arrival};
use crate::access::Access;
use crate::complaint::Complaint;
use crate::exec::sink::Sink;
use crate::standard;

/// Commands of standard input that wait for others before reading goes on.
const WAITING: usize = 1024;
/// Ids of standard input that are remembered for the needs of later lines.
const IDS: usize = 1 << 20;

/// The commands of a list, under way.
pub(super) struct Schedule {
    client: Client,
    /// What the commands get of the ssh configuration.
    access: Access,
    at_once: usize,
    cap: u64,
    running: JoinSet<Done>,
    /// What may start as soon as there is room.
    free: VecDeque<Job>,
    /// What waits for others, by the number of its line, with how many it waits for.
    waiting: HashMap<u64, (Job, usize)>,
    /// The lines that wait for an id.
    dependents: HashMap<String, Vec<u64>>,
    /// Whether the command with an id has succeeded; `None` if it has not ended.
    ids: HashMap<String, Option<bool>>,
    /// What was decided not to run, and has not been told.
    skipped: VecDeque<Done>,
    all_succeeded: bool,
}

impl Schedule {
    /// Nothing yet.
    pub(super) fn new(client: Client, at_once: usize, cap: u64, access: Access) -> Schedule {
        Schedule {
            client,
            access,
            at_once,
            cap,
            running: JoinSet::new(),
            free: VecDeque::new(),
            waiting: HashMap::new(),
            dependents: HashMap::new(),
            ids: HashMap::new(),
            skipped: VecDeque::new(),
            all_succeeded: true,
        }
    }

    /// Runs all commands, and writes the object of each as it ends. Gives whether all succeeded.
    ///
    /// # Errors
    /// A line was bad (what ran has ended by then), or the objects can't be written.
    pub(super) async fn run(mut self, mut source: Source, mut sink: Sink) -> Result<bool, Complaint> {
        let mut reading = true;
        let mut bad = None;
        loop {
            self.start().await;
            while let Some(done) = self.skipped.pop_front() {
                self.conclude(done, &mut sink).await?;
            }
            if !reading && self.running.is_empty() {
                break;
            }
            // All lines of a file are known at once: an early one may need a late one.
            let room = source.is_checked() || (self.free.is_empty() && self.waiting.len() < WAITING);
            tokio::select! {
                next = source.next(), if reading && room => match next.map(|next| next.and_then(|job| self.admit(job, &source))) {
                    Some(Ok(())) => {}
                    None => reading = false,
                    Some(Err(complaint)) => (reading, bad) = (false, Some(complaint)),
                },
                Some(done) = self.running.join_next() => match done {
                    Ok(done) => self.conclude(done, &mut sink).await?,
                    Err(error) => return Err(Complaint::new(format!("a command's task ended badly: {error}"))),
                },
            }
        }
        match bad {
            Some(complaint) => Err(complaint),
            None => Ok(self.all_succeeded),
        }
    }

    /// Takes a command in.
    fn admit(&mut self, job: Job, source: &Source) -> Result<(), Complaint> {
        if !source.is_checked() {
            self.check(&job).map_err(|why| bad_arrival(job.line, &why))?;
        }
        if let Some(id) = &job.given {
            self.ids.entry(id.clone()).or_insert(None);
        }
        if let Some(failed) = job.needs.iter().find(|need| self.ids.get(*need) == Some(&Some(false))).cloned() {
            self.skip(job, &failed);
            return Ok(());
        }
        let open: Vec<&String> = job.needs.iter().filter(|need| self.ids.get(*need) != Some(&Some(true))).collect();
        if open.is_empty() {
            self.free.push_back(job);
            return Ok(());
        }
        for need in &open {
            self.dependents.entry((*need).clone()).or_default().push(job.line);
        }
        let open = open.len();
        self.waiting.insert(job.line, (job, open));
        Ok(())
    }

    /// What a line of standard input must not be.
    fn check(&self, job: &Job) -> Result<(), String> {
        match &job.given {
            Some(id) if self.ids.contains_key(id) => {
                return Err(format!("the id {id:?} is that of an earlier line too"));
            }
            Some(_) if self.ids.len() >= IDS => return Err(format!("there are more than {IDS} ids before it")),
            _ => {}
        }
        match job.needs.iter().find(|need| !self.ids.contains_key(*need)) {
            Some(need) => Err(format!("it needs {need:?}, which is not an earlier line's id")),
            None => Ok(()),
        }
    }

    /// Starts what may start.
    async fn start(&mut self) {
        while self.running.len() < self.at_once
            && let Some(job) = self.free.pop_front()
        {
            // What was never sent has not run: that is to be told apart from what may have run.
            let lost = tokio::select! {
                biased;
                fault = self.client.ended() => Some(fault),
                () = ready(()) => None,
            };
            match lost {
                Some(fault) => self.skipped.push_back(Done::not_run(job, Outcome::Unreachable(fault))),
                None => {
                    let job = Job { exec: self.access.with_variables(job.exec), ..job };
                    self.running.spawn(one::run(self.client.clone(), job, self.cap));
                }
            }
        }
    }

    /// Tells of a command that has ended, and lets those go on that waited for it.
    async fn conclude(&mut self, done: Done, sink: &mut Sink) -> Result<(), Complaint> {
        let succeeded = done.succeeded();
        self.all_succeeded &= succeeded;
        if let Some(id) = done.given.clone() {
            for line in self.dependents.remove(&id).unwrap_or_default() {
                self.settle(line, &id, succeeded);
            }
            self.ids.insert(id, Some(succeeded));
        }
        let line = done.line().map_err(|error| Complaint::new(format!("an outcome has no JSON form: {error}")))?;
        sink.write_all(line.into())
            .await
            .map_err(|error| standard::unwritten(&error).with("; the server kills the commands that run"))
    }

    /// A line's need has ended.
    fn settle(&mut self, line: u64, need: &str, succeeded: bool) {
        let Some((job, open)) = self.waiting.remove(&line) else { return };
        match (succeeded, open) {
            (false, _) => self.skip(job, need),
            (true, 1) => self.free.push_back(job),
            (true, open) => drop(self.waiting.insert(line, (job, open - 1))),
        }
    }

    fn skip(&mut self, job: Job, need: &str) {
        let fault = Fault::user(Code::Cancelled, format!("it needs {need:?}, which failed")).advise("it was not run");
        self.skipped.push_back(Done::not_run(job, Outcome::Refused(fault)));
    }
}
