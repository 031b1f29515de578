//! The `unglue` command: arguments in, values of the library out on the terminal, and an exit code.
//!
//! A cold `unglue exec HOST -- true` lives for a few milliseconds, so nothing is done here before it is needed: no thread,
//! no logger, no terminal.

mod access;
mod allocator;
mod args;
mod batch;
mod blocking;
mod calendar;
mod clock;
mod complaint;
mod configuration;
mod cp;
mod demo;
mod exec;
mod explain;
mod files;
mod forward;
// Its doc comments are help texts, where `data[len]` is a framing and no link.
#[allow(rustdoc::broken_intra_doc_links)]
mod frame;
mod host_prompt;
mod jobs;
mod key;
mod lab;
mod local_store;
mod log;
mod manual;
mod names;
mod panics;
mod passphrase;
mod patience;
mod printable;
mod progress;
mod pystruct;
mod repl;
mod runtime;
mod serve;
mod shell;
mod signals;
mod standard;
mod systemd;
mod transport;
mod trees;
mod typed;
mod uploaded;
mod warnings;

use std::process::ExitCode;

use args::Command;
use complaint::Complaint;

fn main() -> ExitCode {
    names::use_what_is_built_in();
    let mut words: Vec<_> = std::env::args_os().collect();
    // The server starts this program anew as the process that owns commands; it must be small and have no threads.
    if words.get(1).is_some_and(|word| word == "__supervise") {
        unglue::supervise_main();
    }
    // `serve --stdio` starts it as the process that owns the user's state.
    if words.get(1).is_some_and(|word| word == serve::resident::WORD) {
        unglue::ssh::far::hold();
        return serve::resident::main(&words[2..]);
    }
    panics::report_in_one_line();
    match uploaded::begin(&words) {
        None => {}
        Some(Ok(serve)) => words = serve,
        Some(Err(code)) => return code,
    }
    let ended = panics::caught(|| match args::parse(words)? {
        Some(line) => run(line.command),
        None => Ok(ExitCode::SUCCESS),
    });
    // The log's lines come before the last one.
    log::finish();
    ended.unwrap_or_else(|complaint| complaint.tell())
}

fn run(command: Command) -> Result<ExitCode, Complaint> {
    if !matches!(command, Command::Serve(_)) {
        log::start_client_log()?;
        warnings::show(command.is_verbose());
    }
    if uses_keys(&command) {
        unglue::identity::forbid_core_dumps();
    }
    match command {
        Command::Exec(args) => exec::run(&args),
        Command::Shell(args) => shell::run(&args),
        Command::Jobs(args) => jobs::list(&args),
        Command::Attach(args) => jobs::attach(&args),
        Command::Logs(args) => jobs::logs(&args),
        Command::Wait(args) => jobs::wait(&args),
        Command::Signal(args) => jobs::signal(&args),
        Command::Run(args) => batch::run(&args),
        Command::Repl(args) => repl::run(&args),
        Command::Cp(args) => cp::run(&args),
        Command::Forward(args) => forward::run(&args),
        Command::Sync(args) => trees::sync(&args),
        Command::Ls(args) => files::ls(&args),
        Command::Stat(args) => files::stat(&args),
        Command::Mkdir(args) => files::mkdir(&args),
        Command::Mv(args) => files::mv(&args),
        Command::Rm(args) => files::rm(&args),
        Command::Hash(args) => files::hash(&args),
        Command::Serve(args) => serve::run(args),
        Command::Key(args) => key::run(&args),
        Command::Frame(command) => command.run(),
        Command::Struct(command) => command.run(),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Lab(args) => lab::run(args),
    }
}

/// Whether a private key comes into this process's memory.
fn uses_keys(command: &Command) -> bool {
    use Command::{Completions, Frame, Lab, Man, Struct};
    !matches!(command, Completions(_) | Frame(_) | Lab(_) | Man(_) | Struct(_))
}
