//! The fuzzers' targets over their committed corpus, and over damaged copies of it.

use std::path::Path;

use unglue_testkit::Prng;

#[path = "../../../../fuzz/src/proto.rs"]
#[allow(unreachable_pub)] // It is public where the fuzzers find it.
mod checks;

/// Runs a target over its corpus, and over so many damaged copies of each file.
fn replay(target: &str, check: fn(&[u8]), copies: usize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(&directory).expect("the corpus is committed") {
        let input = std::fs::read(file.expect("an entry").path()).expect("read");
        check(&input);
        let mut random = Prng::new(input.len() as u64 + 1);
        for _ in 0..copies {
            let mut damaged = input.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len().max(1));
                match random.below(4) {
                    0 if at < damaged.len() => damaged[at] = random.below(256) as u8,
                    1 if at < damaged.len() => drop(damaged.remove(at)),
                    2 => damaged.truncate(at),
                    _ => damaged.insert(at.min(damaged.len()), random.below(256) as u8),
                }
            }
            check(&damaged);
        }
        count += 1;
    }
    assert!(count >= 10, "{count} files in {}", directory.display());
}

#[test]
fn mux() {
    replay("mux", checks::mux, 40);
}

#[test]
fn control() {
    replay("control", checks::control, 100);
}
