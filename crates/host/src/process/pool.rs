//! The supervisors that a server keeps, and how many.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use unglue_proto::limits::TURN;

use super::link::Link;
use super::spawner::{Spawner, SupervisorCommand};

/// A start is work for more than one process (server, supervisor, the command itself), which take turns: with fewer under way
/// a core waits now and then for one of them to be woken.
const STARTING_PER_CORE: usize = 4;

/// How many supervisors there may be, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// So many commands run at once; the next ones wait, in order. Each takes this process four
    /// descriptors, or three without stdin.
    pub most: usize,
    /// So many supervisors are kept ready for the next commands.
    pub warm: usize,
    /// More than those end after being idle for so long.
    pub idle: Duration,
    /// How long a command waits for its turn where as many run as there may. Then it isn't started.
    pub turn: Duration,
    /// A command must have started within this time after a supervisor took it.
    pub spawn_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 1024, warm: 2, idle: Duration::from_secs(10), turn: TURN, spawn_deadline: Duration::from_secs(10) }
    }
}

pub(super) struct Pool {
    spawner: Mutex<Spawner>,
    state: Mutex<State>,
    limits: Limits,
    /// So many commands are being started at once; more would only queue for the cores.
    starting_most: usize,
}

#[derive(Default)]
struct State {
    /// The latest last, as it is the likeliest to be in the caches.
    idle: Vec<(Link, Instant)>,
    /// In the order of their coming.
    waiting: VecDeque<oneshot::Sender<Slot>>,
    /// Slots in use.
    active: usize,
    /// Those among them whose command hasn't started yet.
    starting: usize,
    trimming: bool,
}

impl Pool {
    /// Starts the spawner and the warm supervisors.
    pub(super) fn new(command: SupervisorCommand, limits: Limits) -> io::Result<Arc<Self>> {
        let mut spawner = Spawner::new(command)?;
        let now = Instant::now();
        let idle = (0..limits.warm.min(limits.most)).map(|_| Ok((spawner.supervisor()?, now)));
        let state = State { idle: idle.collect::<io::Result<_>>()?, ..State::default() };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            spawner: Mutex::new(spawner),
            state: Mutex::new(state),
            limits,
            starting_most: STARTING_PER_CORE * cores,
        }))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many supervisors are idle just now.
    pub(super) fn idle(&self) -> usize {
        self.state().idle.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A supervisor for one job, when its turn has come: one that is idle, or else a new one.
    ///
    /// A turn comes when few commands are being started. So commands that come and go quickly share a few
    /// supervisors, while a thousand that stay get one each as fast as the machine can start them.
    pub(super) async fn acquire(self: &Arc<Self>) -> io::Result<Slot> {
        let (sender, turn) = oneshot::channel();
        self.state().waiting.push_back(sender);
        self.call_next();
        let mut slot = turn.await.map_err(|_| io::Error::other("the pool of supervisors was closed"))?;
        if slot.link.is_none() {
            slot.link = Some(self.spawner.lock().unwrap_or_else(PoisonError::into_inner).supervisor()?);
        }
        Ok(slot)
    }

    /// Gives those who wait their turns, as far as the limits allow.
    fn call_next(self: &Arc<Self>) {
        while let Some((waiter, slot)) = self.next_turn() {
            // A caller that stopped waiting meanwhile drops the slot, which makes room for the next.
            drop(waiter.send(slot));
        }
    }

    fn next_turn(self: &Arc<Self>) -> Option<(oneshot::Sender<Slot>, Slot)> {
        let mut state = self.state();
        if state.active >= self.limits.most || state.starting >= self.starting_most {
            return None;
        }
        let waiter = std::iter::from_fn(|| state.waiting.pop_front()).find(|waiter| !waiter.is_closed())?;
        state.active += 1;
        state.starting += 1;
        let link = state.idle.pop().map(|(link, _)| link);
        Some((waiter, Slot { link, pool: self.clone(), starting: true }))
    }

    /// Keeps an idle supervisor for later. Must be called within the runtime.
    fn keep(self: &Arc<Self>, link: Link) {
        let mut state = self.state();
        state.idle.push((link, Instant::now()));
        if state.idle.len() > self.limits.warm && !std::mem::replace(&mut state.trimming, true) {
            tokio::spawn(trim(Arc::downgrade(self), self.limits.idle));
        }
    }

    fn trim_once(&self) -> bool {
        let mut state = self.state();
        let stale = state.idle.iter().take_while(|(_, since)| since.elapsed() >= self.limits.idle).count();
        let surplus = state.idle.len().saturating_sub(self.limits.warm);
        state.idle.drain(..stale.min(surplus));
        state.trimming = state.idle.len() > self.limits.warm;
        state.trimming
    }
}

/// Runs as long as there are more idle supervisors than are kept warm.
async fn trim(pool: Weak<Pool>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        if !pool.upgrade().is_some_and(|pool| pool.trim_once()) {
            return;
        }
    }
}

/// A turn, and the supervisor that goes with it. Dropped with its supervisor still in it, it makes that kill its
/// tree.
pub(super) struct Slot {
    link: Option<Link>,
    pool: Arc<Pool>,
    starting: bool,
}

impl Slot {
    /// `None` once it was given back or discarded.
    pub(super) fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// The same, to listen to.
    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }

    /// The supervisor, which the pool no longer counts.
    pub(super) fn take(mut self) -> Option<Link> {
        self.link.take()
    }

    /// The command has started: the next one may.
    pub(super) fn started(&mut self) {
        if std::mem::take(&mut self.starting) {
            self.pool.state().starting -= 1;
            self.pool.call_next();
        }
    }

    /// The supervisor is idle again. Must be called within the runtime.
    pub(super) fn give_back(mut self) {
        if let Some(link) = self.link.take() {
            self.pool.keep(link);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.pool.state();
            state.active -= 1;
            state.starting -= usize::from(self.starting);
        }
        self.pool.call_next();
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("link", &self.link).finish_non_exhaustive()
    }
}
