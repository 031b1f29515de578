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
    for program in ["gzip", "bzip2", "xz", "zstd", "lz4"] {
        let piped = Command::new(program).args(["-q", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut compressor) = piped else {
            eprintln!("skipped: {program} is not installed");
            continue;
        };
        let text = include_bytes!("../../../../../Cargo.lock");
        let mut input = compressor.stdin.take().expect("a pipe");
        let feed = std::thread::spawn(move || input.write_all(&text[..20_000]));
        let bytes = compressor.wait_with_output().expect("its output").stdout;
        feed.join().expect("fed").expect("taken");
        assert!(bytes.len() > 1000, "{program}");
        for start in [0, 500] {
            let found = of(&bytes[start..]);
            assert_eq!(found.verdict, Verdict::Ambiguous, "{program} from {start}: {:?}", found.candidates);
        }
    }
}

#[test]
fn bytes_written_as_text_are_ambiguous() {
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = Random::new(3);
    for alphabet in [BASE64, b"0123456789abcdef"] {
        for size in [40, 200, 400, 4000] {
            let bytes: Vec<u8> = (0..size).map(|_| alphabet[random.below(alphabet.len() as u64) as usize]).collect();
            let found = of(&bytes);
            assert_eq!(found.verdict, Verdict::Ambiguous, "{size} of {}: {:?}", alphabet.len(), found.candidates);
        }
    }
}

#[test]
fn what_repeats_itself_is_ambiguous() {
    let mut random = Random::new(8);
    let mut repeated: Vec<Vec<u8>> = [40, 1000, 4000, 20_000].map(|size| vec![0; size]).into();
    for period in [2, 4, 25, 37] {
        let pattern: Vec<u8> = (0..period).map(|_| random.below(256) as u8).collect();
        repeated.extend([40, 1000, 3000].map(|size| pattern.repeat(size / period)));
    }
    for bytes in repeated {
        let found = of(&bytes);
        assert_eq!(found.verdict, Verdict::Ambiguous, "{} bytes: {:?}", bytes.len(), found.candidates);
    }
}

/// Twenty pieces of a program's instructions (x86-64, this test's own of some day), of 200, 1000 and 2000 bytes in turns.
const MACHINE_CODE: &[u8] = include_bytes!("../../captures/machine-code.bin");

#[test]
fn machine_code_is_not_certain_and_hardly_ever_likely() {
    let (mut rest, mut likely) = (MACHINE_CODE, 0);
    for number in 0..20 {
        let (piece, others) = rest.split_at([200, 1000, 2000][number % 3]);
        rest = others;
        let found = of(piece);
        assert_ne!(found.verdict, Verdict::Certain, "piece {number}: {:?}", found.candidates);
        likely += usize::from(found.verdict == Verdict::Likely);
    }
    assert!(rest.is_empty() && likely <= 1, "{likely} of 20");
}

#[test]
fn nothing_at_all_is_ambiguous() {
    assert_eq!(unglue_lab::infer::infer(&[]).verdict, Verdict::Ambiguous);
    assert!(of(&[]).candidates.is_empty());
    assert_eq!(of(&[0; 5000]).verdict, Verdict::Ambiguous);
}
