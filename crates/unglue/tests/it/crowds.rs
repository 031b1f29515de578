//! Crowds of unauthenticated connections, and real logins beside them (P4, P6): every login succeeds.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use unglue::{Client, Exec};
use unglue_proto::message::auth::FromServer;
use unglue_testkit::misbehaving::{Misbehaviour, Visit, allow_open_files};
use unglue_testkit::relay::{Relay, Towards};

use crate::daemon::Daemon;
use crate::raw::Raw;
use crate::site::{Site, address_of, code, run, soon, within};
use crate::unauthenticated;

/// Connections at once on their way: fewer than a listener's queue holds.
const AT_ONCE: usize = 256;

/// Opens visits from these addresses, which stay as long as the result is kept. Those that are turned away are left out.
async fn crowd(server: SocketAddr, visitors: Vec<(IpAddr, Misbehaviour)>) -> Vec<Visit> {
    let mut visits = Vec::with_capacity(visitors.len());
    for wave in visitors.chunks(AT_ONCE) {
        let mut arriving = JoinSet::new();
        for (source, kind) in wave.iter().copied() {
            arriving.spawn(kind.visit_from(source, server));
        }
        while let Some(visit) = arriving.join_next().await {
            visits.extend(visit.expect("no panic").ok());
        }
    }
    visits
}

/// An address of the loopback that stands for a machine.
fn machine(number: usize) -> IpAddr {
    Ipv4Addr::new(127, 1, (number / 250) as u8, (number % 250 + 1) as u8).into()
}

/// Whether a login and a command succeed, and how long they took.
async fn login(site: &Site, address: SocketAddr) -> Result<Duration, String> {
    let start = Instant::now();
    let attempt = async {
        let client = Client::connect(&address_of(address), &site.client_options()).await;
        let client = client.map_err(|error| error.to_string())?;
        let running = client.exec(&Exec::new(["echo", "hi"])).await.map_err(|fault| fault.to_string())?;
        let done = running.collect(100).await;
        match done.stdout.as_slice() {
            b"hi\n" => Ok(()),
            _ => Err(format!("{:?}", done.report.outcome)),
        }
    };
    tokio::time::timeout(Duration::from_secs(12), attempt).await.map_err(|_| "no answer in 12 s".to_owned())??;
    Ok(start.elapsed())
}

#[test]
fn idle_connections_of_500_addresses_keep_no_distant_login_out() {
    if !allow_open_files(9000) {
        return eprintln!("skipped: this process may not open 9,000 files");
    }
    within(150, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let mut relays = Vec::new();
        for (seed, milliseconds) in [75, 110, 150].into_iter().enumerate() {
            let relay = Relay::start(daemon.address(), seed as u64).await.expect("a relay");
            // Both ways together: 150 to 300 ms.
            relay.set_delay(Towards::Server, Duration::from_millis(milliseconds));
            relay.set_delay(Towards::Client, Duration::from_millis(milliseconds));
            relays.push(relay);
        }
        let before = daemon.memory();
        let kinds = [Misbehaviour::Mute, Misbehaviour::Mute, Misbehaviour::HalfHello, Misbehaviour::HalfHandshake];
        let visitors = (0..3000).map(|number| (machine(number % 500), kinds[number % kinds.len()])).collect();
        let address = daemon.address();
        let crowd = tokio::spawn(async move { crowd(address, visitors).await });
        let (mut done, mut slowest, mut most) = (0, Duration::ZERO, 0);
        for round in 0..8 {
            for relay in &relays {
                let took = login(&site, relay.address()).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
                slowest = slowest.max(took);
                done += 1;
            }
            most = most.max(daemon.memory());
        }
        let visits = crowd.await.expect("no panic");
        eprintln!(
            "{} connections came; {done} logins of {done}; the slowest took {slowest:?}; {} bytes",
            visits.len(),
            most.saturating_sub(before)
        );
        assert!(visits.len() > 2000, "only {} came", visits.len());
        assert!(most.saturating_sub(before) < 64 << 20, "{} bytes", most - before);
    });
}

#[test]
fn four_thousand_connections_from_one_address_fail_no_login_of_another() {
    if !allow_open_files(9000) {
        return eprintln!("skipped: this process may not open 9,000 files");
    }
    within(150, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let address = daemon.address();
        let visitors = vec![(machine(7), Misbehaviour::Mute); 4000];
        let crowd = tokio::spawn(async move { crowd(address, visitors).await });
        let (mut done, mut slowest) = (0, Duration::ZERO);
        while !crowd.is_finished() || done < 30 {
            let took = login(&site, address).await.unwrap_or_else(|error| panic!("after {done} logins: {error}"));
            slowest = slowest.max(took);
            done += 1;
        }
        let visits = crowd.await.expect("no panic");
        eprintln!("{} connections came; {done} logins of {done}; the slowest took {slowest:?}", visits.len());
        assert!(visits.len() > 3000, "only {} came", visits.len());
        assert!(slowest < Duration::from_secs(5), "a login took {slowest:?}");
    });
}

/// Five hundred and twenty uploads that send nothing, on four connections: logins have threads of their own.
#[test]
fn stalled_transfers_keep_no_login_out() {
    within(120, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let mut stalled = Vec::new();
        for link in 0..4 {
            let link = (link, crate::versions::bare_link(&site, daemon.address()).await);
            for number in 0..130 {
                let data = link.1.open_unidirectional().await.expect("a stream");
                let (mut send, recv) = link.1.open_bidirectional().await.expect("a stream");
                let request = serde_json::json!({"put": {
                    "id": format!("{}-{number}", link.0), "path": format!("file-{}-{number}", link.0), "name": "file",
                    "size": 1000, "mode": 420, "data": data.number(),
                }});
                let mut wire = Vec::new();
                unglue_proto::control::encode(&request, &mut wire).expect("it is short");
                send.write_all(wire.into()).await.expect("it is sent");
                stalled.push((data, send, recv));
            }
            stalled.last_mut().expect("some").1.write_all("".into()).await.expect("the link is up");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        for number in 0..10 {
            login(&site, daemon.address()).await.unwrap_or_else(|error| panic!("login {number}: {error}"));
        }
        let client = site.connect(daemon.address()).await;
        assert_eq!(code(&soon(10, "a command", run(&client, &Exec::new(["true"]))).await.report), 0);
        drop(stalled);
    });
}

/// A client that has shown an authorised key waits for its owner's touch, while connections come that get as far as a
/// handshake.
#[test]
fn who_has_shown_a_key_keeps_its_place() {
    if !allow_open_files(6000) {
        return eprintln!("skipped: this process may not open 6,000 files");
    }
    within(120, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let mut hesitant = Raw::connect(daemon.address()).await;
        hesitant.say(&unauthenticated::offer(1, &site.key)).await.expect("it is sent");
        assert!(matches!(hesitant.hear().await, Some(FromServer::Sign(_))));
        let visitors = (0..2000).map(|number| (machine(number % 500), Misbehaviour::HalfHandshake)).collect();
        let visits = crowd(daemon.address(), visitors).await;
        daemon.logs_within(30, &["refused", "admission", "least progress"]).await;
        let hello = unauthenticated::hello(&site.key, &hesitant.exporter());
        hesitant.say(&hello).await.expect("it is sent");
        let answer = soon(10, "the welcome", hesitant.hear()).await;
        assert!(matches!(answer, Some(FromServer::Welcome(_))), "{answer:?}");
        drop(visits);
    });
}

/// A server that may open three hundred files, and has more visitors.
#[test]
fn visitors_that_use_up_the_descriptors_make_room_for_a_login() {
    if !allow_open_files(3000) {
        return eprintln!("skipped: this process may not open 3,000 files");
    }
    within(120, async || {
        let site = Site::new();
        let daemon = Daemon::start_as(&site.path(""), &["prlimit", "--nofile=300:300"]);
        let visitors = (0..1000).map(|number| (machine(number % 200), Misbehaviour::Mute)).collect();
        let visits = crowd(daemon.address(), visitors).await;
        for number in 0..10 {
            login(&site, daemon.address()).await.unwrap_or_else(|error| panic!("login {number}: {error}"));
        }
        assert!(daemon.logged(&["refused", "admission", "least progress"]) > 0, "there was room for all");
        // An evicted connection's descriptor is closed a moment after its place was given up: now and then one is missing.
        let failed = daemon.logged(&["accept_failed"]);
        assert!(failed < 20, "the descriptors were used up {failed} times");
        drop(visits);
    });
}
