//! What a command gets, what becomes of its streams, and how it can end.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use unglue::{Client, Code, Exec, Exit, Outcome, StreamEnd};
use unglue_link::StreamError;
use unglue_proto::message::exec::{Left, SpawnStep};

use crate::site::{Site, code, run, soon, within};
use crate::tree::Mark;

/// Runs a test on a client of a server of its own.
fn with_client(test: impl AsyncFnOnce(&Site, &Client) + Send + 'static) {
    within(60, async move || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        test(&site, &client).await;
    });
}

#[test]
fn every_byte_of_argv_and_environment_arrives_as_it_was_sent() {
    with_client(async |_, client| {
        let odd = (1..=255).collect::<Vec<u8>>();
        let words = [b"".as_slice(), b" ", b"a b", b"'\"`$(x)\\", b"line\nbreak\t", &odd, b"", b"-n"];
        let argv =
            ["printf".into(), "%s\\0".into()].into_iter().chain(words.map(|word| OsString::from_vec(word.into())));
        let done = run(client, &Exec::new(argv)).await;
        assert_eq!(code(&done.report), 0);
        assert_eq!(done.stdout, words.map(|word| [word, b"\0"].concat()).concat());

        let value = OsString::from_vec(odd.clone());
        let done = run(client, &Exec::shell("printf %s \"$ODD\"").env("ODD", value)).await;
        assert_eq!(done.stdout, odd);
    });
}

#[test]
fn stdin_arrives_to_its_end() {
    with_client(async |_, client| {
        let mut running = client.exec(&Exec::new(["cat"]).with_stdin()).await.expect("it starts");
        let mut input = running.stdin.take().expect("it has an input");
        let sent = vec![b'x'; 3 << 20];
        let feeding = async {
            for piece in sent.chunks(100_000) {
                input.write_all(Bytes::copy_from_slice(piece)).await.expect("it is read");
            }
            input.finish();
        };
        let ((), done) = tokio::join!(feeding, running.collect(4 << 20));
        assert_eq!((code(&done.report), done.stdout == sent), (0, true));
        let stdin = done.report.stdin.expect("it had an input");
        assert_eq!((stdin.end, stdin.tally.bytes), (StreamEnd::Eof, sent.len() as u64));
        assert_eq!(stdin.tally.blake3, blake3::hash(&sent).to_hex().as_str());
    });
}

#[test]
fn without_stdin_the_command_reads_nothing() {
    with_client(async |_, client| {
        let done = soon(5, "cat", run(client, &Exec::new(["cat"]))).await;
        assert_eq!((code(&done.report), done.stdout.len(), done.report.stdin), (0, 0, None));
    });
}

#[test]
fn stdin_that_nobody_reads_is_abandoned_and_no_failure() {
    with_client(async |_, client| {
        for script in ["exit 5", "exec <&-; sleep 0.3; exit 5", "head -c 10 >/dev/null; exit 5"] {
            let mut running = client.exec(&Exec::shell(script).with_stdin()).await.expect("it starts");
            let mut input = running.stdin.take().expect("it has an input");
            let feeding = async move {
                let mut wrote = Ok(());
                while wrote.is_ok() {
                    wrote = input.write_all(Bytes::from(vec![b'x'; 50_000])).await;
                }
                wrote
            };
            let (wrote, done) = soon(10, script, async { tokio::join!(feeding, running.collect(100)) }).await;
            assert!(matches!(wrote, Err(StreamError::Reset(_))), "{script}: {wrote:?}");
            assert_eq!(code(&done.report), 5, "{script}");
            assert_eq!(done.report.stdin.map(|stdin| stdin.end), Some(StreamEnd::Abandoned), "{script}");
        }
    });
}

/// A part of its input must not pass for the whole: `cat >file` would keep it.
#[test]
fn stdin_that_is_cut_off_kills_the_command() {
    with_client(async |_, client| {
        let mark = Mark::new();
        let exec = mark.on(Exec::shell("cat >/dev/null; sleep 300").with_stdin());
        let mut running = client.exec(&exec).await.expect("it starts");
        let mut input = running.stdin.take().expect("it has an input");
        input.write_all(Bytes::from_static(b"half")).await.expect("it is read");
        drop(input);
        let done = soon(5, "the command", running.collect(100)).await;
        match done.report.outcome {
            Outcome::Cancelled(cancelled) => {
                assert_eq!(cancelled.code, Code::Cancelled);
                assert!(cancelled.what.contains("input broke off"), "{cancelled}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(done.report.stdin.map(|stdin| stdin.end), Some(StreamEnd::Cut));
        mark.gone(Duration::from_secs(1)).await;
    });
}

#[test]
fn a_timeout_kills_the_whole_tree() {
    with_client(async |_, client| {
        let mark = Mark::new();
        let script = "echo begun; setsid sleep 300 & trap '' TERM; sleep 300; sleep 300";
        let exec = mark.on(Exec::shell(script).timeout(Duration::from_secs(2)));
        let start = Instant::now();
        let done = soon(15, "the command", run(client, &exec)).await;
        match done.report.outcome {
            Outcome::TimedOut(timed_out) => assert_eq!(timed_out.after_ms, 2000),
            other => panic!("{other:?}"),
        }
        let took = start.elapsed();
        assert!((2000..4000).contains(&took.as_millis()), "{took:?}");
        assert_eq!(done.stdout, b"begun\n", "what it printed before is there");
        assert_eq!(mark.alive(), [0; 0], "the outcome came before the tree's end");
    });
}

#[test]
fn a_timeout_that_is_not_reached_changes_nothing() {
    with_client(async |_, client| {
        let done = run(client, &Exec::shell("echo hi; exit 3").timeout(Duration::from_secs(60))).await;
        assert_eq!((code(&done.report), done.stdout.as_slice()), (3, b"hi\n".as_slice()));
    });
}

#[test]
fn a_descendant_that_holds_the_output_open_keeps_nobody_waiting() {
    with_client(async |_, client| {
        let mark = Mark::new();
        let start = Instant::now();
        let done = run(client, &mark.on(Exec::shell("sleep 60 & echo hi"))).await;
        let took = start.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}, and the descendant takes a minute");
        assert_eq!((code(&done.report), done.stdout.as_slice()), (0, b"hi\n".as_slice()));
        for stream in [&done.report.stdout, &done.report.stderr] {
            assert_eq!(stream.as_ref().expect("it ran").end, StreamEnd::HeldOpen);
        }
        assert_eq!(done.report.descendants, Some(Left::Killed));
        assert_eq!(mark.alive(), [0; 0], "the outcome came before the tree's end");
    });
}

#[test]
fn what_a_descendant_prints_at_once_is_there() {
    with_client(async |_, client| {
        let mut done = run(client, &Exec::shell("(sleep 0.02; echo late) & echo early")).await;
        // A machine that is busy may be too late for it.
        for _ in 0..10 {
            if done.report.stdout.as_ref().is_some_and(|stream| stream.end == StreamEnd::Eof) {
                break;
            }
            done = run(client, &Exec::shell("(sleep 0.02; echo late) & echo early")).await;
        }
        assert_eq!((code(&done.report), done.stdout.as_slice()), (0, b"early\nlate\n".as_slice()));
        assert_eq!(done.report.stdout.expect("it ran").end, StreamEnd::Eof);
    });
}

/// One that prints without end is cut off like any other.
#[test]
fn a_descendant_that_never_stops_printing_keeps_nobody_waiting() {
    with_client(async |_, client| {
        let mark = Mark::new();
        let done = soon(10, "the command", run(client, &mark.on(Exec::shell("yes & exit 6")))).await;
        assert_eq!(code(&done.report), 6);
        assert_eq!(done.report.descendants, Some(Left::Killed));
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn descendants_are_kept_where_that_is_asked_for() {
    with_client(async |_, client| {
        let mark = Mark::new();
        let exec = mark.on(Exec::shell("sleep 61 & echo hi").keep_descendants());
        let done = soon(5, "the command", run(client, &exec)).await;
        assert_eq!((code(&done.report), done.stdout.as_slice()), (0, b"hi\n".as_slice()));
        assert_eq!(done.report.descendants, Some(Left::Left));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(mark.alive().len(), 1);
    });
}

/// What `… | head -1` is there for.
#[test]
fn an_output_that_its_reader_gave_up_ends_the_command_with_sigpipe() {
    with_client(async |_, client| {
        let mut running = client.exec(&Exec::new(["yes"])).await.expect("it starts");
        let mut stdout = running.stdout.take().expect("it runs");
        stdout.read(2).await.expect("no error").expect("something");
        drop(stdout);
        let report = soon(5, "the outcome", running.outcome()).await;
        let sigpipe = Exit::signalled("SIGPIPE", false);
        assert_eq!(report.outcome, Outcome::Ended(sigpipe));
        assert_eq!(report.stdout.expect("it ran").end, StreamEnd::Abandoned);
        assert_eq!(report.stderr.expect("it ran").end, StreamEnd::Abandoned);
    });
}

#[test]
fn what_cannot_be_started_says_why() {
    with_client(async |site, client| {
        std::fs::write(site.root().join("plain"), "no program").expect("a file");
        let plain = site.root().join("plain").into_os_string();
        let cases = [
            (Exec::new(["lllll"]), "ENOENT", SpawnStep::Program, "lllll"),
            (Exec::new([plain]), "EACCES", SpawnStep::Program, "plain"),
            (Exec::new(["true"]).cwd("nowhere"), "ENOENT", SpawnStep::Cwd, "nowhere"),
            (Exec::new(["true"]).cwd("plain"), "ENOTDIR", SpawnStep::Cwd, "plain"),
        ];
        for (exec, errno, step, named) in cases {
            let done = run(client, &exec).await;
            match &done.report.outcome {
                Outcome::SpawnFailed(spawn_failed) => {
                    assert_eq!((spawn_failed.errno.as_str(), &spawn_failed.step), (errno, &step), "{spawn_failed:?}");
                    assert!(spawn_failed.what.contains(named), "{spawn_failed:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!((done.report.stdout, done.report.stderr), (None, None));
        }
    });
}

/// Signals are for the command to handle.
#[test]
fn a_signal_reaches_the_command() {
    with_client(async |_, client| {
        let script = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done";
        let mut running = client.exec(&Exec::shell(script)).await.expect("it starts");
        let mut stdout = running.stdout.take().expect("it runs");
        assert_eq!(stdout.read(100).await.expect("no error").as_deref(), Some(b"ready\n".as_slice()));
        running.signal(10).await.expect("it is sent");
        assert_eq!(
            soon(5, "the output", stdout.read(100)).await.expect("no error").as_deref(),
            Some(b"caught\n".as_slice())
        );
        drop(stdout);
        assert_eq!(code(&soon(5, "the outcome", running.outcome()).await), 9);
    });
}
