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
const CLIENTS: u64 = 6;

#[test]
fn every_command_runs_once_and_ends_once() {
    let runs: u64 = if crate::soaking() { 10_000 } else { 240 };
    within(240 + runs / 5, async move || {
        let (site, mark) = (Rc::new(Site::new()), Rc::new(Mark::new()));
        let mut daemon = Daemon::start(&site);
        let address = daemon.address();
        let relay = Rc::new(Relay::start(address, 20).await.expect("a relay"));
        let local = LocalSet::new();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (site, mark, relay) = (site.clone(), mark.clone(), relay.clone());
            let work = async move {
                for seed in (client..runs).step_by(CLIENTS as usize) {
                    let connected = connect(&site, &relay).await;
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
                println!("{kills} kills, {cuts} cuts");
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
    let (bytes, exit) = (random.log_uniform(0, 300_000), random.below(256) as u8);
    let pause = random.log_uniform(1, 400) as f64 / 1000.0;
    let script = format!("echo {seed} >> starts; yes out{seed} | head -c {bytes}; sleep {pause}; exit {exit}");
    let lease = match random.below(2) {
        0 => Lease::Detach,
        _ => Lease::Keep(Duration::from_secs(60)),
    };
    let exec = mark.on(Exec::shell(script)).lease(lease).id(format!("storm-{seed}"));
    let expected: Vec<u8> = format!("out{seed}\n").into_bytes().into_iter().cycle().take(bytes).collect();
    for _ in 0..2 {
        // The link of a request may be lost before it is asked for the first time; then the same request is made again.
        let done = match client.exec(&exec).await {
            Ok(running) => running.collect(1 << 20).await,
            Err(_) => continue,
        };
        assert_eq!(done.report.outcome, Outcome::Ended(Exit::Exited(exit)), "{:?}", done.report);
        assert!(done.stdout == expected, "{} of {bytes} bytes", done.stdout.len());
    }
}
