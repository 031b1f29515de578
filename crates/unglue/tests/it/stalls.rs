//! Transfers whose clients say nothing (P4, P6): they hold no thread and little memory, and nobody waits for them.

use std::fs;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use unglue::{Client, Code, Download, Fault, TransferOptions, Upload};

use crate::daemon::Daemon;
use crate::site::{Site, eventually, names, soon, within};

/// Gives nothing and takes nothing, for ever.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Silent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// As many as a link may have, and one more: that one is refused. They stay until the set is dropped.
async fn fill(client: &Client, upload: bool) -> JoinSet<Fault> {
    let mut stalled = JoinSet::new();
    for number in 0..65 {
        let client = client.clone();
        stalled.spawn(async move {
            let options = TransferOptions::default();
            let ended = match upload {
                true => client.put(Upload::reader(Silent), format!("put-{number}"), options).await,
                false => client.get("large", Download::writer(Silent), options).await,
            };
            ended.expect_err("it can't succeed")
        });
    }
    let fault = soon(30, "a refusal", stalled.join_next()).await.expect("a task").expect("no panic");
    assert_eq!(fault.code, Code::Busy, "{fault}");
    let words = "64 transfers are under way on this connection; the limit is 64; wait for one to end";
    assert!(fault.to_string().contains(words), "{fault}");
    stalled
}

fn stalled_transfers(upload: bool) {
    within(120, async move || {
        let site = Site::new();
        fs::File::create(site.root().join("large")).and_then(|file| file.set_len(1 << 30)).expect("a large file");
        let daemon = Daemon::start(&site);
        let (threads, memory) = (daemon.threads(), daemon.memory());
        let mut stalled = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = site.connect(daemon.address()).await;
            stalled.push(fill(&client, upload).await);
            clients.push(client);
        }
        eventually(20, "threads that have nothing to do to end", || daemon.threads() <= threads + 4).await;
        let each = daemon.memory().saturating_sub(memory) / 256;
        assert!(each < 1 << 20, "each of 256 stalled transfers takes {each} bytes");

        // Others log in, move files and run commands meanwhile.
        let other = site.connect(daemon.address()).await;
        let put = other.put(Upload::bytes("there"), "other", TransferOptions::default());
        soon(10, "a transfer beside them", put).await.expect("it is taken");
        let ran = soon(10, "a command beside them", crate::site::run(&other, &unglue::Exec::new(["true"]))).await;
        assert_eq!(crate::site::code(&ran.report), 0);

        assert!(stalled.iter().all(|link| link.len() == 64), "some did not stay");
        drop(stalled);
        let left = || names(&site.root()).into_iter().filter(|name| name.starts_with('.')).count();
        eventually(10, "the temporary files' end", || left() == 0).await;
        let put = clients[0].put(Upload::bytes("again"), "again", TransferOptions::default());
        soon(10, "a transfer after them", put).await.expect("places come back");
    });
}

#[test]
fn heavy_stalled_puts_hold_no_thread_and_little_memory() {
    stalled_transfers(true);
}

#[test]
fn heavy_stalled_gets_hold_no_thread_and_little_memory() {
    stalled_transfers(false);
}
