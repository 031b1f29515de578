//! What the journal's records add up to: the jobs of every user. Pure: no file, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use unglue_proto::message::Time;
use unglue_proto::message::exec::{Lease, Outcome, Report};
use unglue_proto::{Fault, Octets};

use crate::trimmer::MOST;

use super::forgotten::{Forgotten, hash, uuid_time};
use super::record::Line;
use super::{Record, Retention};

/// What a job takes in memory besides its texts, roughly: the entry and its places in the maps.
const WEIGHT: usize = 450;

/// The jobs that are remembered, and the ids that are forgotten.
///
/// Records are applied in the order of the journal. One that was written twice changes nothing; one whose predecessors are
/// lost makes its id forgotten, since the id has been used.
#[derive(Debug, Clone, Default)]
pub struct Index {
    retention: Retention,
    /// By the order of their beginnings. Boxed, because the nodes of a map that grows at its end are half empty.
    entries: BTreeMap<u64, Box<Entry>>,
    users: HashMap<Arc<str>, User>,
    /// The ended ones by the time of their end (in seconds).
    ended: BTreeSet<(i64, u64)>,
    /// The next one's place in the order.
    next: u64,
    /// The largest number of a directory, those of jobs that are not remembered included.
    last_job: u64,
    weight: usize,
    printed: u64,
    records: usize,
    forgotten: Forgotten,
}

#[derive(Debug, Clone, Default)]
struct User {
    ids: HashMap<Arc<str>, u64>,
    names: HashMap<Box<str>, BTreeSet<u64>>,
}

/// A job that is remembered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Whose it is.
    pub user: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The digest of its request.
    pub digest: [u8; 32],
    /// When the request came.
    pub begun: Time,
    /// The fingerprint of the restricted key that asked.
    pub key: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// The number of its directory.
    pub job: Option<u64>,
    /// How long it may live without a holder.
    pub lease: Lease,
    /// The command's process and when it started; nothing if it isn't known to have started.
    pub started: Option<(u32, Time)>,
    /// When and how it ended; nothing if it isn't known to have ended.
    pub ended: Option<Ended>,
    command: Packed,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ended {
    /// When.
    pub time: Time,
    /// How many bytes it wrote to both outputs.
    pub printed: u64,
    report: Packed,
}

/// A job that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Whose it was.
    pub user: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The number of its directory, if it has one.
    pub job: Option<u64>,
    /// When it was forgotten.
    pub time: Time,
}

impl Pruned {
    /// The record that says so. Unless it is written, the job is there again after the next start.
    pub fn record(&self) -> Record {
        Record::Forgotten { user: self.user.to_string(), id: self.id.to_string(), time: self.time }
    }
}

impl Index {
    /// An index of nothing.
    pub fn new(retention: Retention) -> Index {
        Index { retention, ..Index::default() }
    }

    /// Takes in a record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Begun { user, id, digest, time, key, name, command, job, lease } => {
                self.remove(user, id);
                let user = self.user(user);
                self.insert(Entry {
                    user,
                    id: id.as_str().into(),
                    digest: *digest,
                    begun: *time,
                    key: key.as_deref().map(Box::from),
                    name: name.as_deref().map(Box::from),
                    command: Packed::of(command),
                    job: *job,
                    lease: lease.clone(),
                    started: None,
                    ended: None,
                });
            }
            Record::Started { user, id, pid, time } => self.change(user, id, *time, |entry| {
                entry.started = Some((*pid, *time));
            }),
            Record::Ended { user, id, time, report } => self.change(user, id, *time, |entry| {
                entry.ended = Some(Ended::new(*time, report));
            }),
            Record::NeverStarted { user, id } => {
                self.remove(user, id);
            }
            Record::Forgotten { user, id, time } => {
                self.remove(user, id);
                self.forget(user, id, *time);
            }
        }
    }

    /// Takes in a line of the file.
    pub(super) fn take(&mut self, line: &Line) {
        match line {
            Line::Record(record) => self.apply(record),
            Line::Forgotten(batch) => self.forgotten.restore(batch, self.retention.forgotten),
            Line::Horizon(time) => self.forgotten.raise(*time),
            Line::Opened(_) | Line::Closed => {}
        }
    }

    /// A user's job.
    pub fn find(&self, user: &str, id: &str) -> Option<&Entry> {
        self.entries.get(self.users.get(user)?.ids.get(id)?).map(Box::as_ref)
    }

    /// Whether the id is not known, but was used, or may have been: it must be refused.
    pub fn is_forgotten(&self, user: &str, id: &str) -> bool {
        self.find(user, id).is_none() && self.forgotten.holds(hash(user, id), uuid_time(id))
    }

    /// The job of this name that began last.
    pub fn by_name(&self, user: &str, name: &str) -> Option<&Entry> {
        self.entries.get(self.users.get(user)?.names.get(name)?.last()?).map(Box::as_ref)
    }

    /// A user's jobs, in no order.
    pub fn entries(&self, user: &str) -> impl Iterator<Item = &Entry> {
        let ids = self.users.get(user).into_iter().flat_map(|user| user.ids.values());
        ids.filter_map(|order| self.entries.get(order).map(Box::as_ref))
    }

    /// Every user's jobs, in the order of their beginnings.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(Box::as_ref)
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no jobs.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The largest number that a job's directory has had, as far as the journal says; 0 for none.
    pub fn last_job(&self) -> u64 {
        self.last_job
    }

    /// How many bytes all ended jobs with a directory have printed.
    pub fn printed(&self) -> u64 {
        self.printed
    }

    /// The number of ids that are known to be forgotten.
    pub fn forgotten(&self) -> usize {
        self.forgotten.len()
    }

    /// Forgets ended jobs that are too old or too many, the first to end first. The caller appends [`Pruned::record`] of each
    /// to the journal, then removes its directory.
    pub fn prune(&mut self, now: Time) -> Vec<Pruned> {
        let seconds = |age: std::time::Duration| i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let oldest = now.seconds.saturating_sub(seconds(self.retention.age));
        let mut pruned = Vec::new();
        while let Some(&(end, order)) = self.ended.first() {
            let full = self.entries.len() > self.retention.jobs || self.weight > self.retention.bytes;
            if end >= oldest && !full {
                break;
            }
            let Some(entry) = self.take_out(order) else {
                self.ended.remove(&(end, order));
                continue;
            };
            self.forget(&entry.user, &entry.id, now);
            pruned.push(Pruned { user: entry.user, id: entry.id, job: entry.job, time: now });
        }
        self.forgotten.drop_before(now.seconds.saturating_sub(seconds(self.retention.forgotten_age)));
        pruned
    }

    /// The lines of a file that says what this index knows.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Line> + '_ {
        self.forgotten.lines().chain(self.iter().flat_map(Entry::records).map(Line::Record))
    }

    /// How many lines these are.
    pub(super) fn line_count(&self) -> usize {
        self.records + self.forgotten.line_count()
    }

    fn user(&self, name: &str) -> Arc<str> {
        self.users.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone())
    }

    fn insert(&mut self, entry: Entry) {
        let order = self.next;
        self.next += 1;
        let user = self.users.entry(entry.user.clone()).or_default();
        user.ids.insert(entry.id.clone(), order);
        if let Some(name) = &entry.name {
            user.names.entry(name.clone()).or_default().insert(order);
        }
        self.count(&entry, true);
        self.last_job = self.last_job.max(entry.job.unwrap_or(0));
        self.entries.insert(order, Box::new(entry));
    }

    /// Changes a job. If it isn't known, its beginning was lost or it is forgotten: its id was used.
    fn change(&mut self, user: &str, id: &str, time: Time, change: impl FnOnce(&mut Entry)) {
        let order = self.users.get(user).and_then(|user| user.ids.get(id)).copied();
        let Some((order, mut entry)) = order.and_then(|order| Some((order, self.entries.remove(&order)?))) else {
            return self.forget(user, id, time);
        };
        self.count(&entry, false);
        if let Some(ended) = &entry.ended {
            self.ended.remove(&(ended.time.seconds, order));
        }
        change(&mut entry);
        if let Some(ended) = &entry.ended {
            self.ended.insert((ended.time.seconds, order));
        }
        self.count(&entry, true);
        self.entries.insert(order, entry);
    }

    fn remove(&mut self, user: &str, id: &str) {
        if let Some(order) = self.users.get(user).and_then(|user| user.ids.get(id)).copied() {
            self.take_out(order);
        }
    }

    fn take_out(&mut self, order: u64) -> Option<Box<Entry>> {
        let entry = self.entries.remove(&order)?;
        self.count(&entry, false);
        if let Some(ended) = &entry.ended {
            self.ended.remove(&(ended.time.seconds, order));
        }
        let Some(user) = self.users.get_mut(&entry.user) else { return Some(entry) };
        user.ids.remove(&entry.id);
        if let Some(name) = &entry.name
            && let Some(orders) = user.names.get_mut(name)
        {
            orders.remove(&order);
            if orders.is_empty() {
                user.names.remove(name);
            }
        }
        if user.ids.is_empty() {
            self.users.remove(&entry.user);
        }
        Some(entry)
    }

    fn forget(&mut self, user: &str, id: &str, time: Time) {
        self.forgotten.add(hash(user, id), uuid_time(id), time.seconds, self.retention.forgotten);
    }

    /// Counts what an entry takes, or no longer takes.
    fn count(&mut self, entry: &Entry, there: bool) {
        let (weight, records, printed) = (entry.weight(), entry.record_count(), entry.kept_bytes());
        if there {
            (self.weight, self.records) = (self.weight + weight, self.records + records);
            self.printed = self.printed.saturating_add(printed);
        } else {
            (self.weight, self.records) = (self.weight - weight, self.records - records);
            self.printed = self.printed.saturating_sub(printed);
        }
    }
}

impl Entry {
    /// The command, shortened.
    pub fn command(&self) -> Vec<Octets> {
        self.command.get().unwrap_or_default()
    }

    /// The records that make this entry.
    fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let (user, id) = (self.user.to_string(), self.id.to_string());
        let started = self.started.map(|(pid, time)| Record::Started { user: user.clone(), id: id.clone(), pid, time });
        let ended = self.ended.as_ref().map(|ended| {
            let report = Box::new(ended.report());
            Record::Ended { user: user.clone(), id: id.clone(), time: ended.time, report }
        });
        let begun = Record::Begun {
            user,
            id,
            digest: self.digest,
            time: self.begun,
            key: self.key.as_deref().map(String::from),
            name: self.name.as_deref().map(String::from),
            command: self.command(),
            job: self.job,
            lease: self.lease.clone(),
        };
        [Some(begun), started, ended].into_iter().flatten()
    }

    fn record_count(&self) -> usize {
        1 + usize::from(self.started.is_some()) + usize::from(self.ended.is_some())
    }

    /// What it has printed into its directory.
    fn kept_bytes(&self) -> u64 {
        self.ended.as_ref().filter(|_| self.job.is_some()).map_or(0, |ended| ended.printed)
    }

    /// About how many bytes of memory it takes.
    fn weight(&self) -> usize {
        let texts = [&self.key, &self.name].into_iter().flatten().map(|text| text.len()).sum::<usize>();
        let report = self.ended.as_ref().map_or(0, |ended| ended.report.0.len());
        WEIGHT + self.id.len() + texts + self.command.0.len() + report
    }
}

impl Ended {
    fn new(time: Time, report: &Report) -> Ended {
        let outputs = [&report.stdout, &report.stderr];
        let printed = outputs.into_iter().flatten().fold(0u64, |sum, stream| sum.saturating_add(stream.tally.bytes));
        // Of a terminal, which has one output, only the end is kept.
        let is_terminal = report.stdout.is_some() && report.stderr.is_none();
        let printed = if is_terminal { printed.min(MOST) } else { printed };
        Ended { time, printed, report: Packed::of(report) }
    }

    /// How. It takes some microseconds.
    pub fn report(&self) -> Report {
        let unreadable = || Fault::us("the journal holds a report that can't be read");
        self.report.get().unwrap_or_else(|| Report::of(Outcome::Failed(unreadable())))
    }
}

/// What is rarely looked at, as JSON: it takes half of the memory.
#[derive(Clone, PartialEq)]
struct Packed(Box<[u8]>);

impl Packed {
    fn of(value: &impl Serialize) -> Packed {
        // Nothing that is packed here has maps with keys that aren't text, or fails in another way.
        Packed(serde_json::to_vec(value).unwrap_or_default().into())
    }

    fn get<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.0).ok()
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
