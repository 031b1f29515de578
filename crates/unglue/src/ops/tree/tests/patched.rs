//! Peers that lie about files that are not large, of which the receiver has something.

use unglue_proto::delta::{SUM, short};
use unglue_proto::message::tree::Way;
use unglue_proto::tree::{Entry, Kind, ROOT, Records, SUMS_MOST};

use super::*;

const SIZE: u64 = 100_000;

fn tree() -> TreeMove {
    let mut tree = options();
    (tree.options.everything, tree.options.times) = (false, true);
    (tree.options.delta, tree.options.delta_small) = (true, true);
    tree
}

fn open(size: u64) -> Record<'static> {
    Record::Open { entry: 1, modified: NOW, size }
}

fn copy(from: u64, length: u64) -> Record<'static> {
    Record::Copy { from, length }
}

fn close(content: &[u8]) -> Record<'static> {
    Record::Close { digest: Some(*blake3::hash(content).as_bytes()) }
}

/// The records of one file `f`, whose number is 1.
fn listing() -> Vec<u8> {
    let mut entry = Entry::new(Kind::File, b"f".to_vec());
    (entry.mode, entry.size, entry.modified) = (0o644, SIZE, NOW);
    wire(&[
        Record::List { directory: ROOT },
        Record::Entry(Box::new(entry)),
        Record::EndList { whole: true },
        Record::Done { problems: 0 },
    ])
}

/// Reads answers until there is one that `is` true of. `false`: they have ended.
async fn answered(answers: &mut RecvStream, is: impl Fn(&Answer<'_>) -> bool) -> bool {
    let (mut records, mut found) = (Records::default(), false);
    while !found && let Ok(Some(bytes)) = answers.read(1 << 16).await {
        let mut bytes = &bytes[..];
        while let Some((kind, body)) = records.next(&mut bytes).expect("answers") {
            found |= is(&Answer::decode(kind, body).expect("an answer"));
        }
    }
    found
}

/// Sends the listing to a server that has this file, then these records once the server has said what it has, and then these
/// if the file is asked for again.
async fn serve_liar(scene: &Scene, lies: Vec<u8>, again: Option<Vec<u8>>) -> Result<Summary, Fault> {
    let sending = async {
        let Control { mut sender, mut receiver } =
            Control::new(scene.client.open_bidirectional().await.expect("a stream"));
        let mut flow = scene.client.open_unidirectional().await.expect("a stream");
        let asked = super::super::client::request(&tree(), Way::Push, flow.number());
        sender.send(&Request::Tree(Box::new(Tree { to: Some("to".into()), ..asked }))).await.expect("sent");
        let Ok(FromServer::Accepted(accepted)) = receiver.expect().await else { panic!("it is accepted") };
        let mut answers = scene.client.claim(accepted.data).expect("the answers");
        flow.write_all(listing().into()).await.expect("sent");
        assert!(answered(&mut answers, |answer| matches!(answer, Answer::Upto { .. })).await, "it is decided");
        let _ = flow.write_all(lies.into()).await;
        if let Some(again) = again {
            let wrong = |answer: &Answer<'_>| matches!(answer, Answer::Made { wrong, .. } if *wrong == [1]);
            assert!(answered(&mut answers, wrong).await, "it is asked for again");
            let _ = flow.write_all(again.into()).await;
        }
        flow.finish();
        while let Ok(Some(_)) = answers.read(1 << 16).await {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = scene.serve() => served,
        () = sending => unreachable!(),
    }
}

#[test]
fn of_a_sender_that_lies_about_an_old_file_nothing_is_stored() {
    let (old, new) = (vec![5; SIZE as usize], vec![6; SIZE as usize]);
    let whole = || wire(&[open(SIZE), copy(0, SIZE), close(&new)]);
    let large = 1 << 40;
    // What it is, the records, and those that come if the file is asked for again.
    type Lie = (&'static str, Vec<u8>, Option<Vec<u8>>);
    let lies: Vec<Lie> = vec![
        ("what the old file doesn't have", wire(&[open(SIZE), copy(SIZE - 1, 2), close(&new)]), None),
        ("an offset beyond all", wire(&[open(SIZE), copy(u64::MAX, 2), close(&new)]), None),
        ("a length beyond all", wire(&[open(SIZE), copy(1, u64::MAX), close(&new)]), None),
        ("more than announced", wire(&[open(SIZE), copy(0, SIZE), copy(0, 1), close(&new)]), None),
        ("a small file that becomes a large one", wire(&[open(large), copy(0, SIZE), close(&new)]), None),
        ("a part outside of a file", wire(&[copy(0, SIZE)]), None),
        ("half a file", wire(&[open(SIZE), copy(0, 9)]), None),
        ("another digest, twice", whole(), Some(whole())),
        ("another digest, and no more", whole(), Some(vec![])),
        ("another digest, and another file", whole(), Some(wire(&[open(SIZE), Record::Data(b"x"), close(&new)]))),
    ];
    for (what, lie, again) in lies {
        run(async |scene| {
            let file = scene.directory.path().join("to/f");
            fs::write(&file, &old).expect("written");
            let served = serve_liar(&scene, lie, again).await;
            assert!(served.as_ref().map_or(true, |summary| summary.problems > 0), "{what}: {served:?}");
            scene.store.idle().await;
            assert_eq!(scene.arrived(), 1, "{what}: something is left");
            assert!(fs::read(&file).expect("the file") == old, "{what}: another content");
        });
    }
}

#[test]
fn a_file_that_is_asked_for_again_is_taken_whole() {
    run(async |scene| {
        let (file, new) = (scene.directory.path().join("to/f"), vec![6; 50_000]);
        fs::write(&file, vec![5; SIZE as usize]).expect("written");
        let digest = *blake3::hash(&new).as_bytes();
        let again = wire(&[Record::Whole { entry: 1, modified: NOW, digest, data: &new }]);
        let wrong = wire(&[open(SIZE), copy(0, SIZE), close(&new)]);
        let served = serve_liar(&scene, wrong, Some(again)).await.expect("it is taken");
        assert_eq!((served.files, served.problems), (1, 0));
        assert!(fs::read(&file).expect("the file") == new);
    });
}

/// What a receiver answers that lies, and the code of the fault that it ends in.
fn lies() -> Vec<(&'static str, Vec<Answer<'static>>, Code)> {
    const SUMS: [u8; SUM * 98] = [0; SUM * 98];
    assert_eq!(SIZE.div_ceil(u64::from(short(SIZE))), 98);
    let sums = |entry, size| Answer::Sums { entry, size, seed: 1, sums: &SUMS };
    let candidate = |entry| Answer::Candidate { entry, digest: [0; 32] };
    let bad = Code::BadMessage;
    let decided = Answer::Upto { entry: 4, wanted: vec![], changed: vec![] };
    // Entries 1 and 2 are the directory itself and the one in it.
    vec![
        ("sums of a directory", vec![sums(2, SIZE)], bad),
        ("a candidate for a directory", vec![candidate(1)], bad),
        ("sums of what was not sent", vec![sums(1 << 40, SIZE)], bad),
        ("sums of nothing", vec![candidate(0)], bad),
        ("sums twice", vec![sums(3, SIZE), sums(3, SIZE)], bad),
        ("sums of an entry that is decided", vec![decided, candidate(4)], bad),
        ("sums of a large file", vec![sums(3, 1 << 30)], bad),
        ("too few sums", vec![sums(3, SIZE + 3000)], bad),
        ("too many sums", vec![sums(3, SIZE - 3000)], bad),
        ("a file that was not sent in parts", vec![Answer::Made { right: vec![3], wrong: vec![] }], bad),
        ("a file that is wrong and was not sent", vec![Answer::Made { right: vec![], wrong: vec![3] }], bad),
        (
            "an old file of what is not wanted",
            vec![candidate(3), Answer::Upto { entry: 3, wanted: vec![], changed: vec![] }],
            bad,
        ),
    ]
}

/// A server that waits for all entries of a push, answers with these, and goes on to read.
async fn lying_receiver(scene: &Scene, tree: &TreeMove, wait: usize, answers: Vec<u8>) -> Fault {
    let sources = [PathBuf::from("from/.")];
    let client = super::super::push(&scene.client, (&scene.store, &sources), "to".as_ref(), tree, Box::new(|_| ()));
    let server = async {
        let (_control, mut flow, mut stream) = accepted(&scene.server).await;
        let (mut records, mut entries) = (Records::default(), 0);
        while entries < wait {
            let bytes = flow.read(1 << 16).await.expect("read").expect("more");
            let mut bytes = &bytes[..];
            while let Some((kind, body)) = records.next(&mut bytes).expect("records") {
                entries += usize::from(matches!(Record::decode(kind, body), Ok(Record::Entry(_))));
            }
        }
        let _ = stream.write_all(answers.into()).await;
        while let Ok(Some(_)) = flow.read(1 << 20).await {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        pushed = client => pushed.expect_err("a lie is noticed"),
        () = server => unreachable!(),
    }
}

fn encoded(answers: &[Answer<'_>]) -> Vec<u8> {
    let mut wire = Vec::new();
    answers.iter().for_each(|answer| answer.encode(&mut wire));
    wire
}

#[test]
fn a_receiver_that_lies_about_old_files_is_found_out() {
    for (what, answers, code) in lies() {
        run(async |scene| {
            let fault = lying_receiver(&scene, &tree(), 303, encoded(&answers)).await;
            assert_eq!(fault.code, code, "{what}: {fault}");
        });
    }
    run(async |scene| {
        let mut whole = tree();
        whole.options.delta_small = false;
        let candidate = Answer::Candidate { entry: 3, digest: [0; 32] };
        let fault = lying_receiver(&scene, &whole, 303, encoded(&[candidate])).await;
        assert_eq!(fault.code, Code::BadMessage, "not asked for: {fault}");
    });
}

#[test]
fn sums_without_end_are_refused() {
    run(async |scene| {
        let size = (4 << 20) - 1;
        let sums = vec![1; u64::div_ceil(size, u64::from(short(size))) as usize * SUM];
        let many = SUMS_MOST / sums.len() + 1;
        assert!(many < 1000);
        let directory = scene.directory.path().join("from/d");
        (0..1000).for_each(|number| fs::write(directory.join(format!("g{number}")), b"x").expect("written"));
        let answer = |number| Answer::Sums { entry: 3 + number, size, seed: 1, sums: &sums };
        let flood: Vec<Answer<'_>> = (0..many as u64).map(answer).collect();
        let fault = lying_receiver(&scene, &tree(), 1303, encoded(&flood)).await;
        assert_eq!(fault.code, Code::LimitExceeded, "{fault}");
    });
}

#[test]
fn a_server_that_does_not_know_of_old_files_gets_whole_ones() {
    for up in [true, false] {
        run(async |scene| {
            let (tree, sources) = (tree(), [PathBuf::from("from/.")]);
            let (link, store) = (&scene.client, &scene.store);
            let moving = async {
                let listener = Box::new(|_: TreeUpdate<'_>| ());
                match up {
                    true => super::super::push(link, (store, &sources), "to".as_ref(), &tree, listener).await,
                    false => super::super::pull(link, &sources, (store, "to".as_ref()), &tree, listener).await,
                }
            };
            let serving = async {
                let (control, asked) = super::asked(&scene.server).await;
                assert!(asked.options.delta_small && asked.require.iter().any(|name| name == "delta_small"));
                let fault = Fault::user(Code::Unsupported, "delta_small is not known here");
                crate::ops::refuse(control.sender, fault).await.expect("sent");
                let (control, asked) = super::asked(&scene.server).await;
                assert!(!asked.options.delta_small && asked.options.delta && asked.require == ["delta"]);
                super::super::serve(&scene.server, &scene.store, &Slots::transfers(), asked, control).await
            };
            let (moved, served) = tokio::join!(moving, serving);
            let (moved, served) = (moved.expect("it arrives"), served.expect("it is served"));
            assert_eq!((moved.files, &moved.blake3), (301, &served.blake3), "up: {up}");
            assert_eq!(fs::read(scene.directory.path().join("to/d/f299")).expect("there"), vec![7; 299 * 40]);
        });
    }
}
