//! Authenticated clients that make the server hold as much as they can (P6): it is bounded, refused in words, and delays
//! nobody else.

use std::time::Duration;

use tokio::time::timeout;
use unglue::{Code, Exec};
use unglue_link::StreamError;
use unglue_proto::limits::{
    BIDIRECTIONAL_STREAMS, CONTROL_MESSAGE, INITIAL_WINDOW, LINK_UNREAD, UNIDIRECTIONAL_STREAMS,
};

use crate::daemon::Daemon;
use crate::site::{Site, code, run, soon, within};
use crate::versions::bare_link;

/// What the server may need beside what it counts: twice that for buffers that grow by doubling, and the state of streams.
fn bound() -> u64 {
    2 * LINK_UNREAD + (48 << 20)
}

async fn serves_others(site: &Site, daemon: &Daemon) {
    let client = soon(10, "a login", site.connect(daemon.address())).await;
    assert_eq!(code(&soon(10, "a command", run(&client, &Exec::new(["true"]))).await.report), 0);
}

/// Two thousand messages that announce 4 MiB each and are never whole: 8 GiB, if each were taken.
#[test]
fn control_messages_that_are_never_whole_are_bounded() {
    within(120, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        serves_others(&site, &daemon).await;
        let before = daemon.memory();
        let link = bare_link(&site, daemon.address()).await;
        let length = (CONTROL_MESSAGE as u32).to_be_bytes();
        let (mut kept, mut refused, mut sent, mut most) = (Vec::new(), 0, 0u64, 0);
        for _ in 0..BIDIRECTIONAL_STREAMS {
            let Ok(Ok((mut send, recv))) = timeout(Duration::from_secs(5), link.open_bidirectional()).await else {
                break;
            };
            send.write_all(length.to_vec().into()).await.expect("it is sent");
            // Whitespace is JSON as well.
            let mut left = CONTROL_MESSAGE - 1000;
            while left > 0 {
                let piece = left.min(64 * 1024);
                match timeout(Duration::from_secs(10), send.write_all(vec![b' '; piece].into())).await {
                    Ok(Ok(())) => (left, sent) = (left - piece, sent + piece as u64),
                    Ok(Err(StreamError::Reset(code))) => {
                        assert!([Code::Busy, Code::Cancelled].contains(&code), "{code:?}");
                        refused += 1;
                        break;
                    }
                    Ok(Err(StreamError::Lost(error))) => panic!("the link was lost: {error}"),
                    Err(_) => panic!("a write hangs after {sent} bytes"),
                }
            }
            kept.push((send, recv));
            if kept.len() % 100 == 0 {
                most = most.max(daemon.memory());
            }
            if refused > 200 {
                break;
            }
        }
        most = most.max(daemon.memory());
        let grown = most.saturating_sub(before);
        eprintln!("{sent} bytes sent on {} streams, {refused} of them refused: the server grew by {grown}", kept.len());
        assert!(refused > 100, "only {refused} were refused");
        assert!(grown < bound(), "the server grew by {grown} bytes");
        serves_others(&site, &daemon).await;
    });
}

/// Four thousand data streams that no operation has named: 256 MiB in first windows.
#[test]
fn first_windows_that_nobody_reads_are_bounded() {
    within(120, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        serves_others(&site, &daemon).await;
        let before = daemon.memory();
        let link = bare_link(&site, daemon.address()).await;
        let mut streams = Vec::new();
        for _ in 0..UNIDIRECTIONAL_STREAMS {
            let mut stream = link.open_unidirectional().await.expect("a stream");
            // Those that are refused say so; the others take it.
            let _ = stream.write_all(vec![b'x'; INITIAL_WINDOW as usize].into()).await;
            streams.push(stream);
        }
        soon(60, "the last answer", link.ping()).await.expect("the link is up");
        let mut refused = 0;
        for stream in &mut streams {
            let stopped = timeout(Duration::from_millis(1), stream.stopped()).await;
            refused += usize::from(matches!(stopped, Ok(StreamError::Reset(_))));
        }
        let grown = daemon.memory().saturating_sub(before);
        eprintln!("{refused} of {} streams were refused: the server grew by {grown} bytes", streams.len());
        assert!(refused >= UNIDIRECTIONAL_STREAMS - (LINK_UNREAD / INITIAL_WINDOW) as usize, "{refused} were refused");
        assert!(grown < bound(), "the server grew by {grown} bytes");
        serves_others(&site, &daemon).await;
    });
}
