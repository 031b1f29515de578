//! Standard input and output that are closed, full, or that nobody reads: the same exit codes in every command.

use std::fs::{File, Permissions};
use std::io::{Write as _, pipe};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::host::Host;
use super::run::{Finished, UNGLUE, clean, finish};

/// Command lines that print something, each with what it reads.
const PRINTING: [(&[&str], &str); 17] = [
    (&["--help"], ""),
    (&["--version"], ""),
    (&["exec", "--help"], ""),
    (&["help", "frame"], ""),
    (&["completions", "bash"], ""),
    (&["man"], ""),
    (&["key", "list"], ""),
    (&["lab", "scene"], ""),
    (&["lab", "scene", "--json"], ""),
    (&["lab", "scene", "empty"], ""),
    (&["frame", "list"], ""),
    (&["frame", "decode", "lines"], "one\ntwo\n"),
    (&["frame", "check", "lines"], "one\ntwo\n"),
    (&["frame", "encode", "u32be"], "one\ntwo\n"),
    (&["struct", "size", "I"], ""),
    (&["struct", "unpack", "--iter", "B", "0102"], ""),
    (&["struct", "--batch"], "{\"op\":\"calcsize\",\"format\":\"I\"}\n"),
];

/// Runs a command line in an empty home with this standard output.
fn run(words: &[&str], input: &str, stdout: impl Into<Stdio>) -> Finished {
    let home = tempfile::tempdir().expect("a directory");
    let (reader, mut writer) = pipe().expect("a pipe");
    // It fits into the pipe.
    writer.write_all(input.as_bytes()).expect("written");
    drop(writer);
    let mut command = clean(UNGLUE);
    command.args(words).env("HOME", home.path()).current_dir(home.path()).stdin(reader).stdout(stdout);
    finish_as_it_is(&mut command)
}

/// Runs a program whose standard output goes where the command says.
fn finish_as_it_is(command: &mut Command) -> Finished {
    let started = std::time::Instant::now();
    let done = command.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output).expect("it ran");
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    Finished { code: done.status.code().unwrap_or(-1), stdout: done.stdout, stderr, took: started.elapsed() }
}

/// Runs a line of bash with the program as `$0`.
fn bash(line: &str) -> Finished {
    finish(clean("bash").args(["-c", line, UNGLUE]))
}

#[test]
fn a_reader_that_has_enough_is_not_a_failure() {
    for (words, input) in PRINTING {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let done = run(words, input, writer);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{words:?}");
    }
    let done = bash("set -o pipefail; \"$0\" frame decode fixed:16 <(head -c 3000000 /dev/zero) | head -n 1").expect(0);
    assert!(done.text().starts_with("@0 16 bytes") && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn a_full_device_is_a_failure_that_is_reported() {
    for (words, input) in PRINTING {
        let full = File::options().write(true).open("/dev/full").expect("a device");
        let done = run(words, input, full);
        assert_eq!(done.code, 125, "{words:?}: {done:?}");
        done.complains("standard output could not be written: No space left on device");
    }
}

#[test]
fn a_closed_output_is_a_failure_that_is_reported() {
    for (words, _) in PRINTING {
        let words = words.join(" ");
        let line = format!("echo '{{\"op\":\"calcsize\",\"format\":\"I\"}}' | \"$0\" {words} >&-");
        bash(&line).expect(125).complains("standard output could not be written: Bad file descriptor");
    }
}

#[test]
fn a_closed_input_is_not_an_empty_one() {
    for words in ["frame decode lines", "frame encode u32be", "struct --batch", "struct unpack B"] {
        bash(&format!("\"$0\" {words} <&-")).expect(125).complains("can't be read: it is closed");
        bash(&format!("\"$0\" {words} </dev/null")).stderr.lines().for_each(|line| assert!(!line.contains("closed")));
    }
}

#[test]
fn output_of_a_command_is_not_lost_without_a_word() {
    let host = Host::start();
    let exec = |redirected: &str, flags: &str, text: &str| {
        let line = format!("exec \"$0\" exec {flags} {} -c '{text}' {redirected}", host.target());
        finish(clean("bash").args(["-c", &line, UNGLUE]).env("HOME", host.home()))
    };
    exec(">&-", "", "echo lost").expect(125).complains("standard output could not be written: Bad file descriptor");
    exec(">/dev/full", "", "echo lost").expect(125).complains("No space left on device");
    exec(">&-", "", "true").expect(0);
    exec(">&-", "", "exit 3").expect(3);
    exec("2>&-", "", "echo shown").expect(0);
    exec("2>&-", "", "echo lost >&2").expect(125);
    exec(">&-", "--json", "touch ran").expect(125).complains("nothing was run");
    exec("<&-", "-i", "touch ran").expect(125).complains("standard input can't be fed to the command: it is closed");
    assert!(!host.root().join("ran").exists());
    exec("<&-", "", "cat").expect(0);
    exec("</dev/null", "-i", "cat").expect(0);
}

#[test]
fn a_machine_without_threads_is_reported_in_one_line() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this needs root, to become a user without other processes");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let program = directory.path().join("unglue");
    std::fs::copy(UNGLUE, &program).expect("it is copied");
    let mut key = Command::new(&program);
    std::fs::create_dir(directory.path().join("home")).expect("made");
    finish(key.args(["key", "init"]).env("HOME", directory.path().join("home"))).expect(0);
    for given in ["home", "home/.config", "home/.config/unglue", "home/.config/unglue/id_ed25519"] {
        std::os::unix::fs::chown(directory.path().join(given), Some(61234), None).expect("given");
    }
    for words in [&["exec", "localhost:1", "true"][..], &["cp", "-P", "1", "f", "localhost:"], &["repl", "localhost:1"]]
    {
        let mut limited = clean("setpriv");
        limited.args(["--reuid", "61234", "--regid", "61234", "--clear-groups", "bash", "-c"]);
        limited.arg("ulimit -u 1; exec \"$0\" \"$@\"").arg(&program).args(words);
        limited.current_dir(directory.path()).env("HOME", directory.path().join("home"));
        finish(&mut limited).expect(125).complains("thread");
    }
}
