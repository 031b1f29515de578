//! Help, versions, and wrong usage.

use super::run::{Finished, UNGLUE, clean, finish};

fn unglue(words: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a folder");
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
fn wrong_usage_is_one_line_and_exits_with_125() {
    for words in [
        &[][..],
        &["flie"],
        &["exec"],
        &["exec", "host"],
        &["exec", "host", "ls"],
        &["exec", "host", "--", ""],
        &["exec", "--json", "--outcome", "f", "host", "--", "ls"],
        &["exec", "--timeout", "soon", "host", "--", "ls"],
        &["exec", "--env", "NAME", "host", "--", "ls"],
        &["exec", "host:0", "--", "ls"],
        &["exec", "-P", "1", "host:2", "--", "ls"],
        &["cp", "a"],
        &["cp", "a", "b"],
        &["cp", "host:a", "host:b"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--allow", "everything"],
        &["key"],
        &["key", "trust", "host", "MD5:00"],
        &["repl"],
    ] {
        let done = unglue(words).expect(125).complains("");
        assert!(done.stdout.is_empty(), "{words:?}: {done:?}");
    }
}

#[test]
fn a_command_without_its_dashes_is_told_about_them() {
    unglue(&["exec", "host", "ls"]).expect(125).complains("write the command behind --; see: unglue exec --help");
    unglue(&["key", "trust", "host"]).expect(125).complains("see: unglue key trust --help");
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(unglue(&["completions", shell]).expect(0).text().contains("unglue"));
    }
    assert!(unglue(&["man"]).expect(0).text().contains(".TH unglue"));
    let folder = tempfile::tempdir().expect("a folder");
    unglue(&["man", folder.path().to_str().expect("text")]).expect(0);
    for page in ["unglue.1", "unglue-exec.1", "unglue-key-trust.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
}
