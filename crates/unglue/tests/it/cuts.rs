//! The connection ends after exactly N bytes, for many N: the outcome is typed, never a success with something missing.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use unglue::{
    Client, Code, Compression, ConnectError, Download, Exec, Fault, Outcome, StreamEnd, TransferOptions, Upload,
};
use unglue_testkit::Prng;
use unglue_testkit::relay::{Break, Relay, Towards};

use crate::site::{Site, address_of, code, eventually, names, soon, within};
use crate::soaking;

/// How many places a cut is tried at for each direction and kind; with `UNGLUE_SOAK` at every one.
const PLACES: usize = 60;

/// Every kind of cut at places spread over what an undisturbed `operation` carries.
async fn cut_everywhere(server: SocketAddr, seed: u64, operation: impl AsyncFnMut(SocketAddr, &str) -> bool) {
    cut_at(PLACES, server, seed, operation).await;
}

/// The same at so many places.
pub(crate) async fn cut_at(
    places_of_each: usize,
    server: SocketAddr,
    seed: u64,
    mut operation: impl AsyncFnMut(SocketAddr, &str) -> bool,
) {
    let undisturbed = Relay::start(server, seed).await.expect("a relay");
    assert!(operation(undisturbed.address(), "undisturbed").await);
    let mut random = Prng::new(seed);
    for towards in [Towards::Server, Towards::Client] {
        let total = undisturbed.carried(towards) as usize;
        for how in [Break::Reset, Break::End] {
            let mut succeeded = 0;
            let places = places(&mut random, total, places_of_each);
            let count = places.len();
            for place in places {
                let relay = Relay::start(server, random.next_u64()).await.expect("a relay");
                relay.break_after(towards, place as u64, how);
                let label = format!("{how:?} after {place} of {total} bytes towards the {towards:?}, seed {seed}");
                succeeded += usize::from(soon(15, &label, operation(relay.address(), &label)).await);
            }
            assert!(succeeded < count, "{how:?} towards the {towards:?}: no cut did any harm");
        }
    }
}

/// From 0 to a little more than `total`: the ends are worth the most.
fn places(random: &mut Prng, total: usize, count: usize) -> Vec<usize> {
    if soaking() && total < 10_000 {
        return (0..total + 10).collect();
    }
    let anywhere = (0..count / 2).map(|_| random.below(total + 10)).collect::<Vec<_>>();
    let late = (0..count / 2).map(|_| total.saturating_sub(random.below(600))).collect::<Vec<_>>();
    [anywhere, late].concat()
}

/// The client, or `None` if the connection was cut before there was one, with a fault that says so.
pub(crate) async fn connect(site: &Site, address: SocketAddr, label: &str) -> Option<Client> {
    match Client::connect(&address_of(address), &site.client_options()).await {
        Ok(client) => Some(client),
        Err(ConnectError::Failed(error)) => {
            // Before there is a link, nothing ran: the server was not reached, or the link was lost while it was made.
            let fault = Fault::from(error);
            assert!(matches!(fault.code, Code::Unreachable | Code::LinkLost), "{label}: {fault:?}");
            None
        }
        Err(other) => panic!("{label}: {other}"),
    }
}

fn is_loss(fault: &Fault, label: &str) {
    assert_eq!(fault.code, Code::LinkLost, "{label}: {fault:?}");
}

/// Runs a command that prints `size` bytes; whether all went well. Everything else must be a typed loss.
async fn exec(site: &Site, address: SocketAddr, size: usize, label: &str) -> bool {
    let Some(client) = connect(site, address, label).await else { return false };
    let script = format!("yes out | head -c {size}; printf err >&2; exit 3");
    let running = match client.exec(&Exec::shell(script)).await {
        Ok(running) => running,
        Err(fault) => {
            is_loss(&fault, label);
            return false;
        }
    };
    let done = running.collect(1 << 20).await;
    match &done.report.outcome {
        Outcome::LinkLost(link_lost) => {
            is_loss(link_lost, label);
            let stdout = done.report.stdout.expect("it started");
            assert!(stdout.end == StreamEnd::Cut || stdout.tally.bytes == size as u64, "{label}: {stdout:?}");
            false
        }
        _ => {
            assert_eq!(code(&done.report), 3, "{label}");
            assert_eq!((done.stdout.len(), done.stderr.as_slice()), (size, b"err".as_slice()), "{label}");
            true
        }
    }
}

#[test]
fn a_cut_exec_is_never_a_success_with_bytes_missing() {
    within(if soaking() { 3600 } else { 90 }, async || {
        let site = Site::new();
        let serving = site.serve();
        cut_everywhere(serving.address(), 1, async |address, label| exec(&site, address, 9, label).await).await;
    });
}

#[test]
fn a_cut_exec_with_much_output_is_never_a_success_with_bytes_missing() {
    within(90, async || {
        let site = Site::new();
        let serving = site.serve();
        cut_everywhere(serving.address(), 2, async |address, label| exec(&site, address, 300_000, label).await).await;
    });
}

/// The destination's directory holds the old file, or the new one, and nothing else before long.
async fn whole(directory: &Path, old: &[u8], new: &[u8], succeeded: bool, label: &str) {
    let found = fs::read(directory.join("file")).expect("a file");
    assert!(found == new || (!succeeded && found == old), "{label}: {} bytes are there", found.len());
    eventually(5, &format!("{label}: the temporary file's end"), || names(directory) == ["file"]).await;
}

#[test]
fn a_cut_put_leaves_the_old_file_or_the_new_one() {
    within(if soaking() { 3600 } else { 90 }, async || {
        let site = Site::new();
        let serving = site.serve();
        let new = Prng::new(5).bytes(5000);
        fs::write(site.local().join("file"), &new).expect("a source");
        cut_everywhere(serving.address(), 3, async |address, label| {
            fs::write(site.root().join("file"), "old").expect("an old file");
            let put = async {
                let client = connect(&site, address, label).await?;
                Some(client.put(Upload::file(&site.local_store(), "file"), "file", Default::default()).await)
            };
            let succeeded = judge(put.await, label);
            whole(&site.root(), b"old", &new, succeeded, label).await;
            succeeded
        })
        .await;
    });
}

#[test]
fn a_cut_get_leaves_the_old_file_or_the_new_one() {
    within(if soaking() { 3600 } else { 90 }, async || {
        let site = Site::new();
        let serving = site.serve();
        let new = Prng::new(6).bytes(5000);
        fs::write(site.root().join("file"), &new).expect("a source");
        cut_everywhere(serving.address(), 4, async |address, label| {
            fs::write(site.local().join("file"), "old").expect("an old file");
            let get = async {
                let client = connect(&site, address, label).await?;
                Some(client.get("file", Download::file(&site.local_store(), "file"), Default::default()).await)
            };
            let succeeded = judge(get.await, label);
            whole(&site.local(), b"old", &new, succeeded, label).await;
            succeeded
        })
        .await;
    });
}

/// The same of files that are compressed on their way: the cuts fall into compressed blocks.
#[test]
fn a_cut_compressed_transfer_leaves_the_old_file_or_the_new_one() {
    within(90, async || {
        let site = Site::new();
        let serving = site.serve();
        let new: Vec<u8> = (0u32..).flat_map(|line| format!("line {line}\n").into_bytes()).take(100_000).collect();
        fs::write(site.local().join("source"), &new).expect("a source");
        fs::create_dir(site.root().join("there")).expect("a directory");
        fs::create_dir(site.local().join("here")).expect("a directory");
        cut_everywhere(serving.address(), 5, async |address, label| {
            let options = || TransferOptions::default().compress(Compression::Zstd(3));
            fs::write(site.root().join("there/file"), "old").expect("an old file");
            fs::write(site.local().join("here/file"), "old").expect("an old file");
            let both = async {
                let client = connect(&site, address, label).await?;
                let store = site.local_store();
                let put = client.put(Upload::file(&store, "source"), "there/file", options()).await;
                let got = client.get("there/file", Download::file(&store, "here/file"), options()).await;
                Some((put, got))
            };
            let (put, got) = both.await.unzip();
            let (put, got) = (judge(put, label), judge(got, label));
            whole(&site.root().join("there"), b"old", &new, put, label).await;
            whole(&site.local().join("here"), b"old", &new, got, label).await;
            put && got
        })
        .await;
    });
}

/// Whether a transfer succeeded; a failure must be a typed loss.
pub(crate) fn judge<T>(result: Option<Result<T, Fault>>, label: &str) -> bool {
    match result {
        None => false,
        Some(Ok(_)) => true,
        Some(Err(fault)) => {
            is_loss(&fault, label);
            false
        }
    }
}
