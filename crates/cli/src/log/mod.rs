//! Logs: one line for each event, on standard error. Nothing in an event can act on a terminal, break the line, or pass for
//! another event, and nothing that becomes of standard error holds up the threads that log.

mod line;
mod queue;

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::Level;

use crate::complaint::Complaint;
use line::Lines;
use queue::Queue;

/// Names the level of the log: `error`, `warn`, `info`, `debug`, `trace`.
const VARIABLE: &str = "UNGLUE_LOG";
/// How long the last lines may take when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of this process, once it has one.
static LOG: OnceLock<Queue> = OnceLock::new();
/// Set if the log is a server's: standard error holds nothing else then.
static SERVER: OnceLock<()> = OnceLock::new();

/// Starts a server's log: from `info` on, unless the variable says otherwise.
///
/// # Errors
/// The variable names no level, or the system has no thread for the log.
pub(crate) fn start_server_log(json: bool) -> Result<(), Complaint> {
    start(level()?.unwrap_or(Level::INFO), json)?;
    SERVER.get_or_init(|| ());
    Ok(())
}

/// Starts the log of a server whose standard error is its client's: from `warn` on, unless the variable says otherwise.
///
/// # Errors
/// As [`start_server_log`].
pub(crate) fn start_quiet_server_log(json: bool) -> Result<(), Complaint> {
    start(level()?.unwrap_or(Level::WARN), json)
}

/// Starts a client's log, if the variable asks for one.
///
/// # Errors
/// As [`start_server_log`].
pub(crate) fn start_client_log() -> Result<(), Complaint> {
    level()?.map_or(Ok(()), |level| start(level, false))
}

/// Whether this process logs as a server does: then everything that it reports is an event.
pub(crate) fn is_a_servers() -> bool {
    SERVER.get().is_some()
}

/// Waits until the last lines are written, for a second at most.
pub(crate) fn finish() {
    if let Some(log) = LOG.get() {
        log.finish(LAST_LINES);
    }
}

fn level() -> Result<Option<Level>, Complaint> {
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let level = value.to_str().and_then(|value| value.parse().ok());
    level.map(Some).ok_or_else(|| {
        let value = value.display();
        Complaint::new(format!("{VARIABLE}={value} is not a level; set it to error, warn, info, debug or trace"))
    })
}

fn start(level: Level, json: bool) -> Result<(), Complaint> {
    let lines = Lines { json };
    let queue = Queue::start(Box::new(move |dropped| lines.dropped(dropped)), Box::new(stderr)).map_err(|error| {
        Complaint::new(format!("the log could not start its thread: {error}; raise the limit (ulimit -u)"))
    })?;
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(lines)
        .with_writer(|| LOG.get().map_or(queue::Line::nowhere(), Queue::line));
    // There is only one; a second would be a bug, and the first goes on.
    if LOG.set(queue).is_ok() {
        let _ = tracing::subscriber::set_global_default(log.finish());
    }
    Ok(())
}

/// Writes to standard error by a system call: a part of it may be written.
fn stderr(bytes: &[u8]) -> io::Result<usize> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    let stderr = rustix::stdio::stderr();
    loop {
        match rustix::io::write(stderr, bytes) {
            Err(Errno::INTR) => {}
            // Another process has set the shared descriptor non-blocking.
            Err(Errno::AGAIN) => _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?,
            written => return Ok(written?),
        }
    }
}
