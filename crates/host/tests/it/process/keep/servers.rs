//! Servers that are killed, at whatever they are just doing.

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use unglue_host::process::{KeptEvent, Limits, Supervisors};
use unglue_proto::message::exec::Outcome;

use super::super::{Mark, eventually, pool_with, shell};
use super::{Found, checked_stdout, ended, find, find_running, keep, pause, spool};

const DIRECTORY: &str = "UNGLUE_TEST_KEEP_SERVER";
/// Commands that a server starts one after the other.
const COMMANDS: usize = 30;

/// Not a test of its own: a server that starts commands until it is killed.
#[test]
fn server() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let pool = pool_with(Limits::default());
        println!("begin");
        for number in 0..COMMANDS {
            start_one(&pool, directory, number).await;
        }
        println!("end");
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

async fn start_one(pool: &Supervisors, directory: &Path, number: usize) {
    let place = directory.join(number.to_string());
    std::fs::create_dir(&place).expect("it is made");
    let script = format!("echo {number} >> {}/starts; echo {number}", directory.display());
    drop(pool.keep(&keep(&place, shell(&script))).await.expect("it starts"));
}

/// Starts a server, and waits until it prints this line.
fn start_server(directory: &Path, part: &str, line: &str) -> Child {
    let mut server = Command::new("/proc/self/exe")
        .args([&format!("process::keep::servers::{part}"), "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = std::io::BufReader::new(server.stdout.take().expect("it is piped")).lines();
    assert!(lines.any(|found| found.is_ok_and(|found| found.ends_with(line))), "it prints {line:?}");
    // Nothing more is read: what it prints then is lost.
    server
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

#[test]
fn whenever_a_server_is_killed_each_command_runs_once_or_never_and_that_is_known() {
    let (mut found, mut round) = ([0; 3], 0);
    // On a busy machine no command ends within the first fifteen steps.
    while round < 15 || (found[2] == 0 && round < 60) {
        let directory = super::directory();
        let mut server = start_server(directory.path(), "server", "begin");
        // From the first command to the last, in steps of their own length.
        std::thread::sleep(Duration::from_micros(round * 3_700));
        round += 1;
        server.kill().expect("it is ours");
        server.wait().expect("it was killed");
        runtime().block_on(async {
            for number in 0..COMMANDS {
                let place = directory.path().join(number.to_string());
                let report = match find(&place).await {
                    Found::NeverStarted => {
                        found[0] += 1;
                        None
                    }
                    Found::Running(mut kept, _) => {
                        found[1] += 1;
                        Some(ended(&mut kept).await)
                    }
                    Found::Finished(report) => {
                        found[2] += 1;
                        Some(*report)
                    }
                    Found::Lost => panic!("round {round}: the keeper of {number} was not killed"),
                };
                let starts = std::fs::read_to_string(directory.path().join("starts")).unwrap_or_default();
                let count = starts.lines().filter(|line| *line == number.to_string()).count();
                assert_eq!(count, usize::from(report.is_some()), "round {round}, command {number}");
                if let Some(report) = report {
                    assert_eq!(report.outcome, Outcome::exited(0));
                    checked_stdout(&report, &place);
                    assert_eq!(spool(&place, "stdout"), format!("{number}\n").as_bytes());
                }
            }
        });
    }
    eprintln!("never started {}, running {}, finished {}", found[0], found[1], found[2]);
    assert!(found[2] > 0, "{found:?}");
}

/// Not a test of its own: a server that holds two commands.
#[test]
fn holder() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    runtime().block_on(async {
        let pool = pool_with(Limits::default());
        let mut kept = Vec::new();
        for (name, time) in [("detached", Some(Duration::from_secs(60))), ("leased", Some(Duration::from_millis(1500)))]
        {
            let place = directory.join(name);
            std::fs::create_dir(&place).expect("it is made");
            let mut command =
                shell("setsid sleep 300 & echo started; while [ ! -e go ]; do sleep 0.02; done; echo over");
            command.cwd = place.clone();
            command.env.push(("UNGLUE_TEST_MARK".into(), format!("{}-{name}", directory.display()).into()));
            let held = super::start(&pool, &unglue_host::process::Keep { keep: time, ..keep(&place, command) }).await;
            held.hold(true).expect("it lives");
            kept.push(held);
        }
        println!("held");
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

#[test]
fn a_killed_server_ends_no_job_but_those_whose_lease_ends() {
    let directory = super::directory();
    let mark = |name: &str| Mark(format!("{}-{name}", directory.path().display()));
    let (detached, leased) = (mark("detached"), mark("leased"));
    let mut server = start_server(directory.path(), "holder", "held");
    runtime().block_on(async {
        pause(2000).await;
        assert!(!leased.alive().is_empty(), "it is held");
        let killed = Instant::now();
        server.kill().expect("it is ours");
        server.wait().expect("it was killed");
        eventually("its lease has ended", || leased.alive().is_empty()).await;
        assert!(killed.elapsed() >= Duration::from_millis(1500), "{:?}", killed.elapsed());
        // Its keeper may be about to write that down.
        let report = match find(&directory.path().join("leased")).await {
            Found::Running(mut kept, _) => ended(&mut kept).await,
            Found::Finished(report) => *report,
            Found::NeverStarted | Found::Lost => panic!("it has ended"),
        };
        assert!(matches!(report.outcome, Outcome::Cancelled(_)), "{report:?}");

        assert!(!detached.alive().is_empty());
        let place = directory.path().join("detached");
        let (mut kept, progress) = find_running(&place).await;
        assert_eq!(progress.stdout, 8);
        std::fs::write(place.join("go"), "").expect("it is written");
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(0));
        assert_eq!(spool(&place, "stdout"), b"started\nover\n");
        detached.wait_gone();
    });
}

/// The pages that only this process has, in KiB.
fn private_memory(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it lives");
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

#[test]
fn many_jobs_outlive_a_server_and_cost_little() {
    const JOBS: usize = 50;
    let outer = super::directory();
    let place = |number: usize| outer.path().join(number.to_string());
    super::with_pool(async |pool| {
        // More than this pool runs at once: a kept job takes no place in it.
        let few = Supervisors::new(
            unglue_host::process::SupervisorCommand::from_test("process::supervisor"),
            Limits { most: 2, ..Limits::default() },
        )
        .expect("it starts");
        drop(pool);
        for number in 0..JOBS {
            std::fs::create_dir(place(number)).expect("it is made");
            let command =
                unglue_host::process::Command { stdin: true, ..shell(&format!("read line; echo $line {number}")) };
            drop(few.keep(&keep(&place(number), command)).await.expect("it starts"));
        }
        drop(few);
        let mut all = Vec::new();
        for number in 0..JOBS {
            let (kept, progress) = find_running(&place(number)).await;
            let memory = private_memory(super::parent(progress.pid as i32));
            assert!(memory < 1024, "{memory} KiB");
            kept.feed(0, b"job\n").expect("it lives");
            all.push(kept);
        }
        for (number, kept) in all.iter_mut().enumerate() {
            assert_eq!(ended(kept).await.outcome, Outcome::exited(0));
            assert_eq!(spool(&place(number), "stdout"), format!("job {number}\n").as_bytes());
        }
    });
}

#[test]
fn waiting_for_an_event_can_be_broken_off_at_any_time() {
    super::with_pool(async |pool| {
        let directory = super::directory();
        let script = "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); done; exit 8";
        let mut kept = super::start(&pool, &keep(directory.path(), shell(script))).await;
        let (mut printed, mut exits) = (0, 0);
        let report = loop {
            // One poll, and then it is dropped.
            let event = {
                let mut waiting = std::pin::pin!(kept.event());
                std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context))).await
            };
            match event {
                std::task::Poll::Pending => tokio::time::sleep(Duration::from_micros(300)).await,
                std::task::Poll::Ready(event) => match event.expect("it goes on") {
                    KeptEvent::Progress(progress) => {
                        assert!(progress.stdout >= printed);
                        printed = progress.stdout;
                    }
                    KeptEvent::Exited(_) => exits += 1,
                    KeptEvent::Ended(report) => break report,
                },
            }
        };
        assert_eq!((report.outcome.clone(), exits), (Outcome::exited(8), 1));
        checked_stdout(&report, directory.path());
    });
}
