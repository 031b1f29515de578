//! A job under way, as everybody on this server sees it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use unglue_proto::message::Time;
use unglue_proto::message::exec::{Exit, Lease, Report, TerminalSize};
use unglue_proto::{Code, Fault};

/// Requests that wait for the task of a job.
pub(crate) const ORDERS: usize = 16;

/// A job under way.
pub struct Job {
    /// Its id.
    pub id: String,
    /// How long it may live without a holder.
    pub lease: Lease,
    /// When the server took the request.
    pub began: Time,
    /// Where its outputs are kept, if they are.
    directory: Option<PathBuf>,
    snapshot: watch::Sender<Snapshot>,
    orders: mpsc::Sender<Order>,
    holder: Mutex<Holder>,
}

/// What is known of a job just now.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The process id, once the command runs.
    pub pid: Option<u32>,
    /// Bytes of standard output that can be read.
    pub stdout: u64,
    /// Bytes of standard error that can be read.
    pub stderr: u64,
    /// Bytes of the input that the command was given.
    pub stdin: u64,
    /// Whether the command takes no more input.
    pub stdin_ended: bool,
    /// How the command's own process ended, once it has.
    pub exit: Option<Exit>,
    /// Whether it waits for room for what it prints.
    pub stalled: bool,
    /// How it ended, once it has.
    pub report: Option<Arc<Report>>,
    /// It has ended without having started: the same request may be made anew.
    pub never_started: bool,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// So much of its terminal's output is no longer kept, or is just being dropped.
    pub trimmed: u64,
}

/// What somebody asks of a job.
#[derive(Debug)]
pub enum Order {
    /// Send this signal to the command's process group.
    Signal(i32),
    /// Kill it, for this reason.
    Cancel(Fault),
    /// Somebody holds it, and may feed it. The answer is how much of the input there was before.
    Hold(Turn, oneshot::Sender<u64>),
    /// This holder has gone, and there is none now.
    LetGo(Turn),
    /// Some input of this holder, and the offset of its first byte.
    Feed(Turn, u64, Bytes),
    /// This holder's input ends at this offset.
    FinishStdin(Turn, u64),
    /// Kill it: it has printed more than so many bytes.
    OutputLimit(u64),
    /// The size of this holder's terminal.
    Resize(Turn, TerminalSize),
    /// This holder has room for what the terminal prints up to this offset.
    Room(Turn, u64),
}

/// Which of a job's holders it is, one after the other. One who was replaced has no more say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

#[derive(Default)]
struct Holder {
    turn: Turn,
    /// Tells the present one that it is replaced.
    present: Option<oneshot::Sender<()>>,
}

impl Job {
    pub(crate) fn new(
        id: String,
        lease: Lease,
        began: Time,
        directory: Option<PathBuf>,
    ) -> (Arc<Job>, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let snapshot = watch::Sender::new(Snapshot::default());
        let job = Job { id, lease, began, directory, snapshot, orders, holder: Mutex::default() };
        (Arc::new(job), inbox)
    }

    /// Where its outputs are kept; `None` if they go to its holder alone.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What is known of it, now and when that changes.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    /// What is known of it just now.
    pub fn now(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(change);
    }

    /// Asks something of it. An order that comes too late has no effect. Cancelled, the order is not given.
    pub async fn order(&self, order: Order) {
        // Its task is gone: so is the job.
        let _ = self.orders.send(order).await;
    }

    /// Waits until it has ended. Cancelling it loses nothing.
    pub async fn ended(&self) -> Arc<Report> {
        let mut watch = self.watch();
        loop {
            if let Some(report) = &watch.borrow_and_update().report {
                return report.clone();
            }
            if watch.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the command runs or has ended; whether it may be asked for anew, since it never started. Cancelling
    /// it loses nothing.
    pub async fn never_started(&self) -> bool {
        let mut watch = self.watch();
        let now = watch.wait_for(|now| now.pid.is_some() || now.report.is_some()).await;
        now.is_ok_and(|now| now.never_started)
    }

    /// Whether somebody holds it.
    pub fn is_held(&self) -> bool {
        self.holder().present.as_ref().is_some_and(|present| !present.is_closed())
    }

    /// Takes hold of it; with `take` from the client that holds it. Cancelled, it lets go again, and that client has
    /// lost it.
    ///
    /// # Errors
    /// [`Code::Held`]: another client holds it.
    pub async fn hold(self: &Arc<Job>, take: bool) -> Result<Hold, Fault> {
        if self.is_held() && !take {
            return Err(Fault::user(Code::Held, format!("another client holds the command {}", self.id))
                .advise("only watch it, or take it over with --take"));
        }
        let (sender, replaced) = oneshot::channel();
        let turn = {
            let mut holder = self.holder();
            holder.turn.0 += 1;
            // The one before learns it, if it is still there.
            if let Some(before) = holder.present.replace(sender) {
                let _ = before.send(());
            }
            holder.turn
        };
        let mut hold = Hold { job: self.clone(), turn, replaced, fed: 0 };
        let (sender, fed) = oneshot::channel();
        self.order(Order::Hold(turn, sender)).await;
        // If its task is gone, it has ended.
        hold.fed = fed.await.unwrap_or_default();
        Ok(hold)
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's hold on a job; it lets go when it is dropped.
pub struct Hold {
    job: Arc<Job>,
    turn: Turn,
    replaced: oneshot::Receiver<()>,
    fed: u64,
}

impl Hold {
    /// Which holder it is.
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// How much of the input the job had before, in bytes: this holder goes on from there.
    pub fn fed(&self) -> u64 {
        self.fed
    }

    /// Waits until another client has taken the job over. Cancelling it loses nothing.
    pub async fn replaced(&mut self) {
        // The sender lives as long as the job's task may replace this holder.
        if (&mut self.replaced).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let last = {
            let mut holder = self.job.holder();
            let last = holder.turn == self.turn;
            if last {
                holder.present = None;
            }
            last
        };
        if !last {
            return;
        }
        match self.job.orders.try_send(Order::LetGo(self.turn)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            // Its task is slow: somebody has to wait for it.
            Err(mpsc::error::TrySendError::Full(order)) => {
                let orders = self.job.orders.clone();
                tokio::spawn(async move { orders.send(order).await });
            }
        }
    }
}
