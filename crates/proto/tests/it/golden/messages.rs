//! Each control message, with every field set and with as few as may be.

use std::cell::RefCell;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::CONTROL_MESSAGE;
use unglue_proto::message::{
    Compress, Request, Tally, Time, Unknown, auth, exec, files, forward, jobs, transfer, tree, waits,
};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault, Octets};

use super::check;

thread_local! {
    static TESTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Asserts that a message is encoded as its vector has it, and that the vector is decoded as the message.
#[track_caller]
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, meaning: &str, message: T) {
    let name = format!("messages/{name}");
    let mut wire = Vec::new();
    encode(&message, &mut wire).expect("it is short");
    let json = String::from_utf8(wire[4..].to_vec()).expect("JSON is UTF-8");
    let golden = check(&name, &format!("{meaning}\n{json}"), &wire);

    let mut inbox = Inbox::new(CONTROL_MESSAGE);
    inbox.feed(&golden);
    let decoded: T = inbox.next().expect("a vector is understood").expect("a vector is whole");
    assert_eq!(decoded, message, "{name}");
    assert_eq!(inbox.into_rest(), b"", "{name}: nothing follows");
    TESTED.with(|tested| tested.borrow_mut().push(name));
}

fn tally() -> Tally {
    let blake3 = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";
    Tally { bytes: 5, blake3: blake3.into() }
}

fn fault() -> Fault {
    Fault::system(Code::System, "can't write: no space left on device")
        .advise("make room on the server")
        .errno("ENOSPC")
        .at("backup/disk.img")
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO1JKMYo0cLGBukdUvKeHGeGKXMGVQ0aHcFe1t8mcQ8v";

const JOURNAL: &str = "0123456789abcdef0123456789abcdef";
const SIZE: exec::TerminalSize = exec::TerminalSize { rows: 50, columns: 132 };
const TIME: Time = Time { seconds: 1_780_000_000, nanoseconds: 5 };

fn authentication() {
    use auth::{CertificatesWanted, FromClient, FromServer, Hello, HostCertificates, Offer, Proof, Sign, Welcome};
    let protocol = || unglue_proto::PROTOCOL.to_owned();
    let wanted = CertificatesWanted { protocol: protocol() };
    same("auth-certificates-wanted", "client: who has signed the host key?", FromClient::Certificates(wanted));
    let shown = HostCertificates { certificates: vec!["ssh-ed25519-cert-v01@openssh.com AAAAIHNz".into()] };
    same("auth-certificates", "server: these (cut short here)", FromServer::Certificates(shown));
    let offer = Offer { protocol: protocol(), user: Some("ada".into()), keys: vec![KEY.into()] };
    same("auth-offer", "client: which of these keys is authorised?", FromClient::Offer(offer));
    same("auth-sign", "server: sign with this key", FromServer::Sign(Sign { key: KEY.into() }));
    let proof = Proof { key: KEY.into(), signature: "U1NIU0lH".into() };
    let hello = Hello {
        protocol: protocol(),
        agent: "unglue 0.1.0".into(),
        user: Some("ada".into()),
        proof: Some(proof),
        accepts: vec![],
    };
    same("auth-hello", "client: its proof (the signature is cut short here)", FromClient::Hello(hello));
    let hello = Hello { protocol: protocol(), agent: "unglue 0.1.0".into(), user: None, proof: None, accepts: vec![] };
    same("auth-hello-least", "client, on a transport that authenticates by itself", FromClient::Hello(hello.clone()));
    let hello = Hello { accepts: vec![auth::ZSTD.into()], ..hello };
    same("auth-hello-zstd", "the same of a client that takes compressed blocks", FromClient::Hello(hello));
    let allow = vec!["exec".into(), "files".into()];
    let welcome = Welcome {
        protocol: protocol(),
        agent: "unglue 0.1.0".into(),
        user: "ada".into(),
        allow,
        journal: Some(JOURNAL.into()),
        accepts: vec![],
    };
    same("auth-welcome", "server: come in", FromServer::Welcome(welcome.clone()));
    let welcome = Welcome { accepts: vec![auth::ZSTD.into()], ..welcome };
    same("auth-welcome-zstd", "server: come in, compressed blocks are welcome", FromServer::Welcome(welcome));
    let fault = Fault::user(Code::Denied, "the server did not accept your key");
    same("auth-denied", "server: no", FromServer::Denied(fault));
}

fn execution() {
    use exec::{Again, Descendants, Exec, FromClient, FromServer, Lease, Nothing, Started};
    let least = Exec {
        id: "a".into(),
        argv: vec!["true".into()],
        env: vec![],
        cwd: None,
        stdin: None,
        timeout_ms: None,
        descendants: Descendants::Kill,
        lease: Lease::default(),
        name: None,
        durable: false,
        recorded: false,
        output_limit: None,
        terminal: None,
        again: None,
        compress: None,
        require: vec![],
    };
    let most = Exec {
        id: "b".into(),
        argv: vec!["printf".into(), "%s\n".into(), "".into(), "naïve".into(), Octets::from(vec![0xff, 0xfe])],
        env: vec![("LANG".into(), "C".into()), ("RAW".into(), Octets::from(vec![0x80]))],
        cwd: Some("src".into()),
        stdin: Some(2),
        timeout_ms: Some(1500),
        descendants: Descendants::Leave,
        lease: Lease::keep(30_000),
        name: Some("nightly".into()),
        durable: true,
        recorded: true,
        output_limit: Some(1 << 30),
        terminal: Some(SIZE),
        again: Some(Again { journal: Some(JOURNAL.into()), stdout: 4096, stderr: 12 }),
        compress: None,
        require: vec!["timeout_ms".into(), "lease".into(), "terminal".into()],
    };
    same("exec-least", "client: run `true`", Request::Exec(Box::new(least.clone())));
    let compressed = Exec { compress: Compress::request(Compression::Auto), ..least };
    same("exec-compressed", "client: run `true`, and compress its outputs", Request::Exec(Box::new(compressed)));
    same("exec", "client: run a command, with every field", Request::Exec(Box::new(most)));
    same("exec-signal", "client: send a signal", FromClient::Signal("SIGINT".into()));
    same("exec-resize", "client: the terminal has this size now", FromClient::Resize(SIZE));
    let started = Started { pid: 4711, stdout: 3, stderr: Some(7), taken: 0, since: None, screen: None, from: 0 };
    same("exec-started", "server: it runs", FromServer::Started(started.clone()));
    let started = Started { taken: 9, since: Some(TIME), ..started };
    same("exec-started-before", "server: it runs since an earlier request", FromServer::Started(started.clone()));
    let started = Started { stderr: None, screen: Some(7), from: 5_000_000, ..started };
    same("exec-started-screen", "server: its terminal, a picture of it first", FromServer::Started(started));
    same("exec-taken", "server: the command was given so much of its input", FromServer::Taken(70_000));
    same("exec-replaced", "server: another client holds the command", FromServer::Replaced(Nothing {}));
    same("exec-exited", "server: it returned 3", FromServer::Exited(exec::Exit::Exited(3)));
    let killed = exec::Exit::signalled("SIGKILL", false);
    same("exec-signalled", "server: a signal ended it", FromServer::Exited(killed));
}

fn outcomes() {
    use exec::{Exit, FromServer, Left, Outcome, Report, SpawnFailed, SpawnStep, StreamEnd, StreamReport, TimedOut};
    let stream = |end| Some(StreamReport { tally: tally(), end });
    let full = Report {
        outcome: Outcome::exited(0),
        stdout: stream(StreamEnd::Eof),
        stderr: stream(StreamEnd::HeldOpen),
        stdin: stream(StreamEnd::Abandoned),
        descendants: Some(Left::Killed),
        wall_us: 1234,
        sent: Some(exec::Sent { stdout: Some(tally()), stderr: None }),
    };
    same("outcome", "server: the last word, with every field", FromServer::Outcome(Box::new(full)));
    let short = |name: &str, outcome| {
        let report =
            Report { outcome, stdout: None, stderr: None, stdin: None, descendants: None, wall_us: 99, sent: None };
        same(&format!("outcome-{name}"), "server: the last word", FromServer::Outcome(Box::new(report)));
    };
    short("signalled", Outcome::Ended(Exit::signalled("SIGSEGV", true)));
    short("timed-out", Outcome::TimedOut(TimedOut { after_ms: 1500 }));
    let failed = SpawnFailed { errno: "ENOENT".into(), step: SpawnStep::Program, what: "lllll: not found".into() };
    short("spawn-failed", Outcome::SpawnFailed(failed));
    short("refused", Outcome::Refused(Fault::user(Code::NotAllowed, "the server runs no commands")));
    short("failed", Outcome::Failed(fault()));
    short("link-lost", Outcome::LinkLost(Fault::system(Code::LinkLost, "nothing has arrived for 30 s")));
    short("cancelled", Outcome::Cancelled(Fault::user(Code::Cancelled, "the input broke off after 3 bytes")));
    short("unkillable", Outcome::Unkillable(Fault::system(Code::Unkillable, "1 process could not be killed")));
    short("unreachable", Outcome::Unreachable(Fault::system(Code::Unreachable, "connection refused")));
    short("corrupt", Outcome::Corrupt(Fault::system(Code::Mismatch, "stdout: 2 bytes arrived of 3")));
    short("output-limit", Outcome::OutputLimit(exec::OutputLimit { bytes: 1000 }));
    short("unknown", Outcome::NotKnown(Fault::system(Code::Unknown, "the server went down while the command ran")));
    short("not-kept", Outcome::NotKept(Box::new(Outcome::exited(0))));
}

fn attaching() {
    use jobs::{Attach, Attached, From, FromServer, Placed};
    let attach = Attach {
        job: "nightly".into(),
        hold: true,
        take: true,
        stdin: Some(2),
        stdout: Some(From::Offset(100)),
        stderr: Some(From::End(exec::Nothing {})),
        screen: Some(SIZE),
        follow: true,
        require: vec!["take".into(), "screen".into()],
    };
    same("attach", "client: hold a command, with every field", Request::Attach(attach));
    let attached = Attached {
        id: "b".into(),
        pid: 4711,
        since: TIME,
        taken: 9,
        stdout: Some(Placed { stream: 3, from: 100 }),
        stderr: Some(Placed { stream: 7, from: 12 }),
        terminal: Some(SIZE),
        screen: Some(11),
    };
    same("attached", "server: here it is, with every field", FromServer::Attached(Box::new(attached)));
    same("attach-done", "server: that was all there is by now", FromServer::Done(exec::Nothing {}));
}

fn listing() {
    use jobs::{Entry, Jobs, Remove, Reply, Signal, State};
    let (job, require) = (|| "nightly".to_owned(), Vec::new);
    same("jobs", "client: list one command", Request::Jobs(Jobs { job: Some(job()), require: require() }));
    let signal = Signal { job: job(), signal: "SIGTERM".into(), require: require() };
    same("jobs-signal", "client: send it a signal", Request::Signal(signal));
    same("jobs-remove", "client: forget it", Request::Remove(Remove { job: job(), require: require() }));
    let entry = Entry {
        id: "b".into(),
        name: Some(job()),
        state: State::Ended,
        began: TIME,
        ended: Some(TIME),
        command: vec!["make".into(), Octets::from(vec![0xff])],
        lease: exec::Lease::detach(),
        pid: Some(4711),
        outcome: Some(exec::Outcome::exited(0)),
        stdout: 5,
        stderr: 6,
        held: true,
        stalled: true,
        kept: true,
        terminal: false,
    };
    same("jobs-entry", "server: a command, with every field", Reply::Entry(Box::new(entry.clone())));
    let terminal = Entry { terminal: true, ..entry };
    same("jobs-entry-terminal", "server: a command with a terminal", Reply::Entry(Box::new(terminal)));
    let least = Entry {
        id: "i".into(),
        name: None,
        state: State::Starting,
        began: Time { seconds: 1_700_000_000, nanoseconds: 0 },
        ended: None,
        command: vec!["true".into()],
        lease: exec::Lease::default(),
        pid: None,
        outcome: None,
        stdout: 0,
        stderr: 0,
        held: false,
        stalled: false,
        kept: false,
        terminal: false,
    };
    same("jobs-entry-least", "server: a command that is about to start", Reply::Entry(Box::new(least)));
    same("jobs-done", "server: that was the last", Reply::Done(exec::Nothing {}));
}

fn waiting() {
    use waits::{Ask, FromServer, Waits};
    same("waits", "client: how long has this link waited at your end?", Request::Waits(Ask {}));
    let waits = Waits {
        source_us: 4,
        old_us: 1,
        room_us: 2_600_000,
        data_us: 3,
        sink_us: 4,
        sync_us: 2,
        socket_us: 5,
        credit_us: 2_500_000,
        compression_us: 7,
        busy_us: 400_000,
    };
    same("waits-answer", "server: so long", FromServer::Waits(waits));
}

fn later_versions() {
    let unknown =
        |kind: &str, body: &str| Unknown { kind: kind.into(), body: serde_json::from_str(body).expect("JSON") };
    same("later-request", "client: a request of a later version", Request::Unknown(unknown("sync", r#"{"id":"e"}"#)));
    let refused = Fault::user(Code::Unsupported, "this version of unglue doesn't know the operation \"sync\"");
    same("refused", "server: nothing was done", exec::FromServer::Refused(refused));
    let event = exec::FromServer::Unknown(unknown("paused", "{}"));
    same("later-event", "server: an event of a later version, to be ignored", event);
    let outcome = exec::Outcome::Unknown(unknown("suspended", r#"{"until":"noon"}"#));
    let report = exec::Report::of(outcome);
    same("outcome-later", "server: an outcome of a later version", exec::FromServer::Outcome(Box::new(report)));
}

fn transfers() {
    use transfer::{File, FromClient, FromServer, Get, Have, Old, Outcome, Put, Time};
    let put = Put {
        id: "c".into(),
        path: "backup/".into(),
        name: Octets::from(b"disk\xff.img".to_vec()),
        size: Some(5),
        mode: 0o640,
        keep_mode: true,
        modified: Some(Time { seconds: -2, nanoseconds: 999_999_999 }),
        in_place: true,
        resume: true,
        delta: true,
        ahead: 5,
        data: 2,
        require: vec!["modified".into(), "in_place".into()],
    };
    same("put", "client: a file comes on stream 2, with every field", Request::Put(put));
    same("put-sent", "client: that was all of it", FromClient::Sent(tally()));
    same("put-failed", "client: the source failed", FromClient::Failed(fault()));
    let get =
        Get { id: "d".into(), path: "notes.txt".into(), compress: None, resume: false, delta: false, require: vec![] };
    same("get", "client: send me this file", Request::Get(get.clone()));
    let get = Get { compress: Compress::request(Compression::Auto), ..get };
    same("get-compressed", "client: send me this file, compressed", Request::Get(get));
    let get = Get {
        id: "d".into(),
        path: "disk.img".into(),
        compress: None,
        resume: true,
        delta: true,
        require: vec!["resume".into()],
    };
    same("get-resume", "client: send me this file, of which I may have a part", Request::Get(get));
    let nothing = Have { bytes: 0, digests: None, old: None };
    same("get-have-nothing", "client: I have nothing of it", FromClient::Have(nothing));
    let have = Have { bytes: 32 << 20, digests: Some(2), old: None };
    same("get-have", "client: I have two blocks, their digests come on stream 2", FromClient::Have(have.clone()));
    let have = Have { digests: Some(3), ..have };
    same("put-have", "server: I have two blocks, their digests come on stream 3", FromServer::Have(have));
    let old = Some(Old { size: 1 << 20, block: 2048, seed: 7, sums: 3 });
    let have = FromServer::Have(Have { bytes: 0, digests: None, old: old.clone() });
    same("put-have-old", "server: I have an old file, the sums of its blocks come on stream 3", have);
    let old = old.map(|old| Old { sums: 7, ..old });
    let have = FromServer::Have(Have { bytes: 32 << 20, digests: Some(3), old });
    same(
        "put-have-both",
        "server: I have two blocks, digests come on stream 3, and an old file, sums come on stream 7",
        have,
    );
    let file = File { data: 3, size: Some(5), mode: 0o644, modified: Time { seconds: 1_700_000_000, nanoseconds: 5 } };
    same("get-file", "server: it comes on stream 3", FromServer::File(file));
    same("transfer-refused", "server: nothing was done", FromServer::Refused(fault()));
    same("transfer-done", "server: the last word", FromServer::Outcome(Outcome::Done(tally())));
    same("transfer-failed", "server: the last word", FromServer::Outcome(Outcome::Failed(fault())));
}

fn forwarding() {
    use forward::{Accepted, Carried, Connect, Connected, Declined, FromClient, FromListener, FromServer, Listen};
    use forward::{Listening, Outcome, Place, Port, Taken};
    let tcp = |host: &str, port| Place::Tcp(Port { host: host.into(), port });
    let connect = Connect { to: tcp("db.example", 5432), data: 2, require: vec!["to".into()] };
    same("connect", "client: to this port; what it sends comes on stream 2", Request::Connect(connect));
    let connect = Connect { to: Place::Unix(Octets::from(b"/run/a\xff.sock".to_vec())), data: 2, require: vec![] };
    same("connect-unix", "client: to this unix socket", Request::Connect(connect));
    let connected = FromServer::Connected(Connected { data: 3 });
    same("connect-connected", "server: what the place sends comes on stream 3", connected);
    same("connect-refused", "server: there is no connection", FromServer::Refused(fault()));
    let carried = Carried { sent: 5, received: 7 };
    same("connect-closed", "server: both directions have ended", FromServer::Outcome(Outcome::Closed(carried)));
    same("connect-broken", "server: it was reset", FromServer::Outcome(Outcome::Broken(fault())));
    let listen = Listen { at: tcp("localhost", 0), require: vec!["at".into()] };
    same("listen", "client: accept connections at a free port", Request::Listen(listen));
    let listen = Listen { at: Place::Unix("agent.sock".into()), require: vec![] };
    same("listen-unix", "client: accept connections at this unix socket", Request::Listen(listen));
    same("listen-listening", "server: at this port", FromListener::Listening(Listening { port: Some(8080) }));
    same("listen-listening-unix", "server: at the socket", FromListener::Listening(Listening { port: None }));
    let accepted = Accepted { connection: 1, data: 3, from: "127.0.0.1:50000".into() };
    same("listen-accepted", "server: what the connection sends comes on stream 3", FromListener::Accepted(accepted));
    same("listen-refused", "server: it accepts none", FromListener::Refused(fault()));
    same("listen-outcome", "server: it accepts no more", FromListener::Outcome(fault()));
    let taken = FromClient::Taken(Taken { connection: 1, data: 2 });
    same("listen-taken", "client: what the connection is sent comes on stream 2", taken);
    same("listen-declined", "client: no", FromClient::Declined(Declined { connection: 1, why: fault() }));
}

fn trees() {
    use tree::{Accepted, FromServer, Layout, Outcome, Summary, Tree, TreeOptions, Way};
    use unglue_proto::tree::Rule;
    let options = TreeOptions {
        recursive: true,
        everything: true,
        times: true,
        modes: true,
        owners: true,
        hard_links: true,
        attributes: true,
        acls: true,
        checksum: true,
        delete: true,
        delete_excluded: true,
        max_delete: Some(9),
        atomic: false,
        dry_run: true,
        report: true,
        beside: true,
        delta: true,
        delta_small: true,
        resume: true,
        rules: vec![Rule::include("keep.o"), Rule::exclude("*.o")],
        gitignore: true,
        chmod: Some("D755,F644".into()),
        only: vec![Octets::from(b"a\xff".to_vec())],
    };
    let push = Tree {
        id: "f".into(),
        way: Way::Push,
        sources: vec![],
        to: Some("backup".into()),
        layout: Layout::Into,
        options,
        data: 2,
        compress: None,
        require: vec!["options".into()],
    };
    same("tree-push", "client: a tree comes on stream 2, with every option", Request::Tree(Box::new(push)));
    let pull = Tree {
        id: "g".into(),
        way: Way::Pull,
        sources: vec!["logs/".into()],
        to: None,
        layout: Layout::Copy,
        options: TreeOptions::default(),
        data: 6,
        compress: None,
        require: vec![],
    };
    same("tree-pull", "client: send me a tree, answers come on stream 6", Request::Tree(Box::new(pull.clone())));
    let pull = Tree { compress: Compress::request(Compression::Zstd(3)), require: vec!["compress".into()], ..pull };
    same("tree-pull-compressed", "the same, compressed at level 3 of zstd's", Request::Tree(Box::new(pull)));
    same("tree-accepted", "server: it comes on stream 3", FromServer::Accepted(Accepted { data: 3 }));
    let summary = Summary {
        entries: 7,
        files: 3,
        bytes: 5,
        size: 9,
        unchanged: 2,
        deleted: 1,
        problems: 1,
        blake3: tally().blake3,
    };
    same("tree-done", "server: the last word", FromServer::Outcome(Outcome::Done(summary)));
    same("tree-failed", "server: the last word", FromServer::Outcome(Outcome::Failed(fault())));
    same("tree-refused", "server: nothing was done", FromServer::Refused(fault()));
}

fn names_of_files() {
    use files::{At, Done, EntryKind, FileEntry, Files, FromServer, Make, Move, Outcome, Remove, Verb};
    let ask = |verb| Request::Files(Files { id: "h".into(), verb, require: vec![] });
    let at = || At { path: "logs".into() };
    same("files-list", "client: what is in a directory", ask(Verb::List(at())));
    same("files-stat", "client: what is known of a name", ask(Verb::Stat(at())));
    same("files-make", "client: make a directory", ask(Verb::Make(Make { path: "a/b".into(), parents: true })));
    same("files-move", "client: another name", ask(Verb::Move(Move { path: "a".into(), to: "b".into() })));
    same("files-remove", "client: remove it", ask(Verb::Remove(Remove { path: "a".into(), recursive: true })));
    same("files-hash", "client: its digest", ask(Verb::Hash(at())));
    let entry = FileEntry {
        name: Octets::from(b"l\xff".to_vec()),
        kind: EntryKind::Link,
        mode: 0o777,
        size: 4,
        modified: transfer::Time { seconds: -1, nanoseconds: 5 },
        uid: 0,
        gid: 1000,
        user: Some("root".into()),
        group: Some("staff".into()),
        links: 1,
        target: Some("a/b".into()),
    };
    same("files-entry", "server: one entry", FromServer::Entry(entry));
    let done = Done { entries: 1, blake3: Some(tally().blake3), bytes: Some(5) };
    same("files-done", "server: the last word", FromServer::Outcome(Outcome::Done(done)));
    same("files-failed", "server: the last word", FromServer::Outcome(Outcome::Failed(fault())));
    same("files-refused", "server: nothing was done", FromServer::Refused(fault()));
}

#[test]
fn every_message() {
    authentication();
    execution();
    outcomes();
    attaching();
    listing();
    waiting();
    later_versions();
    transfers();
    forwarding();
    trees();
    names_of_files();
    let mut tested = TESTED.with(RefCell::take);
    tested.sort();
    assert_eq!(super::names("messages"), tested, "a vector without a test proves nothing");
}
