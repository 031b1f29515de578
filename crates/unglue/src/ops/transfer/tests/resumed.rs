//! Transfers that broke off, and go on.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use unglue_host::store::{Owner, Partials, Store};
use unglue_link::Link;
use unglue_proto::blocks::BLOCK;
use unglue_proto::message::transfer::{FromClient, FromServer, Have, Outcome};
use unglue_proto::message::{Request, Tally};
use unglue_proto::{Code, Fault};

use super::super::*;
use super::{put_request, tally_of};
use crate::ops::pace::Pace;
use crate::ops::slots::Slots;
use crate::ops::{Control, refuse};

/// Three blocks and a part.
pub(super) const SIZE: usize = 3 * BLOCK as usize + 2_000_000;
/// Where the first transfer breaks off.
pub(super) const BREAK: u64 = 3 * BLOCK + 1_500_000;

/// Two machines: a client's file `file`, and where it lands on a server; or the other way round.
pub(super) struct Scene {
    directory: TempDir,
    pub(super) client: Store,
    pub(super) server: Store,
    pub(super) content: Vec<u8>,
}

impl Scene {
    pub(super) fn path(&self, side: &str, name: &str) -> PathBuf {
        self.directory.path().join(side).join(name)
    }

    /// The hidden files beside the destination.
    pub(super) fn hidden(&self, side: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join(side)).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.')).collect()
    }

    /// The one hidden file.
    #[track_caller]
    pub(super) fn kept(&self, side: &str) -> PathBuf {
        let hidden = self.hidden(side);
        assert_eq!(hidden.len(), 1, "{hidden:?}");
        hidden.into_iter().next().expect("one")
    }

    /// Writes a new content to the source.
    pub(super) fn write(&mut self, side: &str, content: Vec<u8>) {
        fs::write(self.path(side, "file"), &content).expect("a file");
        self.content = content;
    }

    /// Fails unless the destination holds the source's content, and nothing is left beside it.
    #[track_caller]
    pub(super) fn is_complete(&self, side: &str) {
        assert!(fs::read(self.path(side, "file")).expect("the file") == self.content, "another content");
        assert_eq!(self.hidden(side), Vec::<PathBuf>::new());
    }
}

/// Bytes without repetition.
pub(super) fn content(seed: &[u8], size: usize) -> Vec<u8> {
    let mut content = vec![0; size];
    blake3::Hasher::new().update(seed).finalize_xof().fill(&mut content);
    content
}

pub(super) fn run(from: &str, test: impl AsyncFnOnce(Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let store = |side: &str| {
            fs::create_dir(directory.path().join(side)).expect("a directory");
            let partials = Partials::open(&directory.path().join(side).join("../state").join(side)).expect("records");
            Store::confined(&directory.path().join(side)).expect("a store").with_partials(partials)
        };
        let (client, server) = (store("client"), store("server"));
        let mut scene = Scene { directory, client, server, content: Vec::new() };
        scene.write(from, content(b"1", SIZE));
        tokio::time::timeout(Duration::from_secs(60), test(scene)).await.expect("it ends within 60 s");
    });
}

/// Serves one request on a link.
pub(super) async fn serve(link: &Link, store: &Store) {
    let Control { sender, mut receiver } = Control::new(link.accept().await.expect("a stream"));
    let request: Request = receiver.expect().await.expect("a request");
    let (slots, control) = (Slots::transfers(), Control { sender, receiver });
    let _ = match request {
        Request::Put(put) => serve_put(link, store, &slots, put, control).await,
        Request::Get(get) => serve_get(link, store, &slots, get, control).await,
        other => panic!("another request: {other:?}"),
    };
}

/// Copies the file with `--resume`. Gives the result, or nothing if it was broken off; and how many bytes were there before it began.
/// It breaks off when so many bytes were moved and the receiver has written all whole blocks of them.
pub(super) async fn copy(scene: &Scene, up: bool, break_at: Option<u64>) -> (Option<Result<Tally, Fault>>, u64) {
    copy_with(scene, up, break_at, TransferOptions::default()).await
}

/// The same with other options.
pub(super) async fn copy_with(
    scene: &Scene,
    up: bool,
    break_at: Option<u64>,
    options: TransferOptions,
) -> (Option<Result<Tally, Fault>>, u64) {
    let (client, server) = unglue_link::memory();
    let (first, latest) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
    let (seen, last) = (first.clone(), latest.clone());
    // The client stands still where it breaks off, or it might be complete before it is seen that it has come so far.
    let pace = Pace::limit(1 << 40);
    let stop = pace.clone();
    let progress = move |moved: Moved| {
        let _ = seen.compare_exchange(u64::MAX, moved.bytes, Ordering::Relaxed, Ordering::Relaxed);
        last.store(moved.bytes, Ordering::Relaxed);
        if break_at.is_some_and(|at| moved.bytes >= at) {
            stop.spend(usize::MAX);
        }
    };
    let options = if break_at.is_some() { options.pace(pace) } else { options };
    let options = options.resume(true).progress(Some(Box::new(progress)));
    let copying = async {
        match up {
            true => put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options).await,
            false => get(&client, "file".as_ref(), Download::file(&scene.client, "file"), options).await,
        }
    };
    // A receiver may be far behind: what it has not written is lost.
    let (_, to) = sides(up);
    let landed = |least| scene.hidden(to).iter().any(|path| fs::metadata(path).is_ok_and(|file| file.len() >= least));
    let broken = async {
        while !break_at.is_some_and(|at| latest.load(Ordering::Relaxed) >= at && landed(at / BLOCK * BLOCK)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let cut = async {
        tokio::select! {
            () = broken => None,
            result = copying => Some(result),
        }
    };
    let (result, ()) = tokio::join!(cut, serve(&server, &scene.server));
    scene.client.idle().await;
    scene.server.idle().await;
    (result, first.load(Ordering::Relaxed))
}

pub(super) fn sides(up: bool) -> (&'static str, &'static str) {
    if up { ("client", "server") } else { ("server", "client") }
}

#[test]
fn an_interrupted_copy_goes_on_where_it_stopped() {
    for up in [true, false] {
        let (from, to) = sides(up);
        run(from, async |scene| {
            fs::write(scene.path(to, "file"), b"old").expect("a file");
            assert_eq!(copy(&scene, up, Some(BREAK)).await.0, None);
            let kept = scene.kept(to);
            let inode = fs::metadata(&kept).expect("it is there").ino();
            assert_eq!(fs::read(scene.path(to, "file")).expect("the old file"), b"old");
            assert_eq!(fs::metadata(&kept).expect("it is there").mode() & 0o077, 0, "others may read a part");

            let (result, there) = copy(&scene, up, None).await;
            assert_eq!((result, there), (Some(Ok(tally_of(&scene.content))), 3 * BLOCK));
            scene.is_complete(to);
            assert_eq!(fs::metadata(scene.path(to, "file")).expect("the file").ino(), inode, "it was copied");
        });
    }
}

#[test]
fn a_copy_goes_on_after_any_number_of_interruptions() {
    run("server", async |scene| {
        for (at, before) in [(2_000_000, 0), (BLOCK + 2_000_000, 0), (2 * BLOCK + 2_000_000, BLOCK)] {
            let (result, there) = copy(&scene, false, Some(at)).await;
            assert!(result.is_none(), "{result:?}");
            assert_eq!(there / BLOCK * BLOCK, before);
        }
        let (result, there) = copy(&scene, false, None).await;
        assert_eq!((result, there), (Some(Ok(tally_of(&scene.content))), 2 * BLOCK));
        scene.is_complete("client");
    });
}

#[test]
fn what_changed_in_the_source_is_sent_again() {
    run("client", async |mut scene| {
        assert_eq!(copy(&scene, true, Some(BREAK)).await.0, None);
        // The same length and the same time.
        let mut changed = scene.content.clone();
        changed[17] ^= 1;
        let modified = fs::metadata(scene.path("client", "file")).and_then(|file| file.modified()).expect("a time");
        scene.write("client", changed);
        let source = fs::File::options().write(true).open(scene.path("client", "file")).expect("it is there");
        source.set_modified(modified).expect("the time is set");
        assert_eq!(copy(&scene, true, Some(BREAK)).await, (None, 3 * BLOCK));
        // Another length.
        let mut changed = scene.content.clone();
        changed[BLOCK as usize] ^= 1;
        changed.extend(content(b"2", 70_000));
        scene.write("client", changed);
        assert_eq!(copy(&scene, true, None).await, (Some(Ok(tally_of(&scene.content))), 3 * BLOCK));
        scene.is_complete("server");
    });
}

#[test]
fn what_was_kept_is_cut_if_the_source_is_shorter_now() {
    run("server", async |mut scene| {
        assert_eq!(copy(&scene, false, Some(BREAK)).await.0, None);
        // It ends with a block. All that is kept is right, so nothing is sent.
        let shorter = scene.content[..2 * BLOCK as usize].to_vec();
        scene.write("server", shorter);
        assert_eq!(copy(&scene, false, None).await, (Some(Ok(tally_of(&scene.content))), 2 * BLOCK));
        scene.is_complete("client");
    });
}

#[test]
fn what_was_kept_is_removed_if_the_source_has_one_block_now() {
    run("server", async |mut scene| {
        assert_eq!(copy(&scene, false, Some(BREAK)).await.0, None);
        scene.write("server", content(b"3", 1000));
        assert_eq!(copy(&scene, false, None).await.0, Some(Ok(tally_of(&scene.content))));
        scene.is_complete("client");
    });
}

#[test]
fn what_is_damaged_in_what_was_kept_is_sent_again() {
    run("server", async |scene| {
        assert_eq!(copy(&scene, false, Some(BREAK)).await.0, None);
        let kept = fs::OpenOptions::new().write(true).open(scene.kept("client")).expect("it is there");
        kept.write_all_at(b"damage", BLOCK - 3).expect("it is written");
        assert_eq!(copy(&scene, false, None).await, (Some(Ok(tally_of(&scene.content))), 3 * BLOCK));
        scene.is_complete("client");
    });
}

#[test]
fn another_owner_has_its_own_file() {
    run("client", async |mut scene| {
        assert_eq!(copy(&scene, true, Some(BREAK)).await.0, None);
        let kept = scene.kept("server");
        scene.server = scene.server.clone().owned_by(Owner::named(b"another"));
        let (result, there) = copy(&scene, true, None).await;
        assert!(result.is_some_and(|result| result.is_ok()));
        assert!(there < BLOCK, "{there} bytes were there");
        assert!(fs::read(scene.path("server", "file")).expect("the file") == scene.content);
        assert_eq!(scene.kept("server"), kept);
    });
}

#[test]
fn without_resume_nothing_stays() {
    run("client", async |scene| {
        let (client, server) = unglue_link::memory();
        let begun = Arc::new(tokio::sync::Notify::new());
        let notify = begun.clone();
        let progress = move |moved: Moved| {
            if moved.bytes > BLOCK {
                notify.notify_one();
            }
        };
        let options = TransferOptions::default().progress(Some(Box::new(progress)));
        let cut = async {
            tokio::select! {
                _ = put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options) => panic!("it ended"),
                () = begun.notified() => {}
            }
        };
        tokio::join!(cut, serve(&server, &scene.server));
        scene.server.idle().await;
        assert_eq!(scene.hidden("server"), Vec::<PathBuf>::new());
    });
}

#[test]
fn a_server_that_cannot_resume_gets_the_whole_file() {
    run("client", async |scene| {
        let (client, server) = unglue_link::memory();
        let copying =
            put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default().resume(true));
        let serving = async {
            let Control { sender, mut receiver } = Control::new(server.accept().await.expect("a stream"));
            let request: Request = receiver.expect().await.expect("a request");
            assert_eq!(request.required(), ["resume", "delta", "ahead"]);
            let refused = Fault::user(Code::Unsupported, "this version of unglue doesn't know \"resume\"");
            refuse(sender, refused).await.expect("it is sent");
            serve(&server, &scene.server).await;
        };
        let (result, ()) = tokio::join!(copying, serving);
        assert_eq!(result, Ok(tally_of(&scene.content)));
        scene.is_complete("server");
    });
}

/// A client that resumes a put with these blocks and figures, whatever the server has; gives what the server makes of it, and
/// what it had.
pub(super) async fn lying_put(
    scene: &Scene,
    pieces: Vec<Bytes>,
    sent: Tally,
    delta: bool,
) -> (Result<Tally, Fault>, Have) {
    let (client, server) = unglue_link::memory();
    let client_side = async {
        let mut control = Control::new(client.open_bidirectional().await.expect("a stream"));
        let mut data = client.open_unidirectional().await.expect("a stream");
        let mut put = put_request(&data, Some(SIZE as u64));
        (put.resume, put.delta) = (true, delta);
        control.sender.send(&Request::Put(put)).await.expect("it is sent");
        let FromServer::Have(have) = control.receiver.expect().await.expect("an answer") else { panic!("another") };
        let _digests = have.digests.map(|number| client.claim(number).expect("the server's stream"));
        let _sums = have.old.as_ref().map(|old| client.claim(old.sums).expect("the server's stream"));
        for piece in pieces {
            // The server may stop reading at any time.
            let _ = data.write_all(piece).await;
        }
        data.finish();
        let _ = control.sender.send(&FromClient::Sent(sent)).await;
        let outcome = control.receiver.expect().await.expect("an outcome");
        match outcome {
            FromServer::Outcome(Outcome::Done(tally)) => (Ok(tally), have),
            FromServer::Outcome(Outcome::Failed(fault)) => (Err(fault), have),
            other => panic!("{other:?} is not an outcome"),
        }
    };
    let (result, ()) = tokio::join!(client_side, serve(&server, &scene.server));
    scene.server.idle().await;
    result
}

/// A block as it travels: its number, and bytes.
pub(super) fn block(number: u32, bytes: &[u8]) -> Vec<Bytes> {
    let bytes = bytes.chunks(1 << 20).map(Bytes::copy_from_slice);
    std::iter::once(Bytes::copy_from_slice(&number.to_be_bytes())).chain(bytes).collect()
}

#[test]
fn a_client_that_lies_about_blocks_gets_nothing_stored() {
    run("client", async |scene| {
        fs::write(scene.path("server", "file"), b"old").expect("a file");
        let truth = tally_of(&scene.content);
        let one = BLOCK as usize;
        let part = |number: usize| &scene.content[number * one..SIZE.min((number + 1) * one)];
        let rest = |first: usize| (first..4).flat_map(|number| block(number as u32, part(number))).collect::<Vec<_>>();
        for (what, code) in [
            ("a kept block is not the source's", Code::Mismatch),
            ("a block is missing", Code::BadMessage),
            ("a block comes twice", Code::BadMessage),
            ("a block that the file doesn't have", Code::BadMessage),
            ("the end in the middle of a block", Code::BadMessage),
        ] {
            assert_eq!(copy(&scene, true, Some(BREAK)).await.0, None);
            let kept = scene.kept("server");
            let blocks = fs::metadata(&kept).expect("it is there").len() as usize / one;
            let pieces = match what {
                "a kept block is not the source's" => {
                    let kept = fs::OpenOptions::new().write(true).open(&kept).expect("it is there");
                    kept.write_all_at(b"damage", 1000).expect("it is written");
                    rest(blocks)
                }
                "a block is missing" => rest(blocks + 1),
                "a block comes twice" => [rest(blocks), block(3, part(3))].concat(),
                "a block that the file doesn't have" => [rest(blocks), block(4, b"more")].concat(),
                _ => block(blocks as u32, &part(blocks)[..1000]),
            };
            let (result, have) = lying_put(&scene, pieces, truth.clone(), false).await;
            assert_eq!(have.bytes, blocks as u64 * BLOCK, "{what}");
            assert_eq!(result.expect_err(what).code, code, "{what}");
            assert_eq!(fs::read(scene.path("server", "file")).expect("the old file"), b"old", "{what}");
            assert_eq!(scene.hidden("server"), Vec::<PathBuf>::new(), "{what}: what is wrong was kept");
        }
        assert_eq!(copy(&scene, true, Some(BREAK)).await.0, None);
        let blocks = fs::metadata(scene.kept("server")).expect("it is there").len() as usize / one;
        assert_eq!(lying_put(&scene, rest(blocks), truth.clone(), false).await.0, Ok(truth));
        scene.is_complete("server");
    });
}
