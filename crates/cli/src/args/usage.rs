//! Wrong usage: one line on standard error, and the exit code 125.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use super::CommandLine;
use crate::complaint::Complaint;

/// Reads the command line.
///
/// # Errors
/// What the process shall end with: 0 after help or the version, which have been printed, 125 after wrong usage, which has
/// been told.
pub(crate) fn parse(words: Vec<OsString>) -> Result<CommandLine, ExitCode> {
    CommandLine::try_parse_from(&words).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever closed standard output doesn't want to read it.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let path = command_of(&words);
            let what = match error.kind() {
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".into(),
                ErrorKind::UnknownArgument if path == "unglue exec" => one_line(&error) + behind_dashes(&error),
                _ => one_line(&error),
            };
            Complaint::new(format!("{what}; see: {path} --help")).tell()
        }
    })
}

/// What to do about a word of `exec` that is no flag: it is the beginning of a command, most likely.
fn behind_dashes(error: &clap::Error) -> &'static str {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if !word.starts_with('-') => "; write the command behind --",
        _ => "",
    }
}

/// What clap says, without its layout: the problem, then its hints in parentheses.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let told = text.split("\n\nUsage:").next().unwrap_or(&text);
    let told = told.split("\n\nFor more information").next().unwrap_or(told);
    let mut parts = told.trim_start_matches("error: ").split("\n\n").map(collapse);
    let problem = parts.next().unwrap_or_default();
    let hints: Vec<String> = parts.map(|part| part.trim_start_matches("tip: ").replace(" tip: ", "; ")).collect();
    match hints.is_empty() {
        true => problem,
        false => format!("{problem} ({})", hints.join("; ")),
    }
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The command whose help explains it: as many words as name one.
fn command_of(words: &[OsString]) -> String {
    let mut command = CommandLine::command();
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
        one_line(&CommandLine::try_parse_from(words).expect_err("wrong usage"))
    }

    #[test]
    fn the_structure_of_the_commands_holds() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_told_in_one_line() {
        for words in [&["exec"][..], &["exec", "h", "ls"], &["cp", "a"], &["--evn"], &["exec", "--evn", "h"], &["flie"]]
        {
            let said = said(words);
            assert!(!said.contains('\n') && !said.contains("error:") && !said.is_empty(), "{said:?}");
        }
        assert!(said(&["exec", "--jsn", "h", "--", "x"]).contains("similar argument exists"));
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{}", command.get_name());
            // The steps of these two are shown together, by the command above them.
            if !["frame", "struct"].contains(&command.get_name()) {
                command.get_subcommands().for_each(check);
            }
        }
        check(&CommandLine::command());
    }
}
