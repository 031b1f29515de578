//! Callers that share a call of fdatasync(2).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn a_thousand_callers_share_a_few_calls() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    journal.append(&begun(1)).unwrap();
    let shared = journal.0.shared.clone();
    // As long as the test holds the file, the first call can't begin.
    let held = shared.writer();
    let answered = AtomicUsize::new(0);
    runtime().block_on(async {
        let mut callers: Vec<_> = (0..1000)
            .map(|_| {
                Box::pin(async {
                    shared.queue.wait().await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        for caller in &mut callers {
            assert!(poll_once(caller.as_mut()).await.is_none(), "nothing is synced yet");
        }
        drop(held);
        for caller in callers {
            caller.await;
        }
    });
    assert_eq!(answered.load(Ordering::Relaxed), 1000);
    assert!((1..=2).contains(&journal.syncs()), "{} calls", journal.syncs());
}

async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[test]
fn what_is_synced_is_not_synced_again() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    runtime().block_on(async {
        journal.sync().await.unwrap();
        assert_eq!(journal.syncs(), 0, "a new journal is synced");
        journal.append(&begun(1)).unwrap();
        journal.sync().await.unwrap();
        journal.sync().await.unwrap();
        assert_eq!(journal.syncs(), 1);
    });
}

#[test]
fn a_caller_that_is_dropped_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    journal.append(&begun(1)).unwrap();
    runtime().block_on(async {
        let mut caller = Box::pin(journal.sync());
        let _ = poll_once(caller.as_mut()).await;
        drop(caller);
        journal.append(&begun(2)).unwrap();
        journal.sync().await.unwrap();
    });
    let clone = journal.clone();
    journal.close().unwrap();
    let error = runtime().block_on(clone.sync()).unwrap_err();
    assert_eq!(error.to_string(), "the journal is closed");
}

#[test]
fn callers_of_several_threads_are_all_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = journal.clone();
            scope.spawn(move || {
                runtime().block_on(async {
                    for n in 0..10 {
                        journal.append(&begun(thread * 10 + n)).unwrap();
                        journal.sync().await.unwrap();
                    }
                });
            });
        }
    });
    assert!(journal.syncs() <= 40);
    drop(journal);
    assert_eq!(open(directory.path()).1.len(), 40);
}
