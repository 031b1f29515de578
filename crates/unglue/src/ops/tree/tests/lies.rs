//! Peers that lie: as the sender to a client and to a server, as the receiver of both, with `--atomic` and without.

use unglue_proto::message::Time;
use unglue_proto::message::tree::Way;
use unglue_proto::tree::{Entry, Kind, RECORD_MAX, ROOT};

use super::*;

const NOW: Time = Time { seconds: 1, nanoseconds: 0 };

fn wire(records: &[Record<'_>]) -> Vec<u8> {
    let mut wire = Vec::new();
    records.iter().for_each(|record| record.encode(&mut wire));
    wire
}

fn entry(kind: Kind, name: &str) -> Box<Entry> {
    let mut entry = Entry::new(kind, name.into());
    entry.mode = 0o644;
    Box::new(entry)
}

fn file(name: &str, size: u64) -> Record<'static> {
    Record::Entry(Box::new(Entry { size, ..*entry(Kind::File, name) }))
}

fn same(name: &str, first: u64) -> Record<'static> {
    Record::Entry(Box::new(Entry { same: Some(first), ..*entry(Kind::File, name) }))
}

/// A file with this name, which no encoder of ours writes.
fn named(name: &[u8]) -> Vec<u8> {
    let usual = "N".repeat(name.len());
    let mut wire = wire(&[LIST, file(&usual, 1)]);
    let at = wire.windows(name.len()).position(|bytes| bytes == usual.as_bytes()).expect("the name");
    wire[at..at + name.len()].copy_from_slice(name);
    wire
}

const LIST: Record<'static> = Record::List { directory: ROOT };
const END: Record<'static> = Record::EndList { whole: true };
const DONE: Record<'static> = Record::Done { problems: 0 };

/// The entries of a listing and all that belongs to it.
fn listing(entries: Vec<Record<'static>>, contents: Vec<Record<'static>>) -> Vec<u8> {
    wire(&[vec![LIST], entries, vec![END, DONE], contents].concat())
}

fn whole(entry: u64, data: &'static [u8]) -> Record<'static> {
    Record::Whole { entry, modified: NOW, digest: *blake3::hash(data).as_bytes(), data }
}

fn open(entry: u64, size: u64) -> Record<'static> {
    Record::Open { entry, modified: NOW, size }
}

fn close(data: &[u8]) -> Record<'static> {
    Record::Close { digest: Some(*blake3::hash(data).as_bytes()) }
}

/// What a lie ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The transfer breaks off with this code.
    Broken(Code),
    /// What is wrong is reported, and nothing of it is stored.
    Reported,
}
use End::{Broken, Reported};

const BAD: End = Broken(Code::BadMessage);

/// Records of senders that lie.
fn lies() -> Vec<(&'static str, Vec<u8>, End)> {
    let directory = || Record::Entry(entry(Kind::Directory, "dir"));
    let link = |name| Record::Entry(Box::new(Entry { target: b"/etc".to_vec(), ..*entry(Kind::Link, name) }));
    vec![
        ("a name with a slash", named(b"../up"), BAD),
        ("an absolute name", named(b"/etc/x"), BAD),
        ("a name with a NUL", named(b"a\0b"), BAD),
        ("the directory above", named(b".."), BAD),
        (
            "another digest",
            listing(vec![file("f", 1)], vec![Record::Whole { entry: 1, modified: NOW, digest: [0; 32], data: b"x" }]),
            Reported,
        ),
        (
            "more than announced",
            listing(vec![file("f", 1)], vec![open(1, 1), Record::Data(b"xy"), close(b"xy")]),
            Reported,
        ),
        (
            "less than announced",
            listing(vec![file("f", 9)], vec![open(1, 9), Record::Data(b"xy"), close(b"xy")]),
            Reported,
        ),
        (
            "a hole beyond the end",
            listing(vec![file("f", 9)], vec![open(1, 9), Record::Hole { length: u64::MAX }, close(b"")]),
            Reported,
        ),
        (
            "the digest of other bytes",
            listing(vec![file("f", 2)], vec![open(1, 2), Record::Data(b"xy"), close(b"zz")]),
            Reported,
        ),
        ("content that was not asked for", listing(vec![], vec![whole(1, b"x")]), BAD),
        ("content of a directory", listing(vec![directory()], vec![whole(1, b"x")]), BAD),
        ("content of a link", listing(vec![link("l")], vec![whole(1, b"x")]), BAD),
        ("content twice", listing(vec![file("f", 1)], vec![whole(1, b"x"), whole(1, b"y")]), BAD),
        ("a file within another", listing(vec![file("f", 1), file("g", 1)], vec![open(1, 1), whole(2, b"y")]), BAD),
        ("data for no file", listing(vec![file("f", 1)], vec![Record::Data(b"x")]), BAD),
        ("an end of no file", listing(vec![file("f", 1)], vec![close(b"")]), BAD),
        ("no content", listing(vec![file("f", 1)], vec![]), BAD),
        ("half a content", listing(vec![file("f", 9)], vec![open(1, 9), Record::Data(b"xy")]), BAD),
        ("no end of the entries", wire(&[LIST, file("f", 1), whole(1, b"x")]), BAD),
        ("nothing at all", vec![], BAD),
        ("half a record", wire(&[LIST, file("f", 1)])[..9].to_vec(), BAD),
        ("a record that is too long", vec![8, 0x81, 0x80, 0x80, 0x01], BAD),
        ("an endless number", vec![3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], BAD),
        ("a record of an unknown kind", vec![200, 0], BAD),
        ("an entry outside of a listing", wire(&[file("f", 1), DONE]), BAD),
        ("a listing within another", wire(&[LIST, LIST]), BAD),
        ("a listing of what was not sent", wire(&[Record::List { directory: 77 }]), BAD),
        ("a hard link to nothing", listing(vec![same("l", 77)], vec![]), Reported),
        ("a hard link to itself", listing(vec![same("l", 1)], vec![]), Reported),
        ("a hard link to a later file", listing(vec![same("l", 2), file("f", 1)], vec![whole(2, b"x")]), Reported),
        ("a hard link to a directory", listing(vec![directory(), same("l", 1)], vec![]), Reported),
        (
            "the request's stream as a file's",
            listing(vec![file("f", 9)], vec![Record::Beside { entry: 1, stream: 0 }]),
            BAD,
        ),
        (
            "two files of one name",
            listing(vec![file("f", 1), file("f", 1)], vec![whole(1, b"x"), whole(2, b"y")]),
            Reported,
        ),
        (
            "a file under a link of its own",
            wire(&[LIST, link("l"), END, Record::List { directory: 1 }, file("f", 1), END, DONE, whole(2, b"x")]),
            BAD,
        ),
    ]
}

impl Scene {
    /// Everything below the destination, temporary names included.
    fn left(&self) -> Vec<String> {
        let mut find = std::process::Command::new("find");
        find.arg(self.directory.path().join("to")).args(["-mindepth", "1"]);
        let output = find.output().expect("find runs").stdout;
        String::from_utf8_lossy(&output).lines().map(str::to_owned).collect()
    }

    /// A client fetches from a server that sends this.
    async fn fetch_from_liar(&self, wire: Vec<u8>, tree: &TreeMove) -> (Result<Summary, Fault>, usize) {
        let sources = [PathBuf::from("anything")];
        let problems = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = problems.clone();
        let listener: TreeListener<'_> = Box::new(move |update| {
            if let TreeUpdate::Event(TreeEvent::Problem(_)) = update {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let client = super::super::pull(&self.client, &sources, (&self.store, "to/site".as_ref()), tree, listener);
        let server = async {
            let mut control = Control::new(self.server.accept().await.expect("a stream"));
            let Request::Tree(tree) = control.receiver.expect().await.expect("a request") else {
                panic!("another request")
            };
            let _answers = self.server.claim(tree.data).expect("the answers");
            let mut flow = self.server.open_unidirectional().await.expect("a stream");
            control.sender.send(&FromServer::Accepted(Accepted { data: flow.number() })).await.expect("sent");
            let _ = flow.write_all(wire.into()).await;
            flow.finish();
            // It says that all is well, with a digest of its own.
            let says = Outcome::Done(Summary { blake3: "0".repeat(64), ..Summary::default() });
            let _ = control.sender.send(&FromServer::Outcome(says)).await;
            let _ = control.receiver.next::<FromServer>().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            fetched = client => (fetched, problems.load(Ordering::Relaxed)),
            () = server => unreachable!(),
        }
    }

    /// A server is sent this by a client.
    async fn serve_liar(&self, wire: Vec<u8>, tree: &TreeMove) -> Result<Summary, Fault> {
        let client = async {
            let Control { mut sender, receiver: _receiver } =
                Control::new(self.client.open_bidirectional().await.expect("a stream"));
            let mut flow = self.client.open_unidirectional().await.expect("a stream");
            let asked = super::super::client::request(tree, Way::Push, flow.number());
            let asked = Tree { to: Some("to/site".into()), ..asked };
            sender.send(&Request::Tree(Box::new(asked))).await.expect("sent");
            let _ = flow.write_all(wire.into()).await;
            flow.finish();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = self.serve() => served,
            () = client => unreachable!(),
        }
    }
}

#[test]
fn nothing_that_a_lying_sender_says_is_stored() {
    for atomic in [false, true] {
        run(async |scene| {
            let mut tree = options();
            (tree.options.atomic, tree.options.hard_links) = (atomic, true);
            let before = scene.left();
            for (what, wire, end) in lies() {
                let what = format!("{what}, atomic: {atomic}");
                let reset = async || {
                    let _ = fs::remove_dir_all(scene.directory.path().join("to/site"));
                    if atomic {
                        fs::create_dir(scene.directory.path().join("to/site")).expect("made");
                        fs::write(scene.directory.path().join("to/site/old"), "old").expect("written");
                    }
                };
                let intact = async |side: &str| {
                    scene.store.idle().await;
                    let left = scene.left();
                    let is_part = |name: &String| {
                        name.contains(".unglue-")
                            || name.ends_with("/f")
                            || name.ends_with("/g")
                            || name.ends_with("/up")
                    };
                    let kept = left.iter().filter(|name| is_part(name)).count();
                    // Of two files with one name, the first may stay.
                    let most = usize::from(
                        !atomic && (what.starts_with("two files") || what.starts_with("a hard link to a later")),
                    );
                    assert!(kept <= most, "{what}, {side}: {left:?}");
                    if atomic {
                        let old = fs::read(scene.directory.path().join("to/site/old")).expect("the old tree");
                        assert_eq!((old, left.len()), (b"old".to_vec(), before.len() + 2), "{what}, {side}: {left:?}");
                    }
                };
                reset().await;
                let (fetched, problems) = scene.fetch_from_liar(wire.clone(), &tree).await;
                let fault = fetched.expect_err(&what);
                match end {
                    Broken(code) => assert_eq!(fault.code, code, "{what}, a client: {fault}"),
                    // Then it sees that the server's digest is another one.
                    Reported => assert!(problems > 0 && fault.code == Code::Mismatch, "{what}: {problems} {fault}"),
                }
                assert_ne!(fault.side, Some(Side::Server), "{what}: {fault}");
                intact("a client").await;
                reset().await;
                match (scene.serve_liar(wire, &tree).await, end) {
                    (Err(fault), Broken(code)) => assert_eq!(fault.code, code, "{what}, a server: {fault}"),
                    (Ok(summary), Reported) => assert!(summary.problems > 0, "{what}: {summary:?}"),
                    (other, _) => panic!("{what}, a server: {other:?}"),
                }
                intact("a server").await;
            }
        });
    }
}

/// The receiver's memory and descriptors are bounded, whatever it is sent.
#[test]
fn endless_announcements_are_cut_off() {
    run(async |scene| {
        let many: Vec<Record<'_>> = (0..20_000).map(|number| file(&format!("f{number}"), 1)).collect();
        let beside = |count: u64| {
            let files: Vec<_> = (0..count).map(|number| file(&format!("f{number}"), 9_000_000)).collect();
            // Streams that the sender has opened, and on which nothing comes.
            let streams = (0..count).map(|number| Record::Beside { entry: number + 1, stream: 4 * number + 1_000_003 });
            listing(files, streams.collect())
        };
        let large = [vec![3u8], vec![0x80, 0x80, 0x40]].concat();
        assert_eq!(RECORD_MAX, 1 << 20);
        let large = [wire(&[LIST]), large, vec![0; 1 << 20]].concat();
        for (what, wire, code) in [
            ("entries", [wire(&[LIST]), wire(&many)].concat(), Code::LimitExceeded),
            ("large files", beside(40), Code::LimitExceeded),
            ("a record of zeros", large, Code::BadMessage),
        ] {
            let (fetched, _) = scene.fetch_from_liar(wire.clone(), &options()).await;
            assert_eq!(fetched.expect_err(what).code, code, "{what}");
            let served = scene.serve_liar(wire, &options()).await;
            assert_eq!(served.expect_err(what).code, code, "{what}");
            scene.store.idle().await;
            assert!(!scene.left().iter().any(|name| name.contains(".unglue-")), "{what}: {:?}", scene.left());
            let _ = fs::remove_dir_all(scene.directory.path().join("to/site"));
        }
    });
}

/// Answers of receivers that lie, and what they report at the end.
fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let encoded = |answers: &[Answer<'_>]| {
        let mut wire = Vec::new();
        answers.iter().for_each(|answer| answer.encode(&mut wire));
        wire
    };
    let decided = |entry, wanted| Answer::Upto { entry, wanted, changed: vec![] };
    let summary =
        serde_json::to_vec(&Summary { blake3: "0".repeat(64), files: 9, ..Summary::default() }).expect("JSON");
    vec![
        ("a decision about what was not sent", encoded(&[decided(1 << 40, vec![])])),
        ("a wish for what is not decided", encoded(&[decided(1, vec![7])])),
        ("a wish for a directory", encoded(&[decided(1, vec![1])])),
        ("a decision taken back", encoded(&[decided(1, vec![]), decided(0, vec![])])),
        ("a refusal of a stream that is not there", encoded(&[Answer::Refused { entry: 3 }])),
        ("a problem that is not JSON", encoded(&[Answer::Problem { fault: b"not JSON" }])),
        ("a summary that is not JSON", encoded(&[Answer::Summary { summary: b"{" }])),
        ("another digest", encoded(&[Answer::Stored { files: 9, bytes: 9 }, Answer::Summary { summary: &summary }])),
        ("no end", encoded(&[Answer::Stored { files: u64::MAX, bytes: u64::MAX }])),
        ("an unknown answer", vec![99, 0]),
        ("an answer that is too long", vec![5, 0xff, 0xff, 0xff, 0x7f]),
        ("an endless number", [vec![1, 11], vec![0xff; 11]].concat()),
    ]
}

#[test]
fn a_receiver_that_lies_is_no_success_for_either_side() {
    run(async |scene| {
        for (what, lie) in answers() {
            for everything in [false, true] {
                // To a client that sends.
                let mut tree = options();
                tree.options.everything = everything;
                let sources = [PathBuf::from("from/.")];
                let client =
                    super::super::push(&scene.client, (&scene.store, &sources), "to".as_ref(), &tree, Box::new(|_| ()));
                let server = async {
                    let (mut control, mut flow, mut stream) = accepted(&scene.server).await;
                    let _ = flow.read(1 << 20).await;
                    let _ = stream.write_all(lie.clone().into()).await;
                    stream.finish();
                    let says = Outcome::Done(Summary { blake3: "0".repeat(64), ..Summary::default() });
                    let _ = control.sender.send(&FromServer::Outcome(says)).await;
                    while let Ok(Some(_)) = flow.read(1 << 20).await {}
                    std::future::pending::<()>().await;
                };
                let fault = tokio::select! {
                    pushed = client => pushed.expect_err(what),
                    () = server => unreachable!(),
                };
                assert!(matches!(fault.code, Code::BadMessage | Code::Mismatch), "{what}: {fault}");
                // To a server that sends.
                let fetching = async {
                    let Control { mut sender, receiver: _receiver } =
                        Control::new(scene.client.open_bidirectional().await.expect("a stream"));
                    let mut stream = scene.client.open_unidirectional().await.expect("a stream");
                    let asked = super::super::client::request(&tree, Way::Pull, stream.number());
                    let asked = Tree { sources: vec!["from/.".into()], ..asked };
                    sender.send(&Request::Tree(Box::new(asked))).await.expect("sent");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let _ = stream.write_all(lie.clone().into()).await;
                    stream.finish();
                    std::future::pending::<()>().await;
                };
                let fault = tokio::select! {
                    served = scene.serve() => served.expect_err(what),
                    () = fetching => unreachable!(),
                };
                assert!(matches!(fault.code, Code::BadMessage | Code::Mismatch), "{what}, a server: {fault}");
            }
        }
    });
}
