//! The task that looks after a job that has a keeper: it passes orders on to the keeper, and reports what the keeper says.
//!
//! The job needs neither this task nor this process: a later one finds it by its directory. So the task stops when the state
//! is released.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use unglue_host::process::{FEED, Found, JobError, Kept, KeptEvent, Progress};
use unglue_proto::message::exec::{Outcome, Report};
use unglue_proto::{Code, Fault};

use crate::claim::Claim;
use crate::job::{Job, Order, Turn};
use crate::registry::Registry;
use crate::trimmer::Trimmer;

/// How long to wait before a keeper that doesn't answer is looked for again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often and how long an order is tried while the keeper's queue is full.
const TRIES: usize = 500;
const RETRY: Duration = Duration::from_millis(10);

/// Looks after a job that was just started.
pub(crate) fn spawn(kept: Kept, job: Arc<Job>, claim: Claim, orders: mpsc::Receiver<Order>) {
    until_released(&claim.registry.clone(), Warden::new(job, claim, orders).attend(kept));
}

/// Looks for a job of an earlier server, and after it.
pub(crate) fn find(directory: PathBuf, job: Arc<Job>, claim: Claim, orders: mpsc::Receiver<Order>) {
    until_released(&claim.registry.clone(), Warden::new(job, claim, orders).find(directory));
}

fn until_released(registry: &Registry, looking_after: impl Future<Output = ()> + Send + 'static) {
    let mut released = registry.released();
    tokio::spawn(async move {
        {
            let mut looking_after = pin!(looking_after);
            tokio::select! {
                () = &mut looking_after => {}
                _ = released.wait_for(|released| *released) => {}
            }
        }
        // The keeper's connection is closed by now.
        drop(released);
    });
}

struct Warden {
    job: Arc<Job>,
    claim: Claim,
    orders: mpsc::Receiver<Order>,
    /// The present holder, or the last one.
    turn: Turn,
    /// How much of the input the keeper was given.
    fed: u64,
    trimmer: Trimmer,
}

impl Warden {
    fn new(job: Arc<Job>, claim: Claim, orders: mpsc::Receiver<Order>) -> Self {
        Self { trimmer: Trimmer::new(job.clone()), job, claim, orders, turn: Turn::default(), fed: 0 }
    }

    async fn find(mut self, directory: PathBuf) {
        let what = loop {
            match Kept::find(&directory).await {
                Ok(found) => break found,
                Err(error) => {
                    tracing::warn!(event = "job_not_found", id = %self.job.id, %error);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        match what {
            Found::Running(kept, progress) => {
                tracing::info!(event = "job_found", id = %self.job.id, pid = progress.pid);
                self.trimmer.find(&directory).await;
                self.fed = progress.received.max(progress.stdin);
                self.take_in(progress);
                self.attend(*kept).await;
            }
            Found::Finished(report) => self.claim.conclude(*report),
            Found::NeverStarted => self.claim.never_started(),
            Found::Lost => self.claim.conclude(Report::of(Outcome::NotKnown(lost()))),
        }
    }

    async fn attend(mut self, mut kept: Kept) {
        let report = loop {
            tokio::select! {
                event = kept.event() => match event {
                    Ok(KeptEvent::Progress(progress)) => {
                        self.trimmer.printed(progress.stdout, Instant::now());
                        self.take_in(progress);
                        // What was printed goes out first; asking for the next event wakes the keeper.
                        tokio::task::yield_now().await;
                    }
                    Ok(KeptEvent::Exited(exit)) => self.job.update(|snapshot| snapshot.exit = Some(exit)),
                    Ok(KeptEvent::Ended(report)) => break *report,
                    Err(JobError::SupervisorLost) => break Report::of(Outcome::NotKnown(lost())),
                    Err(error) => break Report::of(Outcome::NotKnown(Fault::system(Code::System, error.to_string()))),
                },
                Some(order) = self.orders.recv() => self.obey(&kept, order).await,
                before = self.trimmer.trim() => insist(|| kept.trimmed(before)).await,
            }
        };
        self.claim.conclude(report);
    }

    /// Passes an order on. One that the keeper doesn't take because it is gone comes too late: how the job ended is the next
    /// event.
    async fn obey(&mut self, kept: &Kept, order: Order) {
        match order {
            Order::Signal(number) => insist(|| kept.signal(number)).await,
            Order::Cancel(fault) => insist(|| kept.cancel(&fault)).await,
            Order::Hold(turn, fed) => {
                self.turn = self.turn.max(turn);
                insist(|| kept.hold(true)).await;
                // The holder may have gone.
                let _ = fed.send(self.fed);
            }
            Order::LetGo(turn) if turn == self.turn => insist(|| kept.hold(false)).await,
            Order::Feed(turn, offset, data) if turn == self.turn => {
                for (piece, at) in data.chunks(FEED).zip((offset..).step_by(FEED)) {
                    insist(|| kept.feed(at, piece)).await;
                }
                self.fed = self.fed.max(offset + data.len() as u64);
            }
            Order::FinishStdin(turn, at) if turn == self.turn => insist(|| kept.finish_stdin(at)).await,
            Order::Resize(turn, size) if turn == self.turn => insist(|| kept.resize(size)).await,
            Order::Room(turn, upto) if turn == self.turn => insist(|| kept.room(upto)).await,
            // Of one who was replaced.
            Order::LetGo(_) | Order::Feed(..) | Order::FinishStdin(..) | Order::Resize(..) | Order::Room(..) => {}
            // The keeper counts by itself.
            Order::OutputLimit(_) => {}
        }
    }

    fn take_in(&self, progress: Progress) {
        self.job.update(|snapshot| {
            snapshot.pid = Some(progress.pid);
            (snapshot.stdout, snapshot.stderr, snapshot.stdin) = (progress.stdout, progress.stderr, progress.stdin);
            snapshot.stdin_ended = progress.stdin_end.is_some();
            snapshot.exit = progress.exit;
            snapshot.stalled = progress.stalled;
        });
    }
}

async fn insist(ask: impl Fn() -> Result<(), JobError>) {
    for _ in 0..TRIES {
        match ask() {
            Err(JobError::System { .. }) => tokio::time::sleep(RETRY).await,
            Ok(()) => return,
            Err(error) => return tracing::debug!(event = "order_not_passed_on", %error),
        }
    }
    tracing::warn!(event = "order_not_passed_on", "the keeper of a job takes no orders");
}

fn lost() -> Fault {
    Fault::system(Code::Unknown, "the process that kept the command is gone, and left no word of how the command ended")
        .advise("the command may have started and may have ended; its processes were killed; look for what it has done")
}
