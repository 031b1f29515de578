//! Many commands under cuts, killed servers and retries: each runs once, and ends in its outcome, with every byte.

use std::collections::HashMap;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};
use unglue::{Client, ClientOptions, Exec, Exit, Lease, Outcome};
use unglue_testkit::Prng;
use unglue_testkit::prng::TellSeed;
use unglue_testkit::relay::{Break, Relay};

use crate::daemon::Daemon;
use crate::site::{Site, address_of, soon, within};
use crate::tree::Mark;

/// Clients at once.
const CLIENTS: u64 = 16;
/// Commands of a client before it makes a connection of its own accord.
const TURN: usize = 50;

#[test]
fn every_command_runs_once_and_ends_once() {
    let asked = std::env::var("UNGLUE_STORM").ok().and_then(|runs| runs.parse().ok());
    let runs: u64 = asked.unwrap_or(if crate::soaking() { 100_000 } else { 500 });
    within(240 + runs / 10, async move || {
        let (site, mark) = (Rc::new(Site::new()), Rc::new(Mark::new()));
        let mut daemon = Daemon::start(&site);
        let address = daemon.address();
        let relay = Rc::new(Relay::start(address, 20).await.expect("a relay"));
        let local = LocalSet::new();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (site, mark, relay) = (site.clone(), mark.clone(), relay.clone());
            let work = async move {
                let mut connected = connect(&site, &relay).await;
                for (turn, seed) in (client..runs).step_by(CLIENTS as usize).enumerate() {
                    if turn % TURN == TURN - 1 {
                        connected = connect(&site, &relay).await;
                    }
                    soon(120, "a command", one(&connected, &mark, seed)).await;
                }
            };
            clients.spawn_local_on(work, &local);
        }
        let trouble = async {
            let mut random = Prng::new(5);
            let (mut kills, mut cuts) = (0, 0);
            loop {
                tokio::time::sleep(Duration::from_millis(random.log_uniform(100, 1500) as u64)).await;
                match random.below(5) {
                    0 => {
                        daemon.kill();
                        relay.break_all(Break::Reset);
                        daemon = Daemon::start_at(&site, address);
                        kills += 1;
                    }
                    _ => {
                        relay.break_all(Break::Reset);
                        cuts += 1;
                    }
                }
                println!("{kills} servers killed, all links cut {cuts} times");
            }
        };
        let all = async {
            while let Some(client) = clients.join_next().await {
                client.expect("no failure");
            }
        };
        local
            .run_until(async {
                tokio::select! {
                    () = all => {}
                    () = trouble => {}
                }
            })
            .await;
        let mut starts: HashMap<String, usize> = HashMap::new();
        for line in fs::read_to_string(site.root().join("starts")).expect("starts").lines() {
            *starts.entry(line.to_owned()).or_default() += 1;
        }
        assert_eq!(starts.len() as u64, runs, "each has started");
        assert!(starts.values().all(|&count| count == 1), "{starts:?}");
    });
}

async fn connect(site: &Site, relay: &Relay) -> Client {
    let since = Instant::now();
    loop {
        let options: ClientOptions = site.client_options();
        if let Ok(client) = Client::connect(&address_of(relay.address()), &options).await
            && client.welcome().await.is_ok()
        {
            return client;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "no connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs a command whose output and exit code follow from the seed; a second request with the same id gives the same.
async fn one(client: &Client, mark: &Mark, seed: u64) {
    let _told = TellSeed { name: "storm", seed };
    let mut random = Prng::new(seed);
    let (bytes, exit) = (random.log_uniform(0, 100_000), random.below(256) as u8);
    let pause = if random.below(4) == 0 { "sleep 0.2; " } else { "" };
    let script = format!("echo {seed} >> starts; yes out{seed} | head -c {bytes}; {pause}exit {exit}");
    let lease = match random.below(2) {
        0 => Lease::Detach,
        _ => Lease::Keep(Duration::from_secs(60)),
    };
    let exec = mark.on(Exec::shell(script)).lease(lease).id(format!("storm-{seed}"));
    let expected: Vec<u8> = format!("out{seed}\n").into_bytes().into_iter().cycle().take(bytes).collect();
    let mut asked = 0;
    while asked < 1 + u32::from(seed.is_multiple_of(4)) {
        // The link may be lost before anything is asked for.
        let done = match client.exec(&exec).await {
            Ok(running) => running.collect(1 << 20).await,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        asked += 1;
        assert_eq!(done.report.outcome, Outcome::Ended(Exit::Exited(exit)), "{:?}", done.report);
        assert!(done.stdout == expected, "{} of {bytes} bytes", done.stdout.len());
    }
}
