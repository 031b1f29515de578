//! A job under way, as everybody on this server sees it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use unglue_proto::message::Time;
use unglue_proto::message::exec::{Exit, Lease, Report};
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
}

/// What somebody asks of a job.
#[derive(Debug)]
pub enum Order {
    /// Send this signal to the command's process group.
    Signal(i32),
    /// Kill it, for this reason.
    Cancel(Fault),
    /// Whether somebody holds it.
    Hold(bool),
    /// Some input, and the offset of its first byte.
    Feed(u64, Bytes),
    /// The input ends at this offset.
    FinishStdin(u64),
    /// Kill it: it has printed more than so many bytes.
    OutputLimit(u64),
}

#[derive(Default)]
struct Holder {
    /// Counts the holders, so that one who was replaced doesn't let go for the next.
    turn: u64,
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

    /// Asks something of it. An order that comes too late has no effect.
    pub async fn order(&self, order: Order) {
        // Its task is gone: so is the job.
        let _ = self.orders.send(order).await;
    }

    /// Waits until it has ended.
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

    /// Whether somebody holds it.
    pub fn is_held(&self) -> bool {
        self.holder().present.as_ref().is_some_and(|present| !present.is_closed())
    }

    /// Takes hold of it; with `take` from whoever has it.
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
            holder.turn += 1;
            // The one before learns it, if it is still there.
            if let Some(before) = holder.present.replace(sender) {
                let _ = before.send(());
            }
            holder.turn
        };
        let hold = Hold { job: self.clone(), turn, replaced };
        self.order(Order::Hold(true)).await;
        Ok(hold)
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's hold on a job; it lets go when it is dropped.
pub struct Hold {
    job: Arc<Job>,
    turn: u64,
    replaced: oneshot::Receiver<()>,
}

impl Hold {
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
        match self.job.orders.try_send(Order::Hold(false)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            // Its task is slow: somebody has to wait for it.
            Err(mpsc::error::TrySendError::Full(order)) => {
                let orders = self.job.orders.clone();
                tokio::spawn(async move { orders.send(order).await });
            }
        }
    }
}
