//! The processes that own commands: what runs behind the hidden subcommand, outside the server.
//!
//! The server starts one *spawner*, and asks it for *supervisors*. Both are this very binary, single-threaded, and
//! talk to the server over a socket each:
//!
//! ```text
//! server ── spawner ──┬── supervisor ── command ── …its descendants
//!                     └── supervisor (idle)
//! ```
//!
//! A supervisor is a child subreaper (`PR_SET_CHILD_SUBREAPER`): whatever its command forks, daemonises or
//! orphans stays beneath it, root or not. It runs one command at a time, and its socket's end, that is the end of the
//! job's handle or of the server, makes it kill the tree and leave.
//!
//! A supervisor that is sent a keep request becomes a *keeper* ([`super::keep`]): it holds the command's pipes itself and
//! outlives the server, as does the spawner.
//!
//! The spawner forks supervisors because forking a small process is several times cheaper than executing a large one,
//! and shares its memory. It is a subreaper too: should a command kill its supervisor, the tree falls to the spawner,
//! which kills it; should it stop its supervisor, the spawner continues it.

mod cgroup;
mod children;
mod keeper;
mod lookup;
mod processes;
mod spawner;
mod supervisor;
mod terminal;
mod tree;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit};

use super::sys;

/// Passes the soft limit of open files that commands get.
pub(super) const OPEN_FILES_VARIABLE: &str = "UNGLUE_OPEN_FILES";

/// Runs the spawner, and in time its supervisors; never returns.
///
/// Call it first thing in `main`, before any thread starts, when the process was started by a
/// [`SupervisorCommand`](super::SupervisorCommand): standard input is a socket to the server.
pub fn supervise_main() -> ! {
    // Nothing may unwind into the caller's code: it would run twice, in every process forked here.
    let ended = std::panic::catch_unwind(|| prepare().map(spawner::run));
    sys::exit_now(if matches!(ended, Ok(Ok(()))) { 0 } else { 70 })
}

/// Makes this process independent of its starter's, and finds the socket.
fn prepare() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::net::sockopt::socket_type(&control)?;
    // A keeper outlives the server, and would hold open what that inherited by mistake.
    sys::close_all_but(control.as_fd())?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    sys::ignore_signals();
    // Both fail harmlessly: already a session's leader; no directory to go to.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    restore_open_files();
    Ok(control)
}

/// Gives commands the limit of open files that the server had before it raised its own.
fn restore_open_files() {
    let asked = std::env::var(OPEN_FILES_VARIABLE).ok().and_then(|value| value.parse().ok());
    if let Some(soft) = asked {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum });
    }
}
