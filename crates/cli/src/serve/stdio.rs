//! `unglue serve --stdio`: one client, on standard input and output. Both are passed to the process that owns the user's state, which
//! is started if there is none. Where nobody can own the state, the client is served by this process alone.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, fstat};
use rustix::termios::isatty;
use unglue::owner::{self, Served};
use unglue::{Peer, Service};

use super::options;
use super::resident::{self, Started};
use crate::args::serve::ServeArgs;
use crate::complaint::{Complaint, say};
use crate::signals::Signals;
use crate::{log, runtime, systemd};

/// How long the process that owns the state stays with nothing to do.
const LINGER: Duration = Duration::from_secs(300);
/// For how long a process that owns the state and doesn't listen is waited for: it is starting, or ending.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Serves until the client closes the link, or a signal ends it.
///
/// # Errors
/// Standard input or output is something else than a pipe or a socket, or nothing can be served.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode, Complaint> {
    check_pipes()?;
    if args.is_restricted() {
        return by_itself(
            args,
            "this way in allows less than its user may do; commands that outlive it belong to others",
        );
    }
    match reach(&args) {
        Ok(owner) => {
            let carried = owner.carry(rustix::stdio::stdin(), rustix::stdio::stdout());
            let failed = |error| {
                Complaint::new(format!("the connection can't be carried: {error}; raise the limit (ulimit -u)"))
            };
            carried.map(|()| ExitCode::SUCCESS).map_err(failed)
        }
        Err(why) => {
            say(&format!("warning: {why}; commands run, but none can outlive its connection"));
            by_itself(args, &why)
        }
    }
}

/// Connects to the owner of the state; starts one where there is none.
fn reach(args: &ServeArgs) -> Result<Served, String> {
    let state = args.state.clone().map(super::absolute).map_or_else(owner::state_directory, Ok);
    let state = state.map_err(|fault| fault.to_string())?;
    let (since, mut pause) = (Instant::now(), LOOK);
    loop {
        if let Some(owner) = connect(&state)? {
            return Ok(owner);
        }
        match resident::start(&state, args.linger.unwrap_or(LINGER))? {
            Started::Ready if pause == LOOK => warn_of_systemd(),
            Started::Owned(by) if since.elapsed() >= PATIENCE => return Err(format!("{by}; it doesn't answer")),
            Started::Ready | Started::Owned(_) => {}
        }
        // Two were started at once, or the former owner is just ending.
        let again = Instant::now() + pause;
        loop {
            if let Some(owner) = connect(&state)? {
                return Ok(owner);
            }
            if Instant::now() >= again {
                break;
            }
            std::thread::sleep(LOOK);
        }
        pause = (pause * 2).min(Duration::from_secs(1));
        if since.elapsed() >= 2 * PATIENCE {
            return Err(format!("the process that owns {} can't be reached", state.display()));
        }
    }
}

fn connect(state: &Path) -> Result<Option<Served>, String> {
    let connected = owner::connect(state, rustix::stdio::stdin(), rustix::stdio::stdout());
    connected.map_err(|fault| fault.to_string())
}

/// Once, for the user who has just started the process that commands depend on.
fn warn_of_systemd() {
    if let Some(systemd::Danger { why, advice }) = systemd::danger() {
        say(&format!("warning: {why}; {advice}"));
    }
}

/// Serves without the ownership of the state.
fn by_itself(args: ServeArgs, why: &str) -> Result<ExitCode, Complaint> {
    log::start_quiet_server_log(args.json)?;
    runtime::run(async move {
        let mut signals =
            Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let io = unglue::stdio().map_err(|error| Complaint::new(format!("{UNUSABLE}: {error}; {INSTEAD}")))?;
        let service = Service::trusting(options(args).unowned(why))?;
        let user = service.own_user();
        service.serve_trusted(io, Peer::Stdio, user, async { _ = signals.next().await }).await?;
        Ok(ExitCode::SUCCESS)
    })
}

const UNUSABLE: &str = "standard input and output can't carry a client's connection";
const INSTEAD: &str = "run this as the command of an ssh process, whose input and output are pipes";

fn check_pipes() -> Result<(), Complaint> {
    if isatty(rustix::stdio::stdin()) || isatty(rustix::stdio::stdout()) {
        return Err(Complaint::new(format!("a terminal can't carry a client's connection; {INSTEAD}")));
    }
    match is_pipe(rustix::stdio::stdin()) && is_pipe(rustix::stdio::stdout()) {
        true => Ok(()),
        false => Err(Complaint::new(format!("{UNUSABLE}: they are files; {INSTEAD}"))),
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}
