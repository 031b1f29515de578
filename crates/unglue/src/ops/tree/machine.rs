//! A state machine of the store: here, or at work on one of the store's threads.

use std::pin::Pin;

use unglue_host::store::Store;
use unglue_proto::Fault;

type Working<M, R> = Pin<Box<dyn Future<Output = Result<(Box<M>, R), Fault>> + Send>>;

/// Where the machine is. Dropped, the machine is dropped on the store's threads: it may have much to remove.
pub(super) struct Machine<M: Send + 'static, R> {
    store: Store,
    here: Option<Box<M>>,
    working: Option<Working<M, R>>,
}

impl<M: Send + 'static, R: Send + 'static> Machine<M, R> {
    pub(super) fn new(store: &Store, machine: M) -> Machine<M, R> {
        Machine { store: store.clone(), here: Some(Box::new(machine)), working: None }
    }

    /// The machine, unless it is at work.
    pub(super) fn here(&mut self) -> Option<&mut M> {
        self.here.as_deref_mut()
    }

    pub(super) fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// Has it do some work that blocks on the disk. Nothing happens if it is at work already.
    pub(super) fn start(&mut self, work: impl FnOnce(&mut M) -> R + Send + 'static) {
        if let Some(mut machine) = self.here.take() {
            let store = self.store.clone();
            self.working = Some(Box::pin(async move {
                let done = store.work(move || {
                    let result = work(&mut machine);
                    (machine, result)
                });
                done.await
            }));
        }
    }

    /// What the work has given. Waits for ever if there is none. Cancelling it loses nothing.
    pub(super) async fn worked(&mut self) -> Result<R, Fault> {
        let Some(working) = &mut self.working else { return std::future::pending().await };
        let done = working.await;
        self.working = None;
        let (machine, result) = done?;
        self.here = Some(machine);
        Ok(result)
    }

    /// The machine itself, once no work is under way.
    pub(super) fn into_inner(mut self) -> Result<M, Fault> {
        match self.here.take() {
            Some(machine) => Ok(*machine),
            None => Err(Fault::us("a transfer ends while its state is at work")),
        }
    }

    /// Drops the machine, and waits until what it had to remove is gone.
    pub(super) async fn discard(mut self) {
        if self.working.is_some() {
            // It is dropped all the same if its work failed.
            let _ = self.worked().await;
        }
        if let Some(machine) = self.here.take() {
            let _ = self.store.work(move || drop(machine)).await;
        }
    }
}

impl<M: Send + 'static, R> Drop for Machine<M, R> {
    fn drop(&mut self) {
        if let Some(machine) = self.here.take() {
            self.store.discard(machine);
        }
    }
}
