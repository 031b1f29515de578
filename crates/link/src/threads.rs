//! Blocking work on threads that may not be there: a process at its limit of threads fails in words, and never panics.
//!
//! (tokio's `spawn_blocking` panics where the system gives no thread.)

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::oneshot;

/// Why work on a thread came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadError {
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Spawn(#[source] io::Error),
    /// The work panicked, with this message.
    #[error("it panicked: {0}")]
    Panicked(String),
}

/// Runs work on a thread of its own. If the call is dropped, the work goes on and its result is dropped.
///
/// # Errors
/// There is no thread to be had, or the work panicked.
pub async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ThreadError> {
    let (sender, receiver) = oneshot::channel();
    // Nobody may be waiting any more.
    let run = move || drop(sender.send(catch_unwind(AssertUnwindSafe(work))));
    Builder::new().name(name.to_owned()).spawn(run).map_err(ThreadError::Spawn)?;
    receive(receiver).await
}

type Caught<T> = Result<T, Box<dyn Any + Send>>;

async fn receive<T>(receiver: oneshot::Receiver<Caught<T>>) -> Result<T, ThreadError> {
    match receiver.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(ThreadError::Panicked(panic_message(&*panic))),
        Err(_) => Err(ThreadError::Panicked("it ended without a result".into())),
    }
}

/// The text of a panic, as far as it has one.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}

/// Threads for one kind of work, started when there is some and ended when there is none for a while.
#[derive(Clone)]
pub struct ThreadPool(Arc<Inner>);

struct Inner {
    name: &'static str,
    most: usize,
    idle: Duration,
    /// Of each thread, in bytes; the standard library's where it is `None`.
    stack: Option<usize>,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    waiting: usize,
}

pub(crate) type Job = Box<dyn FnOnce() + Send>;

impl ThreadPool {
    /// At most `most` threads; one that has had no work for `idle` ends.
    pub fn new(name: &'static str, most: usize, idle: Duration) -> ThreadPool {
        ThreadPool(Arc::new(Inner { name, most, idle, stack: None, queue: Mutex::default(), more: Condvar::new() }))
    }

    /// A pool for which the system has no thread: their stacks would need more than there is.
    #[cfg(test)]
    pub(crate) fn starved() -> ThreadPool {
        let (idle, stack) = (Duration::from_millis(50), Some(1 << 46));
        ThreadPool(Arc::new(Inner {
            name: "test",
            most: 4,
            idle,
            stack,
            queue: Mutex::default(),
            more: Condvar::new(),
        }))
    }

    /// Runs work on one of the threads, in the order of the calls. Work whose call is dropped before a thread has begun it
    /// is not done.
    ///
    /// # Errors
    /// There is no thread to be had, or the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ThreadError> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                // Nobody may be waiting any more.
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        self.submit(Box::new(job))?;
        receive(receiver).await
    }

    /// Has a job done, in the order of the calls. It must not panic.
    pub(crate) fn submit(&self, job: Job) -> Result<(), ThreadError> {
        let mut queue = self.0.lock();
        queue.jobs.push_back(job);
        if queue.jobs.len() > queue.waiting && queue.threads < self.0.most {
            let inner = self.0.clone();
            let mut thread = Builder::new().name(self.0.name.into());
            if let Some(stack) = self.0.stack {
                thread = thread.stack_size(stack);
            }
            match thread.spawn(move || inner.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    queue.jobs.pop_back();
                    return Err(ThreadError::Spawn(error));
                }
                // Those that there are do it, a little later.
                Err(_) => {}
            }
        }
        drop(queue);
        self.0.more.notify_one();
        Ok(())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn work(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.lock();
                continue;
            }
            queue.waiting += 1;
            let (woken, timeout) = self.more.wait_timeout(queue, self.idle).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.waiting -= 1;
            if timeout.timed_out() && queue.jobs.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::sleep;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let pool = ThreadPool::new("test", 2, Duration::from_millis(50));
        block_on(async {
            let error = pool.run(|| panic!("out of cheese")).await.expect_err("it panicked");
            assert_eq!(error.to_string(), "it panicked: out of cheese");
            assert_eq!(pool.run(|| 3).await.expect("the thread lives"), 3);
            assert!(on_thread("test", || panic!("again")).await.is_err());
        });
    }

    #[test]
    fn where_there_is_no_thread_the_work_fails_in_words() {
        let pool = ThreadPool::starved();
        let error = block_on(pool.run(|| 3)).expect_err("there is no thread");
        assert!(matches!(error, ThreadError::Spawn(_)), "{error}");
        assert!(pool.0.lock().jobs.is_empty(), "it would be done later, for nobody");
    }

    #[test]
    fn no_more_threads_than_allowed_run_and_none_stays() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let pool = ThreadPool::new("test", 3, Duration::from_millis(50));
        block_on(async {
            let jobs: Vec<_> = (0..20)
                .map(|_| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        let job = || {
                            MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            sleep(Duration::from_millis(5));
                            RUNNING.fetch_sub(1, Ordering::SeqCst);
                        };
                        pool.run(job).await.expect("it runs")
                    })
                })
                .collect();
            for job in jobs {
                job.await.expect("no panic");
            }
        });
        assert_eq!(MOST.load(Ordering::SeqCst), 3);
        let start = std::time::Instant::now();
        while pool.0.lock().threads > 0 {
            assert!(start.elapsed() < Duration::from_secs(5), "idle threads stay");
            sleep(Duration::from_millis(10));
        }
    }
}
