//! Commands under keepers, which outlive the process that started them.

mod ends;
mod found;
mod full;
mod input;
mod killed;
mod outputs;
mod servers;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use unglue_host::process::{Command, Found, Keep, Kept, KeptEvent, Progress, SpoolLimit, Supervisors};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Outcome, Report, StreamEnd};

use super::{parent, shell, stat, with_pool};

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

async fn start(pool: &Supervisors, keep: &Keep) -> Kept {
    pool.keep(keep).await.expect("it starts").0
}

/// Waits for the end.
async fn ended(kept: &mut Kept) -> Report {
    loop {
        if let KeptEvent::Ended(report) = kept.event().await.expect("it goes on") {
            return *report;
        }
    }
}

/// Waits until the job has come so far.
async fn until(kept: &mut Kept, reached: impl Fn(&Progress) -> bool) -> Progress {
    loop {
        match kept.event().await.expect("it goes on") {
            KeptEvent::Progress(progress) if reached(&progress) => return progress,
            KeptEvent::Progress(_) | KeptEvent::Exited(_) => {}
            KeptEvent::Ended(report) => panic!("it ended: {report:?}"),
        }
    }
}

async fn find(directory: &Path) -> Found {
    Kept::find(directory).await.expect("it is found")
}

async fn find_running(directory: &Path) -> (Kept, Progress) {
    match find(directory).await {
        Found::Running(kept, progress) => (*kept, progress),
        other => panic!("{other:?}"),
    }
}

/// What a spool holds.
fn spool(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).expect("there is a spool")
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Asserts that what the report says of standard output is what its spool holds; gives how it ended.
fn checked_stdout(report: &Report, directory: &Path) -> StreamEnd {
    let stdout = report.stdout.clone().expect("it ran");
    let bytes = spool(directory, "stdout");
    assert_eq!((stdout.tally.bytes, stdout.tally.blake3), (bytes.len() as u64, digest(&bytes)));
    stdout.end
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[test]
fn a_kept_command_runs_to_its_end() {
    with_pool(async |pool| {
        let directory = directory();
        let command = shell("echo out; echo err >&2; exit 3");
        let (mut kept, pid) = pool.keep(&keep(directory.path(), command)).await.expect("it starts");
        assert!(stat(pid as i32).is_some() || pid > 0);
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(3));
        assert!(report.wall_us > 0);
        let (stdout, stderr) = (report.stdout.clone().expect("it ran"), report.stderr.clone().expect("it ran"));
        assert_eq!((stdout.tally.bytes, stdout.tally.blake3, stdout.end), (4, digest(b"out\n"), StreamEnd::Eof));
        assert_eq!((stderr.tally.bytes, stderr.tally.blake3, stderr.end), (4, digest(b"err\n"), StreamEnd::Eof));
        assert_eq!(spool(directory.path(), "stdout"), b"out\n");
        assert_eq!(spool(directory.path(), "stderr"), b"err\n");
        assert!(matches!(find(directory.path()).await, Found::Finished(found) if *found == report));
        let mut names: Vec<_> = std::fs::read_dir(directory.path())
            .expect("it is there")
            .map(|entry| entry.expect("it is read").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["claimed", "outcome", "stderr", "stdout"]);
    });
}

#[test]
fn a_keeper_holds_nothing_of_the_server_and_its_command_nothing_of_the_keeper() {
    with_pool(async |pool| {
        let directory = directory();
        let command = Command { stdin: true, ..shell("read line") };
        let inherited = std::fs::File::open("/dev/zero").expect("it opens");
        // A descriptor that the server did not close on exec, as one that a shell left to it.
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).expect("it is ours");
        let pool = {
            drop(pool);
            super::pool_with(Default::default())
        };
        let (mut kept, pid) = pool.keep(&keep(directory.path(), command)).await.expect("it starts");
        kept.hold(true).expect("it lives");
        let open = |pid: i32| {
            let list = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten();
            let mut targets: Vec<String> = list
                .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
                .map(|target| target.split(':').next().unwrap_or_default().to_owned())
                .collect();
            targets.sort();
            targets
        };
        let keeper = parent(pid as i32);
        let place = directory.path().to_string_lossy().into_owned();
        let file = |name: &str| format!("{place}/{name}");
        let mut expected: Vec<String> = ["/dev/null"; 3].map(String::from).into();
        expected.extend(["pipe", "pipe", "pipe", "socket", "socket"].map(String::from));
        expected.extend([place.clone(), file("claimed"), file("outcome.new"), file("stderr"), file("stdout")]);
        expected.sort();
        let mut found = open(keeper);
        // Where children are announced: here, and in the spawner, whose copy is not used.
        found.retain(|target| target != "anon_inode");
        assert_eq!(found, expected);
        kept.finish_stdin(0).expect("it lives");
        assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(1));
        drop(inherited);

        let directory = self::directory();
        let listing = shell("exec ls -l /proc/self/fd");
        let mut kept = start(&pool, &keep(directory.path(), listing)).await;
        ended(&mut kept).await;
        let text = String::from_utf8(spool(directory.path(), "stdout")).expect("it is text");
        let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').rev().nth(2)).collect();
        assert_eq!(names, ["0", "1", "2", "3"], "3 is the list itself: {text}");
    });
}

#[test]
fn a_path_that_is_too_long_for_a_socket_will_do() {
    with_pool(async |pool| {
        let outer = directory();
        let directory = outer.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&directory).expect("it is made");
        let command = Command { stdin: true, ..shell("read line; echo $line") };
        let kept = start(&pool, &keep(&directory, command)).await;
        drop(kept);
        let (mut kept, _) = find_running(&directory).await;
        kept.feed(0, b"hello\n").expect("it lives");
        assert_eq!(ended(&mut kept).await.outcome, Outcome::exited(0));
        assert_eq!(spool(&directory, "stdout"), b"hello\n");
    });
}
