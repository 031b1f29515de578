//! The way to a server: connecting, and what a person is asked on the way.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use unglue::{Address, Client, ClientOptions, Code, ConnectError, Fault, UnknownHost};
use unglue_identity::{KnownHosts, Passphrase};

use crate::args::connection::ConnectionArgs;
use crate::args::target::HostArg;
use crate::complaint::{Complaint, printable};
use crate::passphrase;

/// Which server, who asks, and whom to trust.
pub(crate) struct Access {
    pub(crate) address: Address,
    options: ClientOptions,
}

impl Access {
    /// Joins the host with the connection's flags.
    ///
    /// # Errors
    /// They contradict each other.
    pub(crate) fn new(host: &HostArg, flags: &ConnectionArgs) -> Result<Access, Complaint> {
        let address = host.address(flags.port).map_err(Complaint::new)?;
        let mut options =
            ClientOptions::default().accept_new(flags.accept_new).ask_passphrase(Arc::new(ask_passphrase));
        options.identity = flags.identity.clone();
        options.known_hosts = flags.known_hosts.clone();
        Ok(Access { address, options })
    }

    /// Connects. A server that isn't known is asked about once, if there is somebody to ask.
    ///
    /// # Errors
    /// There is no link; nothing has run.
    pub(crate) async fn connect(&self) -> Result<Client, Fault> {
        match Client::connect(&self.address, &self.options).await {
            Err(ConnectError::Unknown(unknown)) if agreed(&unknown) => {
                remember(&unknown)?;
                Client::connect(&self.address, &self.options).await.map_err(fault)
            }
            connected => connected.map_err(fault),
        }
    }
}

/// A server that isn't trusted, as a fault: what happened, and the command that would trust it.
fn fault(error: ConnectError) -> Fault {
    error.into()
}

fn remember(unknown: &UnknownHost) -> Result<(), Fault> {
    KnownHosts::append(&unknown.file, &unknown.target.host, unknown.target.port, &unknown.key)
        .map_err(|error| Fault::system(Code::UntrustedHost, error.to_string()))
}

/// Whether a person at the terminal says that the server is the right one. Nobody there means no.
fn agreed(unknown: &UnknownHost) -> bool {
    if !std::io::stderr().is_terminal() {
        return false;
    }
    let question = format!(
        "The server at {} is not known. Its host key is\n  256 {} ({})\nTrust it, and add it to {}? [yes/no] ",
        unknown.target,
        unknown.key.fingerprint(),
        unknown.key.kind().trim_start_matches("ssh-").to_uppercase(),
        unknown.file.display(),
    );
    let question: Vec<String> = question.split('\n').map(printable).collect();
    let answer = ask_at_terminal(&question.join("\n")).unwrap_or_default();
    matches!(answer.trim().to_ascii_lowercase().as_str(), "yes" | "y")
}

/// Asks at the terminal itself: standard input may be somebody's data.
fn ask_at_terminal(question: &str) -> std::io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(question.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer)?;
    Ok(answer)
}

/// Asks for the passphrase of a key, at the terminal; `None` where there is none, or where nothing was typed.
fn ask_passphrase(path: &Path) -> Option<Passphrase> {
    let question = format!("Passphrase for {}: ", printable(&path.display().to_string()));
    match passphrase::ask(&question) {
        Ok(text) if !text.is_empty() => Some(Passphrase::new(text)),
        _ => None,
    }
}
