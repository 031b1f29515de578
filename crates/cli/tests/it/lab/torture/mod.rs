//! `unglue lab torture`: each broken program of `tests/peers/torture` is found, right programs and real servers pass.

mod broken;
pub(super) mod failures;
mod replays;
mod servers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::run::{UNGLUE, clean};

/// A directory for one test, in which replay files land.
fn home() -> TempDir {
    tempfile::Builder::new().prefix("unglue-torture-").tempdir().expect("a directory")
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/torture").canonicalize().expect("it is there")
}

/// The interpreter itself: a shim in front of it would be started with every run.
fn python() -> Option<&'static str> {
    static PYTHON: LazyLock<Option<String>> = LazyLock::new(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
        asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
    });
    PYTHON.as_deref()
}

/// A program in an empty environment, but for this one's `PATH`; servers live where an ordinary user doesn't look.
fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = clean(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn has(program: &str) -> bool {
    command("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|found| found.status.success())
}

/// How one end of a program is started: with `server` or `client`, then `broken` or `right`, then the port. `None` if what runs
/// it isn't there, which is told.
fn words(file: &str, home: &Path) -> Option<String> {
    let path = peers().join(file);
    let (path, binary) = (path.display(), home.join(file.split('.').next().expect("a name")));
    let build = |compiler: &str, command: &str| {
        if !has(compiler) {
            return None;
        }
        let built =
            self::command("sh").args(["-c", command]).env("HOME", home).current_dir(home).output().expect("it runs");
        assert!(built.status.success(), "{file}: {}", String::from_utf8_lossy(&built.stderr));
        Some(binary.display().to_string())
    };
    let words = match file.rsplit('.').next() {
        Some("py") => python().map(|python| format!("{python} -B {path}")),
        Some("js") => has("node").then(|| format!("node {path}")),
        Some("c") => build("cc", &format!("cc -O1 -o {} {path}", binary.display())),
        Some("go") => build("go", &format!("go build -o {} {path}", binary.display())),
        _ => panic!("{file}"),
    };
    if words.is_none() {
        eprintln!("skipped: what runs {file} isn't installed");
    }
    words
}

/// Tortures a client and a server; the flags come first. It is ended after two minutes.
fn torture(home: &Path, flags: &[&str], server: &str, client: &str) -> Output {
    let mut command = command("timeout");
    command.args(["120", UNGLUE, "lab", "torture"]).args(flags).args(["--server", server, "--"]);
    command.args(client.split(' ')).env("HOME", home).current_dir(home);
    command.output().expect("it runs")
}

fn text(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("exit code {:?}\n{stdout}{stderr}", output.status.code())
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}
