//! `unglue lab serve`: a dialect's server in the foreground.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use unglue_lab::dialects::{Dialect, Serving};
use unglue_lab::server::{Event, Settings};
use unglue_lab::shell::Shell;

use crate::args::lab::LabServeArgs;
use crate::complaint::{Complaint, printable, say};
use crate::signals::Signals;
use crate::{runtime, standard};

/// Serves until a signal ends it. What it does is told on standard error.
///
/// # Errors
/// The address can't be had, or is one that others can reach.
pub(crate) fn run(args: LabServeArgs) -> Result<ExitCode, Complaint> {
    refuse_others(&args)?;
    runtime::run(async move {
        // Before the announcement: whoever reads it may send a signal at once.
        let mut signals =
            Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let (log, written) = Log::start()?;
        let server = start(args)?;
        announce(server.address());
        let stopper = server.stopper();
        let mut serving = tokio::task::spawn_blocking(move || server.run(&|peer, event| log.tell(peer, event)));
        let wish = tokio::select! {
            served = &mut serving => return ended(served).map(|()| ExitCode::SUCCESS),
            wish = signals.next() => wish,
        };
        // Clients are let go, and the commands that run for them end.
        stopper.shut_down();
        tokio::select! {
            served = serving => ended(served)?,
            _ = signals.next() => {}
        }
        let _ = written.recv_timeout(PARTING);
        Ok(ExitCode::from(128 + wish.signal()))
    })
}

/// None of the dialects asks who the client is.
fn refuse_others(args: &LabServeArgs) -> Result<(), Complaint> {
    let ip = args.listen.ip();
    if ip.to_canonical().is_loopback() || args.i_know_this_runs_commands_for_anyone {
        return Ok(());
    }
    let does = match args.dialect {
        Dialect::Header => "stores files",
        _ => "runs commands",
    };
    Err(Complaint::new(format!(
        "{ip} is not a loopback address, and this dialect {does} for anyone who connects; listen on 127.0.0.1, or say \
         --i-know-this-runs-commands-for-anyone"
    )))
}

fn start(args: LabServeArgs) -> Result<Serving, Complaint> {
    let directory = std::path::absolute(&args.dir).unwrap_or(args.dir);
    let settings = Settings { coding: args.encoding, directory, patience: args.wait, ..Settings::default() };
    Ok(args.dialect.serve(args.listen, settings, Shell::default())?)
}

fn announce(address: SocketAddr) {
    // A server whose starter doesn't listen serves all the same.
    if let Err(complaint) = standard::print(format!("listening on {address}\n")) {
        say(&complaint.to_string());
    }
}

fn ended(served: Result<Result<(), unglue_lab::LabError>, tokio::task::JoinError>) -> Result<(), Complaint> {
    let served = served.map_err(|error| Complaint::new(format!("the server broke: {error}")))?;
    Ok(served?)
}

/// One line for each event, on standard error, written by a thread of its own: a reader who doesn't read holds nobody up. What
/// doesn't fit any more is left out.
struct Log(SyncSender<String>);

/// How many lines may wait to be written.
const LINES: usize = 4096;
/// How long the last of them may take.
const PARTING: Duration = Duration::from_secs(1);

impl Log {
    /// The log, and what ends once all of it is written and the log is gone.
    fn start() -> Result<(Log, Receiver<()>), Complaint> {
        let (log, lines) = sync_channel::<String>(LINES);
        let (writing, written) = sync_channel(0);
        let write = move || {
            let _writing: SyncSender<()> = writing;
            // There is nowhere to complain about a line that can't be written; the next one may find room again.
            lines.into_iter().for_each(|line| drop(io::stderr().write_all(line.as_bytes())));
        };
        let started = thread::Builder::new().spawn(write);
        started.map_err(|error| Complaint::new(format!("the system refused a new thread: {error}")))?;
        Ok((Log(log), written))
    }

    fn tell(&self, peer: SocketAddr, event: &Event<'_>) {
        let _ = self.0.try_send(format!("{peer} {}\n", printable(&event.to_string())));
    }
}
