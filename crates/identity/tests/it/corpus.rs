//! The fuzzers' targets over their committed corpus, and over damaged copies of it.

use super::known_hosts::Dice;
use std::path::Path;

#[path = "../../../../fuzz/src/identity.rs"]
#[allow(unreachable_pub)] // It is public where the fuzzers find it.
mod checks;

/// Runs a target over its corpus, and over so many damaged copies of each file.
fn replay(target: &str, check: fn(&[u8]), copies: usize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&directory).expect("the corpus is committed");
    let mut count = 0;
    for file in files {
        let input = std::fs::read(file.expect("an entry").path()).expect("read");
        check(&input);
        let mut dice = Dice(input.len() as u64 + 1);
        for _ in 0..copies {
            check(&damaged(&input, &mut dice));
        }
        count += 1;
    }
    assert!(count >= 5, "{count} files in {}", directory.display());
}

fn damaged(input: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(4) {
            0 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ => bytes.insert(at, b" \t\n\"\\,@#|!*\0\xff"[dice.below(13)]),
        }
    }
    bytes
}

#[test]
fn authorized_keys() {
    replay("authorized_keys", checks::authorized_keys, 200);
}

#[test]
fn known_hosts() {
    replay("known_hosts", checks::known_hosts, 200);
}

#[test]
fn key_file() {
    replay("key_file", checks::key_file, 50);
}

#[test]
fn ssh_wire() {
    replay("ssh_wire", checks::ssh_wire, 50);
}
