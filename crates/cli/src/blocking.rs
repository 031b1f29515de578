//! Work that may block for as long as it likes, on a thread of its own. Nobody waits for the thread when the process ends.
//!
//! tokio's own threads for blocking work panic where the system has no thread to give; these report it.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Runs `work` on a new thread, and gives what it returns. Dropping the call leaves the thread to itself.
///
/// # Errors
/// The system gives no thread, or the work panicked, which was reported then.
pub(crate) async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = oneshot::channel();
    // Nobody may be waiting any more.
    spawn(name, move || drop(sender.send(work())))?;
    result.await.map_err(|_| io::Error::other(format!("the thread `{name}` ended before its work did")))
}

/// Starts a thread.
///
/// # Errors
/// The system gives none.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let started = thread::Builder::new().name(name.into()).spawn(work);
    let refused =
        |error| io::Error::other(format!("the system refused a new thread: {error}; raise the limit (ulimit -u)"));
    started.map(drop).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panics_is_an_error_and_not_a_result() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(blocking("sum", || 1 + 1)).expect("a number"), 2);
        let broken = runtime.block_on(blocking("broken", || panic!("on purpose")));
        assert!(broken.expect_err("a panic").to_string().contains("`broken` ended before"));
    }
}
