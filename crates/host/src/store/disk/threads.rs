//! Threads for calls that block on a disk.
//!
//! They are not the runtime's: a login, a name lookup or a signature never waits behind a file. A piece of work is one
//! bounded file operation, and nothing in it waits for the network. So a transfer whose peer sends nothing holds no thread,
//! however many of them there are.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::{Notify, oneshot};

use crate::store::error::{Op, StoreError};

/// As many threads may block on a store's disk at once. More work waits in order.
///
/// A disk is busy with far fewer. A file server that doesn't answer holds one thread for each transfer that touches it.
const MOST: usize = 64;

/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce() + Send>;

/// A bounded set of threads, started as they are needed. Clones share them. When the last clone is gone, what was given to
/// them is still done; then they end.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Handle>);

struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work_came: Condvar,
    idle: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    free: usize,
    closed: bool,
}

/// The result of some work, once it is done.
pub(in crate::store) type Done<T> = oneshot::Receiver<T>;

/// Reading that was begun. It goes on even if this is dropped.
#[derive(Debug)]
pub struct Working<T> {
    done: Done<Result<T, StoreError>>,
    threads: Threads,
}

impl<T> Future for Working<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.done).poll(cx));
        Poll::Ready(done.unwrap_or_else(|_| Err(StoreError::nowhere(Op::Read, self.threads.missing()))))
    }
}

impl Threads {
    pub(crate) fn new() -> Threads {
        let shared = Shared { state: Mutex::default(), work_came: Condvar::new(), idle: Notify::new() };
        Threads(Arc::new(Handle(Arc::new(shared))))
    }

    /// Has some work done. It is done even if nobody waits for its result.
    ///
    /// Without an answer (`Err` of the receiver) the work panicked, or the system has no thread for it.
    pub(in crate::store) fn start<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Done<T> {
        let (done, result) = oneshot::channel();
        self.push(Box::new(move || drop(done.send(work()))));
        result
    }

    /// Has some work done that may fail.
    pub(super) fn working<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Working<T> {
        Working { done: self.start(work), threads: self.clone() }
    }

    /// Has some work done, and waits for it. It is done even if the call is dropped.
    ///
    /// # Errors
    /// `EAGAIN`: there is no thread, and the system gives none. `ECANCELED`: the work panicked.
    pub(in crate::store) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Errno> {
        self.start(work).await.map_err(|_| self.missing())
    }

    /// Why work was not done.
    pub(super) fn missing(&self) -> Errno {
        match self.0.0.lock().threads {
            0 => Errno::AGAIN,
            _ => Errno::CANCELED,
        }
    }

    /// Waits until everything that was given to the threads is done.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.0.0.idle.notified();
            if self.0.0.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    fn push(&self, work: Work) {
        let mut state = self.0.0.lock();
        state.waiting.push_back(work);
        if state.free >= state.waiting.len() {
            drop(state);
            return self.0.0.work_came.notify_one();
        }
        if state.threads < MOST && !self.start_thread(&mut state) && state.threads == 0 {
            // Nobody will ever do it. Dropped without the lock, since it may hold what gives more work when it is dropped.
            let work = state.waiting.pop_back();
            drop(state);
            drop(work);
        }
    }

    fn start_thread(&self, state: &mut State) -> bool {
        let shared = self.0.0.clone();
        let started = std::thread::Builder::new().name("unglue-disk".into()).spawn(move || shared.work());
        match started {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::warn!(%error, threads = state.threads, "the system gives no thread for a disk"),
        }
        state.threads > 0
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("threads", &self.0.0.lock().threads).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work_came.notify_all();
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.free == self.threads
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; work does so outside of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's life.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            while let Some(work) = state.waiting.pop_front() {
                drop(state);
                // A panic has left its message on standard error; the task that waits for the result sees that there is none.
                let _ = catch_unwind(AssertUnwindSafe(work));
                state = self.lock();
            }
            state.free += 1;
            if state.is_idle() {
                self.idle.notify_waiters();
            }
            let timed_out;
            (state, timed_out) = match state.closed {
                true => (state, true),
                false => {
                    let (state, result) =
                        self.work_came.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
                    (state, result.timed_out())
                }
            };
            state.free -= 1;
            if state.waiting.is_empty() && (timed_out || state.closed) {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.expect("it ends") })
    }

    #[test]
    fn no_more_threads_than_the_bound_work_at_once_and_everything_is_done() {
        let threads = Threads::new();
        let (now, most, done) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..4 * MOST {
            let (now, most, done) = (now.clone(), most.clone(), done.clone());
            drop(threads.start(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
            }));
        }
        block_on(threads.idle());
        assert_eq!(done.load(Ordering::SeqCst), 4 * MOST);
        assert!(most.load(Ordering::SeqCst) <= MOST);
    }

    #[test]
    fn a_panic_ends_its_own_work_only() {
        let threads = Threads::new();
        block_on(async {
            assert_eq!(threads.run(|| panic!("a test's")).await.map(|()| 0), Err(Errno::CANCELED));
            assert_eq!(threads.run(|| 3).await, Ok(3));
        });
    }

    #[test]
    fn what_was_given_is_done_after_the_last_handle_is_gone() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let threads = Threads::new();
        for number in 0..100 {
            let sender = sender.clone();
            drop(threads.start(move || sender.send(number)));
        }
        drop((threads, sender));
        assert_eq!(receiver.iter().count(), 100);
    }
}
