//! What a server doesn't do: by its settings, by the request's own word, and on its way to the end.

use std::time::{Duration, Instant};

use unglue::{Code, Download, Exec, Fault, Outcome, ServerOptions, Upload};
use unglue_identity::{Identity, KeyFile, KnownHostsFiles};
use unglue_link::auth::Credentials;
use unglue_link::{HostTrust, LinkConfig};
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::CONTROL_MESSAGE;
use unglue_testkit::relay::{Relay, Towards};

use crate::site::{Site, address_of, code, eventually, run, soon, within};
use crate::tree::Mark;

fn refused(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Refused(refused) => refused,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_server_for_files_runs_nothing() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve_with(|options: &mut ServerOptions| options.exec = false);
        let client = site.connect(serving.address()).await;
        assert_eq!(client.welcome().await.expect("it is let in").allow, ["files", "forward"]);
        let proof = site.root().join("proof");
        let exec = Exec::new(["touch".as_ref(), proof.as_os_str()]).with_stdin();
        let fault = refused(soon(5, "the refusal", run(&client, &exec)).await.report.outcome);
        assert_eq!(fault.code, Code::NotAllowed);
        assert!(fault.advice.contains("--allow exec"), "{fault}");
        assert!(!proof.exists());
        std::fs::write(site.local().join("file"), "content").expect("a source");
        client.put(Upload::file(&site.local_store(), "file"), "file", Default::default()).await.expect("files go");
    });
}

#[test]
fn a_server_for_commands_moves_no_files() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve_with(|options: &mut ServerOptions| options.files = false);
        let client = site.connect(serving.address()).await;
        assert_eq!(client.welcome().await.expect("it is let in").allow, ["exec", "forward"]);
        std::fs::write(site.local().join("file"), vec![7; 3 << 20]).expect("a source");
        let local = site.local_store();
        let put = client.put(Upload::file(&local, "file"), "copy", Default::default());
        let fault = soon(5, "the refusal", put).await.expect_err("it is refused");
        assert_eq!(fault.code, Code::NotAllowed, "{fault}");
        assert!(fault.advice.contains("--allow files"), "{fault}");
        let get = client.get("file", Download::file(&local, "copy"), Default::default());
        assert_eq!(soon(5, "the refusal", get).await.expect_err("it is refused").code, Code::NotAllowed);
        assert!(!site.root().join("copy").exists() && !site.local().join("copy").exists());
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
    });
}

/// A request that no client of this version makes: an option of a later one, which must not be ignored.
#[test]
fn a_required_option_that_is_not_known_is_refused_and_nothing_runs() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let key = KeyFile::open(&site.path("key")).expect("a key");
        let who = Credentials {
            user: None,
            identities: vec![Identity::File(key).into()],
            ask: std::sync::Arc::new(|_| None),
        };
        let files = KnownHostsFiles::from_env(Some(site.path("known_hosts"))).expect("known hosts");
        let trust = HostTrust { files, accept_new: false, agreed: None, alias: None };
        let target = address_of(serving.address()).target;
        let connected = unglue_link::connect(&target, &trust, &who, &LinkConfig::default()).await.expect("it connects");
        tokio::spawn(connected.driver);
        let (mut send, mut recv) = connected.link.open_bidirectional().await.expect("a stream");
        let request = serde_json::json!({"exec": {
            "id": "a", "argv": ["touch", site.root().join("proof")], "memory_max": 1000, "require": ["memory_max"],
        }});
        let mut wire = Vec::new();
        encode(&request, &mut wire).expect("it is short");
        send.write_all(wire.into()).await.expect("it is sent");
        let mut inbox = Inbox::new(CONTROL_MESSAGE);
        let answer = async {
            loop {
                if let Some(answer) = inbox.next::<serde_json::Value>().expect("JSON") {
                    return answer;
                }
                inbox.feed(&recv.read(10_000).await.expect("no error").expect("no end before the outcome"));
            }
        };
        let answer = soon(5, "the refusal", answer).await;
        assert_eq!(answer["refused"]["code"], "unsupported", "{answer}");
        let what = answer["refused"]["what"].as_str().expect("a text");
        assert!(what.contains("memory_max"), "{what}");
        assert!(!site.root().join("proof").exists());
    });
}

#[test]
fn a_leaving_server_finishes_what_runs_and_takes_nothing_new() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let address = serving.address();
        let client = site.connect(address).await;
        let exec = Exec::shell("echo begun; until [ -e go ]; do sleep 0.05; done; yes | head -c 3000000; exit 3");
        let mut running = client.exec(&exec).await.expect("it starts");
        let mut stdout = running.stdout.take().expect("it runs");
        assert_eq!(stdout.read(100).await.expect("no error").as_deref(), Some(b"begun\n".as_slice()));
        running.stdout = Some(stdout);
        serving.server().leave();
        soon(10, "the end of listening", async {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let fault = match soon(5, "the refusal", client.exec(&Exec::new(["true"]))).await {
            Err(fault) => fault,
            Ok(_) => panic!("a leaving server took a command"),
        };
        assert_eq!(fault.code, Code::GoingAway, "{fault}");
        assert!(fault.what.contains("takes no new operations"), "{fault}");
        std::fs::write(site.root().join("go"), "").expect("written");

        let done = soon(10, "the command", running.collect(1 << 22)).await;
        assert_eq!((code(&done.report), done.stdout.len()), (3, 3_000_000));
        soon(5, "the server", serving.join()).await;
    });
}

/// The command has ended; what it printed still waits for a client that is slow to read.
#[test]
fn a_leaving_server_delivers_what_it_still_holds() {
    within(60, async || {
        for kilobytes in [200, 1000, 5000] {
            let site = Site::new();
            let serving = site.serve();
            let relay = Relay::start(serving.address(), kilobytes).await.expect("a relay");
            relay.set_delay(Towards::Client, Duration::from_millis(20));
            let client = site.connect(relay.address()).await;
            let exec = Exec::shell(format!("yes | head -c {kilobytes}000; exit 3"));
            let running = client.exec(&exec).await.expect("it starts");
            serving.server().leave();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let done = soon(8, "the command", running.collect(1 << 23)).await;
            assert_eq!((code(&done.report), done.stdout.len() as u64), (3, kilobytes * 1000));
            let ended = soon(5, "the link's end", client.ended()).await;
            assert!(ended.what.contains("closed the link"), "{ended}");
            soon(5, "the server", serving.join()).await;
        }
    });
}

#[test]
fn an_ending_server_kills_every_tree() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let mark = Mark::new();
        let script = "trap '' TERM; setsid sleep 300 & (setsid sleep 300 &) ; sleep 300; :";
        let mut running = client.exec(&mark.on(Exec::shell(script))).await.expect("it starts");
        mark.count(4).await;
        serving.server().end();
        mark.gone(Duration::from_secs(2)).await;
        let outcome = soon(5, "the outcome", running.outcome()).await.outcome;
        assert!(matches!(outcome, Outcome::LinkLost(_)), "{outcome:?}");
        soon(5, "the server", serving.join()).await;
    });
}

/// Takes ten seconds, those that a leaving server gives.
#[test]
fn a_leaving_server_ends_what_does_not_end() {
    within(40, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let mark = Mark::new();
        let _running = client.exec(&mark.on(Exec::new(["sleep", "300"]))).await.expect("it starts");
        mark.count(1).await;
        serving.server().leave();
        let start = Instant::now();
        eventually(15, "the tree's end", || mark.alive().is_empty()).await;
        assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
        soon(5, "the server", serving.join()).await;
    });
}

#[test]
fn a_dropped_server_ends() {
    within(30, async || {
        let site = Site::new();
        let server = unglue::Server::start(site.server_options()).expect("it starts");
        let client = site.connect(server.address()).await;
        let mark = Mark::new();
        let running = client.exec(&mark.on(Exec::shell("sleep 300; :"))).await.expect("it starts");
        mark.count(2).await;
        drop(server);
        mark.gone(Duration::from_secs(2)).await;
        drop(running);
        soon(5, "the link's end", client.ended()).await;
    });
}
