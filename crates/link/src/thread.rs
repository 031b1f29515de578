//! Work that may wait: in a thread of its own, whose refusal by the system is an error. (tokio's `spawn_blocking`
//! panics where the limit of threads is reached.)

use std::io;

use tokio::sync::oneshot;

/// Runs `work` in a new thread and gives its result. If the future is dropped, the work goes on and its result is lost.
///
/// # Errors
/// The system gave no thread, or the work panicked.
pub async fn in_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, result) = oneshot::channel();
    std::thread::Builder::new().name("unglue-wait".into()).spawn(move || {
        // Nobody may be waiting any more.
        drop(sender.send(work()));
    })?;
    result.await.map_err(|_| io::Error::other("the thread ended without a result"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_and_a_panic_both_come_back() {
        assert_eq!(in_a_thread(|| 7).await.expect("a result"), 7);
        let panicked: io::Result<()> = in_a_thread(|| panic!("as a test")).await;
        assert!(panicked.is_err());
    }
}
