//! What another server finds of a kept command, in each state that it may be in.

use std::fs;
use std::time::Duration;

use unglue_host::process::{Command, JobError, KeptEvent};
use unglue_proto::message::exec::{Exit, Outcome};

use super::super::{command, eventually, kill, marked, parent, shell, stat, with_pool};
use super::{Found, directory, ended, find, find_running, keep, pause, spool, start, until};

#[test]
fn what_has_not_started_never_starts() {
    with_pool(async |pool| {
        let directory = directory();
        assert!(matches!(find(directory.path()).await, Found::NeverStarted));
        assert!(matches!(find(directory.path()).await, Found::NeverStarted), "and so it stays");
        // A keeper that was slow comes too late.
        let mark = directory.path().join("ran");
        let script = format!("echo ran > {}", mark.display());
        let error = pool.keep(&keep(directory.path(), shell(&script))).await.expect_err("it is claimed");
        assert_eq!(error.errno(), Some(libc::EEXIST), "{error}");
        assert!(!error.is_unknown());
        pause(50).await;
        assert!(!mark.exists());
        assert!(matches!(find(directory.path()).await, Found::NeverStarted));
        assert!(matches!(find(&directory.path().join("none")).await, Found::NeverStarted));
    });
}

#[test]
fn a_running_command_is_found_as_far_as_it_has_come() {
    with_pool(async |pool| {
        let directory = directory();
        let command = Command { stdin: true, ..shell("echo one; read line; echo two; exit 5") };
        let (mut kept, pid) = pool.keep(&keep(directory.path(), command)).await.expect("it starts");
        until(&mut kept, |progress| progress.stdout == 4).await;
        drop(kept);
        let (mut kept, progress) = find_running(directory.path()).await;
        assert_eq!((progress.pid, progress.stdout, progress.stderr, progress.exit), (pid, 4, 0, None));
        kept.feed(0, b"\n").expect("it lives");
        let mut exits = 0;
        loop {
            match kept.event().await.expect("it goes on") {
                KeptEvent::Exited(exit) => {
                    assert_eq!(exit, Exit::Exited(5));
                    exits += 1;
                }
                KeptEvent::Progress(_) => {}
                KeptEvent::Ended(report) => break assert_eq!(report.outcome, Outcome::exited(5)),
            }
        }
        assert!(exits <= 1);
        assert_eq!(spool(directory.path(), "stdout"), b"one\ntwo\n");
        assert!(matches!(kept.event().await, Ok(KeptEvent::Ended(_))), "asked again, it gives the same");
    });
}

#[test]
fn an_exit_that_was_found_is_not_announced_again() {
    with_pool(async |pool| {
        let directory = directory();
        // The output is held open for the 200 ms that it is drained.
        let kept = start(&pool, &keep(directory.path(), shell("sleep 300 & exit 6"))).await;
        drop(kept);
        pause(60).await;
        match find(directory.path()).await {
            Found::Running(mut kept, progress) if progress.exit == Some(Exit::Exited(6)) => loop {
                match kept.event().await.expect("it goes on") {
                    KeptEvent::Exited(exit) => panic!("{exit:?} again"),
                    KeptEvent::Progress(_) => {}
                    KeptEvent::Ended(report) => break assert_eq!(report.outcome, Outcome::exited(6)),
                }
            },
            Found::Running(mut kept, _) => assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(6)),
            Found::Finished(report) => assert_eq!(report.outcome, Outcome::exited(6)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_keeper_that_was_killed_leaves_nothing_but_the_news() {
    with_pool(async |pool| {
        let directory = directory();
        let (tree, mark) = marked(shell("setsid sleep 300 & echo hi; sleep 300"), "keeper-killed");
        let (mut kept, pid) = pool.keep(&keep(directory.path(), tree)).await.expect("it starts");
        until(&mut kept, |progress| progress.stdout > 0).await;
        mark.wait_count(3).await;
        kill(parent(pid as i32));
        let error = loop {
            match kept.event().await {
                Ok(KeptEvent::Progress(_)) => {}
                other => break other.expect_err("nobody knows how it ends"),
            }
        };
        assert!(matches!(error, JobError::SupervisorLost), "{error}");
        mark.wait_gone();
        assert!(matches!(find(directory.path()).await, Found::Lost));
        assert!(matches!(find(directory.path()).await, Found::Lost), "and so it stays");
        assert_eq!(spool(directory.path(), "stdout"), b"hi\n");
        // The pool goes on.
        let directory = self::directory();
        assert_eq!(
            ended(&mut start(&pool, &keep(directory.path(), command(["true"]))).await).await.outcome,
            Outcome::exited(0)
        );
    });
}

/// As a keeper makes it, before it listens.
fn claim(directory: &std::path::Path) -> fs::File {
    let file = fs::File::create(directory.join("claimed")).expect("it is made");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("it is locked");
    fs::write(directory.join("claimed"), "started\n").expect("it is written");
    file
}

#[test]
fn a_claim_that_is_held_is_waited_for() {
    with_pool(async |_| {
        // Its keeper dies before it listens.
        let directory = directory();
        let claimed = claim(directory.path());
        let mut finding = Box::pin(find(directory.path()));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut finding).await.is_err(), "it is alive");
        drop(claimed);
        assert!(matches!(finding.await, Found::Lost));

        // It ends while it is looked for.
        let directory = self::directory();
        let claimed = claim(directory.path());
        let mut finding = Box::pin(find(directory.path()));
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut finding).await.is_err(), "it is alive");
        let outcome = r#"{"outcome":{"ended":{"exited":7}},"wall_us":1}"#;
        fs::write(directory.path().join("outcome.new"), outcome).expect("it is written");
        fs::rename(directory.path().join("outcome.new"), directory.path().join("outcome")).expect("it is renamed");
        assert!(matches!(finding.await, Found::Finished(report) if report.outcome == Outcome::exited(7)));
        drop(claimed);

        // A power cut has damaged its outcome.
        fs::write(directory.path().join("outcome"), "").expect("it is written");
        assert!(matches!(find(directory.path()).await, Found::Lost));
    });
}

#[test]
fn a_server_takes_a_job_over_from_another() {
    with_pool(async |pool| {
        let directory = directory();
        let command = Command { stdin: true, ..shell("read line; echo $line") };
        let mut first = start(&pool, &keep(directory.path(), command)).await;
        let (mut second, _) = find_running(directory.path()).await;
        let error = first.event().await.expect_err("it was taken over");
        assert!(error.to_string().contains("another process has taken the job over"), "{error}");
        second.feed(0, b"second\n").expect("it lives");
        assert_eq!(ended(&mut second).await.outcome, Outcome::exited(0));
        assert_eq!(spool(directory.path(), "stdout"), b"second\n");
        assert_eq!(ended(&mut first).await.outcome, Outcome::exited(0), "now there is an outcome");
    });
}

#[test]
fn a_job_goes_on_without_the_process_that_forks_supervisors() {
    with_pool(async |pool| {
        let directory = directory();
        let command = Command { stdin: true, ..shell("read line; echo $line") };
        let (mut kept, pid) = pool.keep(&keep(directory.path(), command)).await.expect("it starts");
        let spawner = parent(parent(pid as i32));
        kill(spawner);
        eventually("it is dead", || stat(spawner).is_none_or(|(state, _)| state == "Z")).await;
        kept.feed(0, b"on\n").expect("it lives");
        assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(0));
        assert_eq!(spool(directory.path(), "stdout"), b"on\n");
    });
}

#[test]
fn a_keeper_that_is_stopped_goes_on() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "kill -STOP $PPID; echo stopped it";
        let mut kept = start(&pool, &keep(directory.path(), shell(script))).await;
        assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(0));
        assert_eq!(spool(directory.path(), "stdout"), b"stopped it\n");
    });
}
