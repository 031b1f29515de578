//! What a keeper costs: a command that prints a gigabyte into its spool, against the direct path (the same pipe and digest, and a
//! reader that drops the bytes); and a thousand idle jobs.
//!
//! `cargo bench -p unglue-host --bench keep [-- DIRECTORY [ROUNDS]]`. Both kinds alternate in one run; medians are told. The spools
//! lie in DIRECTORY (the temporary directory).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use unglue_host::process::{
    Command, Found, Keep, Kept, KeptEvent, LastCall, Limits, OutputPump, OutputSink, SinkClosed, SpoolLimit,
    SupervisorCommand, Supervisors, login_environment, supervise_main,
};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Outcome, StreamEnd};

const GIBIBYTE: u64 = 1 << 30;
const IDLE: usize = 1000;

fn main() {
    if std::env::args().nth(1).is_some_and(|argument| argument == "__supervise") {
        supervise_main();
    }
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let pool = Supervisors::new(SupervisorCommand::current_exe(), Limits::default()).expect("supervisors start");
        printers(&pool, &directory, rounds).await;
        idlers(&pool, &directory).await;
    });
}

struct Drop;

impl OutputSink for Drop {
    async fn write(&mut self, _: Bytes) -> Result<(), SinkClosed> {
        Ok(())
    }

    fn close(self, _: &StreamEnd) {}
}

fn printer() -> Command {
    Command { env: login_environment(), ..Command::new(["head", "-c", &GIBIBYTE.to_string(), "/dev/zero"]) }
}

async fn direct(pool: &Supervisors) -> Duration {
    let start = Instant::now();
    let (mut job, pipes) = pool.spawn(&printer()).await.expect("it starts");
    let last_call = LastCall::new();
    let pumped = OutputPump::new(pipes.stdout, &last_call).run(Drop).await;
    job.exited().await.expect("it ends");
    assert_eq!(pumped.stream.tally.bytes, GIBIBYTE);
    start.elapsed()
}

fn keep(directory: &Path, command: Command) -> Keep {
    Keep {
        directory: directory.to_owned(),
        command,
        terms: Terms::default(),
        keep: None,
        durable: false,
        spool: SpoolLimit::Stall(2 * GIBIBYTE),
    }
}

async fn kept(pool: &Supervisors, directory: &Path, detached: bool) -> Duration {
    let place = tempfile::tempdir_in(directory).expect("a directory");
    let start = Instant::now();
    let (mut kept, _) = pool.keep(&keep(place.path(), printer())).await.expect("it starts");
    if detached {
        while !place.path().join("outcome").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    loop {
        if let KeptEvent::Ended(report) = kept.event().await.expect("it goes on") {
            assert_eq!(report.outcome, Outcome::exited(0));
            assert_eq!(report.stdout.expect("it ran").tally.bytes, GIBIBYTE);
            return start.elapsed();
        }
    }
}

async fn printers(pool: &Supervisors, directory: &Path, rounds: usize) {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        times[0].push(direct(pool).await);
        times[1].push(kept(pool, directory, false).await);
        times[2].push(kept(pool, directory, true).await);
    }
    let [direct, watched, detached] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let ratio = |time: Duration| direct.as_secs_f64() / time.as_secs_f64();
    println!("a command prints 1 GiB, {rounds} rounds, spools in {}:", directory.display());
    println!("  direct, digested and dropped          {direct:?}");
    println!("  kept, its progress watched            {watched:?}, {:.2} of the direct speed", ratio(watched));
    println!("  kept, nobody watches                  {detached:?}, {:.2} of the direct speed", ratio(detached));
}

/// Private and proportional memory of a process, in KiB (proc_pid_smaps_rollup).
fn memory(pid: u32) -> [u64; 2] {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let sum = |names: &[&str]| {
        let lines = rollup.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    [sum(&["Private_Clean:", "Private_Dirty:"]), sum(&["Pss:"])]
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields = stat.rsplit_once(')').expect("a stat").1;
    fields.split_ascii_whitespace().nth(1).and_then(|parent| parent.parse().ok()).expect("a parent")
}

async fn idlers(pool: &Supervisors, directory: &Path) {
    let own = memory(std::process::id())[0];
    let start = Instant::now();
    let (mut places, mut jobs) = (Vec::new(), Vec::new());
    for _ in 0..IDLE {
        let place = tempfile::tempdir_in(directory).expect("a directory");
        let command = Command { env: login_environment(), ..Command::new(["sleep", "300"]) };
        jobs.push(pool.keep(&keep(place.path(), command)).await.expect("it starts"));
        places.push(place);
    }
    println!("{IDLE} idle jobs, started one after the other in {:?}:", start.elapsed());
    let mean = |pids: Vec<u32>| {
        let total = pids.iter().map(|&pid| memory(pid)).fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        total.map(|sum| sum / IDLE as u64)
    };
    let keepers = mean(jobs.iter().map(|(_, pid)| parent(*pid)).collect());
    let commands = mean(jobs.iter().map(|(_, pid)| *pid).collect());
    let server = (memory(std::process::id())[0] - own) as f64 / IDLE as f64;
    println!("  a keeper   {} KiB private, {} KiB proportional", keepers[0], keepers[1]);
    println!("  its sleep  {} KiB private, {} KiB proportional", commands[0], commands[1]);
    println!("  the server {server:.1} KiB private for each");
    let start = Instant::now();
    drop(jobs);
    let mut found = Vec::new();
    for place in &places {
        match Kept::find(place.path()).await.expect("it is found") {
            Found::Running(kept, _) => found.push(kept),
            other => panic!("{other:?}"),
        }
    }
    println!("  all found again, one after the other, in {:?}", start.elapsed());
    for mut kept in found {
        kept.signal(9).expect("it lives");
        while !matches!(kept.event().await.expect("it goes on"), KeptEvent::Ended(_)) {}
    }
}
