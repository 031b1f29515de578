//! Deltas that break off, and files that change under them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio::sync::Notify;
use unglue_proto::message::Tally;
use unglue_proto::{Code, Fault};

use super::super::*;
use super::changed::{SIZE, Scene, changed, run};
use super::resumed::{content, serve};
use super::tally_of;

/// Copies the file; `seen` is called with the bytes that are done. Gives nothing if it broke off, which it does as soon as `breaks`;
/// and whether the client asked twice.
async fn copy(
    scene: &Scene,
    up: bool,
    seen: impl FnMut(u64) + Send + 'static,
    breaks: impl Fn() -> bool,
) -> (Option<Result<Tally, Fault>>, bool) {
    let (client, server) = unglue_link::memory();
    let mut seen = seen;
    let options = TransferOptions::default().progress(Some(Box::new(move |moved: Moved| seen(moved.bytes))));
    let copying = async {
        match up {
            true => put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options).await,
            false => get(&client, "file".as_ref(), Download::file(&scene.client, "file"), options).await,
        }
    };
    let ended = Notify::new();
    let cut = async {
        let result = tokio::select! {
            biased;
            () = std::future::poll_fn(|_| if breaks() { Poll::Ready(()) } else { Poll::Pending }) => None,
            result = copying => Some(result),
        };
        ended.notify_one();
        result
    };
    let serving = async {
        serve(&server, &scene.server).await;
        // A second request comes if the parts that were found were not the file's.
        tokio::select! {
            biased;
            () = serve(&server, &scene.server) => true,
            () = ended.notified() => false,
        }
    };
    let (result, twice) = tokio::join!(cut, serving);
    scene.client.idle().await;
    scene.server.idle().await;
    (result, twice)
}

/// The sides that have the new file and the old one.
fn sides(up: bool) -> (&'static str, &'static str) {
    if up { ("client", "server") } else { ("server", "client") }
}

#[test]
fn whenever_it_breaks_off_the_old_file_is_there_and_nothing_else() {
    for up in [true, false] {
        run(async |scene| {
            let (from, to) = sides(up);
            let old = content(b"old", SIZE);
            let kinds = ["scattered", "contiguous", "rotated"].into_iter();
            let mut broken = 0;
            for (kind, step) in kinds.flat_map(|kind| (1..=11).map(move |step| (kind, step))) {
                let new = changed(&old, kind);
                scene.write(to, &old);
                scene.write(from, &new);
                let (at, done) = (step * new.len() as u64 / 11, Arc::new(AtomicU64::new(0)));
                let latest = done.clone();
                let seen = move |bytes| latest.store(bytes, Ordering::Relaxed);
                let (result, _) = copy(&scene, up, seen, || done.load(Ordering::Relaxed) >= at).await;
                // It may be through all the same: the last bytes may have been on their way already.
                let whole = fs::read(scene.path(to)).expect("the file") == new;
                if let Some(result) = result {
                    assert!(result.is_ok() && whole, "{kind} at {at}: {result:?}");
                }
                broken += u32::from(!whole);
                scene.holds(to, if whole { &new } else { &old });
            }
            assert!(broken >= 11, "{broken} of 33 broke off");
        });
    }
}

/// The number of bytes of the larger files: the receiver reads more of the old one than it keeps in memory.
const LARGE: usize = 24 << 20;

/// Copies a large file with a new beginning; `change` is called with the path of the file on the side that `which` chooses as
/// soon as the first bytes have moved. Gives the result, and whether the file was sent anew.
async fn meddled(
    scene: &Scene,
    up: bool,
    which: fn((&'static str, &'static str)) -> &'static str,
    change: fn(PathBuf),
) -> (Result<Tally, Fault>, bool) {
    let mut path = Some(scene.path(which(sides(up))));
    let seen = move |_| path.take().into_iter().for_each(change);
    let (result, anew) = copy(scene, up, seen, || false).await;
    (result.expect("it ends by itself"), anew)
}

/// What is done to a file, and how.
type Change = (&'static str, fn(PathBuf));

fn write_to(path: PathBuf, change: impl FnOnce(fs::File)) {
    change(OpenOptions::new().write(true).open(path).expect("the file"));
}

#[test]
fn an_old_file_that_changes_meanwhile_costs_time_only() {
    let changes: [Change; 2] = [
        ("shorter", |path| write_to(path, |file| file.set_len(1 << 20).expect("shorter"))),
        ("overwritten", |path| {
            write_to(path, |file| file.write_all_at(&content(b"other", 8 << 20), 4 << 20).expect("written"))
        }),
    ];
    for (up, (what, change)) in [true, false].into_iter().flat_map(|up| changes.map(|change| (up, change))) {
        run(async |scene| {
            let (from, to) = sides(up);
            let old = content(b"old", LARGE);
            let new = [content(b"inserted", 3 << 20), old.clone()].concat();
            scene.write(to, &old);
            scene.write(from, &new);
            let (result, anew) = meddled(&scene, up, |(_, to)| to, change).await;
            assert_eq!(result, Ok(tally_of(&new)), "{what}, up: {up}");
            assert!(anew, "{what}, up: {up}: it was not sent anew");
            scene.holds(to, &new);
        });
    }
}

#[test]
fn a_source_that_changes_meanwhile_replaces_nothing() {
    let changes: [Change; 3] = [
        ("shorter", |path| write_to(path, |file| file.set_len(20 << 20).expect("shorter"))),
        ("longer", |path| write_to(path, |file| file.write_all_at(b"more", (27 << 20) + 3).expect("written"))),
        ("overwritten", |path| write_to(path, |file| file.write_all_at(b"other", 26 << 20).expect("written"))),
    ];
    for (up, (what, change)) in [true, false].into_iter().flat_map(|up| changes.map(|change| (up, change))) {
        run(async |scene| {
            let (from, to) = sides(up);
            let old = content(b"old", LARGE);
            scene.write(to, &old);
            scene.write(from, &[content(b"inserted", 3 << 20), old.clone()].concat());
            let (result, _) = meddled(&scene, up, |(from, _)| from, change).await;
            assert_eq!(result.expect_err(what).code, Code::SourceChanged, "up: {up}");
            scene.holds(to, &old);
        });
    }
}
