//! Calls of fdatasync(2) that callers share.
//!
//! A thread of the journal makes them. While one is under way, callers gather; the next one is for all of them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::sync::oneshot;

use super::Shared;
use super::file::Stopped;

type Answer = Result<(), Stopped>;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<oneshot::Sender<Answer>>,
    ended: bool,
}

impl Queue {
    /// Waits for a call that begins from now on.
    pub(super) async fn wait(&self) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.ended {
                return Err(Stopped::Closed.into());
            }
            state.waiting.push(sender);
        }
        self.wake.notify_one();
        Ok(receiver.await.unwrap_or(Err(Stopped::Closed))?)
    }

    /// Lets the thread end after the callers that wait already.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.wake.notify_one();
    }

    /// How many calls were made.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The callers for the next call; nothing at the end.
    fn next(&self) -> Option<Vec<oneshot::Sender<Answer>>> {
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() {
                return Some(std::mem::take(&mut state.waiting));
            }
            if state.ended {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread.
pub(super) fn run(shared: &Shared) {
    while let Some(waiting) = shared.queue.next() {
        let answer = sync(shared);
        for sender in waiting {
            // A caller that doesn't wait any more needs no answer.
            let _ = sender.send(answer.clone());
        }
    }
}

/// Everything that was appended before is on the disk.
fn sync(shared: &Shared) -> Answer {
    let (file, length) = shared.writer().file();
    shared.queue.calls.fetch_add(1, Ordering::Relaxed);
    let result = loop {
        match rustix::fs::fdatasync(&*file) {
            Err(Errno::INTR) => {}
            result => break result,
        }
    };
    let mut writer = shared.writer();
    match result {
        Ok(()) => {
            writer.synced(&file, length);
            Ok(())
        }
        // The kernel may have dropped what it could not write; the next call would succeed all the same.
        Err(errno) => {
            let failed = Stopped::Failed("fdatasync(2)", errno);
            writer.stop(failed.clone());
            Err(failed)
        }
    }
}
