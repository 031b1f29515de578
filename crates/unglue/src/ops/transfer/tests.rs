//! Both halves against a peer that lies.

mod attacked;
mod broken;
mod changed;
mod resumed;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use unglue_host::store::Store;
use unglue_link::{Link, SendStream};
use unglue_proto::message::transfer::{File, FromClient, FromServer, Get, Outcome, Put};
use unglue_proto::message::{Request, Tally, Time};
use unglue_proto::{Code, Fault, Meter, Side};

use super::*;
use crate::ops::Control;
use crate::ops::slots::Slots;

const OLD: &[u8] = b"old";
const NEW: &[u8] = b"these are the bytes";

/// A directory with a file `file` that holds [`OLD`], a store of it, and a link.
struct Scene {
    directory: TempDir,
    store: Store,
    client: Link,
    server: Link,
}

impl Scene {
    fn file(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    /// Fails unless the old file is there and nothing else.
    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(fs::read(self.file()).expect("the old file"), OLD);
        assert_eq!(fs::read_dir(self.directory.path()).expect("a directory").count(), 1, "something was left behind");
    }
}

fn run(test: impl AsyncFnOnce(Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("file"), OLD).expect("a file");
        let store = Store::confined(directory.path()).expect("a store");
        let (client, server) = unglue_link::memory();
        let ended = tokio::time::timeout(Duration::from_secs(20), test(Scene { directory, store, client, server }));
        ended.await.expect("it ends within 20 s");
    });
}

fn tally_of(bytes: &[u8]) -> Tally {
    let mut meter = Meter::default();
    meter.pass(bytes);
    meter.tally()
}

/// Right in all but one point.
fn lies() -> Vec<(&'static str, Tally)> {
    let right = tally_of(NEW);
    let other = tally_of(&NEW.to_ascii_uppercase()).blake3;
    let mut one_digit = right.blake3.clone().into_bytes();
    one_digit[63] ^= 1;
    vec![
        ("the digest of other bytes", Tally { blake3: other, ..right.clone() }),
        ("one bit of the last digit", Tally { blake3: String::from_utf8(one_digit).expect("text"), ..right.clone() }),
        ("no digest", Tally { blake3: String::new(), ..right.clone() }),
        ("half a digest", Tally { blake3: right.blake3[..32].to_owned(), ..right.clone() }),
        ("one byte more", Tally { bytes: right.bytes + 1, ..right.clone() }),
        ("one byte less", Tally { bytes: right.bytes - 1, ..right }),
    ]
}

fn put_request(data: &SendStream, size: Option<u64>) -> Put {
    Put {
        id: "a".into(),
        path: "file".into(),
        name: "file".into(),
        size,
        mode: 0o644,
        keep_mode: false,
        modified: None,
        in_place: false,
        resume: false,
        delta: false,
        ahead: 0,
        data: data.number(),
        require: Vec::new(),
    }
}

/// A client that sends these pieces and reports that they were `sent`; gives what the server makes of it.
async fn lying_put(
    scene: &Scene,
    size: Option<u64>,
    pieces: &[&'static [u8]],
    sent: FromClient,
) -> Result<Tally, Fault> {
    let mut control = Control::new(scene.client.open_bidirectional().await.expect("a stream"));
    let mut data = scene.client.open_unidirectional().await.expect("a stream");
    let put = put_request(&data, size);
    control.sender.send(&FromClient::Sent(tally_of(b""))).await.expect("it opens the stream");
    let accepted = Control::new(scene.server.accept().await.expect("the stream"));
    let Control { sender, mut receiver } = accepted;
    let _: FromClient = receiver.expect().await.expect("what opened it");
    let client = async {
        for piece in pieces {
            // The server may stop reading at any time.
            let _ = data.write_all(Bytes::from_static(piece)).await;
        }
        data.finish();
        let _ = control.sender.send(&sent).await;
        control.sender.finish();
        control.receiver.expect::<FromServer>().await.expect("an outcome")
    };
    let slots = Slots::transfers();
    let served = serve_put(&scene.server, &scene.store, &slots, put, Control { sender, receiver });
    let (result, reported) = tokio::join!(served, client);
    let reported = match reported {
        FromServer::Outcome(Outcome::Done(tally)) => Ok(tally),
        FromServer::Outcome(Outcome::Failed(fault)) => Err(fault),
        other => panic!("{other:?} is not an outcome"),
    };
    assert_eq!(result, reported, "the server reports another result than its log");
    result
}

#[test]
fn a_server_stores_nothing_whose_digest_or_count_is_not_what_arrived() {
    run(async |scene| {
        for (what, lie) in lies() {
            let fault = lying_put(&scene, None, &[NEW], FromClient::Sent(lie)).await.expect_err(what);
            assert_eq!(fault.code, Code::Mismatch, "{what}: {fault}");
            scene.is_untouched();
        }
        let tally = lying_put(&scene, None, &[NEW], FromClient::Sent(tally_of(NEW))).await.expect("the truth");
        assert_eq!(tally, tally_of(NEW));
        assert_eq!(fs::read(scene.file()).expect("it is there"), NEW);
    });
}

#[test]
fn a_server_takes_no_more_than_announced() {
    run(async |scene| {
        let size = Some(NEW.len() as u64);
        let truth = || FromClient::Sent(tally_of(&[NEW, b"!"].concat()));
        let fault = lying_put(&scene, size, &[NEW, b"!"], truth()).await.expect_err("one byte too many");
        assert_eq!(fault.code, Code::LimitExceeded, "{fault}");
        scene.is_untouched();
        lying_put(&scene, size, &[NEW], FromClient::Sent(tally_of(NEW))).await.expect("all of it");
    });
}

#[test]
fn a_client_that_failed_is_believed() {
    run(async |scene| {
        let failed = FromClient::Failed(Fault::system(Code::SourceChanged, "it shrank"));
        let fault = lying_put(&scene, None, &[NEW], failed).await.expect_err("the client failed");
        assert_eq!(fault.code, Code::SourceChanged);
        scene.is_untouched();
    });
}

/// A server that answers a put by reading `all` of it or nothing, and then sending `says`.
async fn lying_store(scene: &Scene, all: bool, says: FromServer) -> Result<Tally, Fault> {
    let upload = Upload::bytes(NEW).named("file");
    let client = super::put(&scene.client, upload, "there".as_ref(), TransferOptions::default());
    let server = async {
        let Control { mut sender, mut receiver } = Control::new(scene.server.accept().await.expect("a stream"));
        let Request::Put(put) = receiver.expect().await.expect("a request") else { panic!("another request") };
        assert_eq!((put.size, put.mode, put.modified), (Some(NEW.len() as u64), 0o666, None));
        let mut data = scene.server.claim(put.data).expect("the client's stream");
        while all && data.read(NEW.len()).await.expect("data").is_some() {}
        drop(data);
        sender.send(&says).await.expect("it is sent");
        sender.finish();
        // The link stays open until the client has received it.
        let _ = receiver.expect::<FromClient>().await;
    };
    let (result, ()) = tokio::join!(client, server);
    result
}

#[test]
fn a_client_compares_what_the_server_says_that_it_stored() {
    run(async |scene| {
        for (what, lie) in lies() {
            let done = FromServer::Outcome(Outcome::Done(lie));
            let fault = lying_store(&scene, true, done).await.expect_err(what);
            assert_eq!((fault.code, fault.side), (Code::Mismatch, Some(Side::Server)), "{what}: {fault}");
        }
        let done = FromServer::Outcome(Outcome::Done(tally_of(NEW)));
        assert_eq!(lying_store(&scene, true, done).await, Ok(tally_of(NEW)));
        let refused = FromServer::Refused(Fault::user(Code::Busy, "full"));
        let fault = lying_store(&scene, false, refused).await.expect_err("it is refused");
        assert_eq!((fault.code, fault.side), (Code::Busy, Some(Side::Server)));
    });
}

/// A server that answers a get with a file of this size, these pieces, and `says`.
async fn lying_get(
    scene: &Scene,
    size: Option<u64>,
    pieces: &[&'static [u8]],
    says: Option<FromServer>,
    download: Download<'_>,
) -> Result<Tally, Fault> {
    let client = super::get(&scene.client, "there".as_ref(), download, TransferOptions::default());
    let server = async {
        let Control { mut sender, mut receiver } = Control::new(scene.server.accept().await.expect("a stream"));
        let request: Request = receiver.expect().await.expect("a request");
        let Request::Get(Get { path, .. }) = request else { panic!("another request") };
        assert_eq!(path, "there".into());
        let mut data = scene.server.open_unidirectional().await.expect("a stream");
        let modified = Time { seconds: 0, nanoseconds: 0 };
        let file = File { data: data.number(), size, mode: 0o644, modified };
        sender.send(&FromServer::File(file)).await.expect("it is sent");
        for piece in pieces {
            if data.write_all(Bytes::from_static(piece)).await.is_err() {
                return;
            }
        }
        data.finish();
        if let Some(says) = says {
            // The client may have seen enough.
            let _ = sender.send(&says).await;
        }
        sender.finish();
    };
    let (result, ()) = tokio::join!(client, server);
    result
}

#[test]
fn a_client_keeps_nothing_whose_digest_or_count_is_not_what_arrived() {
    run(async |scene| {
        let file = || Download::file(&scene.store, "file");
        for (what, lie) in lies() {
            let done = Some(FromServer::Outcome(Outcome::Done(lie)));
            let fault = lying_get(&scene, Some(19), &[NEW], done.clone(), file()).await.expect_err(what);
            assert_eq!(fault.code, Code::Mismatch, "{what}: {fault}");
            scene.is_untouched();
            let mut bytes = Vec::new();
            let fault = lying_get(&scene, Some(19), &[NEW], done, Download::writer(&mut bytes)).await.expect_err(what);
            assert_eq!(fault.code, Code::Mismatch, "{what}: {fault}");
        }
        let fault = lying_get(&scene, Some(19), &[NEW], None, file()).await.expect_err("it never says what it sent");
        assert_eq!(fault.code, Code::BadMessage, "{fault}");
        let again =
            FromServer::File(File { data: 3, size: None, mode: 0, modified: Time { seconds: 0, nanoseconds: 0 } });
        let fault = lying_get(&scene, Some(19), &[NEW], Some(again), file()).await.expect_err("it opens another");
        assert_eq!(fault.code, Code::BadMessage, "{fault}");
        scene.is_untouched();

        let done = || Some(FromServer::Outcome(Outcome::Done(tally_of(NEW))));
        let mut bytes = Vec::new();
        let got = lying_get(&scene, None, &[NEW], done(), Download::writer(&mut bytes)).await;
        assert_eq!((got, bytes.as_slice()), (Ok(tally_of(NEW)), NEW));
        assert_eq!(lying_get(&scene, Some(19), &[NEW], done(), file()).await, Ok(tally_of(NEW)));
        assert_eq!(fs::read(scene.file()).expect("it is there"), NEW);
    });
}

#[test]
fn an_endless_get_stops_at_the_announced_size_or_at_the_callers() {
    const PIECE: &[u8] = &[7; 64 * 1024];
    run(async |scene| {
        let endless = [PIECE; 4096];
        for size in [Some(100_000), None] {
            let to = Download::file(&scene.store, "file");
            let fault = lying_get(&scene, size, &endless, None, to).await.expect_err("it has no end");
            assert_eq!(fault.code, Code::LimitExceeded, "{fault}");
            scene.is_untouched();
        }
        let mut bytes = Vec::new();
        let to = Download::writer(&mut bytes).at_most(200_000);
        let fault = lying_get(&scene, None, &endless, None, to).await.expect_err("it has no end");
        assert!(fault.code == Code::LimitExceeded && bytes.len() <= 200_000, "{fault}: {} bytes", bytes.len());
        let mut bytes = Vec::new();
        let to = Download::writer(&mut bytes).at_most(10);
        let fault = lying_get(&scene, Some(19), &[NEW], None, to).await.expect_err("it is larger");
        assert!(fault.code == Code::LimitExceeded && bytes.is_empty(), "{fault}");
    });
}

/// A get that is dropped half-way removes what came, and `Store::idle` waits for that.
#[test]
fn a_dropped_get_leaves_nothing() {
    run(async |scene| {
        let seen = std::sync::Arc::new(tokio::sync::Notify::new());
        let notify = seen.clone();
        let options = TransferOptions::default().progress(Some(Box::new(move |_| notify.notify_one())));
        let get = super::get(&scene.client, "there".as_ref(), Download::file(&scene.store, "file"), options);
        let server = async {
            let Control { mut sender, mut receiver } = Control::new(scene.server.accept().await.expect("a stream"));
            let _: Request = receiver.expect().await.expect("a request");
            let mut data = scene.server.open_unidirectional().await.expect("a stream");
            let modified = Time { seconds: 0, nanoseconds: 0 };
            let file = File { data: data.number(), size: Some(1 << 20), mode: 0o644, modified };
            sender.send(&FromServer::File(file)).await.expect("it is sent");
            data.write_all(Bytes::from_static(&[1; 300_000])).await.expect("it is sent");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            got = get => panic!("it ended: {got:?}"),
            () = server => {}
            () = seen.notified() => {}
        }
        scene.store.idle().await;
        scene.is_untouched();
    });
}

/// A server of a later version: what it doesn't know a client ignores, or reports.
#[test]
fn a_client_ignores_events_of_a_later_version_and_reports_its_outcomes() {
    let later = |kind: &str, body| serde_json::json!({ kind: body });
    let answers = [
        (later("outcome", serde_json::json!({"done": tally_of(NEW)})), Ok(tally_of(NEW))),
        (later("outcome", serde_json::json!({"merged": {"with": "another"}})), Err(Code::Unsupported)),
    ];
    for (outcome, expected) in answers {
        run(async |scene| {
            let upload = Upload::bytes(NEW).named("file");
            let client = super::put(&scene.client, upload, "there".as_ref(), TransferOptions::default());
            let server = async {
                let Control { mut sender, mut receiver } = Control::new(scene.server.accept().await.expect("a stream"));
                let Request::Put(put) = receiver.expect().await.expect("a request") else { panic!("another request") };
                let mut data = scene.server.claim(put.data).expect("the client's stream");
                while data.read(NEW.len()).await.expect("data").is_some() {}
                sender.send(&later("scanned", serde_json::json!({"clean": true}))).await.expect("it is sent");
                sender.send(&outcome).await.expect("it is sent");
                sender.finish();
                let _ = receiver.expect::<FromClient>().await;
            };
            let (result, ()) = tokio::join!(client, server);
            assert_eq!(result.map_err(|fault| fault.code), expected);
        });
    }
}
