//! Contenders take turns; medians and quartiles come out.

use std::time::{Duration, Instant};

/// Someone who does the work once, and gives a number that must be everybody's.
pub(crate) struct Contender<'c> {
    pub(crate) name: &'static str,
    pub(crate) work: Box<dyn FnMut() -> u64 + 'c>,
}

impl<'c> Contender<'c> {
    pub(crate) fn new(name: &'static str, work: impl FnMut() -> u64 + 'c) -> Contender<'c> {
        Contender { name, work: Box::new(work) }
    }
}

const ROUNDS: usize = 121;
const TURN: Duration = Duration::from_millis(1);

/// Prints a table of nanoseconds per frame, for work on `frames` frames.
pub(crate) fn compare(title: &str, frames: usize, mut contenders: Vec<Contender<'_>>) {
    if let Some(turns) = std::env::var_os("UNGLUE_BENCH_TURNS") {
        return count(title, frames, contenders, turns.to_str().and_then(|turns| turns.parse().ok()).unwrap_or(1));
    }
    let expected = (contenders[0].work)();
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let (started, mut turns) = (Instant::now(), 0);
            while started.elapsed() < TURN {
                let got = (contender.work)();
                assert!(got == expected || got == 0, "{} of {title} did other work", contender.name);
                turns += 1;
            }
            times.push(started.elapsed().as_nanos() as f64 / f64::from(turns) / frames as f64);
        }
    }
    println!("\n{title}\n\n| | ns a frame | spread | at best | of the first | at best |\n|---|---|---|---|---|---|");
    let (base, base_best) = (quartiles(&mut times[0])[1], times[0][0]);
    for (contender, times) in contenders.iter().zip(&mut times) {
        let ([low, median, high], best) = (quartiles(times), times[0]);
        let (ratio, at_best) = (median / base, best / base_best);
        println!("| {} | {median:.2} | {low:.2}–{high:.2} | {best:.2} | {ratio:.2} | {at_best:.2} |", contender.name);
    }
}

/// Has the chosen contenders work so many times, for a profiler.
fn count(title: &str, frames: usize, mut contenders: Vec<Contender<'_>>, turns: usize) {
    let only = std::env::var("UNGLUE_BENCH_ONLY").unwrap_or_default();
    for contender in &mut contenders {
        let name = format!("{title}: {}", contender.name);
        if only.strip_prefix('=').map_or(name.contains(&only), |whole| name == whole) {
            for _ in 0..turns {
                std::hint::black_box((contender.work)());
            }
            println!("{name}\t{frames}");
        }
    }
}

/// The first quartile, the median and the third.
pub(crate) fn quartiles(times: &mut [f64]) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| times[(times.len() - 1) * quarter / 4])
}
