//! The one runtime of a process, with as little as its command needs: a command that lives for 5 ms must not pay for more.

use std::future::Future;

use crate::complaint::Complaint;

/// Runs a command on this thread alone. Threads that block in a read or a write are left behind.
///
/// # Errors
/// The command's own, or the system has no resources for a runtime.
pub(crate) fn run<T>(command: impl Future<Output = Result<T, Complaint>>) -> Result<T, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| Complaint::new(format!("the system refused an event loop: {error}")))?;
    let result = runtime.block_on(async {
        let result = command.await;
        part().await;
        result
    });
    runtime.shutdown_background();
    result
}

/// Gives links that were let go a turn to close in order, so that the other end need not wonder what became of them.
async fn part() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}
