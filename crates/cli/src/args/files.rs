//! `unglue ls`, `stat`, `mkdir`, `mv`, `rm` and `hash`: what was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use unglue::files::{At, Make, Move, Remove, Verb};

use super::connection::ConnectionArgs;
use super::place::Place;
use super::target::HostArg;

/// List files on another machine
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue ls build.example:               # the home directory, or the server's root
  unglue ls -l build.example:logs
  unglue ls --json build.example:logs    # one JSON object for each entry")]
pub(crate) struct LsArgs {
    /// Show type and mode, links, owner, group, size and time
    #[arg(short = 'l')]
    pub(crate) long: bool,
    /// Print one JSON object for each entry
    #[arg(long)]
    pub(crate) json: bool,
    #[arg(required = true, value_name = "HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Show the kind, size, mode, owner and time of a file on another machine
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue stat build.example:logs/today.log
  unglue stat --json build.example:logs/today.log | jq .size

For a symbolic link, stat describes the link, not the file that it points to.")]
pub(crate) struct StatArgs {
    /// Print one JSON object for each entry
    #[arg(long)]
    pub(crate) json: bool,
    #[arg(required = true, value_name = "HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Make directories on another machine
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue mkdir build.example:backup
  unglue mkdir -p build.example:backup/2026/11")]
pub(crate) struct MkdirArgs {
    /// Make the directories above as well; a directory that exists is not an error
    #[arg(short = 'p', long)]
    parents: bool,
    #[arg(required = true, value_name = "HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Rename or move a file on another machine
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue mv build.example:report.txt build.example:old/
  unglue mv build.example:a build.example:b     # a file called b is replaced

Both names are on the same machine. The second one may be written without HOST.")]
pub(crate) struct MvArgs {
    #[arg(value_name = "HOST:PATH")]
    path: OsString,
    #[arg(value_name = "HOST:NEW")]
    to: OsString,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Remove files on another machine, or forget a command that has ended there
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue rm build.example:old.log
  unglue rm -r build.example:backup/2019
  unglue rm build.example nightly                # the command with this name, and its output

Symbolic links are removed, not followed.

HOST ID forgets a command that unglue jobs lists. Its id stays used: a later exec --id with it is
refused. A running command is not changed: end it first, with unglue signal.")]
#[command(override_usage = "unglue rm [OPTIONS] HOST:PATH…\n       unglue rm [OPTIONS] HOST ID|NAME")]
pub(crate) struct RmArgs {
    /// Remove directories with everything in them
    #[arg(short = 'r', long)]
    recursive: bool,
    #[arg(required = true, value_name = "HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Print BLAKE3 digests of files on another machine
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue hash build.example:disk.img
  unglue hash build.example:a build.example:b | b3sum -c   # with copies of a and b here")]
pub(crate) struct HashArgs {
    #[arg(required = true, value_name = "HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Requests to one server, each with the path as it was typed.
#[derive(Debug)]
pub(crate) struct FilesPlan {
    pub(crate) host: HostArg,
    pub(crate) verbs: Vec<(OsString, Verb)>,
}

fn plan(paths: &[OsString], verb: impl Fn(PathBuf) -> Verb) -> Result<FilesPlan, String> {
    let mut plan: Option<FilesPlan> = None;
    for typed in paths {
        let (host, path) = remote(typed)?;
        let plan = plan.get_or_insert_with(|| FilesPlan { host: host.clone(), verbs: Vec::new() });
        if plan.host != host {
            return Err(format!("{} and {host} are two servers; ask one at a time", plan.host));
        }
        plan.verbs.push((typed.clone(), verb(path)));
    }
    plan.ok_or_else(|| "name a file as HOST:PATH".into())
}

fn remote(typed: &OsString) -> Result<(HostArg, PathBuf), String> {
    match Place::parse(typed)? {
        Place::Remote(host, path) => Ok((host, path)),
        Place::Local(path) => Err(format!("{} is a local path; write HOST:PATH", path.display())),
    }
}

fn at(path: PathBuf) -> At {
    At { path: path.as_os_str().into() }
}

impl LsArgs {
    pub(crate) fn plan(&self) -> Result<FilesPlan, String> {
        plan(&self.paths, |path| Verb::List(at(path)))
    }
}

impl StatArgs {
    pub(crate) fn plan(&self) -> Result<FilesPlan, String> {
        plan(&self.paths, |path| Verb::Stat(at(path)))
    }
}

impl MkdirArgs {
    pub(crate) fn plan(&self) -> Result<FilesPlan, String> {
        let parents = self.parents;
        plan(&self.paths, |path| Verb::Make(Make { path: path.as_os_str().into(), parents }))
    }
}

impl MvArgs {
    pub(crate) fn plan(&self) -> Result<FilesPlan, String> {
        let (host, path) = remote(&self.path)?;
        let to = match Place::parse(&self.to)? {
            Place::Remote(other, _) if other != host => {
                return Err(format!("{host} and {other} are two servers; copy it with cp -r, and remove it then"));
            }
            Place::Remote(_, to) | Place::Local(to) => to,
        };
        let verb = Verb::Move(Move { path: path.as_os_str().into(), to: to.as_os_str().into() });
        Ok(FilesPlan { host, verbs: vec![(self.path.clone(), verb)] })
    }
}

impl RmArgs {
    /// The command to forget: `HOST ID`, where the second word can't be a file on a server.
    pub(crate) fn job(&self) -> Option<(HostArg, String)> {
        match &self.paths[..] {
            [host, job] if !self.recursive && matches!(Place::parse(job), Ok(Place::Local(_))) => {
                Some((host.to_str()?.parse().ok()?, job.to_str()?.to_owned()))
            }
            _ => None,
        }
    }

    pub(crate) fn plan(&self) -> Result<FilesPlan, String> {
        let recursive = self.recursive;
        plan(&self.paths, |path| Verb::Remove(Remove { path: path.as_os_str().into(), recursive }))
    }
}

impl HashArgs {
    pub(crate) fn plan(&self) -> Result<FilesPlan, String> {
        plan(&self.paths, |path| Verb::Hash(at(path)))
    }
}
