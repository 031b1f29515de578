//! What the journal costs: `cargo bench -p unglue-jobs [DIRECTORY]`. The directory's file system matters; by default it is the
//! temporary one. Figures are printed, nothing is compared.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use unglue_jobs::{Index, Journal, Record, Retention};
use unglue_proto::Octets;
use unglue_proto::message::exec::{Lease, Left, Outcome, Report, StreamEnd, StreamReport};
use unglue_proto::message::{Tally, Time};

/// As many as are remembered.
const JOBS: u64 = 65_536;
/// So many callers sync at once.
const CALLERS: usize = 1000;
const ROUNDS: usize = 10;

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came; only a counter is added.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract, and `alloc` got the pointer from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn time(n: u64) -> Time {
    Time { seconds: 1_790_000_000 + n as i64, nanoseconds: 123_456_789 }
}

fn id(n: u64) -> String {
    format!("019a{:04x}-{:04x}-7{:03x}-8123-{n:012x}", n >> 16, n & 0xffff, n & 0xfff)
}

/// The three records of a job.
fn job(n: u64) -> [Record; 3] {
    let (user, id) = ("build".to_owned(), id(n));
    let stream =
        |bytes| StreamReport { tally: Tally { bytes, blake3: "0123456789abcdef".repeat(4) }, end: StreamEnd::Eof };
    let report = Report {
        stdout: Some(stream(10_000 + n)),
        stderr: Some(stream(0)),
        descendants: Some(Left::None),
        wall_us: 12_345,
        ..Report::of(Outcome::exited(0))
    };
    [
        Record::Begun {
            user: user.clone(),
            id: id.clone(),
            digest: [n as u8; 32],
            time: time(n),
            key: None,
            name: None,
            command: ["cargo", "test", "--workspace", "--release"].map(Octets::from).to_vec(),
            job: Some(n),
            lease: Lease::default(),
        },
        Record::Started { user: user.clone(), id: id.clone(), pid: 4242, time: time(n) },
        Record::Ended { user, id, time: time(n), report: Box::new(report) },
    ]
}

/// The processor time of this thread.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds of processor time for each of `count` things.
fn each(count: u64, work: impl FnOnce()) -> f64 {
    let before = processor();
    work();
    (processor() - before).as_nanos() as f64 / count as f64
}

fn open(directory: &Path) -> (Journal, Index) {
    Journal::open(directory, Retention::default()).expect("the directory can be written")
}

fn append(directory: &Path) -> u64 {
    let (journal, mut index) = open(directory);
    let jobs: Vec<_> = (0..JOBS).map(job).collect();
    let mut best = [f64::MAX; 3];
    for jobs in jobs.chunks(4096) {
        for (kind, best) in best.iter_mut().enumerate() {
            let ns = each(jobs.len() as u64, || {
                for records in jobs {
                    journal.append(&records[kind]).expect("there is room");
                }
            });
            *best = best.min(ns);
        }
    }
    let [begun, started, ended] = best.map(|ns| ns / 1000.0);
    println!(
        "append, processor time: begun {begun:.2} µs, started {started:.2} µs, ended {ended:.2} µs (best of 16 × 4,096)"
    );
    let ns = each(3 * JOBS, || jobs.iter().flatten().for_each(|record| index.apply(record)));
    println!("apply to the index: {:.2} µs", ns / 1000.0);
    let ns = each(JOBS, || (0..JOBS).for_each(|n| assert!(black_box(&index).find("build", &id(n)).is_some())));
    println!("find a job (with making its id): {:.2} µs", ns / 1000.0);
    let ns = each(JOBS, || (0..JOBS).for_each(|n| assert!(!black_box(&index).is_forgotten("build", &id(n + JOBS)))));
    println!("a new id is not forgotten (with making it): {:.2} µs", ns / 1000.0);
    std::fs::metadata(directory.join("journal")).expect("it is there").len()
}

fn reopen(directory: &Path, length: u64) {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let (cpu, wall) = (processor(), Instant::now());
    let (journal, index) = open(directory);
    let (cpu, wall) = (processor() - cpu, wall.elapsed());
    let memory = ALLOCATED.load(Ordering::Relaxed) - before;
    println!(
        "open with {} jobs, {:.1} MB: {:.0} ms, of which processor time {:.0} ms; {} bytes of memory for each job",
        index.len(),
        length as f64 / 1e6,
        wall.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e3,
        memory / index.len(),
    );
    drop(journal);
}

/// As many forgotten ids as are kept.
fn forgotten(directory: &Path) {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut index = Index::new(Retention::default());
    let count = Retention::default().forgotten as u64;
    let ns = each(count, || {
        for n in 0..count {
            index.apply(&Record::Forgotten { user: "build".into(), id: id(n), time: time(0) });
        }
    });
    let memory = (ALLOCATED.load(Ordering::Relaxed) - before) as u64;
    println!("forget {count} ids: {:.2} µs each; {} bytes of memory for each", ns / 1000.0, memory / count);
    assert!(index.is_forgotten("build", &id(count / 2)));
    drop(index);
    let (journal, _) = open(directory);
    for n in 0..count {
        let record = Record::Forgotten { user: "build".into(), id: id(n), time: time(0) };
        journal.append(&record).expect("there is room");
    }
    journal.close().expect("it can be synced");
    // This one compacts the file, the next one reads the short one.
    drop(open(directory));
    let length = std::fs::metadata(directory.join("journal")).expect("it is there").len();
    let cpu = processor();
    drop(open(directory));
    let cpu = (processor() - cpu).as_secs_f64() * 1e3;
    println!("open with {count} forgotten ids, {:.1} MB: processor time {cpu:.0} ms", length as f64 / 1e6);
}

fn sync(directory: &Path) {
    let (journal, _) = open(directory);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let record = &job(0)[1];
    let wall = Instant::now();
    for _ in 0..ROUNDS {
        journal.append(record).expect("there is room");
        runtime.block_on(journal.sync()).expect("it can be synced");
    }
    let one = wall.elapsed() / ROUNDS as u32;
    let before = journal.syncs();
    let wall = Instant::now();
    for _ in 0..ROUNDS {
        runtime.block_on(async {
            let mut callers = tokio::task::JoinSet::new();
            for _ in 0..CALLERS {
                let (journal, record) = (journal.clone(), record.clone());
                callers.spawn(async move {
                    journal.append(&record).expect("there is room");
                    journal.sync().await.expect("it can be synced");
                });
            }
            callers.join_all().await;
        });
    }
    let (all, calls) = (wall.elapsed() / ROUNDS as u32, journal.syncs() - before);
    println!(
        "sync: one caller {:.2} ms; {CALLERS} callers at once {:.2} ms with {:.1} calls of fdatasync (means of {ROUNDS})",
        one.as_secs_f64() * 1e3,
        all.as_secs_f64() * 1e3,
        calls as f64 / ROUNDS as f64,
    );
}

fn main() {
    let base = std::env::args_os().skip(1).find(|argument| !argument.to_string_lossy().starts_with("--"));
    let base = base.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(&base).expect("a directory");
    let length = append(directory.path());
    reopen(directory.path(), length);
    reopen(directory.path(), length);
    sync(directory.path());
    forgotten(tempfile::tempdir_in(&base).expect("a directory").path());
}
