//! Keepers and servers that are killed at each system call of a job (`strace --inject`).

use std::path::Path;
use std::process::Command;

use unglue_host::process::{Limits, SupervisorCommand, Supervisors};
use unglue_proto::message::exec::Outcome;

use super::super::{eventually, pool_with, shell};
use super::{Found, checked_stdout, ended, find, keep, spool};

fn has_strace() -> bool {
    let found =
        Command::new("strace").args(["-e", "trace=none", "-e", "inject=kexec_load:signal=KILL", "true"]).output();
    let works = found.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: there is no `strace` that may trace and inject signals");
    }
    works
}

/// What became of a job, and how often its command was started.
async fn became(directory: &Path) -> (Found, usize) {
    let found = find(directory).await;
    let starts = std::fs::read_to_string(directory.join("starts")).unwrap_or_default();
    (found, starts.lines().count())
}

fn traced(call: &str, when: usize) -> SupervisorCommand {
    // Only what is traced is injected.
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={when}"));
    let arguments = ["-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let strace = arguments.iter().fold(SupervisorCommand::new("strace"), |strace, argument| strace.arg(argument));
    let test = ["/proc/self/exe", "process::supervisor", "--exact", "--nocapture", "--test-threads=1"];
    let program = std::env::current_exe().expect("it has a path");
    test.iter().enumerate().fold(strace.env("UNGLUE_SUPERVISE", "1"), |command, (index, argument)| match index {
        0 => command.arg(&program),
        _ => command.arg(argument),
    })
}

/// Where a keeper stands when a call kills it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// It has not started the command.
    Before,
    /// The command may have run.
    Between,
    /// The outcome is in its place.
    After,
}

/// Calls that a keeper makes, and neither the spawner nor the command, in their order. `pwrite64` fills the room for the outcome,
/// then notes in the claim that the job waits and that it starts, then stores what the command prints.
const CALLS: &[(&str, &[Stage])] = &[
    ("pwrite64", &[Stage::Before, Stage::Before, Stage::Before, Stage::Between, Stage::Between]),
    ("flock", &[Stage::Before]),
    ("renameat2", &[Stage::Before]),
    ("bind", &[Stage::Before]),
    ("listen", &[Stage::Before]),
    ("pipe2", &[Stage::Before, Stage::Before]),
    ("ftruncate", &[Stage::Between]),
    ("renameat", &[Stage::Between]),
    ("unlinkat", &[Stage::After]),
];

#[test]
fn a_keeper_that_is_killed_at_a_call_leaves_what_is_known() {
    if !has_strace() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    for (call, stages) in CALLS {
        for (index, stage) in stages.iter().enumerate() {
            let when = index + 1;
            runtime.block_on(async {
                let limits = Limits { warm: 0, ..Limits::default() };
                let pool = Supervisors::new(traced(call, when), limits).expect("it starts");
                let directory = super::directory();
                let script = format!("echo >> {}/starts; echo hi", directory.path().display());
                // It may be known, or not, that it started.
                let started = pool.keep(&keep(directory.path(), shell(&script))).await;
                if let Ok((mut kept, _)) = started {
                    while kept
                        .event()
                        .await
                        .is_ok_and(|event| !matches!(event, unglue_host::process::KeptEvent::Ended(_)))
                    {
                    }
                }
                let (found, starts) = became(directory.path()).await;
                let case = format!("killed at {call} {when} ({stage:?}): {found:?}, {starts} starts");
                match stage {
                    Stage::Before => assert!(matches!(found, Found::NeverStarted), "{case}"),
                    Stage::Between => assert!(matches!(found, Found::Lost), "{case}"),
                    Stage::After => assert!(matches!(found, Found::Finished(_)), "{case}"),
                }
                match &found {
                    Found::NeverStarted => assert_eq!(starts, 0, "{case}"),
                    Found::Finished(report) => {
                        assert_eq!((&report.outcome, starts), (&Outcome::exited(0), 1), "{case}");
                        assert_eq!(spool(directory.path(), "stdout"), b"hi\n", "{case}");
                    }
                    _ => assert!(starts <= 1, "{case}"),
                }
                eprintln!("{case}");
            });
        }
    }
}

const DIRECTORY: &str = "UNGLUE_TEST_KILLED_SERVER";

/// Not a test of its own: a server that starts one command.
#[test]
fn server() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let pool = pool_with(Limits::default());
        let script = format!("echo >> {}/starts; sleep 0.1; echo hi", directory.display());
        let (mut kept, _) = pool.keep(&keep(directory, shell(&script))).await.expect("it starts");
        kept.hold(true).expect("it lives");
        ended(&mut kept).await;
    });
}

#[test]
fn a_server_that_is_killed_at_any_call_leaves_a_command_that_runs_once_or_never() {
    if !has_strace() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let mut found = [0; 2];
    for (call, most) in [("socketpair", 6), ("sendmsg", 8), ("recvmsg", 6), ("epoll_wait", 8), ("ioctl", 6)] {
        for when in 1..=most {
            let directory = super::directory();
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={when}"));
            let status = Command::new("strace")
                .args(["-f", "-b", "execve", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
                .arg(std::env::current_exe().expect("it has a path"))
                .args(["process::keep::killed::server", "--exact", "--nocapture", "--test-threads=1"])
                .env(DIRECTORY, directory.path())
                .output()
                .expect("it runs")
                .status;
            runtime.block_on(async {
                let (became, _) = became(directory.path()).await;
                let report = match became {
                    Found::Running(mut kept, _) => ended(&mut kept).await,
                    Found::Finished(report) => *report,
                    Found::NeverStarted => {
                        found[0] += 1;
                        assert!(!directory.path().join("starts").exists(), "{call} {when}");
                        return;
                    }
                    Found::Lost => panic!("{call} {when}: its keeper was not killed ({status})"),
                };
                found[1] += 1;
                assert_eq!(report.outcome, Outcome::exited(0), "{call} {when}");
                checked_stdout(&report, directory.path());
                assert_eq!(std::fs::read(directory.path().join("starts")).expect("it ran"), b"\n", "{call} {when}");
                eventually("its socket is gone", || !directory.path().join("socket").exists()).await;
            });
        }
    }
    eprintln!("never started {}, ran once {}", found[0], found[1]);
    assert!(found.iter().all(|&count| count > 3), "{found:?}");
}
