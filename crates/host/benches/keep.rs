//! What a keeper costs: a command that prints a gigabyte into its spool, against the direct path (the same pipe and digest, and a
//! reader that drops the bytes); and a thousand idle jobs.
//!
//! `cargo bench -p unglue-host --bench keep [-- DIRECTORY [ROUNDS [IDLE]]]`. Both kinds alternate in one run; medians are told. The
//! spools lie in DIRECTORY (the temporary directory). IDLE is the number of idle jobs (1000).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use unglue_host::process::{
    Command, Descendants, Found, Keep, Kept, KeptEvent, LastCall, Limits, OutputPump, OutputSink, SinkClosed,
    SpoolLimit, SupervisorCommand, Supervisors, login_environment, supervise_main,
};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Outcome, StreamEnd};

const GIBIBYTE: u64 = 1 << 30;
const STARTS: usize = 200;
/// Should this program die, its jobs end after so long.
const LEASE: Duration = Duration::from_secs(30);

fn main() {
    if std::env::args().nth(1).is_some_and(|argument| argument == "__supervise") {
        supervise_main();
    }
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut number = || arguments.next().and_then(|number| number.parse().ok());
    let (rounds, idle) = (number().unwrap_or(5), number().unwrap_or(1000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let pool = Supervisors::new(SupervisorCommand::current_exe(), Limits::default()).expect("supervisors start");
        if rounds > 0 {
            starts(&pool, &directory).await;
            printers(&pool, &directory, rounds).await;
        }
        if idle > 0 {
            idlers(&pool, &directory, idle).await;
        }
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
        keep: Some(LEASE),
        durable: false,
        spool: SpoolLimit::Stall(2 * GIBIBYTE),
    }
}

/// Seconds of processor time that a process has used, in user mode and in the kernel.
fn processor_time(pid: u32) -> Option<[f64; 2]> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).flat_map(str::parse::<f64>);
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some([fields.next()? / ticks, fields.next()? / ticks])
}

async fn kept(pool: &Supervisors, directory: &Path, detached: bool) -> (Duration, [f64; 2]) {
    let place = tempfile::tempdir_in(directory).expect("a directory");
    let start = Instant::now();
    let (mut kept, pid) = pool.keep(&keep(place.path(), printer())).await.expect("it starts");
    let keeper = parent(pid);
    let mut used = [0.0; 2];
    if detached {
        while !place.path().join("outcome").exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            used = processor_time(keeper).unwrap_or(used);
        }
    }
    loop {
        let event = kept.event().await.expect("it goes on");
        used = processor_time(keeper).unwrap_or(used);
        if let KeptEvent::Ended(report) = event {
            assert_eq!(report.outcome, Outcome::exited(0));
            assert_eq!(report.stdout.expect("it ran").tally.bytes, GIBIBYTE);
            return (start.elapsed(), used);
        }
    }
}

/// From the request to the process id.
async fn starts(pool: &Supervisors, directory: &Path) {
    let command = || Command { env: login_environment(), ..Command::new(["true"]) };
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        let start = Instant::now();
        let (mut job, pipes) = pool.spawn(&command()).await.expect("it starts");
        times[0].push(start.elapsed());
        job.exited().await.expect("it ends");
        job.end_tree(Descendants::Kill).await.expect("nothing is left");
        drop(pipes);
        for durable in [false, true] {
            let place = tempfile::tempdir_in(directory).expect("a directory");
            let start = Instant::now();
            let (mut kept, _) = pool.keep(&Keep { durable, ..keep(place.path(), command()) }).await.expect("it starts");
            times[1 + usize::from(durable)].push(start.elapsed());
            while !matches!(kept.event().await.expect("it goes on"), KeptEvent::Ended(_)) {}
        }
    }
    let [spawned, kept, durable] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("a start, {STARTS} of each: {spawned:?}, with a keeper {kept:?}, with a durable one {durable:?}");
}

async fn printers(pool: &Supervisors, directory: &Path, rounds: usize) {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut used = [0.0; 2];
    for _ in 0..rounds {
        times[0].push(direct(pool).await);
        times[1].push(kept(pool, directory, false).await.0);
        let (time, keepers) = kept(pool, directory, true).await;
        times[2].push(time);
        used = [0, 1].map(|mode| used[mode] + keepers[mode] / rounds as f64);
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
    println!("  its keeper's processor time           {:.2} s user, {:.2} s system (means)", used[0], used[1]);
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

async fn idlers(pool: &Supervisors, directory: &Path, idle: usize) {
    let own = memory(std::process::id())[0];
    let start = Instant::now();
    let (mut places, mut jobs) = (Vec::new(), Vec::new());
    for _ in 0..idle {
        let place = tempfile::tempdir_in(directory).expect("a directory");
        let command = Command { env: login_environment(), ..Command::new(["sleep", "300"]) };
        let job = pool.keep(&keep(place.path(), command)).await.expect("it starts");
        job.0.hold(true).expect("it lives");
        jobs.push(job);
        places.push(place);
    }
    println!("{idle} idle jobs, started one after the other in {:?}:", start.elapsed());
    let mean = |pids: Vec<u32>| {
        let total = pids.iter().map(|&pid| memory(pid)).fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        total.map(|sum| sum / idle as u64)
    };
    let keepers = mean(jobs.iter().map(|(_, pid)| parent(*pid)).collect());
    let commands = mean(jobs.iter().map(|(_, pid)| *pid).collect());
    let server = (memory(std::process::id())[0] as f64 - own as f64) / idle as f64;
    println!("  a keeper   {} KiB private, {} KiB proportional", keepers[0], keepers[1]);
    println!("  its sleep  {} KiB private, {} KiB proportional", commands[0], commands[1]);
    println!("  the server {server:.1} KiB private for each");
    let start = Instant::now();
    drop(jobs);
    let mut found = Vec::new();
    for place in &places {
        match Kept::find(place.path()).await.expect("it is found") {
            Found::Running(kept, _) => {
                kept.hold(true).expect("it lives");
                found.push(kept);
            }
            other => panic!("{other:?}"),
        }
    }
    println!("  all found again, one after the other, in {:?}", start.elapsed());
    for mut kept in found {
        kept.signal(9).expect("it lives");
        while !matches!(kept.event().await.expect("it goes on"), KeptEvent::Ended(_)) {}
    }
}
