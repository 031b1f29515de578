//! Commands under keepers, which outlive the process that started them.

use std::path::Path;

use tempfile::TempDir;
use unglue_host::process::{Command, Found, Keep, Kept, KeptEvent, SpoolLimit};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Outcome, Report, StreamEnd};

use super::{shell, with_pool};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn keep(directory: &Path, command: Command) -> Keep {
    Keep {
        directory: directory.to_owned(),
        command,
        terms: Terms::default(),
        keep: None,
        durable: false,
        spool: SpoolLimit::Stall(1 << 30),
    }
}

/// Waits for the end.
async fn ended(kept: &mut Kept) -> Report {
    loop {
        if let KeptEvent::Ended(report) = kept.event().await.expect("it goes on") {
            return *report;
        }
    }
}

/// What a spool holds.
fn spool(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).expect("there is a spool")
}

#[test]
fn a_kept_command_runs_to_its_end() {
    with_pool(async |pool| {
        let directory = directory();
        let command = shell("echo out; echo err >&2; exit 3");
        let (mut kept, pid) = pool.keep(&keep(directory.path(), command)).await.expect("it starts");
        assert!(pid > 0);
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(3));
        let (stdout, stderr) = (report.stdout.expect("it ran"), report.stderr.expect("it ran"));
        assert_eq!((stdout.tally.bytes, stdout.end), (4, StreamEnd::Eof));
        assert_eq!(stdout.tally.blake3, blake3::hash(b"out\n").to_hex().to_string());
        assert_eq!((stderr.tally.bytes, stderr.end), (4, StreamEnd::Eof));
        assert_eq!(spool(directory.path(), "stdout"), b"out\n");
        assert_eq!(spool(directory.path(), "stderr"), b"err\n");
        assert!(
            matches!(Kept::find(directory.path()).await, Ok(Found::Finished(found)) if found.outcome == report.outcome)
        );
    });
}
