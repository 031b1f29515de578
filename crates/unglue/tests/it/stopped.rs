//! A client that is stopped (SIGSTOP) and continued has lost nothing.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use unglue::{Exec, StreamEnd};

use crate::site::{Site, code, run, soon, within};
use crate::{soaking, tree};

/// `SITE ADDRESS` of a process that is to become a client.
const VARIABLE: &str = "UNGLUE_TEST_STOPPED";

/// Prints three megabytes in the course of some seconds.
const SCRIPT: &str = "for i in $(seq 60); do yes $i | head -c 50000; sleep 0.05; done; exit 7";

/// Not a test of its own: the client's process.
#[test]
fn client() {
    let Some(site) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let address = std::env::var("UNGLUE_TEST_ADDRESS").expect("an address").parse().expect("an address");
    within(90, async move || {
        let options = unglue::ClientOptions::default().identity(site.join("key")).known_hosts(site.join("known_hosts"));
        let client = unglue::Client::connect(&crate::site::address_of(address), &options).await.expect("it connects");
        let done = run(&client, &Exec::shell(SCRIPT)).await;
        let stdout = done.report.stdout.as_ref().expect("it ran");
        assert_eq!((code(&done.report), &stdout.end), (7, &StreamEnd::Eof));
        assert_eq!(done.stdout, expected());
        assert_eq!(stdout.tally.blake3, blake3::hash(&done.stdout).to_hex().as_str());
    });
}

fn expected() -> Vec<u8> {
    let line = |number: usize| format!("{number}\n").into_bytes();
    (1..=60).flat_map(|number| line(number).repeat(50_000).into_iter().take(50_000)).collect()
}

#[test]
fn a_client_that_was_stopped_for_seconds_loses_nothing() {
    let stops = if soaking() { vec![3, 20] } else { vec![3] };
    within(120, async move || {
        for seconds in stops {
            let site = Site::new();
            let serving = site.serve();
            let mut process = Command::new(std::env::current_exe().expect("this binary"))
                .args(["stopped::client", "--exact", "--nocapture"])
                .env(VARIABLE, site.path(""))
                .env("UNGLUE_TEST_ADDRESS", serving.address().to_string())
                .stdout(Stdio::null())
                .spawn()
                .map(Reaped)
                .expect("the client's process starts");
            let pid = process.0.id() as i32;
            tokio::time::sleep(Duration::from_millis(800)).await;
            tree::kill(pid, Signal::STOP);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            tree::kill(pid, Signal::CONT);
            let ended = tokio::task::spawn_blocking(move || process.0.wait());
            let status = soon(30, "the client", ended).await.expect("no panic").expect("a status");
            assert!(status.success(), "stopped for {seconds} s: {status}");
        }
    });
}

/// Not a test of its own: a client that loses its link while it is stopped, and says why.
#[test]
fn loser() {
    let Some(site) = std::env::var_os(LOSER).map(PathBuf::from) else { return };
    let address = std::env::var("UNGLUE_TEST_ADDRESS").expect("an address").parse().expect("an address");
    within(90, async move || {
        let link = unglue::LinkConfig::default().heartbeat(Duration::from_secs(1), SILENCE);
        let options = unglue::ClientOptions::default()
            .identity(site.join("key"))
            .known_hosts(site.join("known_hosts"))
            .link(link);
        let client = unglue::Client::connect(&crate::site::address_of(address), &options).await.expect("it connects");
        let running = client.exec(&Exec::new(["sleep", "60"])).await.expect("it starts");
        println!("\nrunning");
        let done = running.collect(100).await;
        let unglue::Outcome::LinkLost(fault) = done.report.outcome else { panic!("{:?}", done.report.outcome) };
        println!("\nlost: {fault}");
    });
}

/// `SITE` of a process that is to lose its link.
const LOSER: &str = "UNGLUE_TEST_LOSER";
/// The silence after which these two ends treat a link as lost; it is 30 s by default.
const SILENCE: Duration = Duration::from_secs(4);

#[test]
fn a_client_that_was_stopped_for_too_long_says_so() {
    within(60, async move || {
        let site = Site::new();
        let serving = site.serve_with(|options| {
            options.link = options.link.clone().heartbeat(Duration::from_secs(1), SILENCE);
        });
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .args(["stopped::loser", "--exact", "--nocapture", "--test-threads=1"])
            .env(LOSER, site.path(""))
            .env("UNGLUE_TEST_ADDRESS", serving.address().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .map(Reaped)
            .expect("the client's process starts");
        let pid = process.0.id() as i32;
        let printed = BufReader::new(process.0.stdout.take().expect("its output"));
        let mut lines = printed.lines().map_while(Result::ok);
        lines.find(|line| line == "running").expect("it runs");
        tree::kill(pid, Signal::STOP);
        tokio::time::sleep(Duration::from_secs(8)).await;
        tree::kill(pid, Signal::CONT);
        let told = tokio::task::spawn_blocking(move || lines.find(|line| line.starts_with("lost: ")));
        let told = soon(20, "the client's words", told).await.expect("no panic").expect("it says why");
        assert!(
            told.contains("did not run") && (8..20).any(|seconds| told.contains(&format!("stopped for {seconds} s"))),
            "{told}"
        );
        assert!(told.contains("after 4 s of silence"), "{told}");
    });
}

/// Killed when it is dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
