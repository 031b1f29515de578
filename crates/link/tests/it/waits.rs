//! Those who wait: woken when it is time, gone when they are cancelled.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use unglue_link::{LinkConfig, LinkError, connect_over, memory};
use unglue_proto::Code;

/// Polls a wait, and drops it.
async fn cancelled<T>(wait: impl Future<Output = T>) {
    assert!(timeout(Duration::from_millis(1), wait).await.is_err(), "it did not have to wait");
}

#[tokio::test]
async fn cancelled_waits_leave_no_wakers() {
    let (client, server) = memory();
    for _ in 0..100 {
        cancelled(client.ended()).await;
        cancelled(server.accept()).await;
    }
    assert_eq!((client.waiting(), server.waiting()), (0, 0));

    // All streams are open, so one more has to wait.
    let mut streams = Vec::new();
    for _ in 0..unglue_proto::limits::BIDIRECTIONAL_STREAMS {
        streams.push(client.open_bidirectional().await.expect("a stream"));
    }
    let mut unread = client.open_unidirectional().await.expect("a stream");
    unread.write_all(vec![0; 200_000].into()).await.expect("it is buffered");
    for _ in 0..10 {
        cancelled(client.open_bidirectional()).await;
        cancelled(client.flushed()).await;
    }
    assert_eq!(client.waiting(), 0);
}

#[tokio::test]
async fn waits_of_several_tasks_all_end_with_the_link() {
    let (client, server) = memory();
    let waits: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.ended().await })
        })
        .collect();
    tokio::task::yield_now().await;
    server.close();
    for wait in waits {
        let ended = wait.await.expect("no panic");
        assert!(matches!(ended, LinkError::ClosedByPeer { .. }), "{ended}");
    }
}

#[tokio::test]
async fn a_ping_is_answered_while_streams_are_stuck_and_not_by_a_dead_peer() {
    let (client, server) = memory();
    let mut stuck = client.open_unidirectional().await.expect("a stream");
    stuck.write_all(vec![0; 300_000].into()).await.expect_err_or_pending();
    let took = timeout(Duration::from_secs(5), client.ping()).await.expect("in time").expect("it is alive");
    assert!(took < Duration::from_secs(5));
    let (one, two) = tokio::join!(client.ping(), server.ping());
    assert!(one.is_ok() && two.is_ok());

    // A peer that takes bytes and says nothing.
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let silent = connect_over(near, None, &LinkConfig::default()).expect("a link");
    tokio::spawn(silent.driver);
    let drain = tokio::spawn(async move { tokio::io::copy(&mut far, &mut tokio::io::sink()).await });
    assert!(timeout(Duration::from_millis(500), silent.link.ping()).await.is_err(), "nobody answered");
    assert_eq!(silent.link.waiting(), 0);
    drain.abort();
}

/// Only for the test above: a write that may have to wait for credit is as good as one that is done.
trait OrPending {
    fn expect_err_or_pending(self);
}

impl<T, E: std::fmt::Debug> OrPending for Result<T, E> {
    fn expect_err_or_pending(self) {
        self.map(drop).expect("the link is up");
    }
}

#[tokio::test]
async fn a_server_that_never_welcomes_is_given_up() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let config = LinkConfig::default();
    let mut config = config.heartbeat(Duration::from_millis(100), Duration::from_secs(60));
    config.welcome = Duration::from_millis(300);
    let connected = connect_over(near, None, &config).expect("a link");
    tokio::spawn(connected.driver);
    let ended = timeout(Duration::from_secs(5), connected.link.ended()).await.expect("in time");
    assert_eq!(ended.code(), Code::TimedOut, "{ended}");
    assert!(ended.to_string().contains("answer to the login"), "{ended}");
    assert!(connected.welcome.await.is_err());
    drop(far);
}

#[tokio::test]
async fn a_silent_peer_is_lost_and_told_why() {
    let config = LinkConfig::default().heartbeat(Duration::from_secs(60), Duration::from_millis(300));
    let (near, far) = tokio::io::duplex(1 << 20);
    let connected = connect_over(near, None, &config).expect("a link");
    tokio::spawn(connected.driver);
    let ended = timeout(Duration::from_secs(5), connected.link.ended()).await.expect("in time");
    assert_eq!(ended.code(), Code::LinkLost, "{ended}");
    assert!(ended.to_string().contains("nothing has arrived"), "{ended}");
    let mut sent = Vec::new();
    let mut far = far;
    drop(connected.link);
    tokio::io::AsyncReadExt::read_to_end(&mut far, &mut sent).await.expect("the end");
    let sent = String::from_utf8_lossy(&sent).into_owned();
    assert!(sent.contains("nothing had arrived from you"), "{sent:?}");
}
