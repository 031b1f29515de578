//! Peers that lie about large files of which the receiver has something.

use unglue_proto::delta::{LEAST, Record as Part, coarse};
use unglue_proto::message::transfer::{Have, Old};
use unglue_proto::message::tree::Way;
use unglue_proto::tree::{Entry, Kind, ROOT, Records};

use super::*;

const SIZE: u64 = 5_000_000;

fn tree() -> TreeMove {
    let mut tree = options();
    (tree.options.everything, tree.options.delta, tree.options.times) = (false, true, true);
    tree
}

/// The tree of one large file, whose number is 1, and what else is sent on the same stream.
fn listing(more: &[Record<'_>]) -> Vec<u8> {
    let mut entry = Entry::new(Kind::File, b"f".to_vec());
    (entry.mode, entry.size, entry.modified) = (0o644, SIZE, NOW);
    let mut all = wire(&[
        Record::List { directory: ROOT },
        Record::Entry(Box::new(entry)),
        Record::EndList { whole: true },
        Record::Done { problems: 0 },
    ]);
    all.extend(wire(more));
    all
}

fn close(content: &[u8]) -> Record<'static> {
    Record::Close { digest: Some(*blake3::hash(content).as_bytes()) }
}

/// What a sender sends of the file on its two streams, after the receiver has said what it has.
struct Lie {
    what: &'static str,
    /// Before the receiver's answer.
    early: Vec<u8>,
    parts: Vec<u8>,
    end: Vec<u8>,
}

fn lies(new: &[u8]) -> Vec<Lie> {
    let open = || wire(&[Record::Open { entry: 1, modified: NOW, size: SIZE }]);
    let old = |from, len| Part::Old { from, len }.encode();
    let lie = |what, parts, end| Lie { what, early: open(), parts, end };
    vec![
        lie("parts that the old file doesn't have", old(SIZE - 1, 2), wire(&[close(new)])),
        lie("more than announced", old(0, SIZE).repeat(2), wire(&[close(new)])),
        lie("less than announced", old(0, SIZE - 1), wire(&[close(new)])),
        lie("nothing", vec![], wire(&[close(new)])),
        lie("another digest", old(0, SIZE), wire(&[close(new)])),
        lie("a part that ends early", [Part::New(100).encode(), vec![1; 50]].concat(), wire(&[close(new)])),
        lie("a part of an unknown kind", vec![9; 40], wire(&[close(new)])),
        lie("a question without bytes", Part::Ask { from: 0, len: 0 }.encode(), wire(&[close(new)])),
        lie("content instead of the end", old(0, SIZE), wire(&[Record::Data(new)])),
        lie("no end", old(0, SIZE), vec![]),
        lie("half an end", old(0, SIZE), wire(&[close(new)])[..20].to_vec()),
        Lie {
            what: "content before it was asked for",
            early: wire(&[Record::Open { entry: 1, modified: NOW, size: SIZE }, Record::Data(new)]),
            parts: vec![],
            end: wire(&[close(new)]),
        },
        Lie {
            what: "another file",
            early: wire(&[Record::Open { entry: 2, modified: NOW, size: SIZE }]),
            parts: vec![],
            end: vec![],
        },
        Lie {
            what: "a file that ends before it was asked for",
            early: wire(&[Record::Open { entry: 1, modified: NOW, size: 0 }, close(b"")]),
            parts: vec![],
            end: vec![],
        },
    ]
}

/// The sender's half with these streams.
async fn lying_sender(link: &Link, (mut flow, mut answers): (SendStream, RecvStream), lie: &Lie) {
    let mut stream = link.open_unidirectional().await.expect("a stream");
    let mut parts = link.open_unidirectional().await.expect("a stream");
    let large = Record::Large { entry: 1, stream: stream.number(), parts: parts.number() };
    flow.write_all(listing(&[large]).into()).await.expect("sent");
    let _ = stream.write_all(lie.early.clone().into()).await;
    let mut records = Records::default();
    'answers: while let Ok(Some(bytes)) = answers.read(1 << 16).await {
        let mut bytes = &bytes[..];
        while let Some((kind, body)) = records.next(&mut bytes).expect("answers") {
            match Answer::decode(kind, body).expect("an answer") {
                Answer::Have { have, .. } => {
                    let have: Have = serde_json::from_slice(have).expect("JSON");
                    // The sums are left alone, and so is their end.
                    assert_eq!(have.old.expect("an old file").size, SIZE);
                    break 'answers;
                }
                Answer::Refused { .. } => break 'answers,
                _ => {}
            }
        }
    }
    let _ = parts.write_all(lie.parts.clone().into()).await;
    parts.finish();
    let _ = stream.write_all(lie.end.clone().into()).await;
    stream.finish();
    flow.finish();
    while let Ok(Some(_)) = answers.read(1 << 16).await {}
}

#[test]
fn of_a_sender_that_lies_about_parts_nothing_is_stored() {
    let old = vec![5; SIZE as usize];
    let new = vec![6; SIZE as usize];
    for lie in lies(&new) {
        run(async |scene| {
            let file = scene.directory.path().join("to/f");
            fs::write(&file, &old).expect("written");
            let intact = |side: &str| {
                let names = fs::read_dir(file.parent().expect("a directory")).expect("a directory").count();
                assert_eq!(names, 1, "{}, {side}: something is left", lie.what);
                assert!(fs::read(&file).expect("the file") == old, "{}, {side}: another content", lie.what);
            };
            // A client that fetches.
            let tree = tree();
            let sources = [PathBuf::from("anything")];
            let client =
                super::super::pull(&scene.client, &sources, (&scene.store, "to".as_ref()), &tree, Box::new(|_| ()));
            let server = async {
                let mut control = Control::new(scene.server.accept().await.expect("a stream"));
                let Request::Tree(tree) = control.receiver.expect().await.expect("a request") else {
                    panic!("another request")
                };
                let answers = scene.server.claim(tree.data).expect("the answers");
                let flow = scene.server.open_unidirectional().await.expect("a stream");
                control.sender.send(&FromServer::Accepted(Accepted { data: flow.number() })).await.expect("sent");
                lying_sender(&scene.server, (flow, answers), &lie).await;
                let says = Outcome::Done(Summary { blake3: "0".repeat(64), ..Summary::default() });
                let _ = control.sender.send(&FromServer::Outcome(says)).await;
                std::future::pending::<()>().await;
            };
            let fetched = tokio::select! {
                fetched = client => fetched,
                () = server => unreachable!(),
            };
            fetched.expect_err(lie.what);
            scene.store.idle().await;
            intact("a client");
            // A server that is sent it.
            let (client, server) = unglue_link::memory();
            let scene = Scene { client, server, ..scene };
            let sending = async {
                let Control { mut sender, mut receiver } =
                    Control::new(scene.client.open_bidirectional().await.expect("a stream"));
                let flow = scene.client.open_unidirectional().await.expect("a stream");
                let asked = super::super::client::request(&tree, Way::Push, flow.number());
                let asked = Tree { to: Some("to".into()), ..asked };
                sender.send(&Request::Tree(Box::new(asked))).await.expect("sent");
                let Ok(FromServer::Accepted(accepted)) = receiver.expect().await else { panic!("it is accepted") };
                let answers = scene.client.claim(accepted.data).expect("the answers");
                lying_sender(&scene.client, (flow, answers), &lie).await;
                std::future::pending::<()>().await;
            };
            let served = tokio::select! {
                served = scene.serve() => served,
                () = sending => unreachable!(),
            };
            assert!(served.as_ref().map_or(true, |summary| summary.problems > 0), "{}: {served:?}", lie.what);
            scene.store.idle().await;
            intact("a server");
        });
    }
}

#[test]
fn large_files_that_make_no_sense_end_the_transfer() {
    let large =
        |entry, number: u64| Record::Large { entry, stream: 4 * number + 1_000_003, parts: 4 * number + 1_000_007 };
    let many: Vec<Record<'_>> = (0..2).map(|number| large(1, 2 * number)).collect();
    for (what, records, delta) in [
        ("of an entry that is not there", vec![large(7, 0)], true),
        ("twice", many, true),
        ("without being asked for", vec![large(1, 0)], false),
        ("on a stream of the receiver's own", vec![Record::Large { entry: 1, stream: 3, parts: 7 }], true),
    ] {
        run(async |scene| {
            let mut tree = tree();
            tree.options.delta = delta;
            let client = async {
                let Control { mut sender, receiver: _receiver } =
                    Control::new(scene.client.open_bidirectional().await.expect("a stream"));
                let mut flow = scene.client.open_unidirectional().await.expect("a stream");
                let asked = super::super::client::request(&tree, Way::Push, flow.number());
                let asked = Tree { to: Some("to".into()), ..asked };
                sender.send(&Request::Tree(Box::new(asked))).await.expect("sent");
                let _ = flow.write_all(listing(&records).into()).await;
                std::future::pending::<()>().await;
            };
            let served = tokio::select! {
                served = scene.serve() => served,
                () = client => unreachable!(),
            };
            assert_eq!(served.expect_err(what).code, Code::BadMessage, "{what}");
            scene.store.idle().await;
            assert_eq!(scene.arrived(), 0, "{what}");
        });
    }
}

/// Wants all files of a sender's tree once they were listed. Gives the first entry that is announced as large then, and its streams.
async fn announced(link: &Link, flow: &mut RecvStream, answers: &mut SendStream) -> (u64, [RecvStream; 2]) {
    let (mut records, mut number, mut files) = (Records::default(), 0, Vec::new());
    loop {
        let bytes = flow.read(1 << 16).await.expect("read").expect("more");
        let mut bytes = &bytes[..];
        while let Some((kind, body)) = records.next(&mut bytes).expect("records") {
            match Record::decode(kind, body).expect("a record") {
                Record::Entry(entry) => {
                    number += 1;
                    files.extend((entry.kind == Kind::File).then_some(number));
                }
                Record::EndList { .. } if !files.is_empty() => {
                    let mut wanted = Vec::new();
                    let files = std::mem::take(&mut files);
                    Answer::Upto { entry: number, wanted: files, changed: vec![] }.encode(&mut wanted);
                    answers.write_all(wanted.into()).await.expect("sent");
                }
                Record::Large { entry, stream, parts } => {
                    return (entry, [stream, parts].map(|number| link.claim(number).expect("a stream")));
                }
                _ => {}
            }
        }
    }
}

fn answer(entry: u64, have: Have) -> Vec<u8> {
    let (json, mut wire) = (serde_json::to_vec(&have).expect("JSON"), Vec::new());
    Answer::Have { entry, have: &json }.encode(&mut wire);
    wire
}

#[test]
fn what_a_receiver_had_of_a_file_that_has_ended_does_no_harm() {
    run(async |scene| {
        let two = scene.directory.path().join("two");
        fs::create_dir(&two).expect("made");
        for name in ["f", "g"] {
            fs::write(two.join(name), vec![6; SIZE as usize]).expect("written");
        }
        let (tree, sources) = (tree(), [PathBuf::from("two/.")]);
        let (link, server) = (&scene.client, &scene.server);
        let pushing = super::super::push(link, (&scene.store, &sources), "to".as_ref(), &tree, Box::new(|_| ()));
        let receiving = async {
            let (mut control, mut flow, mut answers) = accepted(server).await;
            let (entry, streams) = announced(server, &mut flow, &mut answers).await;
            // It takes nothing of this file, its answer is late, and the other file waits for one.
            drop(streams);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            answers.write_all(answer(entry, Have { bytes: 0, digests: None, old: None }).into()).await.expect("sent");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            // The answers end too early, which is what the sender has to report.
            answers.finish();
            let _ = control.receiver.next::<FromServer>().await;
            std::future::pending::<()>().await;
        };
        let fault = tokio::select! {
            pushed = pushing => pushed.expect_err("the answers end"),
            () = receiving => unreachable!(),
        };
        assert!(fault.what.contains("ended its answers"), "{fault}");
    });
}

#[test]
fn a_receiver_that_lies_about_what_it_has_is_found_out() {
    let mut no_json = Vec::new();
    Answer::Have { entry: 1, have: b"{" }.encode(&mut no_json);
    let nothing = Have { bytes: 0, digests: None, old: None };
    run(async |scene| {
        let file = scene.directory.path().join("one");
        fs::create_dir(&file).expect("made");
        fs::write(file.join("f"), vec![6; SIZE as usize]).expect("written");
        for what in [
            "of nothing",
            "not JSON",
            "three times",
            "in other blocks",
            "too few sums",
            "blocks that it can't have",
            "no stream",
        ] {
            let (client, server) = unglue_link::memory();
            let (tree, sources) = (tree(), [PathBuf::from("one/.")]);
            let pushing = super::super::push(&client, (&scene.store, &sources), "to".as_ref(), &tree, Box::new(|_| ()));
            let lying = async {
                let (mut control, mut flow, mut answers) = accepted(&server).await;
                let mut sums = server.open_unidirectional().await.expect("a stream");
                let (entry, _held) = announced(&server, &mut flow, &mut answers).await;
                let old = Old { size: SIZE, block: coarse(SIZE), seed: 7, sums: sums.number() };
                let lie = match what {
                    "of nothing" => answer(entry + 7, nothing.clone()),
                    "not JSON" => no_json.clone(),
                    "three times" => answer(entry, nothing.clone()).repeat(3),
                    "in other blocks" => {
                        answer(entry, Have { old: Some(Old { block: LEAST * 2, ..old }), ..nothing.clone() })
                    }
                    "too few sums" => answer(entry, Have { old: Some(old), ..nothing.clone() }),
                    "no stream" => answer(entry, Have { old: Some(Old { sums: 2, ..old }), ..nothing.clone() }),
                    _ => answer(entry, Have { bytes: 1 << 24, digests: Some(sums.number()), old: None }),
                };
                answers.write_all(lie.into()).await.expect("sent");
                let _ = sums.write_all(vec![0; 20].into()).await;
                sums.finish();
                let _ = control.receiver.next::<FromServer>().await;
                std::future::pending::<()>().await;
            };
            let fault = tokio::select! {
                pushed = pushing => pushed.expect_err(what),
                () = lying => unreachable!(),
            };
            assert_eq!(fault.code, Code::BadMessage, "{what}: {fault}");
            assert!(!fault.what.contains("decided about"), "{what}: {fault}");
        }
    });
}
