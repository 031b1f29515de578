//! Framing: unglue-frame beside its peers, in turns in one run.
//!
//! `cargo bench --manifest-path bench/frame/Cargo.toml [-- decode|encode|lines|stuffed|socket]…`. Each figure is the median of the
//! rounds, the contenders of a row taking turns in each round; behind it stands the spread, from the first to the third quartile.
//!
//! `UNGLUE_BENCH_TURNS=N` makes every contender work N times and measures nothing; with `UNGLUE_BENCH_ONLY=TEXT` only those
//! whose title and name hold the text do, or are the text behind a `=`, for a profiler: `bench/frame/count` has callgrind count their instructions.

mod decode;
mod encode;
mod lines;
mod rounds;
mod socket;
mod stuffed;

/// Bytes of data in a frame.
const SIZES: [usize; 5] = [16, 64, 256, 1500, 65_536];
/// The input comes in chunks of so many bytes.
const CHUNK: usize = 64 * 1024;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let all: [(&str, fn()); 5] = [
        ("decode", decode::run),
        ("encode", encode::run),
        ("lines", lines::run),
        ("stuffed", stuffed::run),
        ("socket", socket::run),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            run();
        }
    }
}
