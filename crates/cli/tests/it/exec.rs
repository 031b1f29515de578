//! `unglue exec`: exit codes, streams, arguments, environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;
use std::time::Duration;

use super::host::Host;
use super::run::{finish, finish_with, start};

#[test]
fn the_exit_code_says_how_it_ended() {
    let host = Host::start();
    host.exec(&[], ["true"]).expect(0);
    for code in [1, 3, 124, 125, 126, 127, 255] {
        let done = host.shell(&[], &format!("exit {code}")).expect(code);
        assert_eq!(done.stderr, "", "the code is the command's own, and so is every line");
    }
    host.shell(&[], "kill -9 $$").expect(137);
    host.shell(&[], "kill -TERM $$").expect(143);
    host.exec(&[], ["no-such-program"]).expect(127).complains("no-such-program");
    host.exec(&[], ["/etc/passwd"]).expect(126).complains("/etc/passwd");
    host.exec(&["--cwd", "no-such-directory"], ["true"]).expect(125).complains("no-such-directory");
    host.exec(&["--timeout", "200ms"], ["sleep", "60"]).expect(124).complains("0.2 s");
}

#[test]
fn both_outputs_arrive_byte_for_byte() {
    let host = Host::start();
    let done = host.shell(&[], "printf 'a\\000\\377\\n'; printf 'e\\000\\376' >&2").expect(0);
    assert_eq!(done.stdout, b"a\0\xff\n");
    assert_eq!(done.stderr, "e\0\u{fffd}");
    let done = host.shell(&[], "seq 300000").expect(0);
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(done.stdout == expected.as_bytes(), "{} bytes of {}", done.stdout.len(), expected.len());
}

#[test]
fn compressed_streams_arrive_byte_for_byte() {
    let host = Host::start();
    let input: String = (0..200_000).map(|line| format!("line {line}\n")).collect();
    let done = finish_with(host.exec_command(&["-C", "-i"], ["tee", "/dev/stderr"]), input.as_bytes()).expect(0);
    assert!(done.text() == input && done.stderr == input, "{} and {} bytes", done.text().len(), done.stderr.len());
    // A terminal's streams are not compressed.
    host.exec(&["-C", "-t"], ["true"]).expect(125).complains("cannot be used with");
}

#[test]
fn arguments_arrive_as_they_were_given() {
    let host = Host::start();
    let words: [&[u8]; 7] = [b"a b", b"", b"'\"$HOME\\", b"line\nbreak", b"\xff\xfe", b"--json", b"*"];
    let printed = host.exec(&[], [&b"printf"[..], b"%s|"].into_iter().chain(words).map(OsStr::from_bytes)).expect(0);
    let expected: Vec<u8> = words.iter().flat_map(|word| [word, &b"|"[..]].concat()).collect();
    assert_eq!(printed.stdout.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn the_environment_is_clean_but_for_what_is_asked() {
    let host = Host::start();
    let done =
        finish(host.exec_command(&["--env", "A=b=c", "--env", "EMPTY="], ["env"]).env("LEAKED", "yes")).expect(0);
    let variables: Vec<&str> = done.text().lines().collect();
    assert!(variables.contains(&"A=b=c") && variables.contains(&"EMPTY="), "{variables:?}");
    for name in ["HOME=", "USER=", "LOGNAME=", "SHELL=", "PATH="] {
        assert!(variables.iter().any(|variable| variable.starts_with(name)), "{name} of {variables:?}");
    }
    assert!(!variables.iter().any(|variable| variable.starts_with("LEAKED")), "{variables:?}");
}

#[test]
fn a_command_runs_in_the_root_unless_told_otherwise() {
    let host = Host::start();
    std::fs::create_dir(host.root().join("sub directory")).expect("made");
    assert_eq!(host.exec(&[], ["pwd"]).expect(0).text().trim_end(), host.root().to_str().expect("text"));
    let sub = host.exec(&["--cwd", "sub directory"], ["pwd"]).expect(0);
    assert_eq!(sub.text().trim_end(), host.root().join("sub directory").to_str().expect("text"));
}

#[test]
fn input_is_fed_only_when_asked_for() {
    let host = Host::start();
    let unasked = finish_with(host.exec_command(&[], ["cat"]), b"mine");
    assert_eq!(unasked.expect(0).stdout, b"", "a `while read` loop keeps its own input");
    assert_eq!(host.shell_with("cat", b"yours\xff\0").expect(0).stdout, b"yours\xff\0");
    let large: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let echoed = host.shell_with("cat", &large).expect(0);
    assert!(echoed.stdout == large, "{} bytes of {}", echoed.stdout.len(), large.len());
}

#[test]
fn a_command_may_leave_its_input_unread() {
    let host = Host::start();
    let done = host.shell_with("head -c 3", &vec![b'x'; 5_000_000]).expect(0);
    assert_eq!(done.stdout, b"xxx");
    assert_eq!(done.stderr, "", "that is no failure");
}

#[test]
fn an_endless_input_does_not_outlive_the_command() {
    let host = Host::start();
    // The input stays open, and nothing comes.
    let running = start(host.client(["exec", "-i", &host.target(), "-c", "echo done"]).stdin(Stdio::piped()));
    assert_eq!(running.finish().expect(0).stdout, b"done\n");
}

#[test]
fn a_reader_who_has_enough_ends_the_command_quietly() {
    let host = Host::start();
    let line = format!("\"$UNGLUE\" exec {} -- yes | head -c 1; echo \" ${{PIPESTATUS[0]}}\"", host.target());
    let mut bash = super::run::clean("bash");
    bash.args(["-c", &line]).env("UNGLUE", super::run::UNGLUE).env("HOME", host.home());
    let done = finish(&mut bash).expect(0);
    assert_eq!(done.text(), "y 141\n", "`yes` was ended by SIGPIPE, as a local one is");
    assert_eq!(done.stderr, "");
}

#[test]
fn a_reader_who_stalls_holds_up_neither_the_other_output_nor_a_signal() {
    let host = Host::start();
    let text = "trap 'echo interrupted >&2; exit 7' INT; echo early >&2; yes & while :; do sleep 0.1; done";
    let mut command = super::host::client(&host.home());
    command.args(["exec", &host.target(), "-c", text]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")));
    assert_eq!(lines.next().expect("a line").expect("text"), "early");
    // Nobody reads standard output; let it fill every buffer on the way.
    std::thread::sleep(Duration::from_millis(300));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("sent");
    assert_eq!(lines.next().expect("a line").expect("text"), "interrupted");
    drop(child.stdout.take());
    let status = super::run::until("the client's end", || child.try_wait().expect("a child of ours"));
    assert_eq!(status.code(), Some(7));
}

#[test]
fn a_full_disk_under_standard_output_is_reported() {
    let host = Host::start();
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full");
        return;
    };
    let mut child = host.exec_command(&[], ["echo", "lost"]);
    child = child.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped());
    let output = child.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.starts_with("unglue: standard output could not be written") && said.lines().count() == 1, "{said}");
}
