//! Files that replace an old one: only what changed travels.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use unglue_host::store::Store;
use unglue_link::{Link, SendStream};
use unglue_proto::delta::{LEAST, Record, Sum, coarse, sums};
use unglue_proto::message::transfer::{FromClient, FromServer, Have, Old, Outcome};
use unglue_proto::message::{Request, Tally};
use unglue_proto::{Code, Fault};

use super::super::*;
use super::resumed::{content, serve};
use super::{put_request, tally_of};
use crate::ops::pace::Pace;
use crate::ops::{Control, refuse};

const SIZE: usize = 6 << 20;

/// A client's directory and a server's.
struct Scene {
    directory: TempDir,
    client: Store,
    server: Store,
}

impl Scene {
    fn path(&self, side: &str) -> PathBuf {
        self.directory.path().join(side).join("file")
    }

    fn write(&self, side: &str, content: &[u8]) {
        fs::write(self.path(side), content).expect("a file");
    }

    /// Fails unless the file is this one, and the only one.
    #[track_caller]
    fn holds(&self, side: &str, content: &[u8]) {
        assert!(fs::read(self.path(side)).expect("the file") == content, "another content");
        let entries = fs::read_dir(self.directory.path().join(side)).expect("a directory");
        assert_eq!(entries.count(), 1, "something was left behind");
    }
}

fn run(test: impl AsyncFnOnce(Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let store = |side: &str| {
            fs::create_dir(directory.path().join(side)).expect("a directory");
            Store::confined(&directory.path().join(side)).expect("a store")
        };
        let (client, server) = (store("client"), store("server"));
        let ended = tokio::time::timeout(Duration::from_secs(120), test(Scene { directory, client, server }));
        ended.await.expect("it ends within 120 s");
    });
}

async fn copy(scene: &Scene, up: bool, options: TransferOptions) -> Result<Tally, Fault> {
    let (client, server) = unglue_link::memory();
    let copying = async {
        match up {
            true => put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options).await,
            false => get(&client, "file".as_ref(), Download::file(&scene.client, "file"), options).await,
        }
    };
    tokio::join!(copying, serve(&server, &scene.server)).0
}

/// The old file with changes of some kind; 60 kB of it are new.
fn changed(old: &[u8], kind: &str) -> Vec<u8> {
    let mut new = old.to_vec();
    match kind {
        "scattered" => {
            for number in 0..60 {
                let at = number * 100_003;
                new[at..at + 1000].copy_from_slice(&content(&at.to_be_bytes(), 1000));
            }
        }
        "contiguous" => new[3_000_000..3_060_000].copy_from_slice(&content(b"contiguous", 60_000)),
        "inserted at the front" => drop(new.splice(0..0, content(b"inserted", 60_000))),
        "deleted and appended" => {
            new.drain(..100_001);
            new.extend(content(b"appended", 60_000));
        }
        _ => new.rotate_left(2_000_001),
    }
    new
}

#[test]
fn only_what_changed_travels() {
    for (up, from, to) in [(true, "client", "server"), (false, "server", "client")] {
        run(async |scene| {
            let old = content(b"old", SIZE);
            for kind in ["scattered", "contiguous", "inserted at the front", "deleted and appended", "rotated"] {
                let new = changed(&old, kind);
                scene.write(to, &old);
                scene.write(from, &new);
                // At this rate the whole file would take a minute.
                let began = Instant::now();
                let options = TransferOptions::default().pace(Pace::limit(100_000));
                assert_eq!(copy(&scene, up, options).await, Ok(tally_of(&new)), "{kind}");
                assert!(began.elapsed() < Duration::from_secs(20), "{kind}: {:?}", began.elapsed());
                scene.holds(to, &new);
            }
        });
    }
}

#[test]
fn files_of_any_size_replace_files_of_any_size() {
    run(async |scene| {
        let sizes = [0, 1, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 3_000_001];
        for (number, (old, new)) in sizes.iter().flat_map(|old| sizes.map(|new| (*old, new))).enumerate() {
            let whole = content(b"same", old.max(new) + 7);
            let (old, new) = (&whole[..old], &whole[number % 7..number % 7 + new]);
            scene.write("server", old);
            scene.write("client", new);
            let result = copy(&scene, true, TransferOptions::default().whole_file(number % 5 == 0)).await;
            assert_eq!(result, Ok(tally_of(new)), "{} bytes replace {}", new.len(), old.len());
            scene.holds("server", new);
        }
    });
}

#[test]
fn a_server_of_an_earlier_version_gets_the_whole_file() {
    run(async |scene| {
        let new = content(b"new", SIZE);
        scene.write("client", &new);
        let (client, server) = unglue_link::memory();
        let copying = put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default());
        let serving = async {
            let Control { sender, mut receiver } = Control::new(server.accept().await.expect("a stream"));
            let request: Request = receiver.expect().await.expect("a request");
            assert_eq!(request.required(), ["delta"]);
            refuse(sender, Fault::user(Code::Unsupported, "\"delta\"")).await.expect("it is sent");
            serve(&server, &scene.server).await;
        };
        assert_eq!(tokio::join!(copying, serving).0, Ok(tally_of(&new)));
        scene.holds("server", &new);
    });
}

/// A server that offers `old` and these sums, takes what comes, and reports `failed`.
async fn lying_offer(link: &Link, size: u64, block: u32, sums: &[Sum], failed: Code) {
    let Control { mut sender, mut receiver } = Control::new(link.accept().await.expect("a stream"));
    let Request::Put(put) = receiver.expect().await.expect("a request") else { panic!("another request") };
    let mut data = link.claim(put.data).expect("the client's stream");
    let mut stream = link.open_unidirectional().await.expect("a stream");
    let old = Some(Old { size, block, sums: stream.number() });
    sender.send(&FromServer::Have(Have { bytes: 0, digests: None, old })).await.expect("it is sent");
    let bytes: Vec<u8> = sums.iter().flat_map(Sum::encode).collect();
    let telling = async {
        let _ = stream.write_all(bytes.into()).await;
        stream.finish();
    };
    let taking = async { while let Ok(Some(_)) = data.read(1 << 20).await {} };
    tokio::join!(telling, taking);
    let outcome = Outcome::Failed(Fault::system(failed, "it is another file"));
    let _ = sender.send(&FromServer::Outcome(outcome)).await;
    sender.finish();
    let _ = receiver.expect::<FromClient>().await;
}

#[test]
fn a_file_whose_parts_were_other_ones_than_the_sums_said_is_sent_whole() {
    run(async |scene| {
        let new = content(b"new", SIZE);
        scene.write("client", &new);
        let (client, server) = unglue_link::memory();
        let block = coarse(SIZE as u64);
        let serving = async {
            // Its old file has the sums of the new one, and isn't.
            lying_offer(&server, SIZE as u64, block, &sums(&new, block), Code::Mismatch).await;
            serve(&server, &scene.server).await;
        };
        let copying = put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default());
        assert_eq!(tokio::join!(copying, serving).0, Ok(tally_of(&new)));
        scene.holds("server", &new);
    });
}

#[test]
fn a_server_that_lies_about_its_old_file_is_found_out() {
    run(async |scene| {
        let new = content(b"new", SIZE);
        scene.write("client", &new);
        let (size, block) = (SIZE as u64, coarse(SIZE as u64));
        let right = sums(&new, block);
        for (what, size, block, sums) in [
            ("too few sums", size, block, &right[1..]),
            ("another length of blocks", size, 64, &right[..]),
            ("more blocks than allowed", u64::MAX, LEAST, &right[..]),
        ] {
            let (client, server) = unglue_link::memory();
            let copying =
                put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default());
            let (result, ()) = tokio::join!(copying, lying_offer(&server, size, block, sums, Code::System));
            assert_eq!(result.expect_err(what).code, Code::BadMessage, "{what}");
        }
    });
}

/// A client that replaces the server's file with what these bytes say; gives what the server makes of it.
async fn lying_put(scene: &Scene, size: usize, data_bytes: Vec<u8>, sent: Tally) -> Result<Tally, Fault> {
    let (client, server) = unglue_link::memory();
    let client_side = async {
        let mut control = Control::new(client.open_bidirectional().await.expect("a stream"));
        let mut data: SendStream = client.open_unidirectional().await.expect("a stream");
        let mut put = put_request(&data, Some(size as u64));
        put.delta = true;
        control.sender.send(&Request::Put(put)).await.expect("it is sent");
        let FromServer::Have(have) = control.receiver.expect().await.expect("an answer") else { panic!("another") };
        let old = have.old.expect("an old file is offered");
        let mut sums = client.claim(old.sums).expect("the server's stream");
        let reading = async { while let Ok(Some(_)) = sums.read(1 << 20).await {} };
        let writing = async {
            // The server may stop reading at any time.
            let _ = data.write_all(Bytes::from(data_bytes)).await;
            data.finish();
            let _ = control.sender.send(&FromClient::Sent(sent)).await;
            control.receiver.expect().await.expect("an outcome")
        };
        match tokio::join!(reading, writing).1 {
            FromServer::Outcome(Outcome::Done(tally)) => Ok(tally),
            FromServer::Outcome(Outcome::Failed(fault)) => Err(fault),
            other => panic!("{other:?} is not an outcome"),
        }
    };
    let (result, ()) = tokio::join!(client_side, serve(&server, &scene.server));
    scene.server.idle().await;
    result
}

#[test]
fn a_client_whose_records_make_no_sense_replaces_nothing() {
    run(async |scene| {
        let old = content(b"old", 100_000);
        scene.write("server", &old);
        let part = |from, len| Record::Old { from, len }.encode();
        let ask = |from, len| Record::Ask { from, len }.encode();
        let new = |bytes: &[u8]| [&Record::New(bytes.len() as u32).encode()[..], bytes].concat();
        let truth = tally_of(&old);
        for (what, data, code) in [
            ("a part beyond the old file", part(99_999, 2), Code::BadMessage),
            ("a part whose end is no number", part(u64::MAX, u64::MAX), Code::BadMessage),
            ("parts that are too much", [part(0, 100_000), part(0, 1)].concat(), Code::LimitExceeded),
            ("the same part again and again", part(0, 60_000).repeat(2), Code::LimitExceeded),
            ("new bytes that are too much", [part(0, 100_000), new(b"x")].concat(), Code::LimitExceeded),
            ("a question about nothing", ask(0, 0), Code::LimitExceeded),
            ("a question beyond the old file", ask(100_000, 1), Code::BadMessage),
            ("too many questions", ask(0, 100_000).repeat(100), Code::LimitExceeded),
            ("an unknown kind", vec![9; 20], Code::BadMessage),
            ("the end in a header", part(0, 1)[..9].to_vec(), Code::BadMessage),
            ("the end in new bytes", new(b"12345")[..7].to_vec(), Code::BadMessage),
            ("the end too early", part(0, 99_999), Code::Mismatch),
            ("another file's digest", [part(0, 99_999), new(b"x")].concat(), Code::Mismatch),
        ] {
            let fault = lying_put(&scene, old.len(), data, truth.clone()).await.expect_err(what);
            assert_eq!(fault.code, code, "{what}: {fault}");
            scene.holds("server", &old);
        }
        let turned = [&old[50_000..], &old[..50_000]].concat();
        let data = [ask(7, 5000), part(50_000, 50_000), part(0, 50_000)].concat();
        assert_eq!(lying_put(&scene, old.len(), data, tally_of(&turned)).await, Ok(tally_of(&turned)));
        scene.holds("server", &turned);
    });
}
