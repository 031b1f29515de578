//! Leaving the session that a process was started in.

use std::io;

use rustix::stdio::dup2_stdout;

use super::sys;

/// Makes this process independent of the session that started it: a session of its own, the directory `/`, no descriptor
/// beyond standard input, output and error.
///
/// Call it first thing in `main`, before any thread starts and any file is opened.
///
/// # Errors
/// The system doesn't show which descriptors are open.
pub fn leave_session() -> io::Result<()> {
    sys::close_all()?;
    // Both fail harmlessly: a session's leader already; no directory to go to.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    Ok(())
}

/// Replaces standard output with `/dev/null`: a reader sees its end.
///
/// # Errors
/// There is no `/dev/null`.
pub fn close_stdout() -> io::Result<()> {
    Ok(dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?)
}
