//! Many commands at once, and what the pool of supervisors does then.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use unglue_host::process::{Limits, SupervisorCommand, Supervisors};

use super::{children, code, command, eventually, kill, parent, run, shell, stat, with_limits, with_pool};

/// Runs `script` so many times at once; `$0` is the number. Returns what each printed.
async fn at_once(pool: &Supervisors, count: usize, script: &str) -> Vec<String> {
    let jobs: Vec<_> = (0..count)
        .map(|number| {
            let pool = pool.clone();
            let command = command(["sh".into(), "-c".into(), script.to_owned(), number.to_string()]);
            tokio::spawn(async move { run(&pool, &command).await.text() })
        })
        .collect();
    let mut printed = Vec::new();
    for job in jobs {
        printed.push(job.await.expect("it doesn't panic"));
    }
    printed
}

/// The spawner's process: the parent of a supervisor.
async fn spawner(pool: &Supervisors) -> i32 {
    let (job, _pipes) = pool.spawn(&command(["sleep", "30"])).await.expect("it starts");
    parent(parent(job.pid() as i32))
}

#[test]
fn a_thousand_short_commands_share_a_few_supervisors() {
    with_pool(async |pool| {
        let printed = at_once(&pool, 1000, "echo $PPID $0").await;
        let mut supervisors = HashSet::new();
        for (number, line) in printed.iter().enumerate() {
            let (supervisor, echoed) = line.trim().split_once(' ').expect("two words");
            assert_eq!(echoed, number.to_string(), "none is mixed up");
            supervisors.insert(supervisor.to_owned());
        }
        let cores = std::thread::available_parallelism().expect("a number").get();
        assert!(supervisors.len() < 100.max(8 * cores), "{} supervisors", supervisors.len());
    });
}

#[test]
fn long_commands_run_side_by_side() {
    with_pool(async |pool| {
        let start = Instant::now();
        at_once(&pool, 100, "sleep 3").await;
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}: one after the other it takes 300 s", start.elapsed());
    });
}

#[test]
fn beyond_the_limit_commands_wait_in_order() {
    with_limits(Limits { most: 1, ..Limits::default() }, async |pool| {
        let start = Instant::now();
        let printed = at_once(&pool, 3, "sleep 0.2; date +%s%N").await;
        assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
        let times: Vec<u128> = printed.iter().map(|line| line.trim().parse().expect("a time")).collect();
        assert!(times.is_sorted(), "{times:?}");
    });
}

#[test]
fn a_caller_that_stops_waiting_takes_no_turn() {
    with_limits(Limits { most: 1, ..Limits::default() }, async |pool| {
        let (job, _pipes) = pool.spawn(&command(["sleep", "300"])).await.expect("it starts");
        let brief = Duration::from_millis(50);
        tokio::time::timeout(brief, run(&pool, &shell("exit 1"))).await.expect_err("it has to wait");
        drop(job);
        assert_eq!(run(&pool, &shell("exit 2")).await.exit.status, code(2));
    });
}

#[test]
fn idle_supervisors_end_but_for_the_warm_ones() {
    let limits = Limits { warm: 1, idle: Duration::from_millis(200), ..Limits::default() };
    with_limits(limits, async |pool| {
        let spawner = spawner(&pool).await;
        let directory = tempfile::tempdir().expect("a directory");
        let go = directory.path().join("go");
        let script = format!("while [ ! -e '{}' ]; do sleep 0.02; done", go.display());
        let watched = async {
            eventually("they live", || children(spawner).len() > 10).await;
            std::fs::write(&go, "").expect("written");
        };
        tokio::join!(at_once(&pool, 20, &script), watched);
        eventually("one is left", || children(spawner).len() == 1).await;
        assert_eq!(run(&pool, &shell("exit 3")).await.exit.status, code(3));
    });
}

#[test]
fn nothing_remains_of_a_pool() {
    let mut last = 0;
    with_pool(async |pool| {
        last = spawner(&pool).await;
        at_once(&pool, 5, "true").await;
        drop(pool);
        eventually("its processes have gone, and none is a zombie", || stat(last).is_none()).await;
    });
}

#[test]
fn supervisors_that_somebody_killed_are_replaced() {
    with_limits(Limits { warm: 8, ..Limits::default() }, async |pool| {
        let spawner = spawner(&pool).await;
        eventually("the others are ready", || children(spawner).len() == 7).await;
        for (pid, _) in children(spawner) {
            kill(pid);
        }
        eventually("they are dead", || children(spawner).is_empty()).await;
        assert_eq!(run(&pool, &shell("exit 4")).await.exit.status, code(4));
    });
}

#[test]
fn a_program_that_makes_no_supervisors_is_reported() {
    with_pool(async |_| {
        for program in ["/bin/true", "/bin/cat"] {
            let pool = Supervisors::new(SupervisorCommand::new(program), Limits::default()).expect("it starts");
            let error = pool.spawn(&command(["true"])).await.expect_err("nobody runs it");
            assert!(error.to_string().contains("supervise_main"), "{error}");
        }
        let missing = Supervisors::new(SupervisorCommand::new("/no/such/program"), Limits::default());
        assert_eq!(missing.expect_err("it can't start").kind(), std::io::ErrorKind::NotFound);
    });
}
