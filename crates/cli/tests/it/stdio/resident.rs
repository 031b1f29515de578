//! The process that owns the state where no daemon runs.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::net::unix::pipe;
use unglue::{AttachOptions, Client, Exec, JobState, Lease};

use super::{Home, WAITS, is_whole, serving, sh, soon, waiting, within};
use crate::host::{client, lives};

#[test]
fn it_is_one_process_for_all_connections_and_nobody_elses() {
    let home = Home::new();
    within(async {
        let (first, second) = (home.connect().await, home.connect().await);
        for client in [&first, &second] {
            assert_eq!(sh(client, "echo x").await.stdout, b"x\n");
        }
        let journals = [&first, &second].map(|client| client.welcome());
        let [one, two] = journals;
        assert_eq!(one.await.expect("let in").journal, two.await.expect("let in").journal, "there is one journal");
    });
    assert_eq!(home.residents().len(), 1);
    let machine = fs::metadata(home.machine()).expect("a directory");
    assert_eq!(machine.mode() & 0o777, 0o700);
    let socket = fs::symlink_metadata(home.machine().join("socket")).expect("a socket");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.mode() & 0o777, 0o600);
    let log = fs::metadata(home.state().join("resident.log")).expect("a log");
    assert_eq!(log.mode() & 0o777, 0o600);
}

#[test]
fn of_many_that_start_at_once_one_owns_the_state() {
    let home = Home::new();
    within(async {
        for round in 0..6 {
            let mut clients = Vec::new();
            for _ in 0..4 {
                clients.push(home.connect().await);
            }
            let all = clients.iter().map(|client| sh(client, "echo x >> ran; echo x"));
            for done in futures(all).await {
                assert_eq!(done.stdout, b"x\n", "round {round}: {:?}", done.report);
            }
            let owner = home.owner().expect("somebody owns the state");
            soon("the others' end", || (home.residents() == [owner.as_raw_nonzero().get()]).then_some(())).await;
            kill_process(owner, Signal::KILL).expect("it lives");
        }
        assert_eq!(fs::read_to_string(home.path().join("ran")).expect("they ran").lines().count(), 24);
    });
}

/// Waits for all of them at the same time.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        all.retain_mut(|future| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[test]
fn a_kept_command_survives_the_kill_of_the_owner() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        let running = client.exec(&waiting(Lease::Keep(Duration::from_secs(60)))).await.expect("it starts");
        let owner = home.owner().expect("an owner");
        kill_process(owner, Signal::KILL).expect("it lives");
        soon("the owner's end", || (!lives(owner.as_raw_nonzero().get())).then_some(())).await;
        home.go();
        is_whole(&running.collect(1 << 20).await);
        assert_ne!(home.owner(), Some(owner));
    });
}

#[test]
fn it_ends_when_nothing_is_left_and_not_before() {
    let home = Home::new();
    let path = home.path();
    within(async {
        let command = move || {
            let mut command = client(&path);
            command.args(["serve", "--stdio", "--linger", "300ms"]);
            command
        };
        let connect =
            || async { Client::connect_command(command.clone(), None, &Default::default()).await.expect("it starts") };
        let client = connect().await;
        let running = client.exec(&waiting(Lease::Detach)).await.expect("it starts");
        let id = running.id().to_owned();
        let owner = home.owner().expect("an owner");
        drop((running, client));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(home.owner(), Some(owner), "a command runs");
        home.go();
        soon("its end", || home.owner().is_none().then_some(())).await;
        assert!(!home.machine().join("socket").exists());
        // The next one knows it.
        let client = connect().await;
        let running = client.attach(&id, &AttachOptions::default().from_start()).await.expect("it is known");
        is_whole(&running.collect(1 << 20).await);
        drop(client);
        soon("its end", || home.owner().is_none().then_some(())).await;
        assert_eq!(home.residents(), Vec::<i32>::new());
    });
}

/// What ssh's own server waits for: the ends of both pipes, and of the process.
#[test]
fn nothing_of_it_holds_the_pipes_of_its_starter() {
    let home = Home::new();
    within(async {
        let mut command = serving(&home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = OwnedFd::from(child.stdout.take().expect("a pipe"));
        let mut kept = fs::File::from(stdout.try_clone().expect("a descriptor"));
        let input = pipe::Sender::from_owned_fd(child.stdin.take().expect("a pipe").into()).expect("a pipe");
        let output = pipe::Receiver::from_owned_fd(stdout).expect("a pipe");
        let io = tokio::io::join(output, input);
        let client = Client::connect_over(io, None, &Default::default()).expect("a link");
        let running = client.exec(&waiting(Lease::Detach)).await.expect("it starts");
        drop((running, client));
        soon("the process's end", || child.try_wait().expect("ours")).await;
        kept.read_to_end(&mut Vec::new()).expect("its end: nothing holds it open");
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("its end");
        assert_eq!(said, "");
        assert!(home.owner().is_some(), "the command runs, and its owner");
    });
}

#[test]
fn a_preface_that_it_does_not_know_is_refused() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        client.welcome().await.expect("let in");
        let socket = home.machine().join("socket");
        for (preface, answer) in [(b"unglue1X", &b"-"[..]), (b"unglue9L", b"-"), (b"GET / HT", b"-")] {
            let socket = socket.clone();
            let answered = tokio::task::spawn_blocking(move || {
                let mut stream = UnixStream::connect(socket).expect("it listens");
                std::io::Write::write_all(&mut stream, preface).expect("written");
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).expect("an answer");
                answer
            });
            assert_eq!(answered.await.expect("no panic"), answer, "{preface:?}");
        }
        assert_eq!(sh(&client, "echo x").await.stdout, b"x\n");
    });
}

#[test]
fn children_inherit_neither_the_lock_nor_the_socket() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        let done = client.exec(&Exec::new(["sh", "-c", "ls -l /proc/$$/fd"])).await.expect("a link");
        let listed = String::from_utf8(done.collect(1 << 20).await.stdout).expect("text");
        assert!(!listed.contains("socket:") && !listed.contains("/lock"), "{listed}");
        let kept = Exec::new(["sh", "-c", &format!("{WAITS}; ls -l /proc/$$/fd /proc/$PPID/fd | grep -c /lock")]);
        let running = client.exec(&kept.lease(Lease::Detach)).await.expect("it starts");
        let jobs = client.jobs(None).await.expect("a list");
        assert!(jobs.iter().any(|job| matches!(job.state, JobState::Running)), "{jobs:?}");
        // With all that it started alive, the lock is free once its owner is dead.
        let owner = home.owner().expect("an owner");
        kill_process(owner, Signal::KILL).expect("it lives");
        let next = home.connect().await;
        next.welcome().await.expect("let in");
        assert_ne!(home.owner(), Some(owner));
        home.go();
        let printed = running.collect(1 << 20).await.stdout;
        assert_eq!(String::from_utf8_lossy(&printed), "one\ntwo\n0\n");
    });
}
