//! Wrong usage: one line on standard error, and the exit code 125.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use anstream::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::bare_host::{self, Word};
use super::{CommandLine, remote_command};
use crate::complaint::Complaint;
use crate::standard;

/// Reads the command line. `None` after help or the version, which have been printed.
///
/// # Errors
/// Wrong usage, or standard output can't be written.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Option<CommandLine>, Complaint> {
    let words = match bare_host::meant(&words, CommandLine::command, || io::stdin().is_terminal()) {
        Word::Other => remote_command::set_apart(words),
        Word::Host => bare_host::as_shell(words),
        Word::Near(command) => {
            let word = words.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            return Err(Complaint::new(format!(
                "there is no command {word}; did you mean {command}? For a shell on a server of that name, write: \
                 unglue shell {word}"
            )));
        }
    };
    match read(&words) {
        Ok(line) => Ok(Some(line)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let text = error.render();
            let styled = standard::colours() != ColorChoice::Never;
            standard::print(if styled { text.ansi().to_string() } else { text.to_string() })?;
            Ok(None)
        }
        Err(error) => {
            let path = command_of(&words);
            Err(Complaint::new(format!("{}; see: {path} --help", problem(&error))))
        }
    }
}

fn read(words: &[OsString]) -> Result<CommandLine, clap::Error> {
    let mut line = described_for(words);
    let mut found = line.try_get_matches_from_mut(words)?;
    CommandLine::from_arg_matches_mut(&mut found).map_err(|error| error.format(&mut line))
}

/// The command line as clap needs it for these words. The description of all commands takes longer to make than a command
/// takes to run, so clap makes that of the command which is named; without one it needs them all, for help and hints.
fn described_for(words: &[OsString]) -> Command {
    let line = CommandLine::command();
    let named = words.get(1).is_some_and(|word| line.find_subcommand(word).is_some());
    if named { line } else { super::described() }
}

/// What is wrong, in one line. Of clap's hints only those are kept that name what may have been meant: the others explain
/// clap's own rules, which aren't always ours.
fn problem(error: &clap::Error) -> String {
    let meant = |kind| match error.get(kind) {
        Some(ContextValue::String(one)) => Some(one.clone()),
        Some(ContextValue::Strings(several)) => several.last().cloned(),
        _ => None,
    };
    match (error.kind(), meant(ContextKind::InvalidSubcommand), meant(ContextKind::InvalidArg)) {
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand, ..) => {
            "a command is missing".into()
        }
        (ErrorKind::InvalidSubcommand, Some(word), _) => match meant(ContextKind::SuggestedSubcommand) {
            Some(similar) => format!("there is no command {word}; did you mean {similar}?"),
            None => format!(
                "there is no command {word}; if it is a server, write `unglue exec {word} PROGRAM` to run a command there, \
                 or `unglue shell {word}` for a shell"
            ),
        },
        (ErrorKind::UnknownArgument, _, Some(word)) => match meant(ContextKind::SuggestedArg) {
            Some(similar) => format!("unexpected argument {word}; did you mean {similar}?"),
            None => format!("unexpected argument {word}"),
        },
        _ => first_sentence(error),
    }
}

/// What clap says, without its layout and its hints.
fn first_sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let told = text.split("\n\n").next().unwrap_or(&text);
    let told = told.trim_start_matches("error: ");
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The command whose help explains it: as many words as name one.
fn command_of(words: &[OsString]) -> String {
    let mut command = super::described();
    let mut path = String::from("unglue");
    for word in words.iter().skip(1) {
        let Some(inner) = command.find_subcommand(word).cloned() else { break };
        path = format!("{path} {}", inner.get_name());
        command = inner;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        let words = [&["unglue"], words].concat();
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        problem(&read(&words).expect_err("wrong usage"))
    }

    #[test]
    fn the_structure_of_the_commands_holds() {
        super::super::described().debug_assert();
    }

    #[test]
    fn wrong_usage_is_reported_in_one_line() {
        for (words, what) in [
            (&["exec"][..], "required arguments were not provided: <HOST>"),
            (&["cp", "a"], "2 values required"),
            (&["--evn"], "unexpected argument --evn"),
            (&["exec", "--evn", "h"], "unexpected argument --evn"),
            (&["exec", "--jsn", "h", "--", "x"], "unexpected argument --jsn; did you mean --json?"),
            (&["serv"], "there is no command serv; did you mean serve?"),
            (&["exec", "h", "--timeout", "soon", "--", "x"], "invalid value 'soon' for '--timeout <DUR>'"),
            (&["key"], "a command is missing"),
        ] {
            let said = said(words);
            assert!(said.contains(what) && !said.contains('\n') && !said.contains("tip"), "{words:?}: {said:?}");
        }
    }

    #[test]
    fn a_server_in_the_place_of_a_command_gets_a_list_of_what_there_is() {
        let said = said(&["build.example"]);
        assert!(
            said.contains("unglue exec build.example PROGRAM") && said.contains("unglue shell build.example"),
            "{said}"
        );
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command) {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            if command.get_name() == "help" {
                return;
            }
            assert!(help.contains("Examples:"), "{}", command.get_name());
            assert!(command.get_after_help().is_none(), "{}: -h is short", command.get_name());
            // The steps of these two are shown together, by the command above them.
            if !["frame", "struct"].contains(&command.get_name()) {
                command.get_subcommands().for_each(check);
            }
        }
        check(&super::super::described());
    }
}
