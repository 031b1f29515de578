//! Unauthenticated peers (P4, P6, P8): refused in time, with a line in the log, at a bounded cost, and
//! nobody else is kept waiting.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use unglue::{Code, Exec};
use unglue_identity::{EXPORTER_LEN, PrivateKey, proof};
use unglue_proto::PROTOCOL;
use unglue_proto::message::auth::{FromClient, FromServer, Hello, Offer, Proof};
use unglue_testkit::misbehaving::{Misbehaviour, allow_open_files, crowd};

use crate::daemon::Daemon;
use crate::raw::Raw;
use crate::site::{Site, code, eventually, run, soon, within};
use crate::soaking;

/// The longest that a stage before authentication lasts, and some air for a busy machine.
const DEADLINE: Duration = Duration::from_secs(14);

#[test]
fn every_kind_of_misbehaviour_is_refused_in_time_and_logged() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let mut visits = JoinSet::new();
        for kind in Misbehaviour::ALL {
            let visit = kind.visit(daemon.address()).await.expect("it is listened to");
            visits.spawn(async move { (kind, visit.until_closed(DEADLINE).await) });
        }
        while let Some(visit) = visits.join_next().await {
            let (kind, ending) = visit.expect("no panic");
            let after = ending.unwrap_or_else(|| panic!("{kind} is still there")).after;
            let waits =
                [Misbehaviour::Mute, Misbehaviour::Trickling, Misbehaviour::HalfHello, Misbehaviour::HalfHandshake];
            if !waits.contains(&kind) {
                assert!(after < Duration::from_secs(5), "{kind} was refused after {after:?} only");
            }
        }
        let refused = || daemon.logged(&["refused", "handshake", "why="]);
        eventually(5, "a line for each", || refused() >= Misbehaviour::ALL.len()).await;
        assert_eq!(refused(), Misbehaviour::ALL.len(), "{}", daemon.log());
    });
}

pub(crate) fn hello(key: &PrivateKey, exporter: &[u8; EXPORTER_LEN]) -> FromClient {
    let signature = STANDARD.encode(proof::prove(key, b"", exporter).expect("a signature"));
    let proof = Some(Proof { key: key.public_key().to_openssh(), signature });
    FromClient::Hello(Hello { protocol: PROTOCOL.into(), agent: "test".into(), user: None, proof, accepts: Vec::new() })
}

pub(crate) fn offer(keys: usize, key: &PrivateKey) -> FromClient {
    let keys = vec![key.public_key().to_openssh(); keys];
    FromClient::Offer(Offer { protocol: PROTOCOL.into(), user: None, keys })
}

#[test]
fn a_proof_holds_on_its_own_connection_only() {
    within(30, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let mut right = Raw::connect(daemon.address()).await;
        let own = hello(&site.key, &right.exporter());
        right.say(&own).await.expect("it is sent");
        assert!(matches!(right.hear().await, Some(FromServer::Welcome(_))));

        let mut replay = Raw::connect(daemon.address()).await;
        replay.say(&own).await.expect("it is sent");
        let address = replay.address();
        assert_eq!(soon(5, "the denial", replay.denied()).await.code, Code::Denied);
        daemon.logs(&["refused", &address, "authentication", &site.key.public_key().fingerprint().to_string()]).await;
    });
}

/// What is said after the handshake, and the fault and log line that it earns at once.
#[test]
fn what_is_no_good_hello_is_refused_at_once() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let proofless = FromClient::Hello(Hello {
            protocol: PROTOCOL.into(),
            agent: "test".into(),
            user: None,
            proof: None,
            accepts: Vec::new(),
        });
        let other = FromClient::Offer(Offer { protocol: "unglue/2".into(), user: None, keys: Vec::new() });
        let wire = |message: &FromClient| {
            let mut wire = Vec::new();
            unglue_proto::control::encode(message, &mut wire).expect("it is short");
            wire
        };
        let twice = wire(&offer(1, &site.key)).repeat(2);
        let cases = [
            ("a huge length", b"\xff\xff\xff\xffx".to_vec(), Code::BadMessage),
            ("one more than the longest", [b"\0\0\x40\x01".as_slice(), &[b' '; 0x4001]].concat(), Code::BadMessage),
            ("no JSON", b"\0\0\0\x04{\"a\"".to_vec(), Code::BadMessage),
            ("a request", b"\0\0\0\x1f{\"get\":{\"id\":\"a\",\"path\":\"file\"}}".to_vec(), Code::BadMessage),
            ("nobody's proof", wire(&proofless), Code::Denied),
            ("another protocol", wire(&other), Code::Unsupported),
            ("seven keys", wire(&offer(7, &site.key)), Code::LimitExceeded),
            ("two offers", twice, Code::LimitExceeded),
        ];
        for (what, bytes, expected) in cases {
            let mut raw = Raw::connect(daemon.address()).await;
            let address = raw.address();
            // It may be thrown out before it has said all of it.
            let _ = raw.send(&bytes).await;
            if what == "two offers" {
                assert!(matches!(raw.hear().await, Some(FromServer::Sign(_))), "{what}");
            }
            let fault = soon(5, what, raw.denied()).await;
            assert_eq!(fault.code, expected, "{what}: {fault}");
            daemon.logs(&["refused", &address, "authentication"]).await;
            assert_eq!(daemon.logged(&["refused", &address]), 1, "{what}: more than one line");
        }
    });
}

/// Takes ten seconds, the deadline; a minute with `UNGLUE_SOAK`.
#[test]
fn who_takes_too_long_after_the_handshake_is_refused() {
    within(90, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let silent = Raw::connect(daemon.address()).await;
        let mut trickling = Raw::connect(daemon.address()).await;
        let start = Instant::now();
        let trickle = async {
            for byte in b"\0\0\x20\0{\"hello\":{\"protocol\":\"unglue/1\",\"agent\":\"trickling\"" {
                if trickling.send(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
                if start.elapsed() > Duration::from_secs(10) {
                    break;
                }
            }
            assert_eq!(trickling.denied().await.code, Code::TimedOut);
        };
        let (fault, ()) = tokio::time::timeout(DEADLINE, async { tokio::join!(silent.denied(), trickle) })
            .await
            .expect("they are refused in time");
        assert_eq!(fault.code, Code::TimedOut);
        assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
        eventually(5, "a line for each", || daemon.logged(&["refused", "authentication", "10 s"]) == 2).await;

        if soaking() {
            let mut hesitant = Raw::connect(daemon.address()).await;
            hesitant.say(&offer(1, &site.key)).await.expect("it is sent");
            assert!(matches!(hesitant.hear().await, Some(FromServer::Sign(_))));
            let start = Instant::now();
            assert_eq!(soon(70, "the deadline of a signature", hesitant.denied()).await.code, Code::TimedOut);
            assert!(start.elapsed() > Duration::from_secs(59));
        }
    });
}

/// How many unauthenticated connections are opened.
const CROWD: usize = 1000;
/// How much memory they may cost the server together, in bytes.
const COST: u64 = 48 << 20;

#[test]
fn a_thousand_unauthenticated_connections_keep_nobody_out_and_cost_little() {
    if !allow_open_files(2500) {
        return eprintln!("skipped: this process may not open 2,500 files");
    }
    within(120, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let elsewhere = relay_from(Ipv4Addr::new(127, 0, 0, 2), daemon.address()).await;
        let client = site.connect(daemon.address()).await;
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        let before = daemon.memory();

        let crowd = tokio::spawn(crowd(daemon.address(), CROWD, 5));
        let mut most = 0;
        let mut logins = 0;
        while !crowd.is_finished() || logins < 20 {
            for address in [daemon.address(), elsewhere] {
                let start = Instant::now();
                let client = site.connect(address).await;
                let done = soon(10, "a login", run(&client, &Exec::new(["echo", "hi"]))).await;
                assert_eq!((code(&done.report), done.stdout.as_slice()), (0, b"hi\n".as_slice()));
                assert!(start.elapsed() < Duration::from_secs(5), "a login took {:?}", start.elapsed());
                logins += 1;
            }
            most = most.max(daemon.memory());
        }
        let visits = crowd.await.expect("no panic");
        assert!(visits.len() > CROWD / 2, "{} of {CROWD} came in", visits.len());
        let cost = most.saturating_sub(before);
        eprintln!("{} unauthenticated connections cost {cost} bytes while {logins} logins went by", visits.len());
        assert!(cost < COST, "{cost} bytes");
        assert!(daemon.logged(&["refused", "admission", "least progress"]) > 0, "there was always a place");
        // A client that was connected before is not disturbed.
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        drop(visits);
    });
}

/// Relays every connection to `server`, from this address of the loopback.
async fn relay_from(source: Ipv4Addr, server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind((source, 0).into()).expect("all of 127.0.0.0/8 is ours");
            let mut upstream = socket.connect(server).await.expect("it connects");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut upstream).await });
        }
    });
    address
}
