//! The bottleneck of a transfer is found from what both ends have waited for.

use std::fs;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use unglue::{
    Bottleneck, Client, Download, Exec, Explained, LinkConfig, Memory, Meter, Sink, StoreError, Tally, TransferOptions,
    Upload,
};
use unglue_testkit::Prng;
use unglue_testkit::relay::{Relay, Towards};

use crate::site::{Site, soon, within};

/// A reader and writer that takes its time for each piece of 64 KiB.
struct Slow {
    left: usize,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Slow {
    fn new(bytes: usize, pause_ms: u64) -> Slow {
        let pause = Duration::from_millis(pause_ms);
        Slow { left: bytes, pause, sleep: Box::pin(sleep(pause)) }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(cx));
        self.sleep = Box::pin(sleep(self.pause));
        Poll::Ready(())
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_piece(cx));
        let len = buf.remaining().min(64 * 1024).min(self.left);
        buf.put_slice(&vec![b'x'; len]);
        self.left -= len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_piece(cx));
        Poll::Ready(Ok(data.len().min(64 * 1024)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Keeps nothing of what comes, and takes its time to make it durable.
struct SlowToSync(Meter);

impl Sink for SlowToSync {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.0.pass(&bytes);
        Ok(())
    }

    async fn written(&mut self) -> Result<Tally, StoreError> {
        Ok(self.0.tally())
    }

    async fn commit(self) -> Result<(), StoreError> {
        sleep(Duration::from_millis(700)).await;
        Ok(())
    }

    async fn discard(self) {}
}

async fn put(client: &Client, upload: Upload<'_>) -> Explained {
    let watch = client.watch().await.expect("the link is there");
    let sent = soon(60, "a put", client.put(upload, "there", TransferOptions::default())).await.expect("it is sent");
    watch.sent(sent.bytes).await.expect("both ends count")
}

async fn get(client: &Client, download: Download<'_>) -> Explained {
    let watch = client.watch().await.expect("the link is there");
    let got = soon(60, "a get", client.get("file", download, TransferOptions::default())).await.expect("it comes");
    watch.received(got.bytes).await.expect("both ends count")
}

#[track_caller]
fn is(explained: &Explained, expected: Bottleneck) {
    assert_eq!(explained.bottleneck, expected, "{explained:#?}");
    // Not by a hair.
    assert!(explained.held.of(expected) > explained.seconds / 3.0, "{explained:#?}");
    assert!(explained.there.is_some());
}

#[test]
fn a_slow_source_is_named() {
    within(90, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let explained = put(&client, Upload::reader(Slow::new(3_000_000, 20)).named("there")).await;
        is(&explained, Bottleneck::Source);
        assert!(explained.sent && explained.bytes == 3_000_000);
    });
}

#[test]
fn a_slow_destination_is_named() {
    within(90, async || {
        let site = Site::new();
        fs::write(site.root().join("file"), vec![b'x'; 3_000_000]).expect("a file");
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let explained = get(&client, Download::writer(Slow::new(0, 20))).await;
        is(&explained, Bottleneck::Destination);
        assert!(!explained.sent);
    });
}

#[test]
fn a_slow_last_sync_is_named() {
    within(90, async || {
        let site = Site::new();
        fs::write(site.root().join("file"), vec![b'x'; 1_000_000]).expect("a file");
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let watch = client.watch().await.expect("the link is there");
        let open = async |_| Ok(SlowToSync(Meter::default()));
        let got = soon(60, "a get", client.get_into("file", open, TransferOptions::default())).await.expect("it comes");
        let explained = watch.received(got.bytes).await.expect("both ends count");
        is(&explained, Bottleneck::Syncing);
        assert!(explained.held.destination < 0.35, "the sync does not count in it: {explained:#?}");
    });
}

#[test]
fn a_slow_link_is_named_both_ways() {
    within(90, async || {
        let site = Site::new();
        // More than the sockets between both ends hold.
        let content = Prng::new(1).bytes(24_000_000);
        fs::write(site.root().join("file"), &content).expect("a file");
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        for towards in [Towards::Server, Towards::Client] {
            relay.set_rate(towards, 12_000_000);
        }
        let client = site.connect(relay.address()).await;
        is(&put(&client, Upload::bytes(content).named("there")).await, Bottleneck::Link);
        is(&get(&client, Download::file(&site.local_store(), "here")).await, Bottleneck::Link);
    });
}

#[test]
fn a_small_window_is_named() {
    within(90, async || {
        let site = Site::new();
        let mut memory = Memory::default();
        memory.windows = 0;
        let serving = site.serve_with(|options| {
            let taken = std::mem::take(options);
            *options = taken.link(LinkConfig::default().memory(memory));
        });
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        for towards in [Towards::Server, Towards::Client] {
            relay.set_delay(towards, Duration::from_millis(15));
        }
        let client = site.connect(relay.address()).await;
        let explained = put(&client, Upload::bytes(vec![b'x'; 1_500_000]).named("there")).await;
        is(&explained, Bottleneck::Window);
        assert!(explained.round_trip > 0.03, "{explained:#?}");
    });
}

#[test]
fn a_command_that_prints_slowly_is_the_source() {
    within(90, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let watch = client.watch().await.expect("the link is there");
        let exec = Exec::shell("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done");
        let done = client.exec(&exec).await.expect("it runs").collect(1000).await;
        assert_eq!(done.stdout, b"1\n2\n3\n4\n5\n");
        is(&watch.received(10).await.expect("both ends count"), Bottleneck::Source);
    });
}
