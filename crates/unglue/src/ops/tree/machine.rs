//! A state machine of the store: here, or at work on one of the store's threads.

use std::pin::Pin;

use unglue_host::store::Store;
use unglue_proto::Fault;

type Working<M, R> = Pin<Box<dyn Future<Output = Result<(Box<M>, R), Fault>> + Send>>;

/// Where the machine is.
pub(super) struct Machine<M, R> {
    here: Option<Box<M>>,
    working: Option<Working<M, R>>,
}

impl<M: Send + 'static, R: Send + 'static> Machine<M, R> {
    pub(super) fn new(machine: M) -> Machine<M, R> {
        Machine { here: Some(Box::new(machine)), working: None }
    }

    /// The machine, unless it is at work.
    pub(super) fn here(&mut self) -> Option<&mut M> {
        self.here.as_deref_mut()
    }

    pub(super) fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// Has it do some work that blocks on the disk. Nothing happens if it is at work already.
    pub(super) fn start(&mut self, store: &Store, work: impl FnOnce(&mut M) -> R + Send + 'static) {
        if let Some(mut machine) = self.here.take() {
            let store = store.clone();
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
    pub(super) fn into_inner(self) -> Result<M, Fault> {
        match self.here {
            Some(machine) => Ok(*machine),
            None => Err(Fault::us("a transfer ends while its state is at work")),
        }
    }
}
