//! Bytes without a framing: nothing is claimed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use unglue_lab::infer::Verdict;

use super::of;
use super::words::Random;

#[test]
fn noise_is_ambiguous() {
    let mut random = Random::new(11);
    for size in [1usize, 3, 16, 100, 700, 2500] {
        for bound in [256, 4] {
            let bytes: Vec<u8> = (0..size).map(|_| random.below(bound) as u8).collect();
            let found = of(&bytes);
            assert_eq!(found.verdict, Verdict::Ambiguous, "{size} bytes below {bound}: {:?}", found.candidates);
        }
    }
}

#[test]
fn prose_is_ambiguous() {
    let prose = include_str!("../../../../../LICENSE-APACHE");
    let line = prose.split_whitespace().take(400).collect::<Vec<_>>().join(" ");
    assert_eq!(of(line.as_bytes()).verdict, Verdict::Ambiguous);
}

#[test]
fn compressed_bytes_are_ambiguous() {
    let gzip = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut gzip) = gzip else {
        eprintln!("skipped: gzip is not installed");
        return;
    };
    let text = include_bytes!("../../../../../Cargo.lock");
    let mut input = gzip.stdin.take().expect("a pipe");
    let feed = std::thread::spawn(move || input.write_all(&text[..20_000]));
    let bytes = gzip.wait_with_output().expect("its output").stdout;
    feed.join().expect("fed").expect("taken");
    assert!(bytes.len() > 1000);
    assert_eq!(of(&bytes).verdict, Verdict::Ambiguous);
    assert_eq!(of(&bytes[500..]).verdict, Verdict::Ambiguous);
}

#[test]
fn nothing_at_all_is_ambiguous() {
    assert_eq!(unglue_lab::infer::infer(&[]).verdict, Verdict::Ambiguous);
    assert!(of(&[]).candidates.is_empty());
    assert_eq!(of(&[0; 5000]).verdict, Verdict::Ambiguous);
}
