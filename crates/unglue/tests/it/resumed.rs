//! A resumed transfer is cut after exactly N bytes, for many N: the old file or the new one is there, and the next run goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use unglue::{Client, Download, Fault, Moved, Pace, Partials, Store, Tally, TransferOptions, Upload};
use unglue_testkit::Prng;

use crate::cuts::{connect, cut_at, judge};
use crate::site::{Site, eventually, names, soon, within};
use crate::soaking;

const BLOCK: usize = 16 << 20;

/// Cuts for each direction and kind.
fn places() -> usize {
    if soaking() { 400 } else { 16 }
}

/// A file that is copied one way, and what an interrupted copy has left of it.
struct Scene {
    site: Site,
    store: Store,
    up: bool,
    new: Vec<u8>,
    old: Vec<u8>,
}

impl Scene {
    /// The file has a block and three megabytes more. `like`: the old one is almost the same.
    fn new(up: bool, like: bool) -> Scene {
        let site = Site::new();
        let partials = Partials::open(&site.path("client-state")).expect("records");
        let store = site.local_store().with_partials(partials);
        let new = Prng::new(8).bytes(BLOCK + 3_000_000);
        let mut old = if like { new.clone() } else { b"old".to_vec() };
        for at in (0..old.len()).step_by(700_001) {
            old[at] ^= 1;
        }
        fs::create_dir(site.root().join("there")).expect("a directory");
        fs::create_dir(site.local().join("here")).expect("a directory");
        let scene = Scene { site, store, up, new, old };
        let source = if up { scene.site.local().join("file") } else { scene.site.root().join("file") };
        fs::write(source, &scene.new).expect("a source");
        scene
    }

    /// The directory of the copy.
    fn to(&self) -> PathBuf {
        match self.up {
            true => self.site.root().join("there"),
            false => self.site.local().join("here"),
        }
    }

    /// Copies the file; gives how many bytes were there.
    async fn copy(&self, client: &Client, pace: Pace) -> (Result<Tally, Fault>, u64) {
        let first = Arc::new(AtomicU64::new(u64::MAX));
        let seen = first.clone();
        let progress = move |moved: Moved| {
            let _ = seen.compare_exchange(u64::MAX, moved.bytes, Ordering::Relaxed, Ordering::Relaxed);
        };
        let options = TransferOptions::default().resume(true).pace(pace).progress(Some(Box::new(progress)));
        let result = match self.up {
            true => client.put(Upload::file(&self.store, "file"), "there/file", options).await,
            false => client.get("file", Download::file(&self.store, "here/file"), options).await,
        };
        (result, first.load(Ordering::Relaxed))
    }

    /// The name of what an interrupted copy leaves.
    async fn part(&self, client: &Client) -> PathBuf {
        let hidden = || names(&self.to()).into_iter().find(|name| name.starts_with(".file.unglue-"));
        let part = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if let Some(name) = hidden() {
                    return self.to().join(name);
                }
            }
        };
        let part = tokio::select! {
            (ended, _) = self.copy(client, Pace::limit(1 << 20)) => panic!("it ended: {ended:?}"),
            part = soon(20, "a part", part) => part,
        };
        // It is not a block yet.
        eventually(20, "the end of the part", || names(&self.to()).is_empty()).await;
        part
    }
}

/// Whether no transfer has locked what an interrupted one left.
fn is_free(part: &Path) -> bool {
    fs::File::open(part).is_ok_and(|part| part.try_lock().is_ok()) || !part.exists()
}

fn cuts(up: bool, like: bool) {
    within(if soaking() { 3600 } else { 150 }, async move || {
        let scene = Scene::new(up, like);
        let serving = scene.site.serve();
        let direct = scene.site.connect(serving.address()).await;
        let part = scene.part(&direct).await;
        cut_at(places(), serving.address(), 9, async |address, label| {
            fs::write(scene.to().join("file"), &scene.old).expect("an old file");
            fs::write(&part, &scene.new[..BLOCK + 100]).expect("a part");
            let cut = match connect(&scene.site, address, label).await {
                Some(client) => Some(scene.copy(&client, Pace::default()).await.0),
                None => None,
            };
            let succeeded = judge(cut, label);
            // The server may notice the cut later than the client, and complete the file.
            eventually(20, &format!("{label}: the end of the transfer"), || is_free(&part)).await;
            let there = fs::read(scene.to().join("file")).expect("a file");
            assert!(there == scene.new || (!succeeded && there == scene.old), "{label}: {} bytes", there.len());
            // If the server completes it after the cut, there is nothing to go on with.
            let complete = there == scene.new;
            let (result, kept) = scene.copy(&direct, Pace::default()).await;
            assert!(result.is_ok(), "{label}: {result:?}");
            assert!(complete || kept == BLOCK as u64, "{label}: {kept} bytes were kept");
            assert!(fs::read(scene.to().join("file")).expect("a file") == scene.new, "{label}: another content");
            assert_eq!(names(&scene.to()), ["file"], "{label}");
            succeeded
        })
        .await;
    });
}

#[test]
fn a_resumed_put_goes_on_wherever_it_was_cut() {
    cuts(true, false);
}

#[test]
fn a_resumed_get_goes_on_wherever_it_was_cut() {
    cuts(false, false);
}

#[test]
fn a_resumed_put_over_an_old_file_goes_on_wherever_it_was_cut() {
    cuts(true, true);
}

#[test]
fn a_resumed_get_over_an_old_file_goes_on_wherever_it_was_cut() {
    cuts(false, true);
}
