//! Help, versions, and wrong usage.

use super::run::{Finished, UNGLUE, clean, finish};

fn unglue(words: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a directory");
    finish(clean(UNGLUE).args(words).env("HOME", home.path()).current_dir(home.path()))
}

#[test]
fn help_and_version_are_no_failures() {
    assert_eq!(unglue(&["--version"]).expect(0).text(), concat!("unglue ", env!("CARGO_PKG_VERSION"), "\n"));
    for command in [&[][..], &["exec"], &["repl"], &["cp"], &["serve"], &["key"], &["key", "init"], &["demo"]] {
        let done = unglue(&[command, &["--help"]].concat()).expect(0);
        assert!(done.text().contains("Examples:") && done.stderr.is_empty(), "{command:?}: {done:?}");
    }
}

#[test]
fn help_is_short_with_h_and_has_examples_with_help() {
    let all = unglue(&["--help"]).expect(0);
    for command in
        ["exec", "repl", "cp", "serve", "key", "demo", "lab", "frame", "struct", "completions", "man", "help"]
    {
        assert!(all.text().lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}");
    }
    let (short, long) = (unglue(&["exec", "-h"]).expect(0), unglue(&["exec", "--help"]).expect(0));
    assert!(!short.text().contains("Examples:") && short.text().lines().count() < 70, "{}", short.text());
    assert_eq!(unglue(&["help", "exec"]).expect(0).text(), long.text());
}

#[test]
fn wrong_usage_is_one_line_and_exits_with_125() {
    for (words, why) in [
        (&[][..], "a command is missing; see: unglue --help"),
        (&["flie"], "there is no command flie; if it is a server, write `unglue exec flie PROGRAM`"),
        (&["build.example"], "or `unglue shell build.example` for a shell; see: unglue --help"),
        (&["exec"], "<HOST>; see: unglue exec --help"),
        (&["exec", "host"], "there is no command for host; write it after the host: unglue exec host PROGRAM"),
        (&["exec", "--evn", "A=1", "host", "ls"], "unexpected argument --evn"),
        (&["exec", "--jsn", "host", "ls"], "unexpected argument --jsn; did you mean --json?"),
        (&["exec", "host", "-y", "ls"], "unexpected argument -y; see: unglue exec --help"),
        (&["exec", "host", "--", ""], "the program's name is empty"),
        (&["exec", "host", "-c", "x", "y"], "cannot be used with"),
        (&["exec", "--json", "--outcome", "f", "host", "--", "ls"], "cannot be used with"),
        (&["exec", "--timeout", "soon", "host", "--", "ls"], "write it like 500ms"),
        (&["exec", "--env", "NAME", "host", "--", "ls"], "NAME is not set here"),
        (&["exec", "host:0", "--", "ls"], "the port is a number from 1 to 65535"),
        (&["exec", "-P", "1", "host:2", "--", "ls"], "-P names port 1"),
        (&["cp", "a"], "2 values required"),
        (&["cp", "a", "b"], "both local"),
        (&["cp", "a", "host:b", "host:c"], "one at a time"),
        (&["serve", "--listen", "nowhere"], "write it like 127.0.0.1:7227"),
        (&["serve", "--allow", "everything"], "invalid value 'everything'"),
        (&["key"], "a command is missing; see: unglue key --help"),
        (&["key", "trust", "host"], "see: unglue key trust --help"),
        (&["key", "trust", "host", "MD5:00"], "a fingerprint is SHA256:"),
        (&["repl"], "<HOST>; see: unglue repl --help"),
        (&["help", "nothing"], "nothing"),
    ] {
        let done = unglue(words).expect(125).complains(why);
        assert!(done.stdout.is_empty() && !done.stderr.contains("tip:"), "{words:?}: {done:?}");
    }
}

#[test]
fn a_level_that_does_not_exist_is_refused() {
    let mut command = clean(UNGLUE);
    command.args(["key", "list"]).env("UNGLUE_LOG", "loud").env("HOME", "/nowhere");
    finish(&mut command)
        .expect(125)
        .complains("UNGLUE_LOG=loud is not a level; set it to error, warn, info, debug or trace");
    finish(command.env("UNGLUE_LOG", "DEBUG")).expect(0);
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(unglue(&["completions", shell]).expect(0).text().contains("unglue"));
    }
    assert!(unglue(&["man"]).expect(0).text().contains(".TH unglue"));
    let directory = tempfile::tempdir().expect("a directory");
    unglue(&["man", directory.path().to_str().expect("text")]).expect(0);
    for page in ["unglue.1", "unglue-exec.1", "unglue-key-trust.1"] {
        assert!(directory.path().join(page).is_file(), "{page}");
    }
    let Ok(read) = std::process::Command::new("man").arg("-l").arg(directory.path().join("unglue-exec.1")).output()
    else {
        eprintln!("skipped: there is no `man` to read a page with");
        return;
    };
    let read = String::from_utf8_lossy(&read.stdout).into_owned();
    for line in ["unglue exec build.example uname -a", "unglue exec build.example -c 'df -h | tail -n +2'   # sh -c"] {
        assert!(read.is_empty() || read.lines().any(|read| read.trim_start().starts_with(line)), "{line}: {read}");
    }
}
