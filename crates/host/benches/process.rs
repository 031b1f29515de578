//! What a supervisor costs: `/bin/true` through the pool, against a bare `posix_spawn` and wait of the same program.
//!
//! `cargo bench -p unglue-host --bench process [-- SAMPLES]`. Both kinds alternate in one run; medians are told.

use std::process::{Command as Bare, Stdio};
use std::time::{Duration, Instant};

use unglue_host::process::{
    Command, Descendants, Limits, SupervisorCommand, Supervisors, login_environment, supervise_main,
};

const PROGRAM: &str = "/bin/true";

fn main() {
    if std::env::args().nth(1).is_some_and(|argument| argument == "__supervise") {
        supervise_main();
    }
    let samples = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(400);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let pool = Supervisors::new(SupervisorCommand::current_exe(), Limits::default()).expect("supervisors start");
        one_after_the_other(&pool, samples).await;
        at_once(&pool, samples.max(1000)).await;
        sleepers(&pool).await;
    });
}

fn bare() {
    let status = Bare::new(PROGRAM).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.expect("it starts").success());
}

async fn supervised(pool: &Supervisors, command: &Command) {
    let (mut job, pipes) = pool.spawn(command).await.expect("it starts");
    job.exited().await.expect("it ends");
    job.end_tree(Descendants::Kill).await.expect("nothing is left");
    drop(pipes);
}

async fn one_after_the_other(pool: &Supervisors, samples: usize) {
    let command = Command { env: login_environment(), ..Command::new([PROGRAM]) };
    let (mut bares, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        let start = Instant::now();
        bare();
        bares.push(start.elapsed());
        let start = Instant::now();
        supervised(pool, &command).await;
        ours.push(start.elapsed());
    }
    let (bare, ours) = (spread(bares), spread(ours));
    println!("one after the other, {samples} samples each (median, 10th and 90th percentile):");
    println!("  posix_spawn + wait  {bare:?}");
    println!("  supervised          {ours:?}");
    println!("  overhead            {:?}", ours[0].saturating_sub(bare[0]));
}

fn spread(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort();
    [times[times.len() / 2], times[times.len() / 10], times[times.len() * 9 / 10]]
}

async fn at_once(pool: &Supervisors, count: usize) {
    let (mut bares, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        bares.push(two_threads(count));
        ours.push(pipelined(pool, count).await);
    }
    let rate = |times| count as f64 / spread(times)[0].as_secs_f64();
    let (bare, ours) = (rate(bares), rate(ours));
    println!("{count} at once, 5 rounds:");
    println!("  two threads of posix_spawn + wait  {bare:.0} per second");
    println!("  supervised                         {ours:.0} per second, {:.2} of that", ours / bare);
}

fn two_threads(count: usize) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..count / 2).for_each(|_| bare()));
        }
    });
    start.elapsed()
}

async fn pipelined(pool: &Supervisors, count: usize) -> Duration {
    let start = Instant::now();
    let jobs: Vec<_> = (0..count)
        .map(|_| {
            let pool = pool.clone();
            let command = Command { env: login_environment(), ..Command::new([PROGRAM]) };
            tokio::spawn(async move { supervised(&pool, &command).await })
        })
        .collect();
    for job in jobs {
        job.await.expect("no panic");
    }
    start.elapsed()
}

async fn sleepers(pool: &Supervisors) {
    let start = Instant::now();
    let jobs: Vec<_> = (0..1000)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { supervised(&pool, &Command::new(["/bin/sleep", "1"])).await })
        })
        .collect();
    for job in jobs {
        job.await.expect("no panic");
    }
    println!("1000 times `sleep 1` at once: {:?}", start.elapsed());
}
