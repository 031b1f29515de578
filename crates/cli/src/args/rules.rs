//! `--exclude`, `--include` and `--exclude-from`: one list, in the order in which they were typed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint, error::ErrorKind, value_parser,
};
use unglue::Rule;

use super::lists::rules_in;

/// The rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleArgs {
    pub(crate) rules: Vec<Rule>,
}

impl Args for RuleArgs {
    fn augment_args(command: Command) -> Command {
        let pattern = |name: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .value_parser(value_parser!(OsString))
                .help(help)
        };
        command
            .arg(pattern("exclude", "Leave out names that match; an --include PATTERN before it makes exceptions"))
            .arg(pattern("include", "Copy names that match, even if a later pattern excludes them"))
            .arg(
                pattern("exclude-from", "Read patterns from a file, one per line; a line that starts with + includes")
                    .value_name("FILE")
                    .value_hint(ValueHint::FilePath),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RuleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<RuleArgs, Error> {
        let mut typed: Vec<(usize, &str, &OsString)> = Vec::new();
        for name in ["exclude", "include", "exclude-from"] {
            let values = matches.get_many::<OsString>(name).into_iter().flatten();
            let places = matches.indices_of(name).into_iter().flatten();
            typed.extend(places.zip(values).map(|(place, value)| (place, name, value)));
        }
        typed.sort_by_key(|(place, ..)| *place);
        let mut rules = Vec::new();
        for (_, name, value) in typed {
            let bytes = || value.clone().into_vec();
            match name {
                "exclude" => rules.push(Rule::exclude(bytes())),
                "include" => rules.push(Rule::include(bytes())),
                _ => {
                    let read = rules_in(Path::new(value));
                    rules.extend(read.map_err(|why| Error::raw(ErrorKind::Io, why))?);
                }
            }
        }
        Ok(RuleArgs { rules })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
