//! How kept commands end before they would by themselves.

use std::time::{Duration, Instant};

use unglue_host::process::{JobError, Keep, KeptEvent, SpawnError};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Exit, Outcome, SpawnStep, TimedOut};
use unglue_proto::{Code, Fault};

use super::super::{command, marked, shell, with_pool};
use super::{Found, directory, ended, find, find_running, keep, pause, start, until};

#[test]
fn signals_reach_the_command() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "trap 'echo usr1; exit 9' USR1; echo ready; while :; do sleep 0.02; done";
        let mut kept = start(&pool, &keep(directory.path(), shell(script))).await;
        until(&mut kept, |progress| progress.stdout > 0).await;
        assert!(matches!(kept.signal(0), Err(JobError::NoSuchSignal { signal: 0 })));
        kept.signal(10).expect("it lives");
        let exit = loop {
            match kept.event().await.expect("it goes on") {
                KeptEvent::Exited(exit) => break exit,
                KeptEvent::Progress(progress) => assert_eq!(progress.exit, None, "the exit comes first"),
                KeptEvent::Ended(report) => panic!("without an exit: {report:?}"),
            }
        };
        assert_eq!(exit, Exit::Exited(9));
        assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(9));
        assert!(matches!(kept.signal(15), Err(JobError::Ended)));

        let directory = self::directory();
        let mut kept = start(&pool, &keep(directory.path(), command(["sleep", "300"]))).await;
        kept.signal(9).expect("it lives");
        assert_eq!(ended(&mut kept).await.outcome, Outcome::Ended(Exit::signalled("SIGKILL", false)));
    });
}

const TREE: &str = "(setsid sleep 300 &); (setsid sh -c 'sleep 300 & sleep 300' &); sleep 0.3; echo; exec sleep 300";

#[test]
fn a_cancelled_command_is_killed_with_its_tree() {
    with_pool(async |pool| {
        let directory = directory();
        let (command, mark) = marked(shell(TREE), "kept-cancel");
        let mut kept = start(&pool, &keep(directory.path(), command)).await;
        until(&mut kept, |progress| progress.stdout > 0).await;
        mark.wait_count(5).await;
        let why = Fault::user(Code::Cancelled, "enough");
        kept.cancel(&why).expect("it lives");
        assert_eq!(ended(&mut kept).await.outcome, Outcome::Cancelled(why));
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn what_a_server_has_sent_counts_though_another_one_replaces_it() {
    with_pool(async |pool| {
        for _ in 0..20 {
            let directory = directory();
            // Its keeper is busy: it finds the message, the end and the other server at the same time, and its own progress was
            // never read.
            let kept = start(&pool, &keep(directory.path(), shell("exec yes"))).await;
            pause(5).await;
            let why = Fault::user(Code::Cancelled, "enough");
            kept.cancel(&why).expect("it lives");
            drop(kept);
            let outcome = match find(directory.path()).await {
                Found::Running(mut kept, _) => ended(&mut kept).await.outcome,
                Found::Finished(report) => report.outcome,
                other => panic!("{other:?}"),
            };
            assert_eq!(outcome, Outcome::Cancelled(why));
        }
    });
}

#[test]
fn a_timeout_kills_the_tree_whether_or_not_a_server_is_there() {
    with_pool(async |pool| {
        let directory = directory();
        let (command, mark) = marked(shell(TREE), "kept-timeout");
        let terms = Terms { timeout: Some(Duration::from_millis(6000)), ..Terms::default() };
        drop(start(&pool, &Keep { terms, ..keep(directory.path(), command) }).await);
        mark.wait_count(5).await;
        super::super::eventually("it timed out", || directory.path().join("outcome").exists()).await;
        mark.wait_gone();
        let Found::Finished(report) = find(directory.path()).await else { panic!("it has ended") };
        assert_eq!(report.outcome, Outcome::TimedOut(TimedOut { after_ms: 6000 }));
    });
}

fn leased(directory: &std::path::Path, milliseconds: u64, mark: &str) -> (Keep, super::super::Mark) {
    let (command, mark) = marked(shell("setsid sleep 300 & sleep 300"), mark);
    (Keep { keep: Some(Duration::from_millis(milliseconds)), ..keep(directory, command) }, mark)
}

#[test]
fn a_command_that_nobody_holds_ends_with_its_lease() {
    with_pool(async |pool| {
        let directory = directory();
        let (keep, mark) = leased(directory.path(), 500, "lease");
        let started = Instant::now();
        let mut kept = start(&pool, &keep).await;
        let report = ended(&mut kept).await;
        assert!(started.elapsed() >= Duration::from_millis(500));
        let Outcome::Cancelled(fault) = report.outcome else { panic!("{:?}", report.outcome) };
        assert!(fault.what.contains("nobody held the command for 0.5 s"), "{fault}");
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn a_lease_counts_from_the_last_holder() {
    with_pool(async |pool| {
        let directory = directory();
        let (keep, mark) = leased(directory.path(), 3000, "holder");
        let kept = start(&pool, &keep).await;
        kept.hold(true).expect("it lives");
        pause(3300).await;
        assert!(!mark.alive().is_empty(), "it is held");
        let (next, _) = find_running(directory.path()).await;
        next.hold(true).expect("it lives");
        // The connection's end is that of its own hold.
        drop(kept);
        let kept = next;
        pause(3300).await;
        assert!(!mark.alive().is_empty(), "it is held again");
        let let_go = Instant::now();
        kept.hold(false).expect("it lives");
        kept.hold(false).expect("it lives");
        let mut kept = kept;
        ended(&mut kept).await;
        let after = let_go.elapsed();
        assert!(after >= Duration::from_millis(3000), "{after:?}");
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn a_command_that_does_not_start_is_reported_now_and_later() {
    with_pool(async |pool| {
        let directory = directory();
        let error = pool.keep(&keep(directory.path(), command(["/no/such/program"]))).await.expect_err("there is none");
        assert!(matches!(&error, SpawnError::Program { errno: libc::ENOENT, .. }), "{error}");
        let Found::Finished(report) = find(directory.path()).await else { panic!("it is known") };
        assert_eq!(report.outcome, error.outcome());
        assert!(matches!(&report.outcome, Outcome::SpawnFailed(failed) if failed.step == SpawnStep::Program));

        let directory = self::directory();
        let mut keep = keep(directory.path(), command(["true"]));
        keep.command.cwd = "/no/such/directory".into();
        let error = pool.keep(&keep).await.expect_err("there is none");
        assert!(matches!(&error, SpawnError::Cwd { errno: libc::ENOENT, .. }), "{error}");
        assert!(matches!(find(directory.path()).await, Found::Finished(report) if report.outcome == error.outcome()));

        keep.command.cwd = "/".into();
        let error = pool.keep(&keep).await.expect_err("the directory was used");
        assert!(matches!(&error, SpawnError::System { .. }) && error.errno() == Some(libc::EEXIST), "{error}");
        keep.directory = directory.path().join("none");
        let error = pool.keep(&keep).await.expect_err("there is no directory");
        assert_eq!(error.errno(), Some(libc::ENOENT));
        assert!(error.to_string().contains("preparing the job's directory"), "{error}");
    });
}

#[test]
fn a_start_that_is_no_longer_waited_for_is_undone() {
    with_pool(async |pool| {
        for polls in 1..6 {
            let directory = directory();
            let (command, mark) = marked(command(["sleep", "300"]), "undone");
            let keep = keep(directory.path(), command);
            {
                let mut starting = std::pin::pin!(pool.keep(&keep));
                for _ in 0..polls {
                    let poll = std::future::poll_fn(|context| {
                        std::task::Poll::Ready(starting.as_mut().poll(context).is_ready())
                    });
                    if poll.await {
                        break;
                    }
                    if polls > 3 {
                        pause(5).await;
                    }
                }
            }
            pause(100).await;
            // It was started and killed, or never asked for; or it had been started, and was let go.
            match find(directory.path()).await {
                Found::Finished(report) => assert!(matches!(report.outcome, Outcome::Cancelled(_)), "{report:?}"),
                Found::NeverStarted => {}
                // Unless it is being killed just now.
                Found::Running(kept, _) => drop(kept.cancel(&Fault::user(Code::Cancelled, "test"))),
                Found::Lost => panic!("its keeper was not killed"),
            }
            mark.wait_gone();
        }
    });
}

/// A server decides that a job never starts while the keeper that an earlier one asked for is still making its files, and removes the
/// directory as the registry does: its name first.
#[test]
fn what_never_starts_does_not_start_while_its_directory_is_removed() {
    with_pool(async |pool| {
        // How long a keeper takes differs between machines: the decision is looked for where it goes either way.
        let mut delay = Duration::from_micros(100);
        let (began, mut ruled_out) = (Instant::now(), 0);
        for turn in 0..400 {
            if began.elapsed() > Duration::from_secs(20) {
                break;
            }
            let jobs = directory();
            let (path, gone, ran) = (jobs.path().join("7"), jobs.path().join("7.gone"), jobs.path().join("ran"));
            std::fs::create_dir(&path).expect("made");
            let keep = keep(&path, command(["touch", ran.to_str().expect("UTF-8")]));
            let decision = async {
                // A timer counts in milliseconds.
                let begun = Instant::now();
                while begun.elapsed() < delay {
                    tokio::task::yield_now().await;
                }
                let never = matches!(find(&path).await, Found::NeverStarted);
                if never {
                    std::fs::rename(&path, &gone).expect("renamed");
                    let _ = std::fs::remove_dir_all(&gone);
                }
                never
            };
            let (kept, never) = tokio::join!(pool.keep(&keep), decision);
            delay = if never { delay * 11 / 10 } else { delay * 9 / 10 };
            if never {
                ruled_out += 1;
                assert!(kept.is_err(), "it started after {turn} turns");
                pause(10).await;
                assert!(!ran.exists(), "it ran after {turn} turns");
            }
        }
        assert!(ruled_out > 0, "the delay was not found");
    });
}
