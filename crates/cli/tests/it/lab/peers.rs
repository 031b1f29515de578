//! The two ends of a dialect, each ours or Python's (`tests/peers`).

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

use super::program::Program;
use crate::run::{Finished, UNGLUE, clean, finish, finish_with, until};

/// Who wrote a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Us,
    Python,
}
use By::{Python, Us};

/// A server's and a client's authors.
pub(super) type Pairing = (By, By);

/// Ours with ours, and with Python's where there is Python.
pub(super) fn pairings() -> Vec<Pairing> {
    static PYTHON: LazyLock<bool> = LazyLock::new(|| finish(clean("sh").args(["-c", "python3 --version"])).code == 0);
    match *PYTHON {
        true => vec![(Us, Us), (Us, Python), (Python, Us)],
        false => {
            eprintln!("skipped: there is no python3 for the other end");
            vec![(Us, Us)]
        }
    }
}

/// A dialect's program: `action` is `serve` or `connect`, `place` comes right behind it.
fn program(by: By, dialect: &str, action: &str, place: Option<&str>, home: &Path) -> Command {
    let mut command = match by {
        Us => {
            let mut command = clean(UNGLUE);
            command.args(["lab", action, dialect]);
            command
        }
        Python => {
            let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers");
            let mut command = clean("python3");
            command.arg("-B").arg(peers.join(format!("{dialect}.py"))).arg(action);
            command
        }
    };
    command.args(place).env("HOME", home).current_dir(home);
    command
}

/// A running server of a dialect, in a directory of its own.
pub(super) struct Server {
    pub(super) program: Program,
    pub(super) address: String,
    by: By,
    dialect: &'static str,
    directory: TempDir,
}

impl Server {
    /// Starts one on a free port.
    pub(super) fn start(by: By, dialect: &'static str) -> Server {
        Server::start_with(by, dialect, &[])
    }

    /// Starts one with more flags.
    #[track_caller]
    pub(super) fn start_with(by: By, dialect: &'static str, flags: &[&str]) -> Server {
        let directory = tempfile::Builder::new().prefix("unglue-lab-").tempdir().expect("a directory");
        let home = directory.path().canonicalize().expect("it is there");
        let program = Program::start(program(by, dialect, "serve", None, &home).args(flags));
        let address = until("the server's announcement", || {
            let shown = String::from_utf8(program.shown()).expect("text");
            Some(shown.strip_suffix('\n')?.strip_prefix("listening on ")?.to_owned())
        });
        Server { program, address, by, dialect, directory }
    }

    /// Where it runs commands, and where its uploads' directory is.
    pub(super) fn home(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there")
    }

    /// A client at this server, ready to start.
    pub(super) fn client(&self, by: By, flags: &[&str]) -> Command {
        let mut command = program(by, self.dialect, "connect", Some(&self.address), &self.home());
        command.args(flags);
        command
    }

    /// Starts a client that is typed to by hand.
    pub(super) fn typed(&self, by: By, flags: &[&str]) -> Program {
        Program::start(&mut self.client(by, flags))
    }

    /// Runs a client that is fed these lines, to its end.
    #[track_caller]
    pub(super) fn ask(&self, by: By, flags: &[&str], lines: impl IntoIterator<Item = impl AsRef<str>>) -> Finished {
        let lines: String = lines.into_iter().map(|line| format!("{}\n", line.as_ref())).collect();
        finish_with(&mut self.client(by, flags), lines.as_bytes())
    }

    /// Waits until its log tells of so many commands that ran, and fails if there are more.
    #[track_caller]
    pub(super) fn ran(&self, times: usize) {
        let words = if self.by == Us { " ran `" } else { "ran " };
        self.program.tells(words, times);
    }

    /// Waits until its log tells that a connection broke.
    #[track_caller]
    pub(super) fn lost_a_client(&self) {
        let words = if self.by == Us { " closed: " } else { "broken off: " };
        self.program.tells(words, 1);
    }

    /// What a command prints where this server runs it: standard error, and standard output.
    pub(super) fn printed(&self, command: &str) -> (Vec<u8>, Vec<u8>) {
        let mut shell = clean("/bin/sh");
        let Output { stdout, stderr, .. } =
            shell.arg("-c").arg(command).env("HOME", self.home()).current_dir(self.home()).output().expect("it runs");
        (stderr, stdout)
    }
}

/// A command that marks its beginning, waits for the file `go`, and prints `late`. It gives up by itself.
pub(super) const WAITS: &str = "touch begun; timeout 60 sh -c 'until [ -e go ]; do sleep 0.02; done'; echo late";

/// Waits until [`WAITS`] has begun on this server.
#[track_caller]
pub(super) fn begun(server: &Server) {
    until("the command's start", || server.home().join("begun").exists().then_some(()));
}

/// Lets [`WAITS`] go on.
pub(super) fn go(server: &Server) {
    fs::write(server.home().join("go"), "").expect("written");
}

/// The names in a directory, in order.
pub(super) fn names(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<String> = entries.map(|name| OsStr::to_string_lossy(&name).into_owned()).collect();
    names.sort();
    names
}

/// Fails unless both are the same, telling where they differ instead of all of them.
#[track_caller]
pub(super) fn same(got: &[u8], wanted: &[u8], pairing: Pairing) {
    if got == wanted {
        return;
    }
    let at = got.iter().zip(wanted).take_while(|(got, wanted)| got == wanted).count();
    let from = |bytes: &[u8]| bytes[at..].iter().take(80).copied().collect::<Vec<u8>>().escape_ascii().to_string();
    panic!(
        "{pairing:?}: {} bytes where {} belong; from byte {at} on \"{}\" where \"{}\" belongs",
        got.len(),
        wanted.len(),
        from(got),
        from(wanted)
    );
}
