//! Where the remote command begins on the command line of `exec` and `shell`: at the first word behind HOST that is not an option, as with
//! ssh. What follows is the command's own, options included.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::{ArgAction, Args as _, Command};

use super::exec::ExecArgs;
use super::shell::ShellArgs;

/// Puts `--` before the remote command, where the user didn't.
pub(super) fn set_apart(mut words: Vec<OsString>) -> Vec<OsString> {
    let command = match words.get(1) {
        Some(word) if word == "exec" => ExecArgs::augment_args(Command::new("exec")),
        Some(word) if word == "shell" => ShellArgs::augment_args(Command::new("shell")),
        _ => return words,
    };
    if let Some(at) = place(&words, &command) {
        words.insert(at, "--".into());
    }
    words
}

/// The place of the remote command; `None` where it is marked already, or where there is none.
fn place(words: &[OsString], exec: &Command) -> Option<usize> {
    let mut host = false;
    let mut at = 2;
    while let Some(word) = words.get(at) {
        match word.as_bytes() {
            b"--" => return None,
            [b'-', b'-', name @ ..] => at += usize::from(takes_next_word(name, exec)),
            [b'-', cluster @ ..] if !cluster.is_empty() => at += usize::from(ends_with_value(cluster, exec)),
            _ if host => return Some(at),
            _ => host = true,
        }
        at += 1;
    }
    None
}

/// Whether the value of a long option is the next word: not with `--name=value`. A name may be unknown: clap refuses it later.
fn takes_next_word(name: &[u8], exec: &Command) -> bool {
    let name = OsStr::from_bytes(name);
    exec.get_arguments().any(|arg| arg.get_long().is_some_and(|long| long == name) && has_value(arg))
}

/// Whether short options in one word end with one whose value is the next word: `-ic TEXT`, but not `-P7300`.
fn ends_with_value(cluster: &[u8], exec: &Command) -> bool {
    let with_value = cluster.iter().position(|&letter| {
        exec.get_arguments().any(|arg| arg.get_short() == Some(char::from(letter)) && has_value(arg))
    });
    with_value == Some(cluster.len() - 1)
}

fn has_value(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let words = set_apart(words);
        words.join(" ".as_ref()).into_string().expect("text")
    }

    #[test]
    fn a_command_begins_at_the_first_word_behind_the_host() {
        for (typed, read) in [
            ("unglue exec h ls -l", "unglue exec h -- ls -l"),
            ("unglue exec h ls -- -l", "unglue exec h -- ls -- -l"),
            ("unglue exec -i --json h cat -i", "unglue exec -i --json h -- cat -i"),
            ("unglue exec h --json ls", "unglue exec h --json -- ls"),
            ("unglue exec --cwd d h ls", "unglue exec --cwd d h -- ls"),
            ("unglue exec --cwd=d h ls", "unglue exec --cwd=d h -- ls"),
            ("unglue exec -P 1 h ls", "unglue exec -P 1 h -- ls"),
            ("unglue exec -P1 h ls", "unglue exec -P1 h -- ls"),
            ("unglue exec -iP 1 h ls", "unglue exec -iP 1 h -- ls"),
            ("unglue exec h --timeout 5s ls", "unglue exec h --timeout 5s -- ls"),
            ("unglue exec h - x", "unglue exec h -- - x"),
            ("unglue exec -tt h top -d 1", "unglue exec -tt h -- top -d 1"),
            ("unglue shell h htop -t", "unglue shell h -- htop -t"),
            ("unglue shell --name n h -L 1:h:2 ls", "unglue shell --name n h -L 1:h:2 -- ls"),
        ] {
            assert_eq!(apart(typed), read);
        }
    }

    #[test]
    fn what_is_marked_and_what_has_no_command_stays() {
        for line in [
            "unglue exec h -- ls -l",
            "unglue exec h -c text",
            "unglue exec -c text h",
            "unglue exec h",
            "unglue exec",
            "unglue cp a b",
            "unglue repl h ls",
            "unglue",
        ] {
            assert_eq!(apart(line), line);
        }
    }
}
