//! `unglue serve`: a server in the foreground, from its announcement to its orderly end.

pub(crate) mod resident;
mod stdio;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use unglue::{GO_AWAY_GRACE, Server, ServerOptions};

use crate::args::serve::{Allowed, ServeArgs};
use crate::blocking::blocking;
use crate::complaint::Complaint;
use crate::signals::Signals;
use crate::{log, runtime, standard, systemd};

/// Serves until a signal ends it.
///
/// # Errors
/// The server can't start.
pub(crate) fn run(args: ServeArgs) -> Result<ExitCode, Complaint> {
    if args.stdio {
        return stdio::run(args);
    }
    log::start_server_log(args.json)?;
    let json = args.json;
    runtime::run(async move {
        // Before the announcement: whoever reads it may send a signal at once.
        let signals = Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        if args.allows(Allowed::Files) && !args.allows(Allowed::Exec) && args.root.is_none() {
            // SECURITY.md has the whole of it.
            let why = "--allow files without --root is not a boundary: a client that can write this user's files can run commands as this user";
            tracing::warn!(event = "unconfined_files", why, advice = "give --root DIR");
        }
        let runs_commands = args.allows(Allowed::Exec);
        let server = Server::start(options(args))?;
        if let Some(systemd::Danger { why, advice }) = systemd::danger().filter(|_| runs_commands) {
            tracing::warn!(event = "jobs_in_danger", why, advice);
        }
        announce(&server, json);
        until_ended(server, signals).await;
        Ok(ExitCode::SUCCESS)
    })
}

fn options(args: ServeArgs) -> ServerOptions {
    let mut options = ServerOptions::default()
        .exec(args.allows(Allowed::Exec))
        .files(args.allows(Allowed::Files))
        .forward(args.allows(Allowed::Forward))
        .gateway_ports(args.gateway_ports);
    options.listen = args.listen;
    options.root = args.root.map(absolute);
    options.state = args.state.map(absolute);
    options.host_keys = args.host_key.into_iter().map(absolute).collect();
    options.revoked_keys = args.revoked_keys.map(absolute);
    options.user_environment = args.permit_user_environment;
    options.authorized_keys = args.authorized_keys.map(absolute);
    options
}

/// Paths are relative to where the server was started; the processes that run commands are elsewhere.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[derive(Serialize)]
struct Announcement {
    address: String,
    /// Of a server that listens on the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// Says where the server listens and which key it has. It accepts connections by now.
fn announce(server: &Server, json: bool) {
    let sockets = server.sockets().iter().map(|path| format!("unix:{}", path.display()));
    let mut addresses = server.addresses().iter().map(ToString::to_string).chain(sockets);
    let address = addresses.next().unwrap_or_default();
    let fingerprint = server.host_key().map(|key| key.fingerprint().to_string());
    let line = match (json, &fingerprint) {
        (true, _) => serde_json::to_string(&Announcement { address, fingerprint }).unwrap_or_default(),
        (false, Some(fingerprint)) => format!("listening on {address} host-key {fingerprint}"),
        (false, None) => format!("listening on {address}"),
    };
    // A server whose starter doesn't listen, or whose announcement finds no room on a disk, serves all the same.
    if let Err(complaint) = standard::print(line + "\n") {
        tracing::warn!(event = "not_announced", why = %complaint);
    }
    for address in addresses {
        tracing::info!(event = "also_listening", %address);
    }
}

/// How long the second signal's end may take: clients are told, and temporary files are removed.
const PARTING: Duration = Duration::from_secs(2);

/// The first signal lets operations end, for a while; the second ends them. Commands' trees end with their supervisors, however
/// this process ends.
///
/// A resident ends by itself, too.
async fn until_ended(server: Server, mut signals: Signals) {
    let ending = server.ending();
    let mut ended = pin!(blocking("unglue-join", move || server.join()));
    tokio::select! {
        ended = &mut ended => return match ended {
            Ok(()) => tracing::info!("ended"),
            Err(error) => tracing::error!(%error, "the server ends: raise the limit of threads (ulimit -u)"),
        },
        _ = signals.next() => {}
    }
    let grace = GO_AWAY_GRACE.as_secs();
    tracing::info!("stopping: operations under way have {grace} s to end; a second signal ends them at once");
    ending.leave();
    tokio::select! {
        _ = &mut ended => return tracing::info!("stopped"),
        _ = signals.next() => ending.end(),
    }
    match tokio::time::timeout(PARTING, ended).await {
        Ok(_) => tracing::info!("stopped at once"),
        Err(_) => tracing::warn!("stopped, with operations that had not ended after {} s", PARTING.as_secs()),
    }
}
