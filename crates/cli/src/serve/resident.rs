//! The process that owns a user's state where no server runs as a daemon: `unglue serve --stdio` starts it, and it ends by itself.
//!
//! It is started with its standard input from `/dev/null`, its standard error in a file in the state directory, and its standard
//! output as a pipe, on which it says in one line whether it serves. It holds nothing of the session that started it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use unglue::{Code, Fault, Server, ServerOptions};

use super::until_ended;
use crate::complaint::Complaint;
use crate::signals::Signals;
use crate::{log, panics, runtime, standard, systemd};

/// The hidden subcommand.
pub(crate) const WORD: &str = "__own";
/// Its log, in the state directory, and the log before that one.
const LOG: &str = "resident.log";
const OLD_LOG: &str = "resident.log.1";
/// The log begins anew where it has grown so long.
const LOG_SIZE: u64 = 1 << 20;
/// How long it may take to say that it serves.
const READY: Duration = Duration::from_secs(15);

/// What came of starting one.
pub(super) enum Started {
    /// It owns the state, and serves.
    Ready,
    /// Another process owns the state.
    Owned(String),
}

/// Starts one.
///
/// # Errors
/// It can't own the state, for the reason given.
pub(super) fn start(state: &Path, linger: Duration) -> Result<Started, String> {
    let log = open_log(state).map_or_else(|_| Stdio::null(), Stdio::from);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("unglue").arg(WORD).arg(state).arg(linger.as_millis().to_string());
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
    let mut child = spawned.map_err(|error| format!("the process that owns the state can't be started: {error}"))?;
    let said = child.stdout.take().map(said).unwrap_or_default();
    match said.split_once(' ').unwrap_or((&said, "")) {
        ("ready", _) => Ok(Started::Ready),
        ("owned", by) => {
            let _ = child.wait();
            Ok(Started::Owned(by.to_owned()))
        }
        ("failed", why) => {
            let _ = child.wait();
            Err(why.to_owned())
        }
        _ => {
            // It hangs in a file system, or was killed.
            let _ = child.kill();
            Err(format!("the process that owns the state did not start; see {}", state.join(LOG).display()))
        }
    }
}

/// The line that it prints; what it has printed of it if it takes too long.
fn said(mut stdout: ChildStdout) -> String {
    let (until, mut line) = (Instant::now() + READY, Vec::new());
    while !line.ends_with(b"\n") {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap_or_default();
        let mut buffer = [0; 1024];
        let readable = poll(&mut [PollFd::new(&stdout.as_fd(), PollFlags::IN)], Some(&left));
        match readable
            .map_err(io::Error::from)
            .and_then(|ready| if ready == 0 { Ok(0) } else { stdout.read(&mut buffer) })
        {
            Ok(0) => break,
            Ok(length) => line.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

fn open_log(state: &Path) -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    let path = state.join(LOG);
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_SIZE) {
        fs::rename(&path, state.join(OLD_LOG))?;
    }
    File::options().create(true).append(true).mode(0o600).open(path)
}

/// Its own `main`: `STATE LINGER-MS`.
pub(crate) fn main(words: &[OsString]) -> ExitCode {
    panics::report_in_one_line();
    let ended = panics::caught(|| {
        unglue::leave_session().map_err(|error| Complaint::new(format!("the session can't be left: {error}")))?;
        let linger = words.get(1).and_then(|word| word.to_str()?.parse().ok()).map(Duration::from_millis);
        let (Some(state), Some(linger)) = (words.first(), linger) else {
            return Err(Complaint::new(format!("{WORD} is for unglue itself")));
        };
        log::start_quiet_server_log(false)?;
        runtime::run(own(Path::new(state), linger))
    });
    log::finish();
    ended.unwrap_or_else(|complaint| complaint.tell())
}

async fn own(state: &Path, linger: Duration) -> Result<ExitCode, Complaint> {
    let signals = Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
    let server = Server::start(ServerOptions::default().state(state).resident(linger));
    say(&match &server {
        Ok(_) => "ready".to_owned(),
        Err(fault) if fault.code == Code::Busy => format!("owned {}", one_line(fault)),
        Err(fault) => format!("failed {}", one_line(fault)),
    });
    let _ = unglue::close_stdout();
    let server = server?;
    if let Some(systemd::Danger { why, advice }) = systemd::danger() {
        tracing::warn!(event = "jobs_in_danger", why, advice);
    }
    until_ended(server, signals).await;
    Ok(ExitCode::SUCCESS)
}

fn one_line(fault: &Fault) -> String {
    fault.to_string().replace('\n', " ")
}

/// Its starter may have gone.
fn say(line: &str) {
    if let Err(complaint) = standard::print(format!("{line}\n")) {
        tracing::debug!(event = "not_announced", why = %complaint);
    }
}
