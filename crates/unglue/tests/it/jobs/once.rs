//! At most once (P3).

use std::fs;
use std::time::Duration;

use unglue::{Code, Exec, Exit, Lease, Outcome};

use super::{detached, let_go};
use crate::daemon::Daemon;
use crate::site::{Site, code, eventually, run, within};
use crate::tree::Mark;

fn starts(site: &Site) -> usize {
    fs::read_to_string(site.root().join("starts")).unwrap_or_default().lines().count()
}

#[test]
fn the_same_request_under_the_same_id_is_the_same_command() {
    within(30, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let exec = detached(&mark, "deploy-1");
        let_go(&client, &exec).await;
        fs::write(site.root().join("go"), "").expect("written");
        for _ in 0..3 {
            let done = run(&client, &exec).await;
            assert_eq!((code(&done.report), &done.stdout[..]), (3, &b"one\ntwo\n"[..]));
        }
        assert_eq!(starts(&site), 1);
        let other = run(&client, &Exec::new(["true"]).id("deploy-1")).await.report;
        let Outcome::Refused(fault) = other.outcome else { panic!("{other:?}") };
        assert_eq!(fault.code, Code::IdInUse);
    });
}

#[test]
fn a_command_without_a_lease_gives_its_outcome_again_and_no_output() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let exec = Exec::shell("echo x >> starts; exit 4").id("once");
        assert_eq!(code(&run(&client, &exec).await.report), 4);
        let again = run(&client, &exec).await.report.outcome;
        assert_eq!(again, Outcome::NotKept(Box::new(Outcome::Ended(Exit::Exited(4)))));
        let missing = Exec::new(["/no/such/program"]).id("missing");
        for _ in 0..2 {
            let outcome = run(&client, &missing).await.report.outcome;
            assert!(matches!(outcome, Outcome::SpawnFailed(_)), "{outcome:?}");
        }
        assert_eq!(starts(&site), 1);
    });
}

#[test]
fn a_killed_server_leaves_it_open_how_a_command_without_a_lease_ended() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let exec = mark.on(Exec::shell("echo x >> starts; sleep 300")).id("long");
        let running = client.exec(&exec).await.expect("it starts");
        eventually(5, "its first line", || starts(&site) == 1).await;
        let address = daemon.address();
        daemon.kill();
        drop(running);
        mark.gone(Duration::from_secs(5)).await;
        let daemon = Daemon::start_at(&site, address);
        let client = site.connect(daemon.address()).await;
        let outcome = run(&client, &exec).await.report.outcome;
        let Outcome::NotKnown(fault) = outcome else { panic!("{outcome:?}") };
        assert!(fault.what.contains("started as process"), "{fault}");
        assert_eq!(starts(&site), 1);
    });
}

#[test]
fn a_retry_that_comes_to_another_journal_is_refused() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let journal = client.welcome().await.expect("a welcome").journal;
        assert!(journal.is_some());
        let address = daemon.address();
        daemon.kill();
        fs::remove_dir_all(site.path("state")).expect("removed");
        let daemon = Daemon::start_at(&site, address);
        let client = site.connect(daemon.address()).await;
        let retry = detached(&mark, "a").retry("a", journal);
        let outcome = run(&client, &retry).await.report.outcome;
        let (Outcome::NotKnown(fault) | Outcome::Refused(fault)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((fault.code, starts(&site)), (Code::Unknown, 0));
    });
}

#[test]
fn an_id_of_another_users_key_and_a_forgotten_one() {
    within(30, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let exec = detached(&mark, "job");
        let_go(&client, &exec).await;
        let fault = client.remove("job").await.expect_err("it runs");
        assert!(fault.what.contains("has not ended"), "{fault}");
        fs::write(site.root().join("go"), "").expect("written");
        assert_eq!(code(&run(&client, &exec).await.report), 3);
        client.remove("job").await.expect("it has ended");
        let fault = client.jobs(Some("job")).await.expect_err("it is forgotten");
        assert_eq!(fault.code, Code::NoSuchJob);
        let outcome = run(&client, &exec).await.report.outcome;
        let Outcome::Refused(fault) = outcome else { panic!("{outcome:?}") };
        assert_eq!((fault.code, starts(&site)), (Code::Unknown, 1));
    });
}

#[test]
fn without_a_journal_only_what_needs_it_is_refused() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        // Not a directory: as a state that can't be written, even for root.
        fs::write(site.path("blocked"), "").expect("written");
        let serving = site.serve_with(|options| options.state = Some(site_state(options)));
        let client = site.connect(serving.address()).await;
        assert_eq!(client.welcome().await.expect("a welcome").journal, None);
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        for exec in [Exec::new(["true"]).id("x"), Exec::new(["true"]).durable(), detached(&mark, "y")] {
            let outcome = run(&client, &exec).await.report.outcome;
            let Outcome::Refused(fault) = outcome else { panic!("{outcome:?}") };
            assert_eq!(fault.code, Code::NotRecorded, "{fault}");
        }
        let lease = Exec::new(["true"]).lease(Lease::Keep(Duration::from_secs(1)));
        assert!(matches!(run(&client, &lease).await.report.outcome, Outcome::Refused(_)));
    });
}

/// A state whose part for jobs can't be made: a file is in its place.
fn site_state(options: &unglue::ServerOptions) -> std::path::PathBuf {
    let state = options.state.clone().expect("a state");
    fs::create_dir_all(&state).expect("made");
    fs::write(state.join("machines"), "").expect("written");
    state
}

#[test]
fn a_second_server_of_the_same_state_does_not_start() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let second = unglue::Server::start(site.server_options()).err().expect("the state is owned");
        assert!(second.to_string().contains(&format!("process {}", std::process::id())), "{second}");
        drop(serving);
        // The first one has ended: its state is free.
        let mut again = unglue::Server::start(site.server_options());
        eventually(5, "the state is free", || {
            if again.is_err() {
                again = unglue::Server::start(site.server_options());
            }
            again.is_ok()
        })
        .await;
    });
}
