//! A kept command's output, and its limits.

use std::time::Duration;

use unglue_host::process::{Keep, SpoolLimit, SpoolReader};
use unglue_proto::life::{Output, Terms};
use unglue_proto::message::exec::{Descendants, Left, Outcome, OutputLimit, StreamEnd};

use super::super::{kill, marked, parent, shell, stat, with_pool};
use super::{checked_stdout, digest, directory, ended, keep, pause, spool, start, until};

#[test]
fn a_reader_follows_a_spool_that_grows() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "i=0; while [ $i -lt 300 ]; do head -c 10000 /dev/urandom; echo x >&2; i=$((i+1)); done";
        let mut kept = start(&pool, &keep(directory.path(), shell(script))).await;
        let reader = SpoolReader::open(directory.path(), Output::Stdout).expect("there is a spool");
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        let report = loop {
            let event = kept.event().await.expect("it goes on");
            loop {
                let bytes = reader.read_at(offset, 64 * 1024).await.expect("it is read");
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                hasher.update(&bytes);
            }
            match event {
                unglue_host::process::KeptEvent::Ended(report) => break report,
                unglue_host::process::KeptEvent::Progress(progress) => assert!(offset >= progress.stdout),
                unglue_host::process::KeptEvent::Exited(_) => {}
            }
        };
        assert_eq!(offset, 3_000_000);
        assert_eq!(hasher.finalize().to_hex().to_string(), report.stdout.expect("it ran").tally.blake3);
        assert_eq!(report.stderr.expect("it ran").tally.bytes, 600);
        let none = SpoolReader::open(directory.path().join("x").as_path(), Output::Stdout);
        assert_eq!(none.expect_err("there is none").kind(), std::io::ErrorKind::NotFound);
    });
}

fn limited(directory: &std::path::Path, script: &str, spool: SpoolLimit) -> Keep {
    Keep { spool, ..keep(directory, shell(script)) }
}

#[test]
fn a_command_that_prints_more_than_it_may_is_killed() {
    with_pool(async |pool| {
        let directory = directory();
        let (command, mark) = marked(shell("echo err >&2; setsid sleep 300 & yes"), "limit");
        let limit = SpoolLimit::End(10_000);
        let mut kept = start(&pool, &Keep { spool: limit, ..keep(directory.path(), command) }).await;
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::OutputLimit(OutputLimit { bytes: 10_000 }));
        let (stdout, stderr) = (report.stdout.clone().expect("it ran"), report.stderr.clone().expect("it ran"));
        assert_eq!(stdout.tally.bytes + stderr.tally.bytes, 10_000);
        assert_eq!(checked_stdout(&report, directory.path()), StreamEnd::Abandoned);
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn a_command_may_print_as_much_as_its_limit() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "head -c 9000 /dev/zero; head -c 1000 /dev/zero >&2";
        let mut kept = start(&pool, &limited(directory.path(), script, SpoolLimit::End(10_000))).await;
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(0));
        assert_eq!(checked_stdout(&report, directory.path()), StreamEnd::Eof);
    });
}

#[test]
fn a_command_waits_at_its_limit_until_that_is_raised() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "head -c 500000 /dev/urandom | tee copy";
        let mut keep = limited(directory.path(), script, SpoolLimit::Stall(10_000));
        keep.command.cwd = directory.path().into();
        let mut kept = start(&pool, &keep).await;
        let progress = until(&mut kept, |progress| progress.stalled).await;
        assert_eq!((progress.stdout, progress.exit), (10_000, None));
        pause(200).await;
        assert_eq!(spool(directory.path(), "stdout").len(), 10_000);
        kept.limit(SpoolLimit::Stall(100_000)).expect("it lives");
        let progress = until(&mut kept, |progress| progress.stalled && progress.stdout > 10_000).await;
        assert_eq!(progress.stdout, 100_000);
        kept.limit(SpoolLimit::Stall(1 << 20)).expect("it lives");
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(0));
        assert_eq!(checked_stdout(&report, directory.path()), StreamEnd::Eof);
        assert_eq!(spool(directory.path(), "stdout"), spool(directory.path(), "copy"));
    });
}

#[test]
fn what_a_command_printed_before_its_end_is_stored_beyond_the_limit() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "head -c 50000 /dev/zero";
        let mut kept = start(&pool, &limited(directory.path(), script, SpoolLimit::Stall(10_000))).await;
        let report = ended(&mut kept).await;
        assert_eq!(
            (report.outcome.clone(), checked_stdout(&report, directory.path())),
            (Outcome::exited(0), StreamEnd::Eof)
        );
        assert_eq!(spool(directory.path(), "stdout").len(), 50_000);

        let directory = self::directory();
        let script = "head -c 50000 /dev/zero; sleep 300 &";
        let mut kept = start(&pool, &limited(directory.path(), script, SpoolLimit::Stall(10_000))).await;
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(0));
        assert_eq!(checked_stdout(&report, directory.path()), StreamEnd::HeldOpen);
        assert_eq!(spool(directory.path(), "stdout").len(), 50_000);
        assert_eq!(report.descendants, Some(Left::Killed));
    });
}

#[test]
fn what_a_descendant_holds_open_is_seen_as_such() {
    with_pool(async |pool| {
        let directory = directory();
        let (command, mark) = marked(shell("echo hi; sleep 300 & exit 4"), "kept-held");
        let mut kept = start(&pool, &keep(directory.path(), command)).await;
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(4));
        assert_eq!(checked_stdout(&report, directory.path()), StreamEnd::HeldOpen);
        assert_eq!(report.descendants, Some(Left::Killed));
        assert_eq!(mark.alive(), [0; 0], "gone when it is said");
    });
}

#[test]
fn descendants_are_left_where_that_is_asked_for() {
    with_pool(async |pool| {
        let directory = directory();
        let (command, mark) = marked(shell("echo hi; sleep 300 & exit 0"), "kept-left");
        let terms = Terms { descendants: Descendants::Leave, ..Terms::default() };
        let mut kept = start(&pool, &Keep { terms, ..keep(directory.path(), command) }).await;
        let report = ended(&mut kept).await;
        assert_eq!((report.outcome, report.descendants), (Outcome::exited(0), Some(Left::Left)));
        let left = mark.alive();
        assert_eq!(left.len(), 1);
        let keeper = parent(left[0]);
        drop(kept);
        pause(300).await;
        assert_eq!(mark.alive(), left);
        kill(left[0]);
        super::super::eventually("its keeper has reaped it and ends", || stat(keeper).is_none()).await;
    });
}

#[test]
fn a_server_that_never_reads_delays_nothing() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; head -c 20000000 /dev/zero";
        let mut kept = start(&pool, &keep(directory.path(), shell(script))).await;
        let outcome = directory.path().join("outcome");
        super::super::eventually("it ends", || outcome.exists()).await;
        let mut events = 0;
        while !matches!(kept.event().await.expect("it goes on"), unglue_host::process::KeptEvent::Ended(_)) {
            events += 1;
        }
        // Four are on their way at once, and the last one brings the exit, too.
        assert!(events <= 5, "{events} events were waiting");
        assert!(spool(directory.path(), "stdout").len() > 20_000_000);
    });
}

#[test]
fn both_outputs_are_digested_apart() {
    with_pool(async |pool| {
        let directory = directory();
        let script = "head -c 3000000 /dev/urandom | tee a; head -c 3000000 /dev/urandom | tee b >&2";
        let mut keep = keep(directory.path(), shell(script));
        keep.command.cwd = directory.path().into();
        keep.durable = true;
        keep.terms.timeout = Some(Duration::from_secs(50));
        let report = ended(&mut start(&pool, &keep).await).await;
        for (stream, name, copy) in [(report.stdout, "stdout", "a"), (report.stderr, "stderr", "b")] {
            let stored = spool(directory.path(), name);
            assert_eq!(stored, spool(directory.path(), copy));
            assert_eq!(stream.expect("it ran").tally.blake3, digest(&stored));
        }
    });
}
