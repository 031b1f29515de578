//! Transfers that are resumed, and what goes wrong with them: peers that lie, sources that change, files that are damaged.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use unglue_link::Link;
use unglue_proto::blocks::{BLOCK, DIGEST};
use unglue_proto::message::Request;
use unglue_proto::message::transfer::{FromClient, FromServer, Have, Outcome};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault};

use super::super::*;
use super::changed::first_bytes;
use super::resumed::{BREAK, SIZE, block, content, copy, copy_with, lying_put, run, serve, sides};
use super::{put_request, tally_of};
use crate::ops::Control;
use crate::ops::pace::Pace;

/// The content with changes here and there: 60 kB of it are new.
fn edited(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    for number in 0..60 {
        let at = number * (old.len() / 61);
        new[at..at + 1000].copy_from_slice(&content(&at.to_be_bytes(), 1000));
    }
    new
}

#[test]
fn what_is_missing_of_a_file_that_replaces_an_old_one_travels_as_a_delta() {
    for up in [true, false] {
        let (from, to) = sides(up);
        run(from, async |mut scene| {
            let old = scene.content.clone();
            fs::write(scene.path(to, "file"), &old).expect("an old file");
            scene.write(from, edited(&old));
            let at = BLOCK + 1_000_000;
            assert_eq!(copy(&scene, up, Some(at)).await.0, None);
            assert!(fs::read(scene.path(to, "file")).expect("the old file") == old);
            // One of the blocks that were kept is sent again, too.
            let kept = fs::File::options().write(true).open(scene.kept(to)).expect("it is there");
            std::os::unix::fs::FileExt::write_all_at(&kept, b"damage", 1000).expect("it is written");

            // At this rate, the missing part takes five minutes.
            let began = Instant::now();
            let slow = TransferOptions::default().pace(Pace::limit(100_000));
            let (result, there) = copy_with(&scene, up, None, slow).await;
            assert_eq!((result, there), (Some(Ok(tally_of(&scene.content))), BLOCK));
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
            scene.is_complete(to);
        });
    }
}

#[test]
fn without_a_delta_the_old_file_is_not_read() {
    run("client", async |mut scene| {
        let old = scene.content.clone();
        fs::write(scene.path("server", "file"), &old).expect("an old file");
        scene.write("client", edited(&old));
        for at in [Some(BREAK), None] {
            let (result, _) = copy_with(&scene, true, at, TransferOptions::default().whole_file(true)).await;
            assert_eq!(result, at.is_none().then(|| Ok(tally_of(&scene.content))));
        }
        scene.is_complete("server");
    });
}

#[test]
fn a_source_that_changes_while_it_is_sent_is_noticed() {
    for up in [true, false] {
        let (from, to) = sides(up);
        run(from, async |mut scene| {
            fs::write(scene.path(to, "file"), b"old").expect("a file");
            assert_eq!(copy(&scene, up, Some(BREAK)).await.0, None);
            // The same length and the same time: the change is made when the first bytes were there already.
            let source = scene.path(from, "file");
            let (client, server) = unglue_link::memory();
            let mut changed = scene.content.clone();
            changed[BLOCK as usize + 5] ^= 1;
            let (path, mut bytes) = (source.clone(), Some(changed.clone()));
            let progress = move |_| {
                if let Some(bytes) = bytes.take() {
                    let modified = fs::metadata(&path).and_then(|file| file.modified()).expect("a time");
                    fs::write(&path, bytes).expect("it is written");
                    let file = fs::File::options().write(true).open(&path).expect("it is there");
                    file.set_modified(modified).expect("the time is set");
                }
            };
            let options = TransferOptions::default().resume(true).progress(Some(Box::new(progress)));
            let copying = async {
                match up {
                    true => put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options).await,
                    false => get(&client, "file".as_ref(), Download::file(&scene.client, "file"), options).await,
                }
            };
            let (result, ()) = tokio::join!(copying, serve(&server, &scene.server));
            scene.client.idle().await;
            scene.server.idle().await;
            assert_eq!(result.expect_err("it changed").code, Code::SourceChanged);
            assert_eq!(fs::read(scene.path(to, "file")).expect("the old file"), b"old");
            scene.content = changed;
            let (result, there) = copy(&scene, up, None).await;
            assert_eq!((result, there), (Some(Ok(tally_of(&scene.content))), 3 * BLOCK));
            scene.is_complete(to);
        });
    }
}

#[test]
fn a_part_that_is_shorter_or_longer_than_it_was_is_used_as_far_as_it_is_right() {
    for up in [true, false] {
        let (from, to) = sides(up);
        run(from, async |scene| {
            for (length, whole) in [(1, 0), (BLOCK - 1, 0), (BLOCK + 5, 1), (4 * BLOCK, 3), (9 * BLOCK, 3)] {
                assert_eq!(copy(&scene, up, Some(BREAK)).await.0, None);
                let kept = fs::File::options().write(true).open(scene.kept(to)).expect("it is there");
                kept.set_len(length).expect("it has that length");
                drop(kept);
                let (result, there) = copy(&scene, up, None).await;
                assert_eq!(result, Some(Ok(tally_of(&scene.content))), "{length}");
                assert_eq!(there / BLOCK, whole, "{length}: {there} bytes were there");
                scene.is_complete(to);
                fs::remove_file(scene.path(to, "file")).expect("it is there");
            }
        });
    }
}

#[test]
fn two_copies_to_one_file_don_t_disturb_each_other() {
    run("client", async |scene| {
        let (client, server) = unglue_link::memory();
        let moved = Arc::new(AtomicU64::new(0));
        let count = moved.clone();
        let progress = move |now: Moved| count.store(now.bytes, Ordering::Relaxed);
        let options =
            TransferOptions::default().resume(true).pace(Pace::limit(1 << 20)).progress(Some(Box::new(progress)));
        let first = async {
            tokio::join!(
                put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options),
                serve(&server, &scene.server),
            )
        };
        tokio::pin!(first);
        let second = async {
            while moved.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            copy(&scene, true, None).await.0
        };
        let refused = tokio::select! {
            ended = &mut first => panic!("it ended: {ended:?}"),
            result = second => result.expect("it is not broken off").expect_err("another one writes"),
        };
        assert!(refused.code == Code::Busy && refused.what.contains("another copy with --resume"), "{refused}");
        assert_eq!(scene.hidden("server").len(), 1);
    });
}

#[test]
fn a_copy_waits_for_one_that_is_about_to_end() {
    run("client", async |scene| {
        let options = unglue_host::store::WriteOptions { mode: 0o644, resume: true, ..Default::default() };
        let held = scene.server.sink("file".as_ref(), "file".as_ref(), options).await.expect("a sink");
        let ends = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(held);
        };
        let ((result, _), ()) = tokio::join!(copy(&scene, true, None), ends);
        assert_eq!(result, Some(Ok(tally_of(&scene.content))));
        scene.is_complete("server");
    });
}

/// A server that has `have` of a file and sends these bytes as digests; gives what came to it.
async fn lying_have(link: &Link, bytes: u64, number: Option<u64>, digests: Vec<u8>) -> u64 {
    let Control { mut sender, mut receiver } = Control::new(link.accept().await.expect("a stream"));
    let Request::Put(put) = receiver.expect().await.expect("a request") else { panic!("another request") };
    let mut data = link.claim(put.data).expect("the client's stream");
    first_bytes(&mut data, put.ahead).await;
    let mut stream = link.open_unidirectional().await.expect("a stream");
    let have = Have { bytes, digests: Some(number.unwrap_or(stream.number())), old: None };
    sender.send(&FromServer::Have(have)).await.expect("it is sent");
    let telling = async {
        let _ = stream.write_all(digests.into()).await;
        stream.finish();
    };
    let taking = async {
        let mut came = 0;
        while let Ok(Some(data)) = data.read(1 << 20).await {
            came += data.len() as u64;
        }
        came
    };
    let ((), came) = tokio::join!(telling, taking);
    let sent = receiver.expect().await;
    let outcome = match sent {
        Ok(FromClient::Sent(tally)) => Outcome::Done(tally),
        _ => Outcome::Failed(Fault::peer(Code::BadMessage, "nothing came")),
    };
    let _ = sender.send(&FromServer::Outcome(outcome)).await;
    sender.finish();
    let _ = receiver.expect::<FromClient>().await;
    came
}

#[test]
fn a_server_that_lies_about_what_it_has_is_found_out_or_gets_the_file_once() {
    run("client", async |scene| {
        let wire = SIZE as u64 + 4 * 4;
        let (one, three) = (vec![1; DIGEST], vec![1; 3 * DIGEST]);
        for (what, bytes, number, digests, code, most) in [
            ("a part of a block", BLOCK + 1, None, one.clone(), Some(Code::BadMessage), 0),
            ("more than the file", 4 * BLOCK, None, one.clone(), Some(Code::BadMessage), 0),
            ("2^63 bytes", 1 << 63, None, one.clone(), Some(Code::BadMessage), 0),
            ("no number", u64::MAX, None, one.clone(), Some(Code::BadMessage), 0),
            ("nothing, with digests", 0, None, one.clone(), Some(Code::BadMessage), 0),
            ("a stream of the client's", BLOCK, Some(2), one.clone(), Some(Code::BadMessage), 0),
            ("too few digests", 3 * BLOCK, None, one.clone(), Some(Code::BadMessage), wire),
            ("a part of a digest", 3 * BLOCK, None, three[1..].to_vec(), Some(Code::BadMessage), wire),
            ("digests that lie", 3 * BLOCK, None, three.clone(), None, wire),
            ("more digests than blocks", 3 * BLOCK, None, vec![1; 50 * DIGEST], None, wire),
        ] {
            let (client, server) = unglue_link::memory();
            let options = TransferOptions::default().resume(true);
            let copying = put(&client, Upload::file(&scene.client, "file"), "file".as_ref(), options);
            let (result, came) = tokio::join!(copying, lying_have(&server, bytes, number, digests));
            match code {
                Some(code) => assert_eq!(result.expect_err(what).code, code, "{what}"),
                None => assert_eq!((result, came), (Ok(tally_of(&scene.content)), most), "{what}"),
            }
            assert!(came <= most, "{what}: {came} bytes were sent");
        }
    });
}

/// Compressed zeros without end: the server takes each block once.
#[test]
fn a_compressed_flood_of_blocks_is_cut_off() {
    run("client", async |scene| {
        assert_eq!(copy(&scene, true, Some(BREAK)).await.0, None);
        let (client, server) = unglue_link::memory();
        let taken = Arc::new(AtomicU64::new(0));
        let count = taken.clone();
        let client_side = async {
            let mut control = Control::new(client.open_bidirectional().await.expect("a stream"));
            let mut data = client.open_unidirectional().await.expect("a stream");
            data.compress(Compression::Zstd(19));
            let mut put = put_request(&data, Some(SIZE as u64));
            put.resume = true;
            control.sender.send(&Request::Put(put)).await.expect("it is sent");
            let FromServer::Have(have) = control.receiver.expect().await.expect("an answer") else { panic!("another") };
            let _digests = have.digests.map(|number| client.claim(number).expect("the server's stream"));
            let zeros = bytes::Bytes::from(vec![0; 1 << 20]);
            // A gigabyte of it travels in 40 kB.
            for _ in 0..1024 {
                if data.write_all(zeros.clone()).await.is_err() {
                    break;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            drop(data);
            control.receiver.expect().await.expect("an outcome")
        };
        let (outcome, ()) = tokio::join!(client_side, serve(&server, &scene.server));
        let FromServer::Outcome(Outcome::Failed(fault)) = outcome else { panic!("{outcome:?}") };
        assert!(fault.code == Code::BadMessage && fault.what.contains("block 0 of 4 came twice"), "{fault}");
        assert!(taken.load(Ordering::Relaxed) < 64, "{taken:?} MiB were taken");
        scene.server.idle().await;
        assert!(scene.hidden("server").is_empty());
    });
}

/// A client that resumes over an old file, and sends records that make no sense.
#[test]
fn blocks_that_make_no_sense_are_refused_in_a_delta_too() {
    use unglue_proto::delta::Record;
    run("client", async |scene| {
        let old = content(b"old", 200_000);
        fs::write(scene.path("server", "file"), &old).expect("an old file");
        let truth = tally_of(&scene.content);
        let part = |from, len| Record::Old { from, len }.encode();
        let new = |bytes: &[u8]| [&Record::New(bytes.len() as u32).encode()[..], bytes].concat();
        let number = |block: u32| new(&block.to_be_bytes());
        for (what, data, code) in [
            ("a block that the file doesn't have", number(4), Code::BadMessage),
            ("the end in a number", new(&[0, 0]), Code::BadMessage),
            ("the end in a block", [number(3), part(0, 100)].concat(), Code::BadMessage),
            ("a part beyond the old file", [number(3), part(199_999, 2)].concat(), Code::BadMessage),
            ("nothing", Vec::new(), Code::BadMessage),
            ("other bytes", [number(3), part(0, 200_000).repeat(10)].concat(), Code::Mismatch),
            ("more than a block", [number(0), part(0, 200_000).repeat(300)].concat(), Code::BadMessage),
        ] {
            let whole = TransferOptions::default().whole_file(true);
            assert_eq!(copy_with(&scene, true, Some(BREAK), whole).await.0, None);
            let pieces = vec![bytes::Bytes::from(data)];
            let (result, have) = lying_put(&scene, pieces, truth.clone(), true).await;
            assert_eq!((have.bytes, have.old.is_some()), (3 * BLOCK, true), "{what}");
            assert_eq!(result.expect_err(what).code, code, "{what}");
            assert!(fs::read(scene.path("server", "file")).expect("the old file") == old, "{what}");
            assert!(scene.hidden("server").is_empty(), "{what}: what is wrong was kept");
        }
    });
}

#[test]
fn a_block_that_was_right_may_be_sent_again_once() {
    run("client", async |scene| {
        assert_eq!(copy(&scene, true, Some(BREAK)).await.0, None);
        let one = BLOCK as usize;
        let part = |number: usize| &scene.content[number * one..SIZE.min((number + 1) * one)];
        let blocks = [3, 1].map(|number| block(number as u32, part(number))).concat();
        let (result, _) = lying_put(&scene, blocks, tally_of(&scene.content), false).await;
        assert_eq!(result, Ok(tally_of(&scene.content)));
        scene.is_complete("server");
    });
}
