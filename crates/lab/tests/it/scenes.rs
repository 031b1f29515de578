//! Scenes give the same result every time, whatever else the machine does.
//!
//! `UNGLUE_PLAYS` says how often each is played (50 unless said).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use unglue_lab::LabError;
use unglue_lab::scenes::{self, SceneReport};

use crate::site::within;

fn plays() -> u32 {
    std::env::var("UNGLUE_PLAYS").map_or(50, |text| text.parse().expect("UNGLUE_PLAYS is a number"))
}

/// Plays a scene so often; `None` if this machine or this user can't.
fn play(name: &str, times: u32) -> Option<SceneReport> {
    let scene = scenes::find(name).expect("a scene");
    let mut first: Option<SceneReport> = None;
    for time in 1..=times {
        let report = match scene.play() {
            Ok(report) => report,
            Err(LabError::Unavailable { what, .. }) => {
                eprintln!("skipped: the scene {name}: {what}");
                return None;
            }
            Err(error) => panic!("{name}, play {time}: {error}"),
        };
        assert!(report.holds(), "{name}, play {time}: {report:#?}");
        match &first {
            None => first = Some(report),
            Some(first) => {
                assert_eq!((&report.result, &report.claims), (&first.result, &first.claims), "{name}, play {time}")
            }
        }
    }
    first
}

/// Keeps every core busy, twice over, while something runs.
fn under_load<T>(work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..2 * cores {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        // However the work ends.
        let _stop = Stopping(&stop);
        work()
    })
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One test for each scene, so that one that fails is named.
macro_rules! the_same_each_time {
    ($($test:ident: $name:literal),* $(,)?) => { $(
        #[test]
        fn $test() {
            let times = plays();
            within(60 + u64::from(times) * 2, move || {
                play($name, times);
            });
        }
    )* };
}

the_same_each_time! {
    sender: "sender",
    receiver: "receiver",
    cut_reply: "cut-reply",
    nagle: "nagle",
    mtu: "mtu",
    partial_send: "partial-send",
    empty: "empty",
    udp_limit: "udp-limit",
    udp_truncate: "udp-truncate",
    udp_many: "udp-many",
    timeout: "timeout",
    utf8_cut: "utf8-cut",
    cost: "cost",
}

#[test]
fn load_makes_no_difference() {
    within(100, || {
        under_load(|| {
            for scene in scenes::ALL {
                play(scene.name, 3);
            }
        });
    });
}

#[test]
fn each_says_why_in_two_sentences_and_names_a_fix() {
    for scene in scenes::ALL {
        let sentences = scene.why.split(". ").count();
        assert_eq!(sentences, 2, "{}: {}", scene.name, scene.why);
        assert!(!scene.fix.is_empty() && scenes::find(scene.name).is_some_and(|found| found.name == scene.name));
    }
}

#[test]
fn the_classic_one_goes_as_it_is_told() {
    let report = play("sender", 1).expect("it needs nothing");
    let calls: Vec<String> = report.calls.iter().map(|call| format!("{}: {call}", call.who)).collect();
    let told = [
        "client: send(b\"hello\") = 5",
        "client: send(b\"egg\") = 3",
        "server: recv(10) = b\"helloegg\"",
        "client: close()",
        "server: recv(10) = b\"\"",
    ];
    assert_eq!(calls, told);
}
