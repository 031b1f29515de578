//! `unglue forward`: ports of one machine on another, until Ctrl-C, or as long as a program runs.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use unglue::{Client, Forward, Forwarded, Notice};

use crate::access::Access;
use crate::args::forward::ForwardArgs;
use crate::complaint::{Complaint, NOT_FOUND, NOT_RUNNABLE, say};
use crate::runtime;
use crate::signals::{Signals, Wish};

/// Runs the command line.
///
/// # Errors
/// A place is taken, the server refuses, or the link has ended.
pub(crate) fn run(args: &ForwardArgs) -> Result<ExitCode, Complaint> {
    let forwards = args.forwards().map_err(Complaint::new)?;
    let access = Access::new(&args.host, &args.connection)?;
    runtime::run(async {
        let signals = Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let client = access.connect().await?;
        let forwarded = client.forward(&forwards, args.keep).await?;
        announce(&forwarded);
        match args.program.split_first() {
            None => until_interrupted(forwarded, signals).await,
            Some((program, words)) => while_it_runs(forwarded, signals, start(program, words)?).await,
        }
    })
}

/// Forwards ports beside a command, as `exec -L` does; `None` where nothing was asked for. Dropped, it ends.
///
/// # Errors
/// A place is taken, or the server refuses.
pub(crate) async fn beside(client: &Client, forwards: &[Forward]) -> Result<Option<Beside>, unglue::Fault> {
    if forwards.is_empty() {
        return Ok(None);
    }
    until_dropped(client.forward(forwards, None).await?, tell)
}

/// Forwards ports beside a program on a terminal. A link that is lost is replaced for up to `keep`, and nothing is written over
/// what the program shows.
///
/// # Errors
/// As for [`beside`].
pub(crate) async fn beside_terminal(
    client: &Client,
    forwards: &[Forward],
    keep: Duration,
) -> Result<Option<Beside>, unglue::Fault> {
    if forwards.is_empty() {
        return Ok(None);
    }
    until_dropped(client.forward(forwards, (!keep.is_zero()).then_some(keep)).await?, |_| {})
}

fn until_dropped(
    mut forwarded: Forwarded,
    tell: impl Fn(&Notice) + Send + 'static,
) -> Result<Option<Beside>, unglue::Fault> {
    announce(&forwarded);
    let telling = tokio::spawn(async move {
        loop {
            match forwarded.next().await {
                // The command's own end says so.
                Notice::Ended(_) => return,
                notice => tell(&notice),
            }
        }
    });
    Ok(Some(Beside(telling)))
}

/// Forwarding beside a command, until it is dropped.
pub(crate) struct Beside(tokio::task::JoinHandle<()>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn announce(forwarded: &Forwarded) {
    for listening in forwarded.listening() {
        say(&listening.to_string());
    }
}

fn tell(notice: &Notice) {
    match notice {
        Notice::Refused(fault) => say(&format!("a connection was refused: {fault}")),
        Notice::Lost(fault) => say(&format!("the link was lost, and is being made again: {fault}")),
        Notice::Restored => say("there is a link again"),
        Notice::Ended(fault) => say(&format!("nothing is forwarded any more: {fault}")),
        _ => {}
    }
}

async fn until_interrupted(mut forwarded: Forwarded, mut signals: Signals) -> Result<ExitCode, Complaint> {
    loop {
        tokio::select! {
            notice = forwarded.next() => match notice {
                Notice::Ended(fault) => return Err(fault.into()),
                notice => tell(&notice),
            },
            wish = signals.next() => match wish {
                Wish::Interrupt => return Ok(ExitCode::SUCCESS),
                Wish::End(signal) => return Ok(ExitCode::from(128 + signal)),
                // There is nothing to leave behind.
                Wish::Detach => {}
            },
        }
    }
}

/// The terminal sends Ctrl-C to the program as well, so it decides what that means; other signals are passed on to it.
async fn while_it_runs(
    mut forwarded: Forwarded,
    mut signals: Signals,
    mut program: Child,
) -> Result<ExitCode, Complaint> {
    loop {
        tokio::select! {
            notice = forwarded.next() => tell(&notice),
            wish = signals.next() => if let Wish::End(signal) = wish {
                pass_on(&program, signal);
            },
            ended = program.wait() => {
                let ended = ended.map_err(|error| Complaint::new(format!("the program's end is not known: {error}")))?;
                return Ok(ExitCode::from(exit_code(ended)));
            }
        }
    }
}

fn start(program: &OsString, words: &[OsString]) -> Result<Child, Complaint> {
    Command::new(program).args(words).spawn().map_err(|error| {
        let exit = match error.kind() {
            ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_RUNNABLE,
        };
        Complaint::new(format!("{} can't be run on this machine: {error}", program.display())).exit(exit)
    })
}

fn pass_on(program: &Child, signal: u8) {
    let pid = program.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal.into())) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::complaint::FAILED)
}
