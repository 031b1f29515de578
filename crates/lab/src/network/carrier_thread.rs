//! The thread that carries a wire's packets, which ends with its handle.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

/// The thread's handle. Dropped, it waits for the thread's end, and goes on with its panic.
#[derive(Debug)]
pub(super) struct CarrierThread {
    /// One byte wakes the thread, the end stops it.
    bell: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl CarrierThread {
    /// Starts it. It ends once `bell`, the writing end of a pipe, is closed.
    pub(super) fn start(bell: OwnedFd, run: impl FnOnce() + Send + 'static) -> io::Result<CarrierThread> {
        let thread = thread::Builder::new().name("wire".into()).spawn(run)?;
        Ok(CarrierThread { bell: Some(bell), thread: Some(thread) })
    }

    /// Wakes it.
    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            // A full pipe wakes the thread just as well.
            let _ = rustix::io::write(bell, &[0]);
        }
    }
}

impl Drop for CarrierThread {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
