//! `unglue serve --stdio`: one client, on standard input and output.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use unglue::{Peer, Service};

use super::options;
use crate::args::serve::ServeArgs;
use crate::complaint::Complaint;
use crate::signals::Signals;
use crate::{log, runtime};

/// Serves until the client closes the link, or a signal ends it.
///
/// # Errors
/// Standard input or output is something else than a pipe or a socket, or the server can't start.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode, Complaint> {
    log::start_quiet_server_log(args.json)?;
    runtime::run(async move {
        let mut signals =
            Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let io = unglue::stdio().map_err(|error| unusable(&error))?;
        let service = Service::trusting(options(args))?;
        let user = service.own_user()?;
        service.serve_trusted(io, Peer::Stdio, user, async { _ = signals.next().await }).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn unusable(error: &std::io::Error) -> Complaint {
    let what = match std::io::stdin().is_terminal() || std::io::stdout().is_terminal() {
        true => "a terminal can't carry a client's connection".to_owned(),
        false => format!("standard input and output can't carry a client's connection: {error}"),
    };
    Complaint::new(format!("{what}; run this as the command of an ssh process, whose input and output are pipes"))
}
