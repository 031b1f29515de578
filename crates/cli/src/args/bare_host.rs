//! `unglue HOST` means `unglue shell HOST`: for a person at a terminal, and for nothing that may be a mistyped command.

use std::ffi::OsString;

use clap::Command;

use super::target::HostArg;

/// A word this near to a command's name is taken for a typo: connecting to a host of that name would be a surprise.
const NEAR: usize = 2;

/// What a single word means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Something that is not about a host.
    Other,
    /// A server.
    Host,
    /// Hardly a server: it is nearly this command.
    Near(String),
}

/// What the words of a command line mean; `at_terminal` is whether a person types them. Both functions are called for a single
/// word only.
pub(super) fn meant(words: &[OsString], line: impl Fn() -> Command, at_terminal: impl Fn() -> bool) -> Word {
    let [_, word] = words else { return Word::Other };
    let Some(word) = word.to_str().filter(|word| !word.starts_with('-') && at_terminal()) else { return Word::Other };
    let line = line();
    let names = || line.get_subcommands().flat_map(Command::get_name_and_visible_aliases).chain(["help"]);
    if names().any(|name| name == word) || word.parse::<HostArg>().is_err() {
        return Word::Other;
    }
    let near = names().map(|name| (strsim::osa_distance(name, &word.to_lowercase()), name)).min();
    match near {
        Some((distance, name)) if distance <= NEAR => Word::Near(name.to_owned()),
        _ => Word::Host,
    }
}

/// `unglue HOST` as `unglue shell HOST`.
pub(super) fn as_shell(mut words: Vec<OsString>) -> Vec<OsString> {
    words.insert(1, "shell".into());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn word(text: &str) -> Word {
        let words: Vec<OsString> = ["unglue", text].map(OsString::from).to_vec();
        meant(&words, super::super::CommandLine::command, || true)
    }

    #[test]
    fn a_host_is_a_host() {
        for host in ["build.example", "ada@web", "localhost", "127.0.0.1", "[::1]:7000", "::1", "buildserver"] {
            assert_eq!(word(host), Word::Host, "{host}");
        }
    }

    #[test]
    fn a_mistyped_command_connects_nowhere() {
        for (typed, name) in [
            ("exce", "exec"),
            ("shel", "shell"),
            ("Shell", "shell"),
            ("sehll", "shell"),
            ("serv", "serve"),
            ("atach", "attach"),
            ("jbos", "jobs"),
            ("halp", "help"),
            ("foward", "forward"),
        ] {
            assert_eq!(word(typed), Word::Near(name.into()), "{typed}");
        }
        // Short names are near to many words.
        assert!(matches!(word("pc"), Word::Near(_)) && matches!(word("db"), Word::Near(_)));
    }

    #[test]
    fn commands_options_and_nonsense_are_left_alone() {
        for other in ["exec", "help", "-h", "--version", "a b", "", "/etc/passwd", "h:http"] {
            assert_eq!(word(other), Word::Other, "{other:?}");
        }
        let line = super::super::CommandLine::command;
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(meant(&words(&["unglue"]), line, || true), Word::Other);
        assert_eq!(meant(&words(&["unglue", "web", "-v"]), line, || true), Word::Other);
        assert_eq!(meant(&words(&["unglue", "build.example"]), line, || false), Word::Other);
    }
}
