//! A kept command's input.

use unglue_host::process::{Command, FEED, Kept, STDIN_WINDOW};
use unglue_proto::message::exec::{Outcome, StreamEnd};

use super::super::{shell, with_pool};
use super::{checked_stdout, digest, directory, ended, find_running, keep, spool, start, until};

fn reader(script: &str) -> Command {
    Command { stdin: true, ..shell(script) }
}

/// Feeds `data` from this offset on, as far as the window goes, and then as the command takes it; gives up at `until_offset`.
async fn feed(kept: &mut Kept, data: &[u8], from: usize, taken: u64, to: usize) {
    let (mut at, mut taken) = (from, taken);
    while at < to {
        while at < to && (at as u64) < taken + STDIN_WINDOW {
            let end = to.min(at + FEED).min((taken + STDIN_WINDOW) as usize);
            kept.feed(at as u64, &data[at..end]).expect("it lives");
            at = end;
        }
        if at < to {
            taken = until(kept, |progress| progress.stdin > taken).await.stdin;
        }
    }
}

fn data(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn input_arrives_whole_and_ends_where_it_is_told() {
    with_pool(async |pool| {
        let directory = directory();
        let mut kept = start(&pool, &keep(directory.path(), reader("exec cat"))).await;
        let data = data(3_000_000);
        feed(&mut kept, &data, 0, 0, data.len()).await;
        kept.finish_stdin(data.len() as u64).expect("it lives");
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(0));
        assert_eq!(checked_stdout(&report, directory.path()), StreamEnd::Eof);
        let stdin = report.stdin.expect("it had one");
        assert_eq!((stdin.tally.bytes, stdin.tally.blake3, stdin.end), (3_000_000, digest(&data), StreamEnd::Eof));
        assert_eq!(digest(&spool(directory.path(), "stdout")), digest(&data));
    });
}

#[test]
fn another_server_goes_on_with_the_input_and_nothing_arrives_twice() {
    with_pool(async |pool| {
        let directory = directory();
        let mut kept = start(&pool, &keep(directory.path(), reader("exec cat"))).await;
        let data = data(1_000_000);
        let mut from = 0;
        for to in [100_000, 300_000, 777_777, data.len()] {
            let taken = from.min(u64::MAX as usize) as u64;
            feed(&mut kept, &data, from, taken, to).await;
            drop(kept);
            let progress;
            (kept, progress) = find_running(directory.path()).await;
            assert!(progress.stdin <= to as u64);
            from = progress.stdin as usize;
        }
        feed(&mut kept, &data, from, from as u64, data.len()).await;
        kept.finish_stdin(data.len() as u64).expect("it lives");
        let report = ended(&mut kept).await;
        assert_eq!(digest(&spool(directory.path(), "stdout")), digest(&data));
        assert_eq!(report.stdin.expect("it had one").tally.blake3, digest(&data));
    });
}

#[test]
fn a_command_that_reads_no_more_abandons_its_input() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "head -c 3; exec <&-; while [ ! -e go ]; do sleep 0.01; done";
        let command = Command { cwd: directory.path().into(), ..reader(script) };
        let mut kept = start(&pool, &keep(directory.path(), command)).await;
        kept.feed(0, b"abcdef").expect("it lives");
        let progress = until(&mut kept, |progress| progress.stdin_end.is_some()).await;
        assert_eq!(progress.stdin_end, Some(StreamEnd::Abandoned), "while it runs");
        assert!(progress.exit.is_none());
        std::fs::write(directory.path().join("go"), "").expect("it is written");
        let report = ended(&mut kept).await;
        let stdin = report.stdin.expect("it had one");
        assert_eq!((stdin.tally.bytes, stdin.end), (6, StreamEnd::Abandoned));
        assert_eq!(spool(directory.path(), "stdout"), b"abc");
    });
}

#[test]
fn a_command_without_input_has_none() {
    with_pool(async |pool| {
        let directory = directory();
        let go = directory.path().join("go");
        let script = format!("while [ ! -e '{}' ]; do sleep 0.02; done; exec cat", go.display());
        let mut kept = start(&pool, &keep(directory.path(), shell(&script))).await;
        kept.feed(0, b"abc").expect("it is ignored");
        kept.finish_stdin(3).expect("it is ignored");
        std::fs::write(&go, "").expect("written");
        let report = ended(&mut kept).await;
        assert_eq!((report.outcome, report.stdin), (Outcome::exited(0), None));
        assert!(kept.feed(0, &vec![0; FEED + 1]).is_err(), "too large for a message");
    });
}
