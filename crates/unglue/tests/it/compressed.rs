//! Compression on the way: the same bytes arrive, fewer of them travel, and older peers never see a compressed frame.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use unglue::{
    Compression, Download, Exec, Layout, Lease, Peer, Policy, Principal, Service, TransferOptions, TreeMove,
    TreeOptions, Upload,
};
use unglue_link::{LinkConfig, connect_over};
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::CONTROL_MESSAGE;
use unglue_testkit::Prng;
use unglue_testkit::relay::{Break, Relay, Towards};

use crate::site::{Site, code, eventually, run, soon, within};

/// The kind of frames with compressed bytes.
const ZSTD: u8 = 9;

fn text(len: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|line| format!("{line}: a line of the log, {}\n", line * line % 977).into_bytes())
        .take(len)
        .collect()
}

/// All kinds of content, and whether they shrink.
fn kinds() -> Vec<(&'static str, Vec<u8>, bool)> {
    let noise = Prng::new(7).bytes(3_000_000);
    let mixed = [&text(1_500_000)[..], &noise[..1_500_000]].concat();
    vec![
        ("empty", Vec::new(), false),
        ("short", b"x".to_vec(), false),
        ("text", text(3_000_000), true),
        ("zeros", vec![0; 3_000_000], true),
        ("noise", noise, false),
        ("mixed", mixed, false),
    ]
}

const WAYS: [Compression; 3] = [Compression::Auto, Compression::Zstd(1), Compression::Zstd(9)];

/// Bytes that a relay has carried since the last call.
struct Count<'a>(&'a Relay, u64);

impl Count<'_> {
    fn since(&mut self, towards: Towards) -> u64 {
        let now = self.0.carried(towards);
        now - std::mem::replace(&mut self.1, now)
    }
}

/// Fewer bytes travel where the level is fixed. `auto` may find that a loopback link is faster without.
fn is_compressed(how: Compression, shrinks: bool, carried: u64, len: usize, what: &str) {
    let overhead = 40_000;
    match shrinks && how != Compression::Auto {
        true => assert!(carried < len as u64 / 2 + overhead, "{what}: {carried} bytes for {len}"),
        false => assert!(carried < len as u64 + len as u64 / 50 + overhead, "{what}: {carried} bytes for {len}"),
    }
}

#[test]
fn files_arrive_whole_in_both_directions() {
    within(120, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        // Its welcome says what the server takes.
        assert_eq!(client.welcome().await.expect("it is let in").accepts, ["zstd"]);
        let local = site.local_store();
        let (mut up, mut down) = (Count(&relay, 0), Count(&relay, 0));
        for (name, content, shrinks) in kinds() {
            for how in WAYS {
                let label = format!("{name}, {how:?}");
                // Each way sends it again: the old file is the same.
                let options = || TransferOptions::default().compress(how).whole_file(true);
                fs::write(site.local().join("source"), &content).expect("a source");
                up.since(Towards::Server);
                client.put(Upload::file(&local, "source"), "there", options()).await.expect(&label);
                is_compressed(how, shrinks, up.since(Towards::Server), content.len(), &label);
                assert!(fs::read(site.root().join("there")).expect("it is there") == content, "{label}");
                down.since(Towards::Client);
                client.get("there", Download::file(&local, "back"), options()).await.expect(&label);
                is_compressed(how, shrinks, down.since(Towards::Client), content.len(), &label);
                assert!(fs::read(site.local().join("back")).expect("it is there") == content, "{label}");
            }
        }
    });
}

#[test]
fn trees_arrive_whole_in_both_directions() {
    within(120, async || {
        let site = Site::new();
        let source = site.local().join("tree");
        fs::create_dir(&source).expect("a directory");
        // The large ones have streams of their own.
        let files: Vec<(String, Vec<u8>)> = (0..30u64)
            .map(|number| (format!("small {number}"), text(100 * number as usize)))
            .chain(kinds().into_iter().map(|(name, content, _)| (name.to_owned(), content)))
            .chain([("large".to_owned(), text(8_000_000))])
            .collect();
        files.iter().for_each(|(name, content)| fs::write(source.join(name), content).expect("a file"));
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let local = site.local_store();
        let total: usize = files.iter().map(|(_, content)| content.len()).sum();
        let (mut up, mut down) = (Count(&relay, 0), Count(&relay, 0));
        for (number, how) in WAYS.into_iter().enumerate() {
            let options = TreeOptions { recursive: true, beside: true, ..TreeOptions::default() };
            let tree = TreeMove::new(Layout::Into, options).compress(how);
            let there = format!("there {number}");
            up.since(Towards::Server);
            client.push(&local, &["tree/".into()], &there, &tree, Box::new(|_| ())).await.expect("a push");
            let carried = up.since(Towards::Server);
            down.since(Towards::Client);
            let back = format!("back {number}");
            client.pull(&[format!("{there}/").into()], &local, &back, &tree, Box::new(|_| ())).await.expect("a pull");
            for carried in [carried, down.since(Towards::Client)] {
                assert!(how == Compression::Auto || carried < total as u64 / 2, "{how:?}: {carried} of {total}");
            }
            for (name, content) in &files {
                for directory in [site.root().join(&there), site.local().join(&back)] {
                    assert!(fs::read(directory.join(name)).expect("it is there") == *content, "{how:?}: {name}");
                }
            }
        }
    });
}

#[test]
fn the_streams_of_a_command_arrive_whole() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let input = text(2_000_000);
        for lease in [Lease::Kill, Lease::Keep(Duration::from_secs(20))] {
            for how in WAYS {
                let before = (relay.carried(Towards::Server), relay.carried(Towards::Client));
                let exec = Exec::shell("cat; seq 100000 >&2; exit 3").with_stdin().lease(lease).compress(how);
                let mut running = client.exec(&exec).await.expect("it starts");
                let mut stdin = running.stdin.take().expect("an input");
                let data = input.clone();
                let feeding = tokio::spawn(async move {
                    stdin.write_all(data.into()).await.expect("it is read");
                    stdin.finish();
                });
                let done = running.collect(8 << 20).await;
                feeding.await.expect("no panic");
                assert_eq!((code(&done.report), done.stdout == input), (3, true), "{lease:?} {how:?}");
                assert_eq!(done.stderr.len(), 588_895);
                let carried = (relay.carried(Towards::Server) - before.0, relay.carried(Towards::Client) - before.1);
                if how != Compression::Auto {
                    assert!(carried.0 < 1_000_000 && carried.1 < 1_300_000, "{lease:?} {how:?}: {carried:?}");
                }
            }
        }
        // What was not asked to be compressed is not.
        let before = relay.carried(Towards::Client);
        run(&client, &Exec::new(["seq", "100000"])).await;
        assert!(relay.carried(Towards::Client) - before > 588_895);
    });
}

#[test]
fn a_command_that_outlives_its_link_goes_on_compressed() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let script = "for n in $(seq 20); do seq 50000; sleep 0.05; done; until [ -e go ]; do sleep 0.02; done";
        let exec = Exec::shell(script).lease(Lease::Keep(Duration::from_secs(20))).compress(Compression::Zstd(3));
        let running = client.exec(&exec).await.expect("it starts");
        let cutting = async {
            let before = relay.carried(Towards::Client);
            eventually(10, "some output", || relay.carried(Towards::Client) > before + 200_000).await;
            relay.break_all(Break::Reset);
            eventually(20, "another connection", || relay.connections() >= 2).await;
            fs::write(site.root().join("go"), "").expect("written");
        };
        let (done, ()) = tokio::join!(soon(40, "the end", running.collect(64 << 20)), cutting);
        let lines: String = (1..=50_000).map(|number| format!("{number}\n")).collect();
        assert_eq!((code(&done.report), done.stdout.len()), (0, 20 * lines.len()));
        assert!(done.stdout == lines.repeat(20).as_bytes(), "every byte in its place");
    });
}

/// Reads frames until `streams` have ended. Gives their kinds, and the bytes of each stream.
async fn frames(io: &mut (impl AsyncRead + Unpin), mut ended: impl FnMut(u8, u64, &[u8]) -> bool) {
    loop {
        let mut header = [0; 9];
        io.read_exact(&mut header).await.expect("a frame");
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let mut data = vec![0; number(&header[..4]) as usize];
        io.read_exact(&mut data).await.expect("its data");
        if ended(header[4], u64::from(number(&header[5..])), &data) {
            return;
        }
    }
}

fn message(value: &Value) -> Vec<u8> {
    let mut wire = Vec::new();
    encode(value, &mut wire).expect("it is short");
    wire
}

/// A client of before compression asks for it nevertheless: the field alone is not enough.
#[test]
fn a_client_that_does_not_accept_zstd_gets_none() {
    within(30, async || {
        for accepts in [json!([]), json!(["lzma"]), json!(["lzma", "zstd"])] {
            let site = Site::new();
            let service = Service::new(site.server_options()).expect("a service");
            let (mut near, far) = tokio::io::duplex(64 * 1024);
            let ada = Principal::new("ada", None, Policy::everything());
            let serving =
                tokio::spawn(async move { service.serve_trusted(far, Peer::Stdio, ada, std::future::pending()).await });
            let hello = message(&json!({"hello": {"protocol": "unglue/1", "agent": "test", "accepts": accepts}}));
            let level = json!({"zstd": {"level": 3}});
            let request = message(&json!({"exec": {"id": "a", "argv": ["seq", "10000"], "compress": level}}));
            let header = [&(request.len() as u32).to_be_bytes()[..], &[1, 0, 0, 0, 0]].concat();
            near.write_all(&[hello, header, request].concat()).await.expect("it is sent");
            let mut length = [0; 4];
            near.read_exact(&mut length).await.expect("a welcome");
            let mut welcome = vec![0; u32::from_be_bytes(length) as usize];
            near.read_exact(&mut welcome).await.expect("all of it");
            let mut kinds = Vec::new();
            let reading = frames(&mut near, |kind, stream, _| {
                kinds.push(kind);
                (kind, stream) == (1, 3)
            });
            soon(10, "the output's end", reading).await;
            let compressed = kinds.contains(&ZSTD);
            assert_eq!(compressed, accepts.to_string().contains("zstd"), "{accepts}: {kinds:?}");
            drop(near);
            let _ = soon(10, "the service", serving).await;
        }
    });
}

/// A server of before compression: its welcome has no `accepts`.
#[test]
fn a_server_that_does_not_accept_zstd_gets_none() {
    within(30, async || {
        for accepts in [None, Some(json!(["zstd"]))] {
            let (near, mut far) = tokio::io::duplex(64 * 1024);
            let connected = connect_over(near, None, &LinkConfig::default()).expect("a link");
            tokio::spawn(connected.driver);
            let mut inbox = Inbox::new(CONTROL_MESSAGE);
            let hello = loop {
                let mut buffer = [0; 1024];
                let len = far.read(&mut buffer).await.expect("a hello");
                inbox.feed(&buffer[..len]);
                if let Some(hello) = inbox.next::<Value>().expect("JSON") {
                    break hello;
                }
            };
            assert_eq!(hello["hello"]["accepts"], json!(["zstd"]));
            let mut welcome = json!({"protocol": "unglue/1", "agent": "test", "user": "ada", "allow": ["files"]});
            if let Some(accepts) = &accepts {
                welcome["accepts"] = accepts.clone();
            }
            far.write_all(&message(&json!({"welcome": welcome}))).await.expect("it is sent");
            connected.welcome.await.expect("a welcome");
            let mut stream = connected.link.open_unidirectional().await.expect("a stream");
            stream.compress(Compression::Zstd(3));
            stream.write_all(text(60_000).into()).await.expect("room");
            stream.finish();
            let mut kinds = Vec::new();
            let reading = frames(&mut far, |kind, _, _| {
                kinds.push(kind);
                kind == 1
            });
            soon(10, "the stream's end", reading).await;
            assert_eq!(kinds.contains(&ZSTD), accepts.is_some(), "{kinds:?}");
        }
    });
}
