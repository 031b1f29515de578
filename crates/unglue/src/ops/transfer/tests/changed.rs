//! Files that replace an old one: only what changed travels.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use unglue_host::store::Store;
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::delta::{FINE, Group, LEAST, Record, Sum, coarse};
use unglue_proto::message::transfer::{FromClient, FromServer, Have, Old, Outcome};
use unglue_proto::message::{Request, Tally};
use unglue_proto::{Code, Fault};

use super::super::resume::fill;
use super::super::*;
use super::resumed::{content, serve};
use super::{put_request, tally_of};
use crate::ops::pace::Pace;
use crate::ops::{Control, refuse};

pub(super) const SIZE: usize = 6 << 20;

/// A client's directory and a server's.
pub(super) struct Scene {
    directory: TempDir,
    pub(super) client: Store,
    pub(super) server: Store,
}

impl Scene {
    pub(super) fn path(&self, side: &str) -> PathBuf {
        self.directory.path().join(side).join("file")
    }

    pub(super) fn write(&self, side: &str, content: &[u8]) {
        fs::write(self.path(side), content).expect("a file");
    }

    /// Fails unless the file is this one, and the only one.
    #[track_caller]
    pub(super) fn holds(&self, side: &str, content: &[u8]) {
        assert!(fs::read(self.path(side)).expect("the file") == content, "another content");
        let entries = fs::read_dir(self.directory.path().join(side)).expect("a directory");
        assert_eq!(entries.count(), 1, "something was left behind");
    }
}

pub(super) fn run(test: impl AsyncFnOnce(Scene)) {
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
pub(super) fn changed(old: &[u8], kind: &str) -> Vec<u8> {
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
            assert_eq!(request.required(), ["delta", "ahead"]);
            refuse(sender, Fault::user(Code::Unsupported, "\"delta\"")).await.expect("it is sent");
            serve(&server, &scene.server).await;
        };
        assert_eq!(tokio::join!(copying, serving).0, Ok(tally_of(&new)));
        scene.holds("server", &new);
    });
}

const SEED: u32 = 7;

fn sums(bytes: &[u8], block: u32) -> Vec<Sum> {
    unglue_proto::delta::sums(bytes, block, SEED).collect()
}

/// A group of sums as it travels.
fn group(sums: &[Sum], header: impl Fn(u32) -> Group) -> Vec<u8> {
    header(sums.len() as u32).encode().into_iter().chain(sums.iter().flat_map(Sum::encode)).collect()
}

/// A server that offers an old file and these groups of sums, takes what comes, and reports `failed`.
async fn lying_offer(link: &Link, (size, block): (u64, u32), groups: Vec<u8>, failed: Code) {
    let (mut stream, mut data, control) = offered(link, (size, block)).await;
    let telling = async {
        let _ = stream.write_all(groups.into()).await;
        stream.finish();
    };
    let taking = async { while let Ok(Some(_)) = data.read(1 << 20).await {} };
    tokio::join!(telling, taking);
    fail(control, failed).await;
}

/// A server that has offered an old file: the stream for its sums, and the one of the data.
async fn offered(link: &Link, (size, block): (u64, u32)) -> (SendStream, RecvStream, Control) {
    let mut control = Control::new(link.accept().await.expect("a stream"));
    let Request::Put(put) = control.receiver.expect().await.expect("a request") else { panic!("another request") };
    let mut data = link.claim(put.data).expect("the client's stream");
    first_bytes(&mut data, put.ahead).await;
    let stream = link.open_unidirectional().await.expect("a stream");
    let old = Some(Old { size, block, seed: SEED, sums: stream.number() });
    control.sender.send(&FromServer::Have(Have { bytes: 0, digests: None, old })).await.expect("it is sent");
    (stream, data, control)
}

/// What a client sends before it knows what the server has.
pub(super) async fn first_bytes(data: &mut RecvStream, ahead: u64) -> Vec<u8> {
    let mut first = vec![0; ahead as usize];
    assert!(fill(data, &mut first).await.expect("no error"), "{ahead} bytes come");
    first
}

#[test]
fn the_first_bytes_of_a_large_file_leave_with_the_request() {
    run(async |scene| {
        let new = content(b"new", SIZE);
        scene.write("client", &new);
        let (client, server) = unglue_link::memory();
        let copying = put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default());
        let serving = async {
            let mut control = Control::new(server.accept().await.expect("a stream"));
            let Request::Put(put) = control.receiver.expect().await.expect("a request") else { panic!("another") };
            assert_eq!(put.ahead, 64 * 1024);
            let mut data = server.claim(put.data).expect("the client's stream");
            let mut came = first_bytes(&mut data, put.ahead).await;
            // Only now does it say that it has nothing.
            let nothing = Have { bytes: 0, digests: None, old: None };
            control.sender.send(&FromServer::Have(nothing)).await.expect("it is sent");
            while let Some(piece) = data.read(1 << 20).await.expect("no error") {
                came.extend_from_slice(&piece);
            }
            assert!(came == new, "another content");
            let Control { mut sender, mut receiver } = control;
            sender.send(&FromServer::Outcome(Outcome::Done(tally_of(&came)))).await.expect("it is sent");
            sender.finish();
            while receiver.expect::<FromClient>().await.is_ok() {}
        };
        assert_eq!(tokio::join!(copying, serving).0, Ok(tally_of(&new)));
    });
}

#[test]
fn first_bytes_that_are_too_many_or_do_not_all_come_are_refused() {
    for (ahead, sent, what) in [(64 * 1024 + 1, 0, "at most 65536"), (1000, 999, "and 999 came")] {
        run(async |scene| {
            let old = content(b"old", SIZE);
            scene.write("server", &old);
            let (client, server) = unglue_link::memory();
            let client_side = async {
                let mut control = Control::new(client.open_bidirectional().await.expect("a stream"));
                let mut data = client.open_unidirectional().await.expect("a stream");
                let mut put = put_request(&data, Some(SIZE as u64));
                (put.delta, put.ahead) = (true, ahead);
                control.sender.send(&Request::Put(put)).await.expect("it is sent");
                // The server may stop the stream at any time.
                let _ = data.write_all(vec![0; sent].into()).await;
                data.finish();
                loop {
                    match control.receiver.expect().await.expect("an answer") {
                        FromServer::Outcome(Outcome::Failed(fault)) => return fault,
                        FromServer::Have(have) => drop(have.old.map(|old| client.claim(old.sums))),
                        other => panic!("{other:?}"),
                    }
                }
            };
            let (fault, ()) = tokio::join!(client_side, serve(&server, &scene.server));
            assert_eq!(fault.code, Code::BadMessage, "{fault}");
            assert!(fault.what.contains(what), "{fault}");
            scene.holds("server", &old);
        });
    }
}

async fn fail(Control { mut sender, mut receiver }: Control, failed: Code) {
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
            let groups = group(&sums(&new, block), Group::Blocks);
            lying_offer(&server, (SIZE as u64, block), groups, Code::Mismatch).await;
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
        let right = group(&sums(&new, block), Group::Blocks);
        let one_more = [&right[..], &group(&sums(&new, block)[..1], Group::Blocks)].concat();
        let answer = group(&sums(&new, block)[..1], Group::Answer);
        for (what, size, block, groups) in [
            ("no sums", size, block, &[][..]),
            ("too few sums", size, block, &group(&sums(&new, block)[1..], Group::Blocks)),
            ("the end in a sum", size, block, &right[..right.len() - 1]),
            ("more sums than blocks", size, block, &one_more),
            ("an answer without a question", size, block, &answer),
            ("more sums than there can be", size, block, &Group::Blocks(u32::MAX >> 1).encode()),
            ("another length of blocks", size, 64, &right),
            ("more blocks than allowed", u64::MAX, LEAST, &right),
        ] {
            let (client, server) = unglue_link::memory();
            let copying =
                put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default());
            let lying = lying_offer(&server, (size, block), groups.to_vec(), Code::System);
            let (result, ()) = tokio::join!(copying, lying);
            assert_eq!(result.expect_err(what).code, Code::BadMessage, "{what}");
        }
    });
}

/// Takes all records, and answers those that ask for sums of `old`. Gives how many new bytes had come when the client stopped the sums.
async fn take_records(data: &mut RecvStream, sums: &mut SendStream, old: &[u8]) -> u64 {
    let (mut came, mut stopped) = (0, u64::MAX);
    while let Some(kind) = data.read(1).await.expect("a record") {
        let mut rest = vec![0; Record::rest(kind[0]).expect("a known kind")];
        assert!(fill(data, &mut rest).await.expect("a record"), "the end in a record");
        match Record::decode(kind[0], &rest).expect("a record") {
            Record::Old { .. } => {}
            Record::Ask { from, len } => {
                let old = &old[from as usize..][..len as usize];
                sums.write_all(group(&super::changed::sums(old, FINE), Group::Answer).into())
                    .await
                    .expect("it is taken");
            }
            Record::New(mut left) => {
                came += u64::from(left);
                while left > 0 {
                    left -= data.read(left as usize).await.expect("data").expect("data").len() as u32;
                }
                if stopped > came && tokio::time::timeout(Duration::ZERO, sums.stopped()).await.is_ok() {
                    stopped = came;
                }
            }
        }
    }
    stopped
}

#[test]
fn a_file_that_is_unlike_the_old_one_is_sent_without_a_search_where_the_link_is_fast() {
    run(async |scene| {
        scene.write("client", &content(b"new", 72 << 20));
        let (size, old) = (1 << 20, content(b"old", 1 << 20));
        let (client, server) = unglue_link::memory();
        let serving = async {
            let (mut stream, mut data, control) = offered(&server, (size, coarse(size))).await;
            let blocks = group(&sums(&old, coarse(size)), Group::Blocks);
            stream.write_all(blocks.into()).await.expect("the sums are taken");
            let stopped = take_records(&mut data, &mut stream, &old).await;
            // Otherwise it stops them at the end, when the last MiB wait to be read here.
            assert!(stopped < 64 << 20, "after {stopped} bytes");
            fail(control, Code::System).await;
        };
        let copying = put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), TransferOptions::default());
        assert_eq!(tokio::join!(copying, serving).0.expect_err("it failed").code, Code::System);
    });
}

/// A client that replaces the server's file with what these bytes say; gives what the server makes of it.
/// It reads no sums.
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
        let _unread = client.claim(old.sums).expect("the server's stream");
        // The server may stop reading at any time.
        let _ = data.write_all(Bytes::from(data_bytes)).await;
        data.finish();
        let _ = control.sender.send(&FromClient::Sent(sent)).await;
        match control.receiver.expect().await.expect("an outcome") {
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
