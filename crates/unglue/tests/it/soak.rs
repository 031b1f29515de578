//! Commands that print from nothing to 20 MB on both streams, over a network that cuts everything to pieces (P1, P2).

use std::rc::Rc;

use tokio::task::{JoinSet, LocalSet};
use unglue::{Client, Exec, StreamEnd};
use unglue_testkit::Prng;
use unglue_testkit::prng::TellSeed;
use unglue_testkit::relay::Relay;

use crate::site::{Site, code, run, soon, within};
use crate::soaking;

/// The most that a stream of one command holds, in bytes.
const MOST: usize = 20_000_000;
/// Connections, each of which runs one command at a time.
const CONNECTIONS: u64 = 4;
/// Commands before a connection is replaced.
const TURN: u64 = 25;

#[test]
fn every_byte_of_every_command_arrives_through_any_cuts() {
    let runs = if soaking() { 10_000 } else { 500 };
    within(120 * runs / 500, async move || {
        let site = Rc::new(Site::new());
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 20).await.expect("a relay");
        let address = relay.address();
        let local = LocalSet::new();
        let mut workers = JoinSet::new();
        for worker in 0..CONNECTIONS {
            let site = site.clone();
            let work = async move {
                let mut client = site.connect(address).await;
                for (count, seed) in (worker..runs).step_by(CONNECTIONS as usize).enumerate() {
                    if (count as u64).is_multiple_of(TURN) {
                        client = site.connect(address).await;
                    }
                    soon(60, "a command", one(&client, seed)).await;
                }
            };
            workers.spawn_local_on(work, &local);
        }
        local
            .run_until(async {
                while let Some(worker) = workers.join_next().await {
                    worker.expect("no failure")
                }
            })
            .await;
    });
}

/// Runs a command whose sizes, words and exit code follow from the seed.
async fn one(client: &Client, seed: u64) {
    let _told = TellSeed { name: "soak", seed };
    let mut random = Prng::new(seed);
    let (out, err) = (random.log_uniform(0, MOST), random.log_uniform(0, MOST));
    let exit = random.below(256);
    let script = format!("yes out{seed} | head -c {out} & yes err{seed} | head -c {err} >&2; wait; exit {exit}");
    let done = run(client, &Exec::shell(script)).await;
    assert_eq!(code(&done.report), exit as i32);
    for (printed, stream, line, size) in [
        (&done.stdout, &done.report.stdout, format!("out{seed}\n"), out),
        (&done.stderr, &done.report.stderr, format!("err{seed}\n"), err),
    ] {
        let stream = stream.as_ref().expect("it ran");
        assert_eq!((stream.tally.bytes, &stream.end), (size as u64, &StreamEnd::Eof));
        assert_eq!(stream.tally.blake3, blake3::hash(printed).to_hex().as_str());
        assert!(is_repeated(printed, line.as_bytes(), size), "seed {seed}: the bytes differ");
    }
}

/// Whether `bytes` are the first `size` of `line` without end.
fn is_repeated(bytes: &[u8], line: &[u8], size: usize) -> bool {
    let (begin, rest) = bytes.split_at(line.len().min(bytes.len()));
    // The bytes are periodic if they equal themselves, one period on.
    bytes.len() == size && line.starts_with(begin) && rest == &bytes[..rest.len()]
}
