//! Parts of tests that run in a child process (this very binary), with a tracer, a limit or mounts of its own.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Names the directory that a child's part works in.
const DIRECTORY: &str = "UNGLUE_TEST_JOURNAL";
/// No part takes so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// The directory, if this process is the child that a test has started.
pub(super) fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// A child's end.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) output: String,
}

/// Runs `part` (`module::function`) in a child, prepared by a shell script that ends in `exec "$@"` and finds the directory in
/// `$0`.
pub(super) fn run(part: &str, directory: &Path, script: &str) -> Ended {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(directory).arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("journal::tests::{part}"), "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).unwrap();
        text
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        text
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{part} takes more than {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let output = [reader.join().unwrap(), errors.join().unwrap()].concat();
    Ended { status, output: String::from_utf8_lossy(&output).into_owned() }
}

impl Ended {
    /// Whether the part ran, and was right. False if the script said (77) that the machine lacks something.
    pub(super) fn passed(&self) -> bool {
        if self.status.code() == Some(77) {
            eprintln!("skipped: {}", self.output.trim());
            return false;
        }
        assert!(self.status.success() && self.output.contains("1 passed"), "{}: {}", self.status, self.output);
        true
    }

    /// What follows the last of these words in the output.
    pub(super) fn last(&self, word: &str) -> Option<&str> {
        let mut words = self.output.split_whitespace();
        let mut last = None;
        while let Some(next) = words.next() {
            if next == word {
                last = words.next();
            }
        }
        last
    }
}

/// A script that mounts a tmpfs with these options over the directory.
pub(super) fn on_tmpfs(options: &str, then: &str) -> String {
    let root = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    format!(
        "unshare --mount {root} true 2>/dev/null || {{ echo 'no mount namespaces' >&2; exit 77; }}
         exec unshare --mount {root} sh -c '
            mount -t tmpfs -o mode=0755,{options} tmpfs \"$0\" || exit 77
            {then} exec \"$@\"' \"$0\" \"$@\""
    )
}

/// Whether strace(1) works here.
pub(super) fn has_strace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    if !works {
        eprintln!("skipped: strace can't trace here");
    }
    works
}
