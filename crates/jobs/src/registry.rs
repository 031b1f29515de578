//! What this server runs and has run, by user and id.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use unglue_proto::message::exec::{Exec, Outcome, Report};
use unglue_proto::message::{Time, jobs as wire};
use unglue_proto::{Code, Fault};

use crate::claim::{Claim, Transfer};
use crate::job::{Job, Order};
use crate::journal::{Entry, Index, Journal, Record, Retention, shortened};
use crate::listing::listed;
use crate::owner::{Owned, OwnedSocket, Owner};
use crate::request::digest;
use crate::{clock, spools, warden};

/// The longest id and the longest name, in bytes.
const NAME: usize = 256;
/// What stands in lists for the command of a login shell.
const LOGIN_SHELL: &str = "login-shell";
/// How often jobs that are too old, or too much, are looked for.
const PRUNE: Duration = Duration::from_secs(600);

/// What this server runs and has run. Clones share it.
///
/// An id is in the journal before its command starts, so that it never runs a second time.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    /// The journal, or why there is none.
    journal: Result<Journal, Fault>,
    /// This process, as the owner of the state; not any more once it was released.
    owner: Mutex<Option<Owner>>,
    /// The directory of this machine, where this process owned the state.
    owned: Option<PathBuf>,
    adopted: AtomicBool,
    /// Becomes true when the state is released. Those who look after jobs hold a receiver until they have stopped.
    released: watch::Sender<bool>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) live: HashMap<Key, Arc<Job>>,
    pub(crate) transfers: HashSet<Key>,
    /// The number of the next job's directory.
    next: u64,
    pruned: Option<Instant>,
}

/// Ids belong to a user: two users never see each other's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) user: String,
    pub(crate) id: String,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The user.
    pub user: &'a str,
    /// The fingerprint of the key, if it is restricted: then only its own jobs exist for it.
    pub key: Option<&'a str>,
}

/// What a request for a command comes to.
pub enum Begun {
    /// It is new: it is recorded, and may start.
    New(New),
    /// It was made before, and the command runs.
    Runs(Arc<Job>),
    /// It was made before, and the command has ended.
    Ended(Ended),
}

/// A command that may start.
pub struct New {
    /// The right to start it, once.
    pub claim: Claim,
    /// The job, for everybody else.
    pub job: Arc<Job>,
    pub(crate) orders: mpsc::Receiver<Order>,
}

/// A job that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// When the server took the request.
    pub began: Time,
    /// The process id that it had, and when it started.
    pub started: Option<(u32, Time)>,
    /// How it ended.
    pub report: Arc<Report>,
    /// Where its outputs are; `None` if they weren't kept.
    pub directory: Option<PathBuf>,
}

/// A job that somebody has asked for.
pub enum Known {
    /// It is under way.
    Live(Arc<Job>),
    /// It has ended.
    Ended(Ended),
}

/// A command or a transfer with this id is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse;

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command or a transfer with this id is under way")
    }
}

impl std::error::Error for InUse {}

/// The state belongs to another process, as this says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}, which is a server already")]
pub struct OwnedByAnother(String);

impl From<OwnedByAnother> for Fault {
    fn from(error: OwnedByAnother) -> Fault {
        Fault::user(Code::Busy, error.to_string())
            .advise("use that one, end it, or give this one a directory of its own with --state")
    }
}

impl Registry {
    /// Takes the ownership of the state directory, and reads its journal. Without a journal the registry works, and records
    /// nothing.
    ///
    /// # Errors
    /// Another process owns the state.
    pub fn open(state: &Path) -> Result<Registry, OwnedByAnother> {
        let owner = match Owner::take(state) {
            Ok(owner) => owner,
            Err(owned @ Owned::By { .. }) => return Err(OwnedByAnother(owned.to_string())),
            Err(owned) => return Ok(Registry::without(owned.to_string(), None)),
        };
        match Journal::open(owner.directory(), Retention::default()) {
            Ok((journal, index)) => Ok(Registry::of(Ok(journal), Some(owner), index)),
            // Two servers of one state would not know of each other's jobs, with or without a journal.
            Err(error) => Ok(Registry::without(error.to_string(), Some(owner))),
        }
    }

    /// A registry that owns no state and records nothing, for the reason given.
    pub fn unowned(why: &str) -> Registry {
        let fault = Fault::system(Code::NotRecorded, format!("the server can't record ids: {why}"));
        Registry::of(Err(fault), None, Index::new(Retention::default()))
    }

    /// A registry that records nothing.
    fn without(why: String, owner: Option<Owner>) -> Registry {
        tracing::error!(event = "no_journal", %why, "ids of commands are not recorded");
        let fault = Fault::system(Code::NotRecorded, format!("the server can't record ids: {why}"));
        Registry::of(Err(fault), owner, Index::new(Retention::default()))
    }

    fn of(journal: Result<Journal, Fault>, owner: Option<Owner>, index: Index) -> Registry {
        let next = 1 + index.last_job();
        let owned = owner.as_ref().map(|owner| owner.directory().to_owned());
        let next = next.max(owned.as_deref().map_or(0, spools::next));
        let state = State { index, live: HashMap::new(), transfers: HashSet::new(), next, pruned: None };
        let (adopted, released) = (AtomicBool::new(false), watch::channel(false).0);
        let (owner, state) = (Mutex::new(owner), Mutex::new(state));
        Registry(Arc::new(Shared { journal, owner, owned, adopted, released, state }))
    }

    /// Listens where other processes of this user find the owner of the state; `None` if this process doesn't own it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen(&self) -> io::Result<Option<(UnixListener, OwnedSocket)>> {
        self.owner().as_ref().map(Owner::listen).transpose()
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        let state = self.lock();
        !state.live.is_empty() || !state.transfers.is_empty()
    }

    /// Lets another process own the state, once this returns: nothing more is recorded here, no new command is taken, and the
    /// other process finds those that have a keeper. The others go on to their end here, which the journal doesn't know.
    /// Cancelled, it has begun all the same, and this process still owns the state.
    pub async fn release(&self) {
        {
            // Nothing is recorded once this is set, and the lock is free.
            let _state = self.lock();
            self.0.released.send_replace(true);
        }
        self.0.released.closed().await;
        let registry = self.clone();
        let closing = move || {
            registry.close_journal();
            drop(registry.owner().take());
        };
        if let Err(error) = tokio::task::spawn_blocking(closing).await {
            tracing::error!(event = "not_released", %error);
        }
    }

    /// Tells those who look after a job to stop. Held until then.
    pub(crate) fn released(&self) -> watch::Receiver<bool> {
        self.0.released.subscribe()
    }

    fn is_released(&self) -> bool {
        *self.0.released.borrow()
    }

    fn owner(&self) -> MutexGuard<'_, Option<Owner>> {
        self.0.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_journal(&self) {
        if let Ok(journal) = &self.0.journal
            && let Err(error) = journal.clone().close()
        {
            tracing::warn!(event = "journal_not_closed", %error);
        }
    }

    /// The journal's name; nothing without one.
    pub fn journal(&self) -> Option<&str> {
        self.0.journal.as_ref().ok().map(Journal::id)
    }

    /// Why nothing is recorded, if so.
    pub fn unrecorded(&self) -> Option<Fault> {
        self.0.journal.as_ref().err().cloned()
    }

    /// Looks after the jobs of an earlier server. Must be called within the runtime that will do it; the second call does nothing.
    pub fn adopt(&self) {
        if self.0.adopted.swap(true, Relaxed) {
            return;
        }
        let unfinished: Vec<_> = {
            let state = self.lock();
            let unfinished = state.index.iter().filter(|entry| entry.ended.is_none());
            unfinished
                .map(|entry| (Key::of(entry), entry.lease.clone(), entry.begun, entry.job, entry.started))
                .collect()
        };
        for (key, lease, began, number, started) in unfinished {
            let directory = number.and_then(|number| self.directory(number));
            let (job, orders) = Job::new(key.id.clone(), lease, began, directory.clone());
            job.update(|snapshot| snapshot.pid = started.map(|(pid, _)| pid));
            self.lock().live.insert(key.clone(), job.clone());
            // Whether it started is for its keeper to say, and not for the end of this claim.
            let claim = Claim { registry: self.clone(), key, job: job.clone(), open: true, starting: true };
            match directory {
                Some(directory) => warden::find(directory, job, claim, orders),
                None => claim.conclude(Report::of(Outcome::NotKnown(died_with_server(started)))),
            }
        }
        self.0.owned.as_deref().into_iter().for_each(spools::remove_rests);
        self.prune(&mut self.lock());
        tokio::spawn(prune_from_time_to_time(Arc::downgrade(&self.0), self.released()));
    }

    /// Takes a request for a command: it is recorded before this returns.
    ///
    /// # Errors
    /// It must not run: its id stands for something else, or may have been used before, or can't be recorded.
    pub fn begin(&self, asking: Asking<'_>, exec: &Exec) -> Result<Begun, Fault> {
        fits("id", &exec.id)?;
        exec.name.as_deref().map_or(Ok(()), |name| fits("name", name))?;
        let (digest, now) = (digest(exec), clock::now());
        let key = Key { user: asking.user.to_owned(), id: exec.id.clone() };
        let mut state = self.lock();
        if self.is_released() {
            return Err(handed_over());
        }
        if state.transfers.contains(&key) {
            return Err(in_use("stands for a transfer that is under way"));
        }
        if let Some(entry) = state.index.find(&key.user, &key.id) {
            if entry.digest != digest || !asking.sees(entry) {
                return Err(in_use("stands for another command"));
            }
            return Ok(match state.live.get(&key) {
                Some(job) => Begun::Runs(job.clone()),
                None => Begun::Ended(self.ended(entry)),
            });
        }
        self.may_be_new(&state, &key, exec)?;
        if let Some(other) = state.named(asking.user, exec.name.as_deref()) {
            return Err(Fault::user(Code::IdInUse, format!("a command that runs has this name: its id is {other}"))
                .advise("give this one another name"));
        }
        // A terminal's output is always kept: it is what a client that attaches sees.
        let number = (!exec.lease.is_kill() || exec.terminal.is_some()).then_some(state.next);
        let record = Record::Begun {
            user: key.user.clone(),
            id: key.id.clone(),
            digest,
            time: now,
            key: asking.key.map(str::to_owned),
            name: exec.name.clone(),
            command: if exec.argv.is_empty() { vec![LOGIN_SHELL.into()] } else { shortened(&exec.argv) },
            job: number,
            lease: exec.lease.clone(),
        };
        self.record(&record, exec.recorded || exec.durable || number.is_some())?;
        state.next += u64::from(number.is_some());
        state.index.apply(&record);
        let directory = number.and_then(|number| self.directory(number));
        let (job, orders) = Job::new(key.id.clone(), exec.lease.clone(), now, directory);
        job.update(|snapshot| snapshot.terminal = exec.terminal.is_some());
        state.live.insert(key.clone(), job.clone());
        if state.pruned.is_none_or(|at| at.elapsed() > PRUNE) {
            self.prune(&mut state);
        }
        let claim = Claim { registry: self.clone(), key, job: job.clone(), open: true, starting: false };
        Ok(Begun::New(New { claim, job, orders }))
    }

    /// Makes sure that what was recorded survives a power cut. Cancelled, it says nothing of what survives.
    ///
    /// # Errors
    /// The disk refused: it may not survive one.
    pub async fn sync(&self) -> Result<(), Fault> {
        let journal = self.0.journal.as_ref().map_err(Clone::clone)?;
        journal.sync().await.map_err(|error| {
            Fault::system(Code::NotRecorded, format!("the server's journal could not be synced: {error}"))
                .advise("nothing ran; see to the server's disk")
        })
    }

    /// Whether a request with an id that isn't known can be a new one.
    fn may_be_new(&self, state: &State, key: &Key, exec: &Exec) -> Result<(), Fault> {
        let unknown = |what: String| {
            Err(Fault::user(Code::Unknown, what)
                .advise("nothing ran now; look for what the command has done, and give it a new id to run it again"))
        };
        let asked = exec.again.as_ref().map(|again| again.journal.as_deref());
        if asked.is_some_and(|journal| journal.is_none() || journal != self.journal()) {
            let what = "the command may have been asked for on a server with another journal, or none: \
                        whether it ran there can't be known here";
            return unknown(what.to_owned());
        }
        // An id that its client has just made can't have been used.
        if (exec.recorded || exec.again.is_some()) && state.index.is_forgotten(&key.user, &key.id) {
            return unknown(format!("the id {:?} was used before, and its record is no longer kept", key.id));
        }
        Ok(())
    }

    fn record(&self, record: &Record, needed: bool) -> Result<(), Fault> {
        if self.is_released() {
            return if needed { Err(handed_over()) } else { Ok(()) };
        }
        let recorded = match &self.0.journal {
            Ok(journal) => journal
                .append(record)
                .map_err(|error| Fault::system(Code::NotRecorded, format!("the server can't record the id: {error}"))),
            Err(fault) => Err(fault.clone()),
        };
        match recorded {
            Err(fault) if needed => {
                let advice =
                    "nothing ran; see to the server's state directory, or leave out --id, --lease and --durable";
                Err(fault.advise(advice))
            }
            Err(fault) => {
                tracing::warn!(event = "not_recorded", why = %fault.what);
                if matches!(record, Record::Begun { .. }) {
                    self.runs_unrecorded();
                }
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// A command runs that a later process won't know of.
    fn runs_unrecorded(&self) {
        let Ok(journal) = &self.0.journal else { return };
        if let Err(error) = journal.mark_incomplete() {
            tracing::warn!(event = "not_marked", %error);
        }
    }

    /// Records what became of a job. What can't be written is lost with this process: then the next one finds out.
    pub(crate) fn note(&self, state: &mut State, record: &Record) {
        let _ = self.record(record, false);
        state.index.apply(record);
        if matches!(record, Record::Ended { .. }) && spools::are_too_large(&state.index) {
            self.prune(state);
        }
    }

    /// Takes an id for a transfer.
    ///
    /// # Errors
    /// This user has something under way with this id.
    pub fn transfer(&self, user: &str, id: &str) -> Result<Transfer, InUse> {
        let key = Key { user: user.to_owned(), id: id.to_owned() };
        let mut state = self.lock();
        match !state.live.contains_key(&key) && state.transfers.insert(key.clone()) {
            true => Ok(Transfer { registry: self.clone(), key }),
            false => Err(InUse),
        }
    }

    /// The job with this id or, if there is none, the last one with this name.
    ///
    /// # Errors
    /// There is none that this user and key may see.
    pub fn find(&self, asking: Asking<'_>, text: &str) -> Result<Known, Fault> {
        let state = self.lock();
        let found = state.index.find(asking.user, text).or_else(|| state.index.by_name(asking.user, text));
        let entry = found.filter(|entry| asking.sees(entry)).ok_or_else(|| no_such_job(text))?;
        Ok(match state.live.get(&Key::of(entry)) {
            Some(job) => Known::Live(job.clone()),
            None => Known::Ended(self.ended(entry)),
        })
    }

    /// All jobs that this user and key may see, the latest last; or the one with this id or name.
    pub fn list(&self, asking: Asking<'_>, only: Option<&str>) -> Vec<wire::Entry> {
        let state = self.lock();
        let mut entries: Vec<&Entry> = match only {
            Some(text) => {
                let found = state.index.find(asking.user, text).or_else(|| state.index.by_name(asking.user, text));
                found.into_iter().collect()
            }
            None => state.index.entries(asking.user).collect(),
        };
        entries.retain(|entry| asking.sees(entry));
        entries.sort_by_key(|entry| entry.begun);
        entries.into_iter().map(|entry| listed(entry, state.live.get(&Key::of(entry)))).collect()
    }

    /// Forgets a job that has ended, and what it printed. Its id stays used.
    ///
    /// # Errors
    /// There is none, or it runs.
    pub fn remove(&self, asking: Asking<'_>, text: &str) -> Result<(), Fault> {
        match self.find(asking, text)? {
            Known::Live(job) => Err(Fault::user(Code::IdInUse, format!("the command {} has not ended", job.id))
                .advise("end it first: unglue signal HOST ID TERM")),
            Known::Ended(ended) => {
                self.forget(&mut self.lock(), asking.user, &ended.id, ended.directory);
                Ok(())
            }
        }
    }

    fn forget(&self, state: &mut State, user: &str, id: &str, directory: Option<PathBuf>) {
        let record = Record::Forgotten { user: user.to_owned(), id: id.to_owned(), time: clock::now() };
        self.note(state, &record);
        directory.into_iter().for_each(spools::remove);
    }

    /// Forgets what is too old, or too much.
    fn prune(&self, state: &mut State) {
        state.pruned = Some(Instant::now());
        for pruned in state.index.prune(clock::now()) {
            let _ = self.record(&pruned.record(), false);
            pruned.job.and_then(|number| self.directory(number)).into_iter().for_each(spools::remove);
        }
        for (user, id, number) in spools::surplus(&state.index) {
            let directory = self.directory(number);
            self.forget(state, &user, &id, directory);
        }
    }

    fn ended(&self, entry: &Entry) -> Ended {
        let none = || Arc::new(Report::of(Outcome::Failed(Fault::us("an ended command has no report"))));
        Ended {
            id: entry.id.to_string(),
            began: entry.begun,
            started: entry.started,
            report: entry.ended.as_ref().map_or_else(none, |ended| Arc::new(ended.report())),
            directory: entry.job.and_then(|number| self.directory(number)),
        }
    }

    fn directory(&self, number: u64) -> Option<PathBuf> {
        Some(spools::directory(self.0.owned.as_deref()?, number))
    }

    /// Room for what the next job may print, in bytes.
    pub fn room(&self) -> u64 {
        spools::room(&self.lock().index)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// The server has ended in order: nothing is missing in the journal.
    fn drop(&mut self) {
        if !*self.released.borrow()
            && let Ok(journal) = &self.journal
            && let Err(error) = journal.clone().close()
        {
            tracing::warn!(event = "journal_not_closed", %error);
        }
    }
}

impl State {
    /// The id of the user's job under way that has this name.
    fn named(&self, user: &str, name: Option<&str>) -> Option<String> {
        let entry = self.index.by_name(user, name?)?;
        self.live.contains_key(&Key::of(entry)).then(|| entry.id.to_string())
    }
}

impl Key {
    fn of(entry: &Entry) -> Key {
        Key { user: entry.user.to_string(), id: entry.id.to_string() }
    }
}

impl Asking<'_> {
    fn sees(&self, entry: &Entry) -> bool {
        self.key.is_none() || self.key == entry.key.as_deref()
    }
}

/// Jobs grow old without any request.
async fn prune_from_time_to_time(registry: Weak<Shared>, mut released: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PRUNE) => {}
            _ = released.wait_for(|released| *released) => return,
        }
        let Some(registry) = registry.upgrade().map(Registry) else { return };
        registry.prune(&mut registry.lock());
    }
}

fn handed_over() -> Fault {
    Fault::system(Code::GoingAway, "the server has handed its jobs over to another one")
        .advise("nothing ran: ask again, and the other one answers")
}

fn fits(what: &str, text: &str) -> Result<(), Fault> {
    if (1..=NAME).contains(&text.len()) {
        return Ok(());
    }
    let what = format!("the command's {what} is {} bytes long; it may have 1 to {NAME}", text.len());
    Err(Fault::user(Code::BadMessage, what).advise("choose another one"))
}

fn in_use(what: &str) -> Fault {
    Fault::user(Code::IdInUse, format!("the id {what}")).advise("give each command an id of its own")
}

fn no_such_job(text: &str) -> Fault {
    Fault::user(Code::NoSuchJob, format!("there is no command with the id or the name {text:?}"))
        .advise("unglue jobs HOST lists those that are known")
}

fn died_with_server(started: Option<(u32, Time)>) -> Fault {
    let what = match started {
        Some((pid, _)) => format!(
            "the command had started as process {pid} under an earlier server, and was killed if that went down; if it handed \
             over instead, the command ran on for the client that had started it"
        ),
        None => "the server went down while it started the command: if it started, it was killed then".to_owned(),
    };
    Fault::system(Code::Unknown, what).advise("how far it came is not known: look for what it has done")
}
