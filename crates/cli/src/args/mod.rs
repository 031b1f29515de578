//! What may be typed: one small structure for each command.
//!
//! Flags have two stages. The structures hold what was typed; a method of theirs (`plan`, `target`) says what that
//! means, or why it means nothing.

mod bare_host;
mod compress;
pub(crate) mod connection;
pub(crate) mod cp;
pub(crate) mod demo;
mod environment;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod forward;
pub(crate) mod jobs;
pub(crate) mod key;
pub(crate) mod lab;
pub(crate) mod lease;
pub(crate) mod limit;
mod lists;
pub(crate) mod manual;
pub(crate) mod place;
mod remote_command;
pub(crate) mod repl;
mod rules;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod span;
pub(crate) mod sync;
pub(crate) mod target;
mod usage;

pub(crate) use usage::parse;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::frame::FrameCommand;
use crate::pystruct::StructCommand;

const EXAMPLES: &str = "\
Examples:
  unglue demo                              # try it on this machine
  unglue exec build.example uname -a       # if `ssh build.example` works, this works
  unglue build.example                     # a shell there; as unglue shell build.example
  unglue exec --detach build.example make  # prints an id for unglue attach, logs and wait
  unglue cp notes.txt build.example:
  unglue forward -L 8080:localhost:80 web.example
  unglue sync -a project/ build.example:project/
  unglue serve                             # on the other machine, optional: faster than ssh
  unglue lab scene --all                   # why messages stick, on real sockets

Without a server at the host's port, unglue runs your own ssh (--transport), with all of its
configuration; UNGLUE_SSH names another command than ssh.

-h lists the flags; --help and `unglue help COMMAND` add examples. UNGLUE_LOG=LEVEL writes a log
to standard error: error, warn, info, debug or trace.

Exit status: the remote command's own; 125 if unglue itself failed. unglue exec --help lists the
others.";

/// Run commands and copy files on other machines
#[derive(Debug, Parser)]
#[command(name = "unglue", version, after_long_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands. Each is described only when it is wanted (`defer`): see [`described`].
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    Exec(Box<exec::ExecArgs>),
    Shell(Box<shell::ShellArgs>),
    Jobs(jobs::JobsArgs),
    Attach(jobs::AttachArgs),
    Logs(jobs::LogsArgs),
    Wait(jobs::WaitArgs),
    Signal(jobs::SignalArgs),
    Run(run::RunArgs),
    Repl(repl::ReplArgs),
    Cp(cp::CpArgs),
    Forward(forward::ForwardArgs),
    Sync(sync::SyncArgs),
    Ls(files::LsArgs),
    Stat(files::StatArgs),
    Mkdir(files::MkdirArgs),
    Mv(files::MvArgs),
    Rm(files::RmArgs),
    Hash(files::HashArgs),
    Serve(serve::ServeArgs),
    Key(key::KeyArgs),
    Demo(demo::DemoArgs),
    Lab(lab::LabArgs),
    Frame(FrameCommand),
    Struct(StructCommand),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// The whole command line: every command with all that may follow it.
pub(crate) fn described() -> clap::Command {
    let mut line = CommandLine::command();
    line.build();
    line
}

impl Command {
    /// Whether the steps of a login are wanted (`-v`).
    pub(crate) fn is_verbose(&self) -> bool {
        match self {
            Command::Exec(args) => args.connection.verbose,
            Command::Shell(args) => args.connection.verbose,
            Command::Jobs(args) => args.connection.verbose,
            Command::Attach(args) => args.job.connection.verbose,
            Command::Logs(args) => args.job.connection.verbose,
            Command::Wait(args) => args.job.connection.verbose,
            Command::Signal(args) => args.job.connection.verbose,
            Command::Run(args) => args.connection.verbose,
            Command::Repl(args) => args.connection.verbose,
            Command::Cp(args) => args.connection.verbose,
            Command::Forward(args) => args.connection.verbose,
            Command::Sync(args) => args.connection.verbose,
            Command::Ls(args) => args.connection.verbose,
            Command::Stat(args) => args.connection.verbose,
            Command::Mkdir(args) => args.connection.verbose,
            Command::Mv(args) => args.connection.verbose,
            Command::Rm(args) => args.connection.verbose,
            Command::Hash(args) => args.connection.verbose,
            Command::Key(args) => args.is_verbose(),
            Command::Serve(_)
            | Command::Demo(_)
            | Command::Lab(_)
            | Command::Frame(_)
            | Command::Struct(_)
            | Command::Completions(_)
            | Command::Man(_) => false,
        }
    }
}
