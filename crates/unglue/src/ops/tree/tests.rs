//! Both halves over a link in memory, and against peers that lie.

mod lies;
mod parts;
mod patched;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use unglue_host::store::Store;
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::message::tree::{Accepted, FromServer, Outcome, Summary, Tree};
use unglue_proto::message::{Request, Time};
use unglue_proto::tree::{Answer, Record};
use unglue_proto::{Code, Side};

use super::*;
use crate::ops::Control;
use crate::ops::slots::Slots;

struct Scene {
    directory: TempDir,
    store: Store,
    client: Link,
    server: Link,
}

fn run(test: impl AsyncFnOnce(Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("to")).expect("made");
        fs::create_dir_all(directory.path().join("from/d")).expect("made");
        for number in 0..300 {
            fs::write(directory.path().join(format!("from/d/f{number}")), vec![7; number * 40]).expect("written");
        }
        fs::write(directory.path().join("from/large"), vec![9; 9_000_000]).expect("written");
        let store = Store::confined(directory.path()).expect("a store");
        let (client, server) = unglue_link::memory();
        let ended = tokio::time::timeout(Duration::from_secs(60), test(Scene { directory, store, client, server }));
        ended.await.expect("it ends within 60 s");
    });
}

impl Scene {
    /// Serves one transfer.
    async fn serve(&self) -> Result<Summary, Fault> {
        let (control, tree) = asked(&self.server).await;
        super::serve(&self.server, &self.store, &Slots::transfers(), tree, control).await
    }

    async fn push(&self, listener: TreeListener<'_>) -> Result<Summary, Fault> {
        let sources = [PathBuf::from("from/.")];
        super::push(&self.client, (&self.store, &sources), "to".as_ref(), &options(), listener).await
    }

    fn arrived(&self) -> usize {
        let below = |path: &str| fs::read_dir(self.directory.path().join(path)).map_or(0, Iterator::count);
        below("to") + below("to/d")
    }
}

/// The next request, with its control stream.
async fn asked(server: &Link) -> (Control, Tree) {
    let mut control = Control::new(server.accept().await.expect("a stream"));
    let Request::Tree(tree) = control.receiver.expect().await.expect("a request") else { panic!("another request") };
    (control, *tree)
}

/// Accepts a push, as a server does: its control stream, the records that come, and where the answers go.
async fn accepted(server: &Link) -> (Control, RecvStream, SendStream) {
    let (mut control, tree) = asked(server).await;
    let flow = server.claim(tree.data).expect("the records");
    let answers = server.open_unidirectional().await.expect("a stream");
    control.sender.send(&FromServer::Accepted(Accepted { data: answers.number() })).await.expect("sent");
    (control, flow, answers)
}

/// A time for files.
const NOW: Time = Time { seconds: 1, nanoseconds: 0 };

fn wire(records: &[Record<'_>]) -> Vec<u8> {
    let mut wire = Vec::new();
    records.iter().for_each(|record| record.encode(&mut wire));
    wire
}

fn options() -> TreeMove {
    let options = TreeOptions { recursive: true, everything: true, beside: true, ..TreeOptions::default() };
    TreeMove::new(Layout::Into, options)
}

#[test]
fn a_tree_goes_both_ways_and_both_ends_agree() {
    run(async |scene| {
        let (pushed, served) = tokio::join!(scene.push(Box::new(|_| ())), scene.serve());
        let (pushed, served) = (pushed.expect("it is sent"), served.expect("it is received"));
        assert_eq!((pushed.entries, pushed.files, pushed.problems), (303, 301, 0));
        assert_eq!(pushed.blake3, served.blake3);
        assert_eq!(fs::read(scene.directory.path().join("to/large")).expect("there"), vec![9; 9_000_000]);
        let sources = [PathBuf::from("to/.")];
        let seen = AtomicUsize::new(0);
        let listener = Box::new(|update: TreeUpdate<'_>| {
            if let TreeUpdate::Moving(moving) = update {
                seen.fetch_max(moving.moved as usize, Ordering::Relaxed);
            }
        });
        let tree = options();
        let pull = super::pull(&scene.client, &sources, (&scene.store, "back".as_ref()), &tree, listener);
        let (pulled, served) = tokio::join!(pull, scene.serve());
        assert_eq!(pulled.expect("it is received").blake3, served.expect("it is sent").blake3);
        assert_eq!(fs::read(scene.directory.path().join("back/d/f299")).expect("there"), vec![7; 299 * 40]);
        assert!(seen.into_inner() > 9_000_000);
    });
}

/// A server that accepts a push, answers with these bytes, and reports this.
async fn lying_receiver(scene: &Scene, answers: Vec<u8>, says: Option<Outcome>) -> Fault {
    let client = scene.push(Box::new(|_| ()));
    let server = async {
        let (mut control, mut flow, mut stream) = accepted(&scene.server).await;
        let _ = stream.write_all(answers.into()).await;
        // Large files on streams of their own are read by nobody.
        while let Ok(Some(_)) = flow.read(1 << 20).await {}
        stream.finish();
        if let Some(says) = says {
            let _ = control.sender.send(&FromServer::Outcome(says)).await;
        }
        let _ = control.receiver.next::<FromServer>().await;
    };
    tokio::select! {
        pushed = client => pushed.expect_err("a lie is noticed"),
        () = server => panic!("the client goes on"),
    }
}

#[test]
fn a_receiver_that_lies_is_found_out() {
    run(async |scene| {
        let encoded = |answer: Answer<'_>| {
            let mut wire = Vec::new();
            answer.encode(&mut wire);
            wire
        };
        let lies = [
            encoded(Answer::Upto { entry: 1 << 40, wanted: vec![], changed: vec![] }),
            encoded(Answer::Upto { entry: 1, wanted: vec![7], changed: vec![] }),
            encoded(Answer::Problem { fault: b"not JSON" }),
            vec![99, 0],
            [vec![1, 11], vec![0xff; 11]].concat(),
        ];
        for lie in lies {
            let fault = lying_receiver(&scene, lie.clone(), None).await;
            assert_eq!(fault.code, Code::BadMessage, "{lie:?}: {fault}");
        }
    });
}

#[test]
fn a_sender_that_lies_stores_nothing_and_is_named() {
    run(async |scene| {
        let mut records = Vec::new();
        Record::List { directory: 0 }.encode(&mut records);
        // A name that leads elsewhere, as no encoder of ours writes it.
        let body = [&[0u8, 0, 5][..], b"../up", &[0, 0, 0, 1]].concat();
        records.extend_from_slice(&[3, body.len() as u8]);
        records.extend_from_slice(&body);
        let sources = [PathBuf::from("anything")];
        let tree = options();
        let client = super::pull(&scene.client, &sources, (&scene.store, "to".as_ref()), &tree, Box::new(|_| ()));
        let server = async {
            let mut control = Control::new(scene.server.accept().await.expect("a stream"));
            let request: Request = control.receiver.expect().await.expect("a request");
            let Request::Tree(tree) = request else { panic!("another request") };
            let Tree { data, .. } = *tree;
            let _answers = scene.server.claim(data).expect("the answers");
            let mut flow = scene.server.open_unidirectional().await.expect("a stream");
            control.sender.send(&FromServer::Accepted(Accepted { data: flow.number() })).await.expect("sent");
            let _ = flow.write_all(records.into()).await;
            flow.stopped().await
        };
        let (pulled, _) = tokio::join!(client, server);
        let fault = pulled.expect_err("a lie is noticed");
        assert!(fault.code == Code::BadMessage && fault.side != Some(Side::Server), "{fault}");
        assert_eq!(scene.arrived(), 0);
        assert!(!scene.directory.path().join("up").exists());
    });
}

/// A push that is dropped half-way leaves whole files and nothing else.
#[test]
fn a_dropped_push_leaves_no_part() {
    run(async |scene| {
        let moved = tokio::sync::Notify::new();
        let listener = Box::new(|update: TreeUpdate<'_>| {
            if let TreeUpdate::Moving(moving) = update
                && moving.moved > 1_000_000
            {
                moved.notify_one();
            }
        });
        let served = async {
            tokio::select! {
                pushed = scene.push(listener) => panic!("it ended: {pushed:?}"),
                () = moved.notified() => {}
            }
        };
        let (served, ()) = tokio::join!(scene.serve(), served);
        served.expect_err("the client has gone");
        scene.store.idle().await;
        for entry in fs::read_dir(scene.directory.path().join("to")).expect("a directory") {
            let name = entry.expect("an entry").file_name();
            assert!(!name.to_string_lossy().contains(".unglue-"), "{name:?} is left");
        }
    });
}
